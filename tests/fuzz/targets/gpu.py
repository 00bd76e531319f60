"""virtio-gpu commands of any bytes, with real contexts behind them and a VMM that maps or refuses."""

import contextlib
import os
import socket
import struct
from functools import partial
from typing import Final

from crossdomain.abi import vhost_user
from crossdomain.abi import virtio_gpu as abi
from crossdomain.abi.cross_domain import encode_init
from crossdomain.context.ports import Pages
from crossdomain.device.backend_channel import BackendChannel
from crossdomain.device.expectations import Expectations
from crossdomain.device.faults import FaultLog
from crossdomain.device.gpu import Gpu
from crossdomain.device.memory import GuestMemory
from crossdomain.device.offer import Conditions, Offer
from crossdomain.device.vhost_user import Region, close_all, encode_reply_u64
from crossdomain.device.virtqueue import Chain
from crossdomain.device.window import HostVisibleWindow
from crossdomain.errors import GuestFault
from tests.fuzz.commands import (
    KEY,
    any_command,
    asking,
    claiming,
    copying,
    expecting,
    saying,
    sharing,
    showing,
)
from tests.fuzz.contexts import Compositors
from tests.fuzz.source import Source
from tests.fuzz.watch import Watch

PAGE: Final = 4096
RAM: Final = 16 * PAGE
_KINDS: Final = (
    abi.VIRTIO_GPU_CMD_SUBMIT_3D,
    abi.VIRTIO_GPU_CMD_SUBMIT_3D,
    abi.VIRTIO_GPU_CMD_SUBMIT_3D,
    abi.VIRTIO_GPU_CMD_CTX_CREATE,
    abi.VIRTIO_GPU_CMD_CTX_DESTROY,
    abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
    abi.VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE,
    abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
    abi.VIRTIO_GPU_CMD_RESOURCE_UNREF,
    abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
    abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
    abi.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
    abi.VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
    abi.VIRTIO_GPU_CMD_GET_CAPSET_INFO,
    abi.VIRTIO_GPU_CMD_GET_CAPSET,
    abi.VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
    abi.VIRTIO_GPU_CMD_GET_EDID,
)
_FENCED: Final = abi.VIRTIO_GPU_FLAG_FENCE | abi.VIRTIO_GPU_FLAG_INFO_RING_IDX
_MAP: Final = struct.pack("<I", abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB)
_fd: Final = os.memfd_create("fuzz-ram", os.MFD_CLOEXEC)
os.ftruncate(_fd, RAM)
_memory: Final = GuestMemory()
_memory.add(Region(0, RAM, 0, 0), _fd)
_ram, _ = _memory.locate(0, RAM)
"""The guest's memory, for all executions."""
_KEYED: Final = 3
"""The first of two pages that begin with a key."""
_fresh: Final = (bytes(_KEYED * PAGE) + 2 * KEY.ljust(PAGE, b"\0")).ljust(RAM, b"\0")
_watch: Final = Watch()


def run(data: bytes) -> None:
    """One device's life."""
    _watch.run(lambda: _Device(Source(data)).live())


class _Pages:
    """The same device once more, as the one that imports a guest's pages."""

    def __init__(self, gpu: Gpu, expectations: Expectations) -> None:
        self._gpu = gpu
        self.expect, self.forget = expectations.add, expectations.discard

    def find(self, resource_id: int, /) -> Pages:
        found = self._gpu.guest_pages(resource_id)
        if found is None:
            raise GuestFault("no such pages")
        return found


