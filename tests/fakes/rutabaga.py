"""A host that answers as rutabaga_gfx does (crosvm, virtio-gpu-rutabaga), with its limits and its bugs.

    python -m tests.fakes.rutabaga SOCKET COMPOSITOR

serves one VM after the other on the vhost-user socket and prints `ready`.  The device is ours, so that QEMU
can use it; everything that speaks cross-domain is written anew from the reference, none of it is ours:

- a capset of 16 bytes; INIT of 16, 20 or 36 bytes exactly;
- at most 3744 bytes in one RECEIVE, 28 fds in one recvmsg, of which more are lost without a word;
- one read pipe in a SEND, whose number the guest has to guess right; sizes of images in whole pages;
- writes to pipes block everything; the end of the compositor is told again with every POLL;
- any fd that it does not know, and any error of its worker, ends the worker: no fence signals any more.
"""

import array
import asyncio
import os
import socket
import stat
import struct
import sys
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Final

from crossdomain.context.memory import HostMemory
from crossdomain.context.passage import Chain, Passage
from crossdomain.context.ports import Resources
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from crossdomain.errors import GuestFault, HostFault

PAGE: Final = 4096
_HEADER: Final = struct.Struct("<BBHI")
_SEND_HEADER: Final = 352
_MAX_MESSAGE: Final = PAGE - _SEND_HEADER
_READ_HEADER: Final = 24
_MAX_READ: Final = PAGE - _READ_HEADER
_MAX_FDS: Final = 28
_BLOB, _READ_PIPE, _WRITE_PIPE = 1, 3, 4
_CHANNEL_RING: Final = 1
_WAYLAND: Final = 1
CAPSET: Final = struct.pack("<IIII", 1, 1 << _WAYLAND, 0, 0)
WINDOW_SIZE: Final = 1 << 30


