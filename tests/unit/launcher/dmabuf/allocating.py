"""A client with buffers of dmabufs.

A memory file stands for a dmabuf here: what the relay asks of the one, it can ask of the other.
"""

import os
from typing import Final

from crossdomain.bridge.formats import fourcc
from crossdomain.wire.codec import Value
from launcher.channel.seam import Device
from tests.unit.launcher.fake_channel import RelayedClient, event, request
from tests.unit.launcher.test_relay_shm import error_code

WIDTH: Final = 16
HEIGHT: Final = 8
STRIDE: Final = WIDTH * 4
SIZE: Final = STRIDE * HEIGHT
LARGE: Final = 4096 + 512 * 128
DMABUF: Final = 0xFD000001
"""The name that the relay gives its global, the second of them."""
XR24: Final = fourcc("XR24")
NV12: Final = fourcc("NV12")
LINEAR: Final = 0
INVALID: Final = 0x00FFFFFFFFFFFFFF
DEVICE: Final = Device("/dev/dri/renderD128", os.makedev(226, 128), is_linear=True)
SHM_FORMATS: Final = (0, 1, NV12)


def open_surface(client: RelayedClient) -> tuple[int, int]:
    """The ids of a surface, and of a registry that names the compositor's wl_shm."""
    compositor, surface = client.bind("wl_compositor", 6), client.new_id()
    client.say(request("wl_compositor", "create_surface", compositor, surface))
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    client.channel.deliver(event("wl_registry", "global", registry, 9, "wl_shm", 2))
    client.hear()
    client.channel.sends.clear()
    return surface, registry


class Allocating:
    """A client with buffers of dmabufs and a surface, on a compositor with three formats."""

    def __init__(self, client: RelayedClient, version: int = 5) -> None:
        self.client = client
        self.surface, self.registry = open_surface(client)
        self.dmabuf = client.new_id()
        client.say(self.bind(version))
        self.files: list[int] = []

    def bind(self, version: int) -> bytes:
        """wl_registry.bind of the relay's own global."""
        values = (DMABUF, "zwp_linux_dmabuf_v1", version, self.dmabuf)
        return request("wl_registry", "bind", self.registry, *values)

    def tell_formats(self) -> bytes:
        """Let the host tell its formats; what the client hears of it."""
        for code in SHM_FORMATS:
            self.client.channel.deliver(event("wl_shm", "format", self.dmabuf, code))
        return self.client.hear()

    def file(self, size: int = SIZE) -> int:
        """A memory file, which this closes."""
        fd = os.memfd_create("dmabuf")
        os.ftruncate(fd, size)
        self.files.append(fd)
        return fd

    def create_params(self) -> int:
        params = self.client.new_id()
        self.client.say(request("zwp_linux_dmabuf_v1", "create_params", self.dmabuf, params))
        return params

    def add(
        self,
        params: int,
        fd: int,
        *,
        index: int = 0,
        offset: int = 0,
        stride: int = STRIDE,
        modifier: int = 0,
    ) -> None:
        values = (None, index, offset, stride, modifier >> 32, modifier & 0xFFFFFFFF)
        self.client.say(request("zwp_linux_buffer_params_v1", "add", params, *values), fds=[os.dup(fd)])

    def create_immed(
        self, params: int, *, width: int = WIDTH, height: int = HEIGHT, code: int = XR24, flags: int = 0
    ) -> int:
        buffer = self.client.new_id()
        values: tuple[Value, ...] = (buffer, width, height, code, flags)
        self.client.say(request("zwp_linux_buffer_params_v1", "create_immed", params, *values))
        return buffer

    def buffer(self, fd: int, **plane: int) -> int:
        """A buffer of one plane."""
        params = self.create_params()
        self.add(params, fd, **plane)
        buffer = self.create_immed(params)
        self.client.say(request("zwp_linux_buffer_params_v1", "destroy", params))
        return buffer

    def show(self, buffer: int) -> None:
        self.client.say(
            request("wl_surface", "attach", self.surface, buffer, 0, 0),
            request("wl_surface", "damage_buffer", self.surface, 0, 0, WIDTH, HEIGHT),
            request("wl_surface", "commit", self.surface),
        )

    def delete_id(self, object_id: int) -> None:
        """Let the compositor delete an id."""
        self.client.channel.deliver(event("wl_display", "delete_id", 1, object_id))
        self.client.serve()

    def mirror(self, number: int = -1, size: int = SIZE) -> bytes:
        """What the compositor sees of a buffer."""
        return self.client.channel.memories[number].buffer[:size]

    def close(self) -> None:
        for fd in self.files:
            os.close(fd)


def error_of(client: RelayedClient) -> int:
    return error_code(client.hear())