class _Device:
    """A device, its guest's memory, and the VMM that maps its blobs."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._compositors = Compositors(_watch.ports if source.flag() else None)
        _ram[:] = _fresh
        self._window = HostVisibleWindow(1 << 20, _watch.loop)
        self._vmm: socket.socket | None = None
        expectations = Expectations()
        self._gpu = Gpu(
            _memory,
            self._window,
            Offer(self._compositors.new_context, bytes(16), self._window.size, "fuzz"),
            Conditions(self._compositors.allowance, None, expectations),
            self._complete,
            FaultLog("fuzz"),
        )
        self._compositors.memory = _Pages(self._gpu, expectations)
        self._under_way: set[int] = set()
        self._heads = 0

    def live(self) -> None:
        try:
            if self._source.flag():
                self._boot()
            while self._source.left:
                self._step()
                _watch.turn(self._source.byte() % 4)
        finally:
            self._gpu.close()
            self._window.close()
            if self._vmm is not None:
                self._vmm.close()
            self._compositors.close()
            _watch.take_apart(*self._compositors.end(), self._gpu, self._window, self)

    def _boot(self) -> None:
        """What a guest's driver and launcher send until a client may talk."""
        for command in _START:
            self._execute(command)

    def _complete(self, chain: Chain, answer: bytes) -> None:
        assert chain.head in self._under_way, "a command was answered twice"
        self._under_way.remove(chain.head)
        (response,) = struct.unpack_from("<I", answer)
        assert abi.VIRTIO_GPU_RESP_OK_NODATA <= response <= abi.VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER

    def _step(self) -> None:
        match self._source.byte() % 8:
            case 0:
                self._compositors.act(self._source)
            case 1:
                self._answer_map()
            case 2:
                self._execute(self._source.any_block(), oversized=self._source.byte() == 255)
            case _:
                self._execute(self._command(), oversized=self._source.byte() == 255)

    def _execute(self, request: bytes, *, oversized: bool = False) -> None:
        if self._vmm is None and request[: len(_MAP)] == _MAP:
            self._vmm = self._connect()
        self._heads += 1
        self._under_way.add(self._heads)
        self._gpu.execute(Chain(self._heads, request, [], oversized=oversized))

    def _connect(self) -> socket.socket:
        """The VMM's channel, which was there from the start for all that a device without a mapping knows."""
        ours, vmm = socket.socketpair()
        vmm.setblocking(False)
        self._window.connect(BackendChannel(ours, _watch.loop, lambda _fault: None))
        return vmm

    def _command(self) -> bytes:
        source = self._source
        kind = source.choice(_KINDS) if source.byte() < 250 else source.word()
        flags = source.choice((0, _FENCED, abi.VIRTIO_GPU_FLAG_FENCE, 0xFFFFFFFF))
        fence_id, ctx_id, ring_idx = source.byte(), source.number(3), source.choice((1, 1, 0, 255))
        return abi.CTRL_HDR.pack(kind, flags, fence_id, ctx_id, ring_idx) + self._body(kind)

    def _body(self, kind: int) -> bytes:
        source = self._source
        match kind:
            case abi.VIRTIO_GPU_CMD_SUBMIT_3D:
                commands = any_command(source, (1, 2))
                size = len(commands) if source.byte() < 250 else source.word()
                return struct.pack("<II", size, 0) + commands
            case abi.VIRTIO_GPU_CMD_CTX_CREATE:
                return struct.pack("<II64s", source.number(64), 5 if source.byte() < 250 else 4, b"fuzz")
            case abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
                return self._blob()
            case abi.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
                entries = self._entries()
                return struct.pack("<II", source.number(6), len(entries)) + b"".join(entries)
            case abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
                return struct.pack("<IIQ", source.number(6), 0, self._bytes())
            case _:
                return struct.pack("<II", source.number(6), 0) + source.any_block(64)

    def _blob(self) -> bytes:
        source = self._source
        entries = self._entries()
        count = len(entries) if source.byte() < 250 else source.word()
        mem, flags = source.choice((1, 1, 2, 2, 3, 0, 255)), source.choice((1, 3, 7, 0, 8))
        fields = (source.number(6), mem, flags, count, source.number(6, 64), self._bytes())
        return struct.pack("<IIIIQQ", *fields) + b"".join(entries)

    def _entries(self) -> list[bytes]:
        count = self._source.byte() % 5
        return [struct.pack("<QII", self._bytes(), self._bytes() & 0xFFFFFFFF, 0) for _ in range(count)]

    def _bytes(self) -> int:
        """An address, an offset or a size."""
        return PAGE * self._source.below(20) if self._source.byte() < 240 else self._source.number(PAGE, 64)

    def _answer_map(self) -> None:
        if self._vmm is None:
            return
        try:
            data, fds, _flags, _address = socket.recv_fds(self._vmm, 12 + 40, 4)
        except OSError:
            return
        close_all(fds)
        request = vhost_user.VHOST_USER_BACKEND_SHMEM_MAP
        if data and self._source.byte() < 250:
            (request,) = struct.unpack_from("<I", data)
        failure = self._source.choice((0, 0, 0, 1))
        answer = partial(encode_reply_u64, request, failure)
        reply = self._source.any_block(64) if self._source.byte() > 250 else answer()
        if reply:
            with contextlib.suppress(OSError):  # the device has hung up on what was answered wrongly
                self._vmm.sendmsg([reply], [], socket.MSG_NOSIGNAL)


