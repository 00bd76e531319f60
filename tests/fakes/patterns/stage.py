"""Where the patterns are drawn: one fullscreen window and its children."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from tests.fakes.client import FakeClient
from tests.fakes.painting import XRGB8888, Swapchain, layout_for, paint, pool_size
from tests.fakes.patterns.allocation import Allocator
from tests.fakes.windows import Backing, Buffer, Pool, Rectangle, Surface, Window

WIDTH: Final = 320
HEIGHT: Final = 240


class Stage:
    """A window and what can draw on it.

    Fullscreen, but smaller than the screen, it is in the screen's middle; otherwise it is
    wherever the compositor, or whoever watches, puts it.
    """

    def __init__(self, client: FakeClient, *, fullscreen: bool = True, kinds: str = "") -> None:
        """`kinds` of dmabufs (`tests.fakes.dmabufs`) that buffers are made of instead of wl_shm, by comma."""
        self.client = client
        self._allocator = Allocator(client, kinds.split(",")) if kinds else None
        self.shm = client.bind("wl_shm")
        self.subcompositor = client.bind("wl_subcompositor")
        self.viewporter = client.bind("wp_viewporter") if client.offers("wp_viewporter") else None
        self.window = Window(client, title="patterns", fullscreen=fullscreen)
        self.surface = self.window.surface
        client.round_trip()
        self.formats = sorted(
            values[0] for values in self.shm.received("format") if isinstance(values[0], int)
        )
        self._pools: list[Backing] = []

    def buffer(
        self, width: int, height: int, *, format_code: int = XRGB8888, padding: int = 0, offset: int = 0
    ) -> Buffer:
        """A buffer in a pool of its own, which is destroyed at once: the buffer must live on."""
        layout = layout_for(width, height, format_code, padding=padding, offset=offset)
        if self._allocator is not None:
            size = pool_size(layout, format_code)
            memory, allocated = self._allocator.buffer(layout, format_code, size)
            self._pools.append(memory)
            return allocated
        pool = Pool(self.client, self.shm, pool_size(layout, format_code))
        buffer = Buffer(pool, layout, format_code)
        pool.destroy()
        self._pools.append(pool)
        return buffer

    def shared_pool(self, size: int) -> Pool:
        """A pool for several buffers; its memory is kept as long as theirs."""
        pool = Pool(self.client, self.shm, size)
        self._pools.append(pool)
        return pool

    def plain(self, name: str) -> Iterator[str]:
        """An ordinary frame, to see that nothing of an earlier step is left."""
        buffer = self.buffer(WIDTH, HEIGHT)
        paint(buffer, Rectangle(0, 0, WIDTH, HEIGHT), seed=50)
        self.show(buffer)
        yield name
        buffer.destroy()

    def clear(self) -> None:
        """Give the memory of all buffers back: none is drawn into any more."""
        for pool in self._pools:
            pool.close()
        self._pools.clear()

    def show(self, buffer: Buffer) -> None:
        """Put a whole buffer on the screen."""
        self.surface.attach(buffer)
        self.surface.damage_all()
        self.surface.commit_and_show()

    def swapchain(self, width: int, height: int, *, count: int = 2) -> Swapchain:
        """Some buffers that are shown in turn, each of which has been on the screen."""
        chain = Swapchain(self.surface, [self.buffer(width, height) for _ in range(count)])
        self.settle(chain, seed=1)
        return chain

    def settle(self, chain: Swapchain, *, seed: int) -> None:
        """Draw and show every buffer whole, then all but the last once more with a little damage.

        Afterwards a proxy has copied all of each buffer, with nothing left to copy but what the
        coming damage says: the first part alone would leave the others stale as a whole.
        """
        for _ in chain.buffers:
            chain.draw([Rectangle(0, 0, chain.width, chain.height)], seed=seed)
            self.surface.damage_all()
            self.surface.commit_and_show()
        corner = Rectangle(0, 0, 2, 2)
        for _ in chain.buffers[1:]:
            chain.draw([corner], seed=seed + 1)
            self.surface.damage_buffer(corner)
            self.surface.commit_and_show()

    def reveal(self) -> None:
        """Make the compositor draw the window again, from the buffer that it has, without any damage."""
        cover = Subsurface(self, 0, 0)
        cover.synchronous(False)
        buffer = self.buffer(WIDTH * 2, HEIGHT * 2)
        paint(buffer, Rectangle(0, 0, WIDTH * 2, HEIGHT * 2), seed=99)
        # A child that appears is drawn at its parent's next repaint; a covered parent itself need not be.
        shown = cover.surface.frame()
        cover.commit(buffer)
        self.surface.commit()
        shown.wait()
        cover.surface.attach(None)
        cover.surface.commit()
        # A surface without a buffer gets no frame events: wait for the next repaint of the one below.
        self.surface.commit_and_show()
        cover.destroy()
        buffer.destroy()
        self.surface.commit_and_show()


class Subsurface:
    """A child of the stage's surface; its position takes effect at the parent's commit."""

    def __init__(self, stage: Stage, x: int, y: int) -> None:
        self.surface = Surface(stage.client, stage.window.compositor)
        self.proxy = stage.subcompositor.create("get_subsurface", self.surface.proxy, stage.surface.proxy)
        self.move(x, y)

    def move(self, x: int, y: int) -> None:
        """Place it relative to the parent's top left corner."""
        self.proxy.send("set_position", x, y)

    def synchronous(self, wanted: bool) -> None:
        """Whether its commits wait for the parent's."""
        self.proxy.send("set_sync" if wanted else "set_desync")

    def show(self, buffer: Buffer) -> None:
        """Put a whole buffer into a desynchronised subsurface that is visible already."""
        self.surface.attach(buffer)
        self.surface.damage_all()
        self.surface.commit_and_show()

    def commit(self, buffer: Buffer) -> None:
        """Commit a whole buffer; of a synchronised subsurface it shows at the parent's commit."""
        self.surface.attach(buffer)
        self.surface.damage_all()
        self.surface.commit()

    def destroy(self) -> None:
        """Destroy the role and the surface."""
        self.proxy.send("destroy")
        self.surface.destroy()


Scenario: TypeAlias = Callable[[Stage], Iterator[str]]
"""Draws, and yields a step's name when that step's pixels are on the screen."""
