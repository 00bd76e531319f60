"""Windows out of scattered pages: `python3 -m tests.fakes.scattered GPU_SOCKET DISPLAY RUNS`.

A VM in this process, on the daemon at GPU_SOCKET, draws an image of RUNS rows, each of which is a page of
its RAM and no two of which are neighbours, and shows it on the Weston at DISPLAY, whose screen is as wide as
a page has pixels.  It prints what the daemon says of showing that in place, and whether the screen has
all of it.
"""

import asyncio
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final

from crossdomain.abi.cross_domain import QUERY_RING, Identifier, IdentifierType
from crossdomain.abi.pages import (
    KEY_PREFIX,
    KEY_SIZE,
    PAGE_SIZE,
    CopyPages,
    ShowPages,
    Verdict,
    encode_copy_pages,
    encode_show_pages,
    parse_shown,
)
from crossdomain.device.qemu import memory_socket
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_ram import GuestRam
from tests.fakes.screenshot import take
from tests.fakes.wayland_guest import WaylandGuest
from tests.unit.context.world import request

WIDTH: Final = PAGE_SIZE // 4
XRGB8888: Final = 1
SOURCE: Final = 7
_KEY: Final = KEY_PREFIX.ljust(KEY_SIZE, b"k")
_RAM: Final = 32 << 20
_SURFACE, _XDG_SURFACE, _TOPLEVEL, _VIEWPORT, _BUFFER, _POOL, _FRAME = range(8, 15)


def row_of(number: int) -> bytes:
    """A row of pixels that no other row looks like."""
    return struct.pack("<I", 0xFF000000 | (number * 40503 & 0xFFFFFF)) * WIDTH


class Picture:
    """The image in the guest's RAM, and the client that shows it."""

    def __init__(self, guest: WaylandGuest, memory: FakeFrontend, rows: int) -> None:
        self.guest = guest
        self.memory = memory
        self.rows = rows

    async def draw(self) -> None:
        """Draw it, and import it behind a page with the key."""
        ram, driver = self.memory.ram, self.memory.driver
        key_page, *pages = ram.allocate_scattered(self.rows + 1)
        ram.write(key_page, _KEY)
        for number, page in enumerate(pages):
            ram.write(page, row_of(number))
        runs = [(page, PAGE_SIZE) for page in (key_page, *pages)]
        assert (await driver.create_guest_blob(SOURCE, PAGE_SIZE * len(runs), runs)).ok

    async def open_window(self) -> None:
        """A fullscreen window, up to its first configure, with a viewport on it."""
        guest = self.guest
        await guest.list_globals()
        await guest.send(
            guest.bind("wl_compositor", 4, 4),
            guest.bind("wl_shm", 1, 5),
            guest.bind("xdg_wm_base", 1, 6),
            guest.bind("wp_viewporter", 1, 7),
            request("wl_compositor", "create_surface", 4, _SURFACE),
            request("xdg_wm_base", "get_xdg_surface", 6, _XDG_SURFACE, _SURFACE),
            request("xdg_surface", "get_toplevel", _XDG_SURFACE, _TOPLEVEL),
            request("xdg_toplevel", "set_fullscreen", _TOPLEVEL, 0),
            request("wp_viewporter", "get_viewport", 7, _VIEWPORT, _SURFACE),
            request("wl_surface", "commit", _SURFACE),
        )
        serial = struct.unpack("<I", await guest.wait_for(_XDG_SURFACE, 0))[0]
        await guest.send(request("xdg_surface", "ack_configure", _XDG_SURFACE, serial))
        # From now on the host may use the buffer's id before the pool's.
        await guest.round_trip(_BUFFER)

    async def ask(self) -> tuple[Verdict, Identifier]:
        """Whether the compositor reads it in place, once that is known."""
        context = self.guest.context
        show = ShowPages(SOURCE, _BUFFER, PAGE_SIZE, _KEY, XRGB8888, WIDTH, self.rows, PAGE_SIZE)
        while True:
            assert (await context.submit(encode_show_pages(show), ring_idx=QUERY_RING)).ok
            verdict, identifier = parse_shown(context.read_ring(context.query_ring))
            if verdict is not Verdict.ASKING:
                return verdict, Identifier(identifier, IdentifierType.PAGES, self.rows * PAGE_SIZE)

    async def copy(self) -> Identifier:
        """Have the daemon copy it into a mirror."""
        mirror = await self.guest.context.allocate(self.rows * PAGE_SIZE)
        whole = struct.pack("<4i", 0, 0, WIDTH, self.rows)
        places = (0, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE)
        copy = CopyPages(mirror.resource_id, SOURCE, _KEY, *places, 4, whole)
        assert (await self.guest.context.submit(encode_copy_pages(copy))).ok
        return Identifier(mirror.resource_id, IdentifierType.VIRTGPU_BLOB, mirror.size)

    async def show(self, memory: Identifier, top: int) -> None:
        """Show the rows from `top` on; returns when they are on the screen."""
        size = self.rows * PAGE_SIZE
        # The last row of the source is the last one of the image.
        source = (0, top << 8, WIDTH << 8, self.rows - top << 8)
        await self.guest.send(
            request("wl_shm", "create_pool", 5, _POOL, None, size),
            request("wl_shm_pool", "create_buffer", _POOL, _BUFFER, 0, WIDTH, self.rows, PAGE_SIZE, XRGB8888),
            request("wl_shm_pool", "destroy", _POOL),
            request("wp_viewport", "set_source", _VIEWPORT, *source),
            request("wl_surface", "attach", _SURFACE, _BUFFER, 0, 0),
            request("wl_surface", "damage", _SURFACE, 0, 0, WIDTH, self.rows),
            request("wl_surface", "frame", _SURFACE, _FRAME),
            request("wl_surface", "commit", _SURFACE),
            identifiers=(memory,),
        )
        await self.guest.wait_for(_FRAME, 0)


async def run(gpu_socket: Path, display: str, rows: int) -> tuple[Verdict, bool]:
    """The daemon's verdict, and whether the screen has what was drawn."""
    ram = GuestRam(_RAM)
    async with (
        FakeFrontend(_connected(gpu_socket), ram=ram) as gpu,
        FakeFrontend(_connected(memory_socket(gpu_socket)), ram=ram) as memory,
    ):
        picture = Picture(WaylandGuest(await GuestContext.open(gpu, 1, ring_pages=4)), memory, rows)
        await picture.draw()
        await picture.open_window()
        verdict, shown = await picture.ask()
        height = (await asyncio.to_thread(take, display)).height
        top = max(0, rows - height)
        await picture.show(shown if verdict is Verdict.YES else await picture.copy(), top)
        screen = await asyncio.to_thread(take, display)
        expected = b"".join(row_of(number) for number in range(top, rows))
        return verdict, _opaque(expected) in _opaque(screen.pixels)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.fsencode(path))
    return connection


def _opaque(pixels: bytes) -> bytes:
    """The same pixels with all bits of the fourth byte set, which says nothing in a screenshot."""
    made = bytearray(pixels)
    made[3::4] = b"\xff" * (len(pixels) // 4)
    return bytes(made)


def main(arguments: list[str]) -> int:
    """Print the verdict's name, and "whole" or "broken"."""
    verdict, is_whole = asyncio.run(run(Path(arguments[0]), arguments[1], int(arguments[2])))
    print(verdict.name, "whole" if is_whole else "broken")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
