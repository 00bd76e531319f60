"""wl_drm as the relay serves it: the guest's own device, and buffers of PRIME fds."""

import errno
import os
from collections.abc import Generator
from typing import Final

import pytest

from crossdomain.bridge.formats import fourcc
from launcher.channel.seam import Device
from tests.unit.launcher.dmabuf.allocating import (
    DEVICE,
    DMABUF,
    HEIGHT,
    NV12,
    SIZE,
    STRIDE,
    WIDTH,
    XR24,
    open_surface,
)
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.test_relay_shm import error_code

DRM: Final = DMABUF + 1
INVALID_FORMAT, INVALID_NAME = 1, 2


class OldMesa:
    """A client with a wl_drm and a surface."""

    def __init__(self, client: RelayedClient, version: int = 2) -> None:
        self.client = client
        self.surface, self.registry = open_surface(client)
        self.drm = client.new_id()
        client.say(request("wl_registry", "bind", self.registry, DRM, "wl_drm", version, self.drm))

    def tell_formats(self) -> bytes:
        """Let the host tell two formats; what the client hears of it."""
        for code in (1, NV12):
            self.client.channel.deliver(event("wl_shm", "format", self.drm, code))
        return self.client.hear()

    def create(self, fd: int, *places: int, code: int = XR24) -> int:
        """create_prime_buffer."""
        buffer = self.client.new_id()
        values = (buffer, None, WIDTH, HEIGHT, code, *places, *[0] * (6 - len(places)))
        self.client.say(request("wl_drm", "create_prime_buffer", self.drm, *values), fds=[os.dup(fd)])
        return buffer

    def show(self, buffer: int) -> None:
        self.client.say(
            request("wl_surface", "attach", self.surface, buffer, 0, 0),
            request("wl_surface", "commit", self.surface),
        )


@pytest.fixture
def mesa(client: RelayedClient) -> OldMesa:
    made = OldMesa(client)
    made.tell_formats()
    client.channel.sends.clear()
    return made


@pytest.fixture
def file() -> Generator[int]:
    """What stands for a dmabuf here."""
    fd = os.memfd_create("dmabuf")
    os.ftruncate(fd, 2 * SIZE)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("version", [1, 2])
def test_a_bind_tells_of_the_guests_device(client: RelayedClient, version: int) -> None:
    mesa = OldMesa(client, version)
    bound = request("wl_registry", "bind", mesa.registry, 9, "wl_shm", 2, mesa.drm)
    assert client.channel.sent == bound
    told = event("wl_drm", "device", mesa.drm, DEVICE.path)
    told += event("wl_drm", "capabilities", mesa.drm, 1) * (version == 2)
    assert client.hear() == told
    formats = [event("wl_drm", "format", mesa.drm, code) for code in (XR24, NV12)]
    assert mesa.tell_formats() == b"".join(formats)


@pytest.mark.parametrize("device", [None, Device("/dev/dri/renderD128", 1, is_linear=False)])
def test_it_is_not_there_where_buffers_may_be_tiled(device: Device | None) -> None:
    channel = FakeChannel()
    channel.device = device
    client = RelayedClient(channel)
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    channel.deliver(event("wl_registry", "global", registry, 9, "wl_shm", 1))
    assert b"wl_drm" not in client.hear()
    client.close()


def test_a_render_node_needs_no_authentication(client: RelayedClient, mesa: OldMesa) -> None:
    client.say(request("wl_drm", "authenticate", mesa.drm, 7))
    assert client.hear() == event("wl_drm", "authenticated", mesa.drm)
    assert client.channel.sent == b""


def test_what_was_drawn_reaches_the_compositor(client: RelayedClient, mesa: OldMesa, file: int) -> None:
    buffer = mesa.create(file, 64, STRIDE)
    os.pwrite(file, b"\7" * SIZE, 64)
    mesa.show(buffer)
    assert client.channel.memories[-1].buffer[:SIZE] == b"\7" * SIZE
    assert client.stats.totals().buffers == {"dmabuf-copy": 1}


def test_planes_are_in_one_dmabuf(client: RelayedClient, mesa: OldMesa, file: int) -> None:
    buffer = mesa.create(file, 0, WIDTH, 512, WIDTH, code=NV12)
    os.pwrite(file, b"\1" * WIDTH * HEIGHT, 0)
    os.pwrite(file, b"\2" * WIDTH * (HEIGHT // 2), 512)
    mesa.show(buffer)
    expected = b"\1" * WIDTH * HEIGHT + b"\2" * WIDTH * (HEIGHT // 2)
    assert client.channel.memories[-1].buffer[: len(expected)] == expected


def test_a_proxy_without_fds_for_all_planes_keeps_none(
    client: RelayedClient, mesa: OldMesa, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, duplicate = [1, 1], os.dup

    def dup(fd: int) -> int:
        if not left:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        left.pop()
        return duplicate(fd)

    monkeypatch.setattr(os, "dup", dup)
    mesa.create(file, 0, WIDTH, 512, WIDTH, code=NV12)
    assert b"Too many open files" in client.hear()


@pytest.mark.parametrize(
    ("places", "code", "expected"),
    [
        ((0, STRIDE), fourcc("AB24"), INVALID_FORMAT),
        ((0, STRIDE), 12345, INVALID_FORMAT),
        ((SIZE + 4, STRIDE), XR24, INVALID_NAME),
        ((-4, STRIDE), XR24, INVALID_NAME),
        ((0, 4), XR24, INVALID_NAME),
    ],
)
def test_what_can_not_be_shown_is_refused(
    client: RelayedClient, mesa: OldMesa, file: int, places: tuple[int, int], code: int, expected: int
) -> None:
    mesa.create(file, *places, code=code)
    assert error_code(client.hear()) == expected


def test_buffers_by_name_are_refused(client: RelayedClient, mesa: OldMesa) -> None:
    values = (client.new_id(), 1, WIDTH, HEIGHT, STRIDE, XR24)
    client.say(request("wl_drm", "create_buffer", mesa.drm, *values))
    assert error_code(client.hear()) == INVALID_NAME
