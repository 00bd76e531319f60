"""The life of one Xwayland: its process, its two connections, and the window manager between them.

It ends with the Xwayland, which ends by itself after its last client; the launcher starts another
for the next one.
"""

import socket
from typing import Final, NamedTuple

from crossdomain.errors import CrossDomainError, EnvironmentFault, LocalError
from crossdomain.wire.tables import load as load_tables
from launcher import log
from launcher.xwayland.mappings import Mappings
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.sides import WaylandSide, XSide
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.wayland.arrangement import Arrangement
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.outputs import measure
from launcher.xwayland.wayland.scaling import Scaling
from launcher.xwayland.window_manager import WindowManager
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.setup import Setup
from launcher.xwayland.xserver import Xwayland

EXIT_FAILED: Final = 1
"""It could not serve anybody."""
EXIT_BROKEN: Final = 2
"""It has served, and then something has failed: another one may well do better."""


class Settings(NamedTuple):
    """What the session is to serve."""

    display: int
    listeners: tuple[int, ...]
    """Listening sockets of the display; they stay the caller's."""
    authority: str
    """Path of the file with the cookie."""
    cookie: bytes
    wayland_display: str
    """Path of the compositor's socket."""
    scale: str = "auto"
    """How many px of an X window make a logical one of the compositor: a number, or as its outputs are."""
    keeps_clipboard: bool = False
    """Whether what an X client has copied is kept when it quits."""


class Session:
    """One Xwayland's session; `run` serves it to its end."""

    def __init__(self, loop: TimedLoop, settings: Settings) -> None:
        self._loop = loop
        self._settings = settings
        self._status = 0
        self._client: XClient | None = None
        self._objects: Objects | None = None

    def run(self) -> int:
        """Serves until Xwayland ends; returns 0, or why it has failed.

        Raises EnvironmentFault where it can't be started.
        """
        settings = self._settings
        host = _connect(settings.wayland_display)
        xwayland = self._xwayland = Xwayland(self._loop, self._handle_end)
        try:
            sockets = xwayland.start(settings.display, settings.listeners, settings.authority)
        except EnvironmentFault:
            host.close()
            raise
        self._x = XSide(self._loop, sockets.window_manager, settings.cookie, self._handle_setup, self._fail)
        self._wayland = WaylandSide(self._loop, sockets.wayland, host, self._fail)
        self._x.pause = self._wayland.take_turn
        self._start_mediator()
        self._loop.after_round = self._flush
        try:
            self._flush()
            self._loop.run()
        finally:
            self._manager.close()
            xwayland.stop()
            self._wayland.close()
            self._x.close()
        return self._status

    def stop(self) -> None:
        """Ends it from outside."""
        self._loop.stop()

    def _start_mediator(self) -> None:
        tables = load_tables()
        mediator = self._mediator = Mediator(tables, self._wayland.to_host, self._wayland.to_client)
        self._globals = Globals(mediator, tables)
        self._manager = WindowManager(
            self._loop,
            mediator,
            self._globals,
            Arrangement(mediator),
            Mappings(self._loop, self._settings.listeners[0], self._settings.cookie),
            keeps_clipboard=self._settings.keeps_clipboard,
        )
        self._wayland.start(mediator)
        self._globals.start(self._handle_globals)

    def _handle_globals(self) -> None:
        if self._settings.scale == "auto":
            measure(self._mediator, self._globals, self._set_scale)
        else:
            self._set_scale(float(self._settings.scale))

    def _set_scale(self, factor: float) -> None:
        if factor != 1.0 and self._globals.find("wp_viewporter") is None:
            log.warning("the compositor has no wp_viewporter: X11 windows are not scaled")
            factor = 1.0
        log.info(f"X11 windows have {factor:g} px for each logical one")
        self._mediator.scale(Scaling(factor))
        self._objects = Objects(self._globals)
        self._manager.prepare(self._objects)
        self._wayland.open()
        self._start_manager()

    def _handle_setup(self, setup: Setup) -> None:
        client = XClient(self._x.connection, setup)

        def ready() -> None:
            self._client = client
            self._start_manager()

        client.start(ready)

    def _start_manager(self) -> None:
        """Both sides are there: now there is something to manage."""
        if self._client is not None and self._objects is not None:
            self._x.handle_event = self._manager.start(self._client, self._objects)

    def _flush(self) -> None:
        try:
            self._wayland.take_turn()
            self._manager.flush()
            self._x.flush()
            self._wayland.flush()
        except Exception as error:  # noqa: BLE001 (whatever it is, this session is over)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._status == 0:
            if isinstance(error, CrossDomainError | OSError) and not isinstance(error, LocalError):
                log.error(f"the X11 session has ended: {error}")
            else:
                log.bug(error, client="X11")
        self._break_off()

    def _break_off(self) -> None:
        self._status = EXIT_FAILED if self._client is None or self._objects is None else EXIT_BROKEN
        self._loop.stop()

    def _handle_end(self, status: int) -> None:
        if status != 0:
            log.error(f"Xwayland has ended with status {status}")
            for line in self._xwayland.last_words:
                log.error(f"Xwayland: {line}")
            self._break_off()
        else:
            log.info("Xwayland has ended after its last client")
            self._loop.stop()


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise EnvironmentFault(
            f"no Wayland compositor at {path!r}: {error.strerror}", hint="is crossdomain-run still running?"
        ) from None
    return connection
