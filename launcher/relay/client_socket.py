"""The socket of one Wayland client: bytes and fds in both directions, never blocking.

Knows nothing of Wayland.  Fds that arrive are ours until `take_fd` gives them away; fds to be
sent are ours from `queue_fd` on.
"""

import array
import os
import socket
import struct
from collections import deque
from typing import Final

from crossdomain.errors import GuestFault
from launcher.relay.outgoing import Outgoing

RECEIVE_SIZE: Final = 65536
"""Bytes of one read: a message has less, and one busy client does not keep the others waiting."""
_MAX_SEND: Final = 262144
_SCM_MAX_FD: Final = 253
_INT_SIZE: Final = array.array("i").itemsize
_ANCILLARY: Final = socket.CMSG_SPACE(_SCM_MAX_FD * _INT_SIZE)
_TRUNCATED: Final = int(socket.MSG_CTRUNC)
"""A plain number: to mask one with a flag of `socket` takes as long as the read."""
_CREDENTIALS: Final = struct.Struct("=iII")
"""struct ucred: pid, uid, gid."""


class ClientSocket:
    """One client's stream socket."""

    __slots__ = ("_muted", "_outgoing", "_socket", "fds")

    def __init__(self, connection: socket.socket) -> None:
        """Takes ownership of a connected socket."""
        connection.setblocking(False)
        self._socket = connection
        self._outgoing: Outgoing[int] = Outgoing()
        self._muted = False
        self.fds: deque[int] = deque()
        """Fds that arrived and belong to messages that were not handled yet, in their order."""

    @property
    def pending(self) -> int:
        """Bytes that the client did not take yet."""
        return len(self._outgoing)

    def fileno(self) -> int:
        """Stays the same until `close`, -1 afterwards."""
        return self._socket.fileno()

    def peer_process(self) -> int:
        """Returns the pid of the client."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(credentials)[0]
        return pid

    def receive(self, most: int = RECEIVE_SIZE) -> bytes | None:
        """Returns bytes that arrived, b"" at the end, None where there are none now; their fds go to `fds`.

        Raises:
            GuestFault: more fds than this process may have.
        """
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(most, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        except ConnectionError:
            return b""
        self.keep(_fds_of(ancillary) if ancillary else [], is_truncated=bool(flags & _TRUNCATED))
        return data

    def keep(self, fds: list[int], *, is_truncated: bool) -> None:
        """Takes ownership of fds that have arrived.

        Raises:
            GuestFault: some are lost.
        """
        self.fds.extend(fds)
        if is_truncated:
            raise GuestFault("too many open files in the proxy")

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes without fds, now as far as the client takes them and the rest by `flush`."""
        if self._outgoing or self._muted:
            self.append(data)
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            # Its last requests may be unread still: `receive` tells when it is over.
            self.mute()
            return
        if sent < len(data):
            self._outgoing.append(data[sent:])

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Queues bytes for `flush`."""
        if not self._muted:
            self._outgoing.append(data)

    def append_fd(self, fd: int) -> None:
        """Queues an fd of the message that is appended next; it is ours from now on."""
        if self._muted:
            os.close(fd)
        else:
            self._outgoing.attach(fd)

    def flush(self) -> None:
        """Sends what was queued, as far as the client takes it."""
        while self._outgoing:
            data, fds = self._outgoing.peek(_MAX_SEND)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                sent = self._socket.sendmsg([data], ancillary)
            except BlockingIOError:
                return
            except ConnectionError:
                self.mute()
                return
            # The kernel took all fds with the first byte.
            self._outgoing.advance(sent, len(fds))
            for fd in fds:
                os.close(fd)

    def mute(self) -> None:
        """Forgets what the client did not take, and what will be sent: it does not read any more."""
        self._muted = True
        self._discard()

    def close(self) -> None:
        """Gives up the socket and all fds; what was not sent is lost."""
        self._discard()
        while self.fds:
            os.close(self.fds.popleft())
        self._socket.close()

    def _discard(self) -> None:
        for fd in self._outgoing.clear():
            os.close(fd)


def _fds_of(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, type_, data in ancillary:
        if level == socket.SOL_SOCKET and type_ == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) // _INT_SIZE * _INT_SIZE])
    return fds.tolist()
