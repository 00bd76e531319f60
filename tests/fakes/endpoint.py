"""One end of a Wayland connection: bytes and fds, framed into messages, with deadlines."""

import array
import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Final, TypeAlias

from crossdomain.wire.codec import HEADER_SIZE, encode_message
from crossdomain.wire.tables import ArgumentKind, Interface, Message
from tests.fakes.patience import PATIENCE

MAX_FDS_PER_MESSAGE: Final = 28
"""libwayland takes no more fds from one sendmsg."""

_FD_SIZE: Final = 4
_KERNEL_MAX_FDS: Final = 253
"""SCM_MAX_FD: what one sendmsg can carry at all."""

Plain: TypeAlias = int | str | bytes | None
"""An argument as the wire has it: objects and fds are numbers."""


class Disconnected(Exception):
    """The peer closed the connection."""


class Endpoint:
    """A connected socket.  Received fds are owned here until `take_fd` gives them away.

    A test may send while a thread serves the peer, see `tests.fakes.compositor.served`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self.fds: list[int] = []
        self._outgoing = bytearray()
        self._sending = threading.RLock()
        """Held by who touches what is queued: of two threads one took away what the other had added."""
        self._incoming = bytearray()

    def fileno(self) -> int:
        """For poll."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close without a word."""
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def queue(self, message: Message, object_id: int, values: list[Plain]) -> None:
        """Append one message; with fds among its values everything queued is sent at once.

        The fds stay the caller's.
        """
        plain = list(values)
        fds: list[int] = []
        for position, argument in enumerate(message.arguments):
            value = plain[position]
            if argument.kind is ArgumentKind.FD:
                assert isinstance(value, int)
                fds.append(value)
                plain[position] = None
            elif argument.kind in (ArgumentKind.OBJECT, ArgumentKind.NEW_ID) and value is None:
                plain[position] = 0
        with self._sending:
            self._outgoing += encode_message(message, object_id, *plain)
            if fds or len(self._outgoing) > 32768:
                self.flush(fds)

    def flush(self, fds: list[int] | None = None) -> None:
        """Send what is queued, the fds with its first byte.

        To a peer that has gone it is dropped: what the peer said before, such as wl_display.error,
        can still be received, and then `receive` tells.
        """
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._sending:
            while self._outgoing:
                try:
                    sent = self.socket.sendmsg([self._outgoing], ancillary)
                except (BrokenPipeError, ConnectionResetError):
                    sent = len(self._outgoing)
                del self._outgoing[:sent]
                ancillary = []

    def send_raw(self, data: bytes, fds: list[int] | None = None) -> None:
        """Send any bytes, well-formed or not, after what is queued; the fds stay the caller's."""
        with self._sending:
            self.flush()
            self._outgoing += data
            self.flush(fds)

    def receive(self, seconds: float) -> bool:
        """Read once; False where nothing came in time.

        Raises:
            Disconnected: the peer has gone.
        """
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        if not poll.poll(max(0.0, seconds) * 1000):
            return False
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(_KERNEL_MAX_FDS * _FD_SIZE))
        except ConnectionResetError as error:
            raise Disconnected from error
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % _FD_SIZE])
                self.fds += numbers
        if not data:
            raise Disconnected
        self._incoming += data
        return True

    def messages(self) -> Iterator[bytes]:
        """Take the whole messages out of what was received."""
        while len(self._incoming) >= HEADER_SIZE:
            size = int.from_bytes(self._incoming[6:8], "little")
            if size < HEADER_SIZE:
                raise ValueError(f"a message of {size} bytes was received")
            if len(self._incoming) < size:
                return
            message = bytes(self._incoming[:size])
            del self._incoming[:size]
            yield message

    def take_fd(self) -> int:
        """The oldest received fd; it is the caller's from here on.

        Raises:
            LookupError: the peer sent fewer fds than its messages need.
        """
        if not self.fds:
            raise LookupError("a message came without its fd")
        return self.fds.pop(0)


def find_message(messages: tuple[Message, ...], interface: Interface, name: str) -> Message:
    """The request or event called `name`.

    Raises:
        LookupError: the interface has none.
    """
    for message in messages:
        if message.name == name:
            return message
    raise LookupError(f"{interface.name} has no {name}")
