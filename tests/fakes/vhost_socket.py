"""The front-end's side of a vhost-user socket.

Written anew, so that it does not share its mistakes with the product.
"""

import array
import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fakes.patience import in_time

_HEADER = struct.Struct("<III")
_VERSION = 1
_REPLY = 4
_NEED_REPLY = 8


class Received(NamedTuple):
    """One message as it came; its fds belong to the reader."""

    request: int
    flags: int
    payload: bytes
    fds: list[int]


def connected(path: Path) -> socket.socket:
    """A VMM's connection to a back-end's socket; the caller's."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


class VhostSocket:
    """Whole messages in and out of one end of a stream socket, on the running loop."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    async def write(
        self, request: int, payload: bytes = b"", fds: Sequence[int] = (), *, flags: int = 0
    ) -> None:
        """Sends one message; `flags` beside the version."""
        await self.write_raw(_HEADER.pack(request, _VERSION | flags, len(payload)) + payload, fds)

    async def write_raw(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Sends bytes as they are, with `fds` on the first."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while data:
            try:
                sent = self._connection.sendmsg([data], rights)
            except BlockingIOError:
                await self._ready(writing=True)
                continue
            data, rights = data[sent:], []

    async def reply(self, request: int, payload: bytes) -> None:
        """Answers a request of the other side."""
        await self.write(request, payload, flags=_REPLY)

    async def read(self) -> Received:
        """The next message.

        Raises:
            EOFError: the other side hung up.
        """
        header, fds = await self._read_exactly(_HEADER.size)
        request, flags, size = _HEADER.unpack(header)
        payload, more = await self._read_exactly(size)
        assert not more, "fds in the middle of a message"
        assert flags & 3 == _VERSION, f"version of message {request}"
        return Received(request, flags, payload, fds)

    async def ask(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> bytes:
        """Sends a request that always has a reply; the reply's payload."""
        return await self._exchange(request, payload, fds, 0)

    async def ask_for_success(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> int:
        """Sends a request with need_reply; 0 means success."""
        answer = await self._exchange(request, payload, fds, _NEED_REPLY)
        return int(struct.unpack("<Q", answer)[0])

    async def wait_for_hang_up(self) -> None:
        """Waits until the other side has closed its end; what it still says is lost."""
        while True:
            try:
                if not self._connection.recv(4096):
                    return
            except BlockingIOError:
                await self._ready(writing=False)
            except ConnectionResetError:
                return

    def close(self) -> None:
        """Hangs up; may be called again."""
        if self._connection.fileno() < 0:
            return
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()

    async def _exchange(self, request: int, payload: bytes, fds: Sequence[int], flags: int) -> bytes:
        await self.write(request, payload, fds, flags=flags)
        answer = await in_time(self.read())
        assert answer.request == request, f"asked {request}, answered {answer.request}"
        assert answer.flags == _VERSION | _REPLY, f"flags {answer.flags:#x}"
        assert not answer.fds
        return answer.payload

    async def _read_exactly(self, size: int) -> tuple[bytes, list[int]]:
        data = b""
        fds: list[int] = []
        while len(data) < size:
            try:
                part, came, _flags, _address = socket.recv_fds(
                    self._connection, size - len(data), 8, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                await self._ready(writing=False)
                continue
            fds += came
            if not part:
                for fd in fds:
                    os.close(fd)
                raise EOFError
            data += part
        return data, fds

    async def _ready(self, *, writing: bool) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        if writing:
            self._loop.add_writer(self._connection, wake)
        else:
            self._loop.add_reader(self._connection, wake)
        try:
            await ready
        finally:
            if self._connection.fileno() >= 0:
                (self._loop.remove_writer if writing else self._loop.remove_reader)(self._connection)