def seeds() -> list[bytes]:
    """A client that talks; host memory that is mapped, sent and destroyed; pages of the guest."""
    capsets = [_step(abi.VIRTIO_GPU_CMD_GET_CAPSET_INFO, 0, 0), _step(abi.VIRTIO_GPU_CMD_GET_CAPSET, 5, 0)]
    poll = _submit(bytes([1]), fenced=True)
    sends = [_submit(saying(part)) for part in range(5)]
    talk = [poll, sends[0], _GLOBALS, poll, *sends[1:2], poll]
    host_blob, whole_page = (0, 0, 2, 1, 3, 2), (0, 1)
    mapped = [
        _submit(asking(64, 1, b"R8  ")),
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, *host_blob, *whole_page),
        _step(abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 3, 0),
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, 3, *whole_page),
        _ANSWER,
    ]
    pool = sends[4]
    gone = [
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 3, 0),
        _ANSWER,
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_UNREF, 3, 0),
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 1, 0),
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 1, *whole_page, *whole_page, 1),
        _step(abi.VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 2, 0),
        _step(abi.VIRTIO_GPU_CMD_CTX_DESTROY, 0, 0),
    ]
    shown = [
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, *_guest_pages(4)),
        _submit(showing(4)),
        _submit(saying(6)),
    ]
    claimed = [
        _submit(expecting()),
        _step(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, *_guest_pages(5)),
        _submit(claiming(5)),
        _submit(copying(3, 5)),
        _submit(copying(3, 5, kib=4)),
    ]
    stories = (
        talk,
        *([*talk, *shown, _submit(saying(part))] for part in (7, 8, 9)),
        [*mapped, shown[0], _submit(copying(3, 4))],
        [*mapped, *claimed],
        [_submit(sharing()), poll, *talk, sends[3]],
        [*talk, *mapped, pool, sends[3]],
        [*mapped, *gone],
        [*talk, *gone],
        [*mapped, poll, pool],
        capsets,
    )
    return [bytes([ports, 1]) + b"".join(story) for story in stories for ports in (0, 1)]


def _guest_pages(number: int) -> bytes:
    """What makes `_Device._blob` one page of the guest's, that of the resource's own number."""
    entry = bytes([0, number, 0, 1])
    return bytes([1]) + entry + bytes([0, 0, 0, number, 0]) + bytes([0, 1])


_GLOBALS: Final = bytes([0, 0, 3, 3])
"""The compositor tells what it has."""
_ANSWER: Final = bytes([1, 0, 0, 0, 3])
"""The VMM does what it is asked."""


def _command(kind: int, body: bytes) -> bytes:
    return abi.CTRL_HDR.pack(kind, 0, 1, 1, 1) + body


def _step(kind: int, *choices: int, fenced: bool = False) -> bytes:
    """A step that is one command of context 1, whose body `_Device._body` makes of these choices."""
    return bytes([3, 0, _KINDS.index(kind), fenced, 1, 1, 0, *choices, 0, 2])


def _submit(choices: bytes, *, fenced: bool = False) -> bytes:
    """A SUBMIT_3D of what `any_command` makes of these choices."""
    return _step(abi.VIRTIO_GPU_CMD_SUBMIT_3D, *choices, 0, fenced=fenced)


def _pages(resource_id: int) -> bytes:
    fields = struct.pack("<IIIIQQ", resource_id, abi.VIRTIO_GPU_BLOB_MEM_GUEST, 1, 1, 0, PAGE)
    entry = struct.pack("<QII", PAGE * resource_id, PAGE, 0)
    return _command(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, fields + entry)


def _init() -> bytes:
    commands = encode_init(1, 2)
    return _command(abi.VIRTIO_GPU_CMD_SUBMIT_3D, struct.pack("<II", len(commands), 0) + commands)


_START: Final = (
    _command(abi.VIRTIO_GPU_CMD_CTX_CREATE, struct.pack("<II64s", 4, 5, b"fuzz")),
    _pages(1),
    _pages(2),
    *(_command(abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, struct.pack("<II", number, 0)) for number in (1, 2)),
    _init(),
)
