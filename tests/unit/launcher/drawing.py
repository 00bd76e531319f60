"""A client of the relay whose buffers are drawn into by a device that the test commands."""

import os
from collections.abc import Iterator
from typing import Final

import pytest

from crossdomain.wire.codec import Value, decode_arguments, integer, text
from crossdomain.wire.engine import Direction
from crossdomain.wire.walker import PythonWalker
from launcher.relay import waiting
from launcher.relay.pools import Pool
from tests.unit.launcher.fake_channel import TABLES, RelayedClient, event, request

SIZE: Final = 4
"""Width and height of every buffer, px."""
_BYTES: Final = SIZE * SIZE * 4
_XRGB8888: Final = 1
_FIRST_OWN_NAME: Final = 0xFD000000

OFFERED: Final = {
    "wl_compositor": 5,
    "wl_shm": 1,
    "wl_subcompositor": 1,
    "xdg_wm_base": 5,
    "wp_viewporter": 1,
}
"""The host's globals and their versions."""


class Drawing:
    """What devices still do, by pool: an eventfd takes the place of a dmabuf, which is polled just so."""

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}
        self._all: list[int] = []

    def begin(self, pool_id: int) -> int:
        """A device draws into a pool from now on; returns what `end` ends."""
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._all.append(fd)
        self._fds[pool_id] = fd
        return fd

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Makes dmabufs of the pools that devices draw into, and as slow as the test is."""

        def get(pool: Pool) -> int | None:
            return self._fds.get(pool.pool_id)

        def set_(_pool: Pool, _fd: int | None) -> None:
            """It is the test that says."""

        patch.setattr(Pool, "dmabuf", property(get, set_))
        patch.setattr(waiting, "FENCE_SECONDS", 3600.0)

    def close(self) -> None:
        """Gives all up."""
        for fd in self._all:
            os.close(fd)


def end(drawing: int) -> None:
    """The device has finished."""
    os.eventfd_write(drawing, 1)


def own_globals(heard: bytes) -> Iterator[tuple[str, int]]:
    """Interface and name of each global of the relay's own that a client has heard of."""
    global_ = TABLES.interface("wl_registry").events[0]
    offset = 0
    while offset < len(heard):
        name, interface, _version = decode_arguments(global_, heard, offset)
        if integer(name) >= _FIRST_OWN_NAME:
            yield text(interface), integer(name)
        offset += int.from_bytes(heard[offset + 6 : offset + 8], "little")


