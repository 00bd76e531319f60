"""Guests that are not ours on the real daemon: each is replayed as it speaks, byte for byte.

What they send and how they read what comes is written down here once more, without our own layouts: a mistake
in those must not hide itself.  The guest's kernel is the fake driver's.
"""

import asyncio
import os
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from typing import NamedTuple

import pytest

from crossdomain.abi import virtio_gpu as abi
from tests.fakes.daemon import RunningDaemon
from tests.fakes.endpoint import Endpoint
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_driver import Response, parse_response
from tests.fakes.patience import PATIENCE
from tests.fakes.played_compositor import PlayedCompositor
from tests.fakes.vhost_socket import connected
from tests.fakes.weston import Weston
from tests.unit.context.world import event, request

PAGE = 4096
SEND_HEADER = 8 + 8 + 3 * 4 * 28
WIDTH, HEIGHT = 200, 100
PIXEL = 0xFF3366BC
XRGB8888 = 1
R8 = int.from_bytes(b"R8  ", "little")
BLOB, READ_PIPE, WRITE_PIPE = 1, 3, 4
FIRST_READ_PIPE = 0x80000001


def header(command: int, size: int, ring_idx: int = 0) -> bytes:
    """The eight bytes before every command."""
    return struct.pack("<BBHI", command, ring_idx, size, 0)


class Dialect(NamedTuple):
    """What is a guest's own."""

    name: str
    init: Callable[[int, int], bytes]
    """Of the query ring and the channel ring."""
    poll: bytes
    command_format: str
    """How it reads an event's first bytes: which of them say what it is."""
    one_ring: bool = False
    use: int = 0
    """GBM_BO_USE flags of its image requirements."""


def init_16(query: int, _channel: int) -> bytes:
    """The first INIT that there was: one ring for both."""
    return header(1, 16) + struct.pack("<II", query, 1)


def init_20(query: int, channel: int) -> bytes:
    """The one that every host knows."""
    return header(1, 20) + struct.pack("<III", query, channel, 1)


def init_24(query: int, channel: int) -> bytes:
    """libkrun's, with a version of the protocol."""
    return header(1, 24) + struct.pack("<IIII", query, channel, 1, 1)


def init_36(query: int, channel: int) -> bytes:
    """rutabaga's, with a UUID."""
    return header(1, 36) + struct.pack("<III", query, channel, 1) + bytes(range(16))


SOMMELIER = Dialect("sommelier", init_20, header(3, 16) + bytes(8), "<B")
VIRTWL_PROXY = Dialect("wayland-proxy-virtwl", init_20, header(3, 8), "<I", use=1 << 4 | 1)
DIALECTS = (
    SOMMELIER,
    Dialect("sommelier-rs", init_20, header(3, 8, 1), "<B"),
    VIRTWL_PROXY,
    Dialect("wayland-proxy-virtwl, old", init_16, header(3, 8), "<I", one_ring=True),
    Dialect("wl-cross-domain-proxy", init_24, header(3, 8), "<B"),
    Dialect("rutabaga's newest", init_36, header(3, 8, 1), "<B"),
)


class Received(NamedTuple):
    """An event as such a guest takes it from the ring."""

    command: int
    data: bytes
    identifiers: list[tuple[int, int, int]]
    """Number, type and size of each, for a RECEIVE; number and hang-up of the pipe, for a READ."""


