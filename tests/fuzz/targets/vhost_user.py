"""A VMM that says anything on its sockets, with descriptors of every kind, and whose guest does too."""

import contextlib
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

from crossdomain.abi import vhost_user as abi
from crossdomain.device.backend import Backend
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from crossdomain.device.vhost_user import REQUESTS, close_all
from crossdomain.errors import CrossDomainError
from tests.fuzz.contexts import Compositors
from tests.fuzz.descriptors import KINDS, MEMORY, memory
from tests.fuzz.source import Source
from tests.fuzz.watch import Watch

_HEADER: Final = struct.Struct("<III")
_REQUESTS: Final = tuple(sorted(REQUESTS))
_TAKES_FD: Final = frozenset(request for request, shape in REQUESTS.items() if shape.fds)
_NEED_REPLY: Final = 9
_SAID: Final = 8
"""Messages of a seed."""
_watch: Final = Watch()


def run(data: bytes) -> None:
    """One connection."""
    _watch.run(lambda: _Vmm(Source(data)).live())


class _Vmm:
    """The VMM's end of a session."""

    def __init__(self, source: Source) -> None:
        self._source = source
        ports = _watch.ports if source.flag() else None
        self._compositors = Compositors(ports)
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._ram = memory()
        self._kick = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        offer = Offer(self._compositors.new_context, bytes(32), 1 << 20, "fuzz")
        self._session = GpuSession(theirs, offer, ports=ports, allowance=self._compositors.allowance)
        self._serving = _watch.loop.create_task(self._session.serve())
        self._backend: socket.socket | None = None

    def live(self) -> None:
        try:
            _watch.turn(1)
            if self._source.flag():
                self._boot()
            while self._source.left and not self._serving.done():
                self._step()
                _watch.turn(self._source.byte() % 4)
        finally:
            self._socket.close()
            if self._backend is not None:
                self._backend.close()
            close_all((self._ram, self._kick))
            self._compositors.close()
            self._end()
            backend: Backend = vars(self._session)["_backend"]
            _watch.take_apart(*self._compositors.end(), backend.gpu, backend, self._session, self)

    def _end(self) -> None:
        with contextlib.suppress(CrossDomainError):
            _watch.finish(self._serving)

    def _boot(self) -> None:
        """What a VMM sends until the control queue runs, in guest memory that is all zeroes."""
        u64 = struct.Struct("<Q").pack
        self._say(abi.VHOST_USER_SET_FEATURES, u64(1 << 32 | 1 << 30 | 0b11001))
        self._say(abi.VHOST_USER_ADD_MEM_REG, struct.pack("<8xQQQQ", 0, MEMORY, 0, 0), [self._ram])
        self._say(abi.VHOST_USER_SET_VRING_NUM, struct.pack("<II", 0, 8))
        self._say(abi.VHOST_USER_SET_VRING_ADDR, struct.pack("<IIQQQQ", 0, 0, 0, 8192, 4096, 0))
        self._say(abi.VHOST_USER_SET_VRING_KICK, u64(0), [self._kick])
        self._say(abi.VHOST_USER_SET_VRING_ENABLE, struct.pack("<II", 0, 1))

    def _step(self) -> None:
        match self._source.byte() % 8:
            case 0:
                os.pwrite(self._ram, self._source.any_block(), self._source.below(MEMORY))
            case 1:
                os.eventfd_write(self._kick, 1)
            case 2:
                self._compositors.act(self._source)
            case 3:
                self._answer()
            case _:
                self._speak()

    def _speak(self) -> None:
        source = self._source
        if source.byte() > 252:
            self._write(source.any_block(64), [source.choice(KINDS)()])
            return
        request = source.choice(_REQUESTS) if source.byte() < 250 else source.byte()
        usual = 1 if request in _TAKES_FD else 0
        count = usual if source.byte() < 240 else source.byte() % 12
        flags = source.choice((1, 1, _NEED_REPLY, _NEED_REPLY, 5, 0))
        self._say(
            request, self._payload(request), [source.choice(KINDS)() for _ in range(count)], flags, own=True
        )

    def _payload(self, request: int) -> bytes:
        source = self._source
        shape = REQUESTS.get(request)
        if shape is None or source.byte() > 245:
            return source.any_block(300)
        if request == abi.VHOST_USER_SET_MEM_TABLE:
            count = source.number(9)
            return struct.pack("<II", count, 0) + b"".join(self._region() for _ in range(count % 9))
        if request in (abi.VHOST_USER_ADD_MEM_REG, abi.VHOST_USER_REM_MEM_REG):
            return bytes(8) + self._region()
        numbers = [source.number(4 if shape.smallest <= 8 else 4096) for _ in range(-(-shape.smallest // 4))]
        return struct.pack(f"<{len(numbers)}I", *numbers)[: shape.smallest]

    def _region(self) -> bytes:
        source = self._source
        numbers = [
            4096 * source.below(20) if source.byte() < 240 else source.number(4096, 64) for _ in range(4)
        ]
        return struct.pack("<QQQQ", *numbers)

    def _answer(self) -> None:
        """Reads what the device says, and answers it on the channel that it was given."""
        try:
            _data, fds, _flags, _address = socket.recv_fds(self._socket, 4096, 8)
        except OSError:
            fds = []
        close_all(fds)
        if self._backend is None:
            self._backend, theirs = socket.socketpair()
            self._backend.setblocking(False)
            self._say(abi.VHOST_USER_SET_BACKEND_REQ_FD, b"", [theirs.detach()], _NEED_REPLY, own=True)
        else:
            reply = struct.pack("<IIIQ", self._source.choice((9, 10)), 5, 8, self._source.byte() & 1)
            with contextlib.suppress(OSError):  # the device has let go of it
                self._backend.sendmsg([reply], [], socket.MSG_NOSIGNAL)

    def _say(
        self, request: int, payload: bytes, fds: Sequence[int] = (), flags: int = 1, *, own: bool = False
    ) -> None:
        self._write(_HEADER.pack(request, flags, len(payload)) + payload, fds, own=own)

    def _write(self, data: bytes, fds: Sequence[int], *, own: bool = True) -> None:
        try:
            if data:
                socket.send_fds(self._socket, [data], list(fds), socket.MSG_NOSIGNAL)
        except OSError:  # it has hung up, or does not read
            pass
        finally:
            if own:
                close_all(fds)


def seeds() -> list[bytes]:
    """A boot, and then a chain in guest memory, messages one by one, descriptors of each kind."""
    table = struct.pack("<QIHHQIHH", 3 * 4096, 32, 1, 1, 4 * 4096, 64, 2, 0)
    command = struct.pack("<IIQIB3xII", 0x0108, 0, 0, 0, 0, 0, 0)
    ram = b"".join(
        bytes([0]) + len(data).to_bytes(2, "little") + data + at.to_bytes(2, "little") + b"\0"
        for at, data in ((0, table), (3 * 4096, command), (4096, struct.pack("<HHH", 0, 1, 0)))
    )
    chain = bytes([1, 1]) + ram + bytes([1, 3, 3, 3])
    messages = [
        bytes([4, 0, 0, index, 0, 2, 0, *[0] * 8, kind, 3])
        for index in range(len(_REQUESTS))
        for kind in range(2)
    ]
    replaced = [
        bytes([0, 1]) + (_message(request, 1) + _message(request, kind)) * 2
        for request in (
            abi.VHOST_USER_SET_VRING_CALL,
            abi.VHOST_USER_SET_VRING_KICK,
            abi.VHOST_USER_SET_VRING_ERR,
        )
        for kind in range(len(KINDS))
    ]
    window = bytes([0, 1, 3, 3]) + chain[2:]
    said = [
        bytes([booted, booted]) + b"".join(messages[first : first + _SAID])
        for first in range(0, len(messages), _SAID)
        for booted in (0, 1)
    ]
    return [chain, window, *said, *replaced]


def _message(request: int, kind: int) -> bytes:
    """A request of one number, with a descriptor of that kind."""
    return bytes([4, 0, 0, _REQUESTS.index(request), 0, 2, 0, 0, 0, kind, 3])