class Painter:
    """A client with surfaces and buffers; ids are handed out as libwayland does."""

    def __init__(self, client: RelayedClient, drawing: Drawing) -> None:
        self.client = client
        self._drawing = drawing
        self.registry = client.new_id()
        offered = ("wl_compositor", "wl_shm", "wl_subcompositor", "xdg_wm_base", "wp_viewporter")
        versions = {
            "wl_compositor": 5,
            "wl_shm": 1,
            "wl_subcompositor": 1,
            "xdg_wm_base": 5,
            "wp_viewporter": 1,
        }
        client.say(request("wl_display", "get_registry", 1, self.registry))
        client.channel.deliver(
            b"".join(
                event("wl_registry", "global", self.registry, name, *offer)
                for name, offer in enumerate(OFFERED.items(), start=1)
            )
        )
        self._own = dict(own_globals(client.hear()))
        self.globals = {interface: client.new_id() for interface in OFFERED}
        self.kinds = dict.fromkeys((1,), "wl_display") | {made: name for name, made in self.globals.items()}
        client.say(
            b"".join(
                request(
                    "wl_registry", "bind", self.registry, number, name, versions[name], self.globals[name]
                )
                for number, name in enumerate(offered, start=1)
            )
        )
        self._files: dict[int, int] = {}
        client.hear()

    def say(self, object_id: int, name: str, *values: Value) -> bytes:
        """One request, which is sent."""
        data = request(self.kinds[object_id], name, object_id, *values)
        self.client.say(data)
        return data

    def make(self, interface: str, object_id: int, name: str, *values: Value) -> int:
        """One request that makes an object, whose id comes first among its arguments."""
        made = self.client.new_id()
        self.kinds[made] = interface
        self.say(object_id, name, made, *values)
        return made

    def bind(self, interface: str, version: int) -> int:
        """Binds a global of the relay's own."""
        made = self.client.new_id()
        self.kinds[made] = interface
        name = self._own[interface]
        self.client.say(request("wl_registry", "bind", self.registry, name, interface, version, made))
        return made

    def surface(self) -> int:
        """A new surface."""
        return self.make("wl_surface", self.globals["wl_compositor"], "create_surface")

    def buffer(self, *, drawn: bool = True, pool_size: int = _BYTES) -> tuple[int, int]:
        """A new buffer and what a device does to it, until `end`; -1 where none does."""
        fd = os.memfd_create("buffer")
        os.ftruncate(fd, pool_size)
        pool = self.client.new_id()
        self.kinds[pool] = "wl_shm_pool"
        drawing = self._drawing.begin(pool) if drawn else -1
        shm = self.globals["wl_shm"]
        self.client.say(request("wl_shm", "create_pool", shm, pool, None, pool_size), fds=[os.dup(fd)])
        buffer = self.make("wl_buffer", pool, "create_buffer", 0, SIZE, SIZE, SIZE * 4, _XRGB8888)
        self._files[buffer] = fd
        return buffer, drawing

    def file(self, buffer: int) -> int:
        """The fd of a buffer's file, still the painter's."""
        return self._files[buffer]

    def paint(self, buffer: int, value: int) -> None:
        """All px of a buffer become `value`, as a device would do it: through no message."""
        os.pwrite(self._files[buffer], bytes([value]) * _BYTES, 0)

    def show(self, surface: int, buffer: int) -> None:
        """Attach, damage and commit."""
        self.say(surface, "attach", buffer, 0, 0)
        self.say(surface, "damage", 0, 0, SIZE, SIZE)
        self.say(surface, "commit")

    def close(self) -> None:
        """Closes the files."""
        for fd in self._files.values():
            os.close(fd)


class Heard(Exception):
    """What the host would end the client for."""


class HostIds:
    """Which ids the compositor has, counted as libwayland does: one in use, or beyond a hole, is fatal."""

    def __init__(self) -> None:
        self._living = {1}
        self._highest = 1

    def hear(self, data: bytes) -> None:
        """Takes all requests so far, from the first on.

        Raises:
            Heard: an id can't be what a request makes.
        """
        for object_id, name, whole in requests_in(data):
            for created in created_by(whole, name):
                if created in self._living or created > self._highest + 1:
                    raise Heard(f"{name} of {object_id} makes {created}, after {self._highest}")
                self._highest = max(self._highest, created)
                # What a sync makes is gone when it is answered, which is at once.
                self._living |= set() if name == "sync" else {created}
            if name in ("destroy", "release"):
                self._living.discard(object_id)


def created_by(whole: bytes, name: str) -> list[int]:
    """The ids that a request makes, of those that these tests say: an id comes first, but for a bind's."""
    if name == "bind":
        return [int.from_bytes(whole[-4:], "little")]
    makes = name.startswith(("get_", "create_", "import_")) or name in ("sync", "frame")
    return [int.from_bytes(whole[8:12], "little")] if makes else []


def requests_in(data: bytes, walker: PythonWalker | None = None) -> Iterator[tuple[int, str, bytes]]:
    """The requests that the host got: object, name, and the whole of it.

    `walker` knows what was before them; without one, nothing was.

    Raises:
        Heard: they are no Wayland.
    """
    walker = walker or PythonWalker(TABLES, (), strict=False)
    offset = 0
    while offset < len(data):
        size = int.from_bytes(data[offset + 6 : offset + 8], "little")
        whole = data[offset : offset + size]
        object_id = int.from_bytes(whole[:4], "little")
        walk = walker.walk(Direction.REQUEST, memoryview(whole))
        if walk.fault is not None:
            raise Heard(walk.fault.text)
        interface = walker.interface_of(object_id)
        assert interface is not None
        message = TABLES.at(interface).requests[int.from_bytes(whole[4:6], "little")]
        yield object_id, message.name, whole
        offset += size
