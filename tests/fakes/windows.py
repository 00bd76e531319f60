"""What a test client draws with: shm pools and buffers, surfaces, a fullscreen window."""

import mmap
import os
from typing import Final, NamedTuple, Protocol

from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.patience import PATIENCE

MAXIMUM: Final = 0x7FFFFFFF
"""The largest width or height that a damage rectangle can have."""


class Rectangle(NamedTuple):
    """Left, top, width, height, px."""

    x: int
    y: int
    width: int
    height: int


class Pool:
    """A wl_shm_pool over a memfd of its own.

    Args:
        size: bytes.
    """

    def __init__(self, client: FakeClient, shm: Proxy, size: int) -> None:
        self.client = client
        self.size = size
        self.fd = os.memfd_create("pool", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, size)
        self.proxy = shm.create("create_pool", self.fd, size)

    def resize(self, size: int) -> None:
        """Grow to `size` bytes; the buffers and their contents stay."""
        os.ftruncate(self.fd, size)
        self.memory.resize(size)
        self.size = size
        self.proxy.send("resize", size)

    def destroy(self) -> None:
        """Destroy the wl_shm_pool; its buffers and this memory live on until `close`."""
        self.proxy.send("destroy")

    def close(self) -> None:
        """Give the memory back; the compositor may still have it mapped."""
        self.memory.close()
        os.close(self.fd)


class Written(Protocol):
    """Bytes that are drawn into."""

    def __setitem__(self, place: slice, pixels: bytes, /) -> None: ...


class Backing(Protocol):
    """Memory that a buffer is in."""

    @property
    def client(self) -> FakeClient:
        """Whose it is."""
        ...

    @property
    def memory(self) -> Written:
        """All of it."""
        ...

    def close(self) -> None:
        """Give it back; the compositor may still have it mapped."""
        ...


class Buffer:
    """A wl_buffer in a pool.

    `busy` is true from the commit that used it (see `Surface.attach`) until wl_buffer.release.
    """

    def __init__(self, pool: Pool, layout: "Layout", format_code: int) -> None:
        self.pool: Backing = pool
        self.layout = layout
        self.busy = False
        self.proxy = pool.proxy.create(
            "create_buffer", layout.offset, layout.width, layout.height, layout.stride, format_code
        )
        self.proxy.handlers["release"] = self._handle_release

    def write_row(self, row: int, x: int, pixels: bytes) -> None:
        """Overwrite part of a row from the pixel `x` on; `pixels` are in the buffer's format."""
        layout = self.layout
        start = layout.offset + row * layout.stride + x * layout.bytes_per_pixel
        self.pool.memory[start : start + len(pixels)] = pixels

    def wait_released(self) -> None:
        """Return when the compositor does not read it any more."""
        self.pool.client.wait(lambda: not self.busy, what="wl_buffer.release")

    def destroy(self) -> None:
        """Destroy the wl_buffer."""
        self.proxy.send("destroy")

    def _handle_release(self, _: tuple[Value, ...]) -> None:
        self.busy = False


class Layout(NamedTuple):
    """Where a buffer lies in its pool: offset and stride in bytes, width and height in px."""

    offset: int
    width: int
    height: int
    stride: int
    bytes_per_pixel: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.height * self.stride


class Frame(NamedTuple):
    """A frame callback."""

    client: FakeClient
    callback: Proxy

    def wait(self, *, seconds: float = PATIENCE) -> None:
        """Return when the commit that this was asked for is on the screen."""
        self.client.wait(lambda: bool(self.callback.events), what="wl_surface.frame", seconds=seconds)


class Surface:
    """A wl_surface with its frame callback."""

    def __init__(self, client: FakeClient, compositor: Proxy) -> None:
        self.client = client
        self.proxy = compositor.create("create_surface")

    def attach(self, buffer: Buffer | None) -> None:
        """wl_surface.attach at 0, 0."""
        self.proxy.send("attach", buffer.proxy if buffer else None, 0, 0)
        if buffer:
            buffer.busy = True

    def damage(self, area: Rectangle) -> None:
        """Damage in surface coordinates."""
        self.proxy.send("damage", *area)

    def damage_buffer(self, area: Rectangle) -> None:
        """Damage in buffer coordinates."""
        self.proxy.send("damage_buffer", *area)

    def damage_all(self) -> None:
        """Damage everything, as most clients say it."""
        self.damage(Rectangle(0, 0, MAXIMUM, MAXIMUM))

    def commit(self) -> None:
        """Apply the pending state."""
        self.proxy.send("commit")

    def frame(self) -> "Frame":
        """Ask to be told when the next commit's pixels are shown."""
        return Frame(self.client, self.proxy.create("frame"))

    def commit_and_show(self, *, seconds: float = PATIENCE) -> None:
        """Commit, and return when the compositor has drawn it."""
        frame = self.frame()
        self.commit()
        frame.wait(seconds=seconds)

    def destroy(self) -> None:
        """Destroy the surface."""
        self.proxy.send("destroy")


class Window:
    """An xdg toplevel.

    Each xdg_surface.configure is acknowledged at once; `size` is the last proposed one, px.
    """

    def __init__(self, client: FakeClient, *, title: str, fullscreen: bool = False) -> None:
        self.client = client
        self.compositor = client.bind("wl_compositor")
        self.base = client.bind("xdg_wm_base")
        self.base.handlers["ping"] = lambda values: self.base.send("pong", values[0])
        self.surface = Surface(client, self.compositor)
        self.size = (0, 0)
        self.configured = 0
        self.closed = False
        self.xdg_surface = self.base.create("get_xdg_surface", self.surface.proxy)
        self.xdg_surface.handlers["configure"] = self._handle_configure
        self.toplevel = self.xdg_surface.create("get_toplevel")
        self.toplevel.handlers["configure"] = self._handle_size
        self.toplevel.handlers["close"] = self._handle_close
        self.toplevel.send("set_title", title)
        self.toplevel.send("set_app_id", "crossdomain.test")
        if fullscreen:
            # Where a window is placed is the compositor's secret, except for this.
            self.toplevel.send("set_fullscreen", None)
        self.surface.commit()
        client.wait(lambda: self.configured > 0, what="xdg_surface.configure")

    def show(self, buffer: Buffer) -> None:
        """Put a whole buffer into it; returns when it is on the screen."""
        self.surface.attach(buffer)
        self.surface.damage_all()
        self.surface.commit_and_show()

    def destroy(self) -> None:
        """Close the window."""
        self.toplevel.send("destroy")
        self.xdg_surface.send("destroy")
        self.surface.destroy()

    def _handle_size(self, values: tuple[Value, ...]) -> None:
        self.size = (integer(values[0]), integer(values[1]))

    def _handle_configure(self, values: tuple[Value, ...]) -> None:
        self.xdg_surface.send("ack_configure", values[0])
        self.configured += 1

    def _handle_close(self, _: tuple[Value, ...]) -> None:
        self.closed = True