class ForeignGuest:
    """One program of a foreign kind in the fake VM."""

    def __init__(self, vm: FakeFrontend, dialect: Dialect) -> None:
        self.vm = vm
        self.dialect = dialect
        self.query_ring = vm.new_resource_id()
        self.channel_ring = self.query_ring if dialect.one_ring else vm.new_resource_id()
        self._pages = {ring: vm.driver.pages(1) for ring in (self.query_ring, self.channel_ring)}
        self._stream = b""
        self._poll: asyncio.Future[bytes] | None = None
        self.seen: list[tuple[int, int, bytes]] = []
        self.pipes: list[tuple[int, int, int]] = []
        """Identifiers that came."""

    async def start(self) -> None:
        """What each of them does before its first message."""
        driver = self.vm.driver
        assert (await driver.ctx_create(1)).ok
        for ring, runs in self._pages.items():
            assert (await driver.create_guest_blob(ring, PAGE, runs)).ok
            assert (await driver.ctx_attach_resource(1, ring)).ok
        # Neither fence nor ring.
        assert (await driver.submit_3d(1, self.dialect.init(self.query_ring, self.channel_ring))).ok
        self.poll()

    async def submit(self, commands: bytes) -> Response:
        """EXECBUFFER without a fence."""
        return await self.vm.driver.submit_3d(1, commands)

    def poll(self) -> None:
        """One POLL on ring 1, of which each of them has one under way."""
        self._poll = self.vm.driver.post_submit_3d(1, self.dialect.poll, ring_idx=1)

    async def send(self, *messages: bytes, identifiers: tuple[tuple[int, int], ...] = ()) -> Response:
        """SEND with a number and a type for each fd; their sizes are left 0."""
        data = b"".join(messages)
        words = [0] * 84
        for index, (number, kind) in enumerate(identifiers):
            words[index], words[28 + index] = number, kind
        body = struct.pack("<II84I", len(identifiers), len(data), *words) + data
        return await self.submit(header(4, 8 + len(body)) + body)

    async def write(self, number: int, data: bytes, *, hang_up: bool = False) -> Response:
        """WRITE into a pipe that came."""
        body = struct.pack("<IIII", number, hang_up, len(data), 0) + data
        return await self.submit(header(7, 8 + len(body)) + body)

    async def receive(self) -> Received:
        """The next event, read as this guest reads it; then the next POLL."""
        assert self._poll is not None
        response = parse_response(await asyncio.wait_for(self._poll, PATIENCE))
        assert response.ok
        ring = self._read_ring(self.channel_ring)
        (command,) = struct.unpack_from(self.dialect.command_format, ring)
        if command == 6:
            number, hang_up, size = struct.unpack_from("<III", ring, 8)
            received = Received(command, ring[24 : 24 + size], [(number, hang_up, 0)])
        else:
            assert command == 5, f"an event that {self.dialect.name} does not know: {command:#x}"
            count, size = struct.unpack_from("<II", ring, 8)
            words = struct.unpack_from("<84I", ring, 16)
            entries = [(words[i], words[28 + i], words[56 + i]) for i in range(count)]
            received = Received(command, ring[SEND_HEADER : SEND_HEADER + size], entries)
        self.poll()
        return received

    async def wait_for(self, object_id: int, opcode: int) -> bytes:
        """Receives until that event has come; its arguments."""
        while True:
            for index, (sender, code, arguments) in enumerate(self.seen):
                if (sender, code) == (object_id, opcode):
                    del self.seen[index]
                    return arguments
            received = await self.receive()
            assert received.command == 5
            assert received.data, "the host hung up"
            self.pipes += received.identifiers
            self._stream += received.data
            self._split()

    async def globals(self) -> dict[str, tuple[int, int]]:
        """wl_registry as object 2, its callback as object 3."""
        assert (await self.send(request("wl_display", "get_registry", 1, 2))).ok
        assert (await self.send(request("wl_display", "sync", 1, 3))).ok
        await self.wait_for(3, 0)
        found: dict[str, tuple[int, int]] = {}
        for _sender, _opcode, arguments in [seen for seen in self.seen if seen[:2] == (2, 0)]:
            name, length = struct.unpack_from("<II", arguments)
            (version,) = struct.unpack_from("<I", arguments, 8 + (length + 3) // 4 * 4)
            found[arguments[8 : 7 + length].decode()] = (name, version)
        return found

    async def image_requirements(self, width: int, height: int, fourcc: int) -> tuple[int, int, int]:
        """Stride, size and blob id of an image; VIRTGPU_WAIT stands for its fence."""
        command = header(2, 24) + struct.pack("<IIII", width, height, fourcc, self.dialect.use)
        driver = self.vm.driver
        assert (await driver.submit_3d(1, command, fence_id=driver.next_fence(), ring_idx=0)).ok
        ring = self._read_ring(self.query_ring)
        (stride,) = struct.unpack_from("<I", ring)
        size, blob_id = struct.unpack_from("<QI", ring, 40)
        return stride, size, blob_id

    async def open_blob(self, blob_id: int, size: int) -> tuple[int, int]:
        """A HOST3D blob that is mapped and shared: its resource and its place in the window."""
        driver = self.vm.driver
        resource = self.vm.new_resource_id()
        pages = -(-size // PAGE) * PAGE
        assert (await driver.create_host_blob(resource, pages, ctx_id=1, blob_id=blob_id)).ok
        offset = self.vm.window.reserve(pages)
        assert (await driver.map_blob(resource, offset)).ok
        assert (await driver.ctx_attach_resource(1, resource)).ok
        return resource, offset

    def _read_ring(self, ring: int) -> bytes:
        return b"".join(self.vm.ram.read(address, length) for address, length in self._pages[ring])

    def _split(self) -> None:
        while len(self._stream) >= 8:
            sender, word = struct.unpack_from("<II", self._stream)
            if len(self._stream) < word >> 16:
                return
            self.seen.append((sender, word & 0xFFFF, self._stream[8 : word >> 16]))
            self._stream = self._stream[word >> 16 :]


@asynccontextmanager
async def running(daemon: RunningDaemon, dialect: Dialect) -> AsyncGenerator[ForeignGuest]:
    """A VM with one program of that kind."""
    async with FakeFrontend(connected(daemon.gpu_socket), ram_size=16 << 20) as vm:
        guest = ForeignGuest(vm, dialect)
        await guest.start()
        yield guest


every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@every_dialect
async def test_it_shows_a_window(daemon: RunningDaemon, weston: Weston, dialect: Dialect) -> None:
    async with running(daemon, dialect) as guest:
        known = await guest.globals()
        stride, size, blob_id = await guest.image_requirements(WIDTH * 4, HEIGHT, R8)
        # They keep the answer, and make several blobs of one id.
        buffers = [await guest.open_blob(blob_id, size) for _ in range(2)]
        resource, offset = buffers[1]
        view = guest.vm.window.view(offset)
        for row in range(HEIGHT):
            view[row * stride : row * stride + WIDTH * 4] = struct.pack("<I", PIXEL) * WIDTH
        await guest.send(
            request("wl_registry", "bind", 2, known["wl_compositor"][0], "wl_compositor", 4, 4),
            request("wl_registry", "bind", 2, known["wl_shm"][0], "wl_shm", 1, 5),
            request("wl_registry", "bind", 2, known["xdg_wm_base"][0], "xdg_wm_base", 1, 6),
            request("wl_compositor", "create_surface", 4, 7),
            request("xdg_wm_base", "get_xdg_surface", 6, 8, 7),
            request("xdg_surface", "get_toplevel", 8, 9),
            request("xdg_toplevel", "set_fullscreen", 9, 0),
            request("wl_surface", "commit", 7),
        )
        serial = struct.unpack("<I", await guest.wait_for(8, 0))[0]
        pool = request("wl_shm", "create_pool", 5, 10, None, stride * HEIGHT)
        assert (await guest.send(pool, identifiers=((resource, BLOB),))).ok
        await guest.send(
            request("wl_shm_pool", "create_buffer", 10, 11, 0, WIDTH, HEIGHT, stride, XRGB8888),
            request("xdg_surface", "ack_configure", 8, serial),
            request("wl_surface", "attach", 7, 11, 0, 0),
            request("wl_surface", "damage", 7, 0, 0, WIDTH, HEIGHT),
            request("wl_surface", "frame", 7, 12),
            request("wl_surface", "commit", 7),
        )
        await guest.wait_for(12, 0)
        shot = await asyncio.to_thread(weston.screenshot)
        assert int((shot == (0x33, 0x66, 0xBC)).all(axis=2).sum()) == WIDTH * HEIGHT


@every_dialect
async def test_commands_of_others_are_refused_and_it_lives_on(
    daemon: RunningDaemon, dialect: Dialect
) -> None:
    others = {
        "CREATE_ATOMIC_MEMORY_SENTINEL, or FUTEX_NEW": header(8, 32) + struct.pack("<QQII", 0, 0, 1 << 30, 0),
        "SIGNAL_ATOMIC_MEMORY_SENTINEL": header(9, 16) + struct.pack("<II", 1 << 30, 0),
        "DESTROY_ATOMIC_MEMORY_SENTINEL": header(10, 16) + struct.pack("<II", 1 << 30, 0),
        "READ_CREATE_EVENT, or READ_EVENTFD_NEW": header(11, 16) + struct.pack("<II", 1 << 30, 0),
        "IMPORT_VIRTIOFS_HANDLE": header(12, 32) + bytes(24),
        "READ_EVENTFD_DESTROY": header(12, 16) + bytes(8),
        "ASSIGN_SOCKET_UUID": header(13, 32) + bytes(24),
        "of the future": header(99, 8),
    }
    async with running(daemon, dialect) as guest:
        answers = {name: (await guest.submit(command)).type for name, command in others.items()}
        assert set(answers.values()) == {abi.VIRTIO_GPU_RESP_ERR_UNSPEC}, answers
        assert "wl_compositor" in await guest.globals()


@pytest.mark.parametrize(
    ("kind", "name"), [(2, "camera"), (0x10, "PipeWire"), (0x11, "X11"), (0x12, "D-Bus")]
)
async def test_channels_to_anything_else_are_refused(daemon: RunningDaemon, kind: int, name: str) -> None:
    def init(query: int, channel: int) -> bytes:
        return header(1, 20) + struct.pack("<III", query, channel, kind)

    async with running(daemon, SOMMELIER) as guest:
        assert (await guest.vm.driver.ctx_create(2)).ok
        refused = await guest.vm.driver.submit_3d(2, init(guest.query_ring, guest.channel_ring))
        assert refused.type == abi.VIRTIO_GPU_RESP_ERR_UNSPEC, name
        assert "wl_compositor" in await guest.globals()


@asynccontextmanager
async def on_stage(
    stage: PlayedCompositor, dialect: Dialect
) -> AsyncGenerator[tuple[ForeignGuest, Endpoint]]:
    """A guest, and its compositor's end, with seat 3, data device manager 4 and data device 5."""
    async with running(stage.daemon, dialect) as guest:
        with closing(await stage.accept_soon()) as host:
            await guest.send(request("wl_display", "get_registry", 1, 2))
            host.send_raw(event("wl_registry", "global", 2, 1, "wl_seat", 5))
            await guest.wait_for(2, 0)
            host.send_raw(event("wl_registry", "global", 2, 2, "wl_data_device_manager", 3))
            await guest.wait_for(2, 0)
            await guest.send(
                request("wl_registry", "bind", 2, 1, "wl_seat", 5, 3),
                request("wl_registry", "bind", 2, 2, "wl_data_device_manager", 3, 4),
                request("wl_data_device_manager", "get_data_device", 4, 5, 3),
            )
            yield guest, host


@every_dialect
async def test_it_pastes(stage: PlayedCompositor, dialect: Dialect) -> None:
    text = bytes(range(256)) * 200
    async with on_stage(stage, dialect) as (guest, host):
        offer = 0xFF000000
        host.send_raw(
            event("wl_data_device", "data_offer", 5, offer)
            + event("wl_data_offer", "offer", offer, "text/plain")
            + event("wl_data_device", "selection", 5, offer)
        )
        await guest.wait_for(5, 5)
        # The host has not said this number: they guess it.
        receive = request("wl_data_offer", "receive", offer, "text/plain", None)
        assert (await guest.send(receive, identifiers=((FIRST_READ_PIPE, READ_PIPE),))).ok
        while not host.fds:
            assert await asyncio.to_thread(host.receive, PATIENCE)
        pipe = host.take_fd()
        written = asyncio.create_task(asyncio.to_thread(write_all, pipe, text))
        pasted = b""
        while True:
            received = await guest.receive()
            assert (received.command, received.identifiers[0][0]) == (6, FIRST_READ_PIPE)
            pasted += received.data
            if received.identifiers[0][1]:
                break
        await written
        assert pasted == text


@every_dialect
async def test_it_copies(stage: PlayedCompositor, dialect: Dialect) -> None:
    text = bytes(range(256)) * 100
    async with on_stage(stage, dialect) as (guest, host):
        await guest.send(
            request("wl_data_device_manager", "create_data_source", 4, 6),
            request("wl_data_source", "offer", 6, "text/plain"),
            request("wl_data_device", "set_selection", 5, 6, 1),
        )
        reader, writer = os.pipe()
        host.send_raw(event("wl_data_source", "send", 6, "text/plain", None), [writer])
        os.close(writer)
        await guest.wait_for(6, 1)
        ((number, kind, _size),) = guest.pipes
        assert kind == WRITE_PIPE
        copied = asyncio.create_task(asyncio.to_thread(read_all, reader))
        for start in range(0, len(text), 4000):
            assert (await guest.write(number, text[start : start + 4000])).ok
        # Its end comes alone.
        assert (await guest.write(number, b"", hang_up=True)).ok
        assert await copied == text


def write_all(fd: int, data: bytes) -> None:
    """Writes it and closes the pipe."""
    with open(fd, "wb") as pipe:
        pipe.write(data)


def read_all(fd: int) -> bytes:
    """Reads a pipe to its end and closes it."""
    with open(fd, "rb") as pipe:
        return pipe.read()


@every_dialect
async def test_it_reads_a_keymap(stage: PlayedCompositor, dialect: Dialect) -> None:
    text = b"xkb_keymap { many keys };\0" * 500
    async with on_stage(stage, dialect) as (guest, host):
        await guest.send(request("wl_seat", "get_keyboard", 3, 6))
        keymap = os.memfd_create("keymap", os.MFD_CLOEXEC)
        os.write(keymap, text)
        host.send_raw(event("wl_keyboard", "keymap", 6, 1, None, len(text)), [keymap])
        os.close(keymap)
        await guest.wait_for(6, 0)
        ((number, kind, size),) = guest.pipes
        assert (kind, size) == (BLOB, len(text))
        _resource, offset = await guest.open_blob(number, size)
        assert guest.vm.window.view(offset)[: len(text)] == text


@every_dialect
async def test_it_is_told_once_that_the_compositor_has_gone(
    stage: PlayedCompositor, dialect: Dialect
) -> None:
    async with on_stage(stage, dialect) as (guest, host):
        host.close()
        assert await guest.receive() == Received(5, b"", [])


@every_dialect
async def test_a_guest_that_knows_nothing_of_our_extensions_gets_none_of_them(
    daemon: RunningDaemon, dialect: Dialect
) -> None:
    async with running(daemon, dialect) as guest:
        # They read 16 bytes of the capset.
        capset = await guest.vm.driver.get_capset(room=24 + 16)
        version, channels, supports_dmabuf, external_memory = struct.unpack_from("<IIII", capset.body)
        assert (version, channels, supports_dmabuf, external_memory) == (1, 1 << 1, 0, 0)
