"""Hears when an X client maps a window that is mapped already, which the X server makes no event of.

That is how a client has an iconified window back (ICCCM 4.1.4).  Ours stay mapped while they are out of the
way, so that the compositor's user can have them back, too.  The RECORD extension tells of any request, on a
connection of its own: nothing else can be asked there.  It does so with what the server sends next to
anybody, which is at once for toolkits that ask something after it, as Qt does.
"""

import socket
from collections.abc import Callable

from crossdomain.errors import HostFault
from launcher import log
from launcher.loop import Loop
from launcher.xwayland.sides import XSide
from launcher.xwayland.x11 import record, requests
from launcher.xwayland.x11.events import parse_extension
from launcher.xwayland.x11.setup import Setup


class Mappings:
    """Those of one X server; there is a connection only as long as they are wanted."""

    def __init__(self, loop: Loop, listener: int, cookie: bytes) -> None:
        """`listener` is a listening socket of the server's, which stays the caller's."""
        self._loop = loop
        self._listener = listener
        self._cookie = cookie
        self._side: XSide | None = None
        self._is_deaf = False
        """Whether they are wanted, and there is no connection that tells of them yet."""
        self._waiting: list[Callable[[], None]] = []
        self.own = 0
        """The resource-id-base of the client that is not to be heard: the window manager's."""
        self.mapped: Callable[[int], None] = lambda _window: None
        """Called with each window that a client wants to be mapped."""

    def listen(self, *, wanted: bool) -> None:
        """Begins to hear, or ends it."""
        self.close()
        if not wanted:
            return
        try:
            connection = self._connect()
        except OSError as error:
            self._fail(error)
            return
        self._is_deaf = True
        self._side = XSide(self._loop, connection, self._cookie, self._begin, self._fail)
        self._side.ended = self.close
        self._side.flush()

    def when_heard(self, action: Callable[[], None]) -> None:
        """Calls `action` as soon as nothing that comes of it can be missed; one after the other."""
        if self._is_deaf:
            self._waiting.append(action)
        else:
            action()

    def close(self) -> None:
        """Ends it; may be called again."""
        side, self._side = self._side, None
        if side is not None:
            side.close()
        self._go_on()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with socket.socket(fileno=self._listener) as listener:
                try:
                    connection.connect(listener.getsockname())
                finally:
                    listener.detach()
        except OSError:
            connection.close()
            raise
        return connection

    def _begin(self, setup: Setup) -> None:
        """The server takes us."""
        side = self._side
        if side is None:
            return

        def found(reply: bytes) -> None:
            major = parse_extension(reply).major_opcode
            if not major:
                raise HostFault("the X server has no RECORD extension")
            context = setup.resource_id_base | 1
            side.connection.request(record.create_context(major, context))
            side.connection.ask(record.enable_context(major, context), self._hear, lasts=True)
            side.flush()

        side.connection.ask(requests.query_extension(b"RECORD"), found)
        side.flush()

    def _hear(self, reply: bytes) -> None:
        # The first one says no more than that it has begun.
        self._go_on()
        for window in record.parse_mapped(reply, self.own):
            self.mapped(window)

    def _go_on(self) -> None:
        self._is_deaf = False
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action()

    def _fail(self, error: Exception) -> None:
        """Whatever it is, it costs no more than that nothing is heard."""
        log.debug(f"X11 windows that are iconified don't come back by being mapped: {error}")
        self.close()
