"""What the supervisor and one worker say to each other: JSON objects on a socket, some with one fd.

The worker serves a hostile guest and may have become its tool: what it says is bounded, and taken apart as
anybody's input; its fds are not taken at all.
"""

import array
import asyncio
import json
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, TypeAlias, cast

from crossdomain.context.crowding import Room
from crossdomain.context.pace import Rate
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_WORKER_BACKLOG, MAX_WORKER_MESSAGE, MAX_WORKER_WAITING

_log = logging.getLogger("crossdomain.host")

Fields: TypeAlias = Mapping[str, object]
"""One message; the key "fd" is true where an fd comes with it."""

_SIZE: Final = Struct("<I")
_READ_SIZE: Final = 65536
_MAX_FDS: Final = 64
_LOST: Final = -1
_FD: Final = array.array("i").itemsize


class Channel:
    """One end.  `handle` gets every message with its fd, which is the callee's, or -1: there is none, or
    there was no number left for it here.  `closed` is called once, when the other side has gone or broken
    the rules, and not where the owner closes it himself.
    """

    def __init__(
        self,
        connection: socket.socket,
        handle: Callable[[Fields, int], None],
        closed: Callable[[], None],
        *,
        takes_fds: bool,
        rate: Rate | None = None,
        name: str = "supervisor",
    ) -> None:
        """Takes ownership of `connection`, a stream socket; begins to read on the running loop.

        Who says more than `rate` allows breaks the rules; `name` is whose channel it is, for the log.
        """
        self._connection = connection
        self._handle = handle
        self._closed = closed
        self._ancillary = socket.CMSG_SPACE(_MAX_FDS * _FD) if takes_fds else 0
        self._rate = rate
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._fds: deque[int] = deque()
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._open = True
        self._room = Room(self._loop, connection.fileno(), self._writable)
        connection.setblocking(False)
        self._loop.add_reader(connection, self._readable)

    def send(self, fields: Fields, fd: int = -1) -> None:
        """Sends a message, later where the socket is full; owns `fd`.  To one that has gone it is dropped."""
        packet = encode({**fields, "fd": True} if fd >= 0 else fields)
        self._waiting.append((packet, fd))
        self._waiting_bytes += len(packet)
        crowded = len(self._waiting) > MAX_WORKER_WAITING or self._waiting_bytes > MAX_WORKER_BACKLOG
        if not self._open or crowded:
            self._end()
        elif len(self._waiting) == 1:
            self._writable()

    def close(self) -> None:
        """Hangs up; what was not sent, and fds that nobody took, are given up.  May be called again."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._connection)
            self._room.stop()
            self._connection.close()
        for fd in (*self._fds, *(fd for _data, fd in self._waiting)):
            if fd >= 0:
                os.close(fd)
        self._fds.clear()
        self._waiting.clear()

    def _end(self) -> None:
        was_open = self._open
        self.close()
        if was_open:
            self._closed()

    def _readable(self) -> None:
        try:
            data, ancillary, flags, _address = self._connection.recvmsg(
                _READ_SIZE, self._ancillary, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        for _level, _kind, body in ancillary:
            fds = array.array("i")
            fds.frombytes(body[: len(body) - len(body) % _FD])
            self._fds += fds
        if flags & socket.MSG_CTRUNC and self._ancillary:
            self._fds.append(_LOST)  # where it would have been: there is one in a message
        self._received += data
        try:
            self._take_messages()
        except HostFault as fault:
            _log.error("%s: given up: %s", self._name, fault)
            data = b""
        if not data:
            self._end()

    def _take_messages(self) -> None:
        while self._open and len(self._received) >= _SIZE.size:
            (size,) = _SIZE.unpack_from(self._received)
            if size > MAX_WORKER_MESSAGE:
                raise HostFault(f"a message of {size} bytes")
            end = _SIZE.size + size
            if len(self._received) < end:
                return
            if self._rate is not None and self._rate.spend(1):
                raise HostFault("more messages than anybody needs")
            fields = _parse(bytes(self._received[_SIZE.size : end]))
            del self._received[:end]
            has_fd = fields.get("fd") is True and bool(self._fds)
            self._handle(fields, self._fds.popleft() if has_fd else -1)

    def _writable(self) -> None:
        while self._waiting:
            data, fd = self._waiting[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd >= 0 else []
            try:
                sent = self._connection.sendmsg([data], rights, socket.MSG_NOSIGNAL)
            except OSError as error:
                if self._room.wait(error):
                    return
                sent = len(data)  # its end is read next
            if fd >= 0:
                os.close(fd)
            self._waiting_bytes -= sent
            if sent == len(data):
                self._waiting.popleft()
            else:
                self._waiting[0] = data[sent:], -1
        self._room.stop()


def encode(fields: Fields) -> bytes:
    """One message."""
    data = json.dumps(fields).encode()
    return _SIZE.pack(len(data)) + data


def _parse(data: bytes) -> Fields:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HostFault("a message that is no JSON") from error
    if not isinstance(value, dict):
        raise HostFault("a message that is no object")
    return cast("dict[str, object]", value)


def number(fields: Fields, key: str) -> int:
    """A number of a message.

    Raises:
        HostFault: it is none.
    """
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise HostFault(f"a message without the number {key!r}")
    return value


def word(fields: Fields, key: str) -> str:
    """A text of a message.

    Raises:
        HostFault: it is none.
    """
    value = fields.get(key)
    if not isinstance(value, str):
        raise HostFault(f"a message without the text {key!r}")
    return value