class RutabagaContext:
    """One context, its worker included; what `crossdomain.device.offer.Context` asks for."""

    def __init__(self, resources: Resources, compositor: str) -> None:
        self._resources = resources
        self._compositor = compositor
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._rings = (0, 0)
        self._fences: deque[Callable[[], None]] = deque()
        self._lost: list[Callable[[], None]] = []
        """Fences that are never signalled."""
        self._halted = False
        self.passage: Passage | None = None
        self._next_item = 1
        self._next_read_pipe = 0x80000000
        self._files: dict[int, int] = {}
        self._images: dict[int, int] = {}
        self._writers: dict[int, int] = {}
        self._readers: dict[int, int] = {}
        self._watched: set[int] = set()

    def submit(self, commands: bytes | memoryview, /) -> None:
        """SUBMIT_3D."""
        rest = bytes(commands)
        while rest:
            command, _ring, size, _pad = _HEADER.unpack_from(rest)
            if not _HEADER.size <= size <= len(rest):
                raise GuestFault("rutabaga: cmd_size")
            self._handle(command, rest[:size])
            rest = rest[size:]

    def create_fence(
        self, ring_idx: int | None, complete: Callable[[], None], _chain: "Chain | None" = None, /
    ) -> None:
        """A fence of ring 1 is a POLL; one that comes before INIT is forgotten."""
        if ring_idx != _CHANNEL_RING:
            complete()
        elif self._socket is None or self._halted:
            self._lost.append(complete)
        else:
            self._fences.append(complete)
            self._watch()

    def take_blob(self, blob_id: int, size: int, /) -> HostMemory:
        """CREATE_BLOB(HOST3D): a file that came, once, or an image, of exactly its size, again and again."""
        expected = self._images.get(blob_id)
        if expected is not None:
            if expected != size:
                raise GuestFault(f"rutabaga: an image of {expected} bytes, not {size}")
            return HostMemory.create(size)
        fd = self._files.pop(blob_id, -1)
        if fd < 0:
            raise GuestFault("rutabaga: no such item")
        try:
            return HostMemory.copy_of(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def close(self) -> None:
        """CTX_DESTROY."""
        self._unwatch()
        if self._socket is not None:
            self._socket.close()
        for fd in (*self._files.values(), *self._writers.values(), *self._readers.values()):
            os.close(fd)
        for complete in (*self._fences, *self._lost):
            complete()

    def _handle(self, command: int, data: bytes) -> None:
        handlers = {1: self._init, 2: self._require_image, 3: _nothing, 4: self._send, 7: self._write}
        handler = handlers.get(command)
        if handler is None:
            raise GuestFault(f"rutabaga: command {command}")
        handler(data)

    def _init(self, data: bytes) -> None:
        if len(data) not in (16, 20, 36):
            raise GuestFault(f"rutabaga: INIT of {len(data)} bytes")
        words = struct.unpack_from("<II" if len(data) == 16 else "<III", data, 8)
        if words[-1] != _WAYLAND:
            raise GuestFault("rutabaga: channel type")
        self._rings = (words[0], words[-2])
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._compositor)
        connection.setblocking(False)
        self._socket = connection

    def _require_image(self, data: bytes) -> None:
        width, height, fourcc, _use = struct.unpack_from("<IIII", data, 8)
        stride = width * (1 if fourcc == int.from_bytes(b"R8  ", "little") else 4)
        size = -(-stride * height // PAGE) * PAGE
        self._next_item += 1
        self._images[self._next_item] = size
        answer = struct.pack("<4I4IQQIIii", stride, *[0] * 7, 0, size, self._next_item, 0, 0, -1)
        self._resources.lookup(self._rings[0]).write(0, answer)

    def _send(self, data: bytes) -> None:
        count, size = struct.unpack_from("<II", data, 8)
        if self._socket is None or count > _MAX_FDS or _SEND_HEADER + size > len(data):
            raise GuestFault("rutabaga: SEND")
        words = struct.unpack_from("<84I", data, 16)
        fds: list[int] = []
        reader = -1
        for number, kind in zip(words[:count], words[28 : 28 + count], strict=True):
            if kind == _BLOB:
                fds.append(self._resources.lookup(number).export())
            elif kind == _READ_PIPE and reader < 0:
                reader, writer = os.pipe()
                fds.append(writer)
                self._next_read_pipe += 1
                if number != self._next_read_pipe:
                    raise GuestFault("rutabaga: the number of a read pipe")
                self._readers[number] = reader
            else:
                raise GuestFault(f"rutabaga: an identifier of type {kind}")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.setblocking(True)
        self._socket.sendmsg([data[_SEND_HEADER : _SEND_HEADER + size]], rights)
        self._socket.setblocking(False)
        for fd in fds:
            os.close(fd)
        self._watch()

    def _write(self, data: bytes) -> None:
        number, hang_up, size, _pad = struct.unpack_from("<IIII", data, 8)
        if number not in self._writers:
            raise GuestFault("rutabaga: no such pipe")
        rest = data[_READ_HEADER : _READ_HEADER + size]
        while rest:
            rest = rest[os.write(self._writers[number], rest) :]
        if hang_up:
            os.close(self._writers.pop(number))

    # The worker.

    def _watch(self) -> None:
        if not self._fences or self._socket is None:
            return
        for fd, handle in [
            (self._socket.fileno(), self._receive),
            *((fd, self._reader_of(number)) for number, fd in self._readers.items()),
        ]:
            if fd not in self._watched:
                self._watched.add(fd)
                self._loop.add_reader(fd, self._work, handle)

    def _unwatch(self) -> None:
        for fd in self._watched:
            self._loop.remove_reader(fd)
        self._watched.clear()

    def _work(self, handle: Callable[[], bytes]) -> None:
        """One event for one fence."""
        self._unwatch()
        try:
            event = handle()
            self._resources.lookup(self._rings[1]).write(0, event)
        except (GuestFault, HostFault, OSError) as fault:
            print(f"rutabaga: worker halting: {fault}", flush=True)
            self._halted = True
            self._lost += self._fences
            self._fences.clear()
            return
        self._fences.popleft()()
        self._watch()

    def _receive(self) -> bytes:
        if self._socket is None:
            raise HostFault("no channel")
        room = socket.CMSG_LEN(_MAX_FDS * 4)
        data, rights, _flags, _ = self._socket.recvmsg(_MAX_MESSAGE, room)
        fds = array.array("i")
        for _level, _type, packed in rights:
            fds.frombytes(packed[: len(packed) // 4 * 4])
        entries = [self._announce(fd) for fd in fds]
        words = [0] * 84
        for index, entry in enumerate(entries):
            words[index], words[28 + index], words[56 + index] = entry
        return _HEADER.pack(5, 0, 0, 0) + struct.pack("<II84I", len(entries), len(data), *words) + data

    def _announce(self, fd: int) -> tuple[int, int, int]:
        found = os.fstat(fd)
        self._next_item += 1
        if stat.S_ISREG(found.st_mode):
            self._files[self._next_item] = fd
            return self._next_item, _BLOB, found.st_size
        if stat.S_ISFIFO(found.st_mode):
            self._writers[self._next_item] = fd
            return self._next_item, _WRITE_PIPE, 0
        os.close(fd)
        raise HostFault("an fd of an unknown kind")

    def _reader_of(self, number: int) -> Callable[[], bytes]:
        def read() -> bytes:
            data = os.read(self._readers[number], _MAX_READ)
            if not data:
                os.close(self._readers.pop(number))
            return _HEADER.pack(6, 0, 0, 0) + struct.pack("<IIII", number, not data, len(data), 0) + data

        return read


def _nothing(_data: bytes) -> None:
    """POLL: what counts is its fence."""


async def serve(path: str, compositor: str) -> None:
    """Serves VMs until it is ended."""

    def new_context(_ctx_id: int, _name: bytes, resources: Resources) -> RutabagaContext:
        return RutabagaContext(resources, compositor)

    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        print("ready", flush=True)
        offer = Offer(new_context, CAPSET, WINDOW_SIZE, "rutabaga")
        while True:
            connection, _address = await asyncio.get_running_loop().sock_accept(listener)
            await GpuSession(connection, offer).serve()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
