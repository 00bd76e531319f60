"""`python3 -m tests.chaos.guest GPU_SOCKET WIDTH HEIGHT CROWD`: a VM with a painter, and a crowd that draws.

Its standard input and output are a painter's (see `painter`).  The compositor may go: its clients come back
as soon as there is another, and a colour that was being shown then is shown again.  It ends with its input,
and with status 3 where the device leaves it.
"""

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from tests.chaos.picture import LEFT, READY
from tests.fakes.flag import say
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext, MappedBlob
from tests.fakes.wayland_guest import HungUp, WaylandGuest
from tests.unit.context.world import request

XRGB8888: Final = 1
CROWD_SIZE: Final = 16
"""Width and height of a window of the crowd, px."""
RETRY_SECONDS: Final = 0.2


class GuestWindow:
    """A window of one colour, in one buffer of host memory."""

    def __init__(self, guest: WaylandGuest, width: int, height: int) -> None:
        self._guest = guest
        self._width, self._height = width, height
        self._frames = 0
        self._pool: MappedBlob | None = None

    async def open(self) -> None:
        """Makes it; nothing is shown yet."""
        guest, width, height = self._guest, self._width, self._height
        await guest.list_globals()
        size = width * height * 4
        self._pool = pool = await guest.context.allocate(size)
        await guest.send(
            guest.bind("wl_compositor", 4, 4),
            guest.bind("wl_shm", 1, 5),
            guest.bind("xdg_wm_base", 1, 6),
            request("wl_compositor", "create_surface", 4, 7),
            request("xdg_wm_base", "get_xdg_surface", 6, 8, 7),
            request("xdg_surface", "get_toplevel", 8, 9),
            request("wl_surface", "commit", 7),
        )
        serial = struct.unpack("<I", await guest.wait_for(8, 0))[0]
        blob = Identifier(pool.resource_id, IdentifierType.VIRTGPU_BLOB, pool.size)
        await guest.send(request("wl_shm", "create_pool", 5, 10, None, size), identifiers=(blob,))
        await guest.send(
            request("wl_shm_pool", "create_buffer", 10, 11, 0, width, height, width * 4, XRGB8888),
            request("xdg_surface", "ack_configure", 8, serial),
        )

    async def close(self) -> None:
        """Ends its client, and gives its memory back as the guest's kernel does."""
        if self._pool is not None:
            await self._pool.destroy()
        await self._guest.context.close()

    async def paint(self, colour: str) -> None:
        """Returns when RRGGBB is on the screen."""
        assert self._pool is not None
        pixel = bytes.fromhex(colour)[::-1] + b"\xff"
        self._pool.view[: len(pixel) * self._width * self._height] = pixel * (self._width * self._height)
        callback = 12 + self._frames % 2  # the other one's id is free again
        self._frames += 1
        await self._guest.send(
            request("wl_surface", "attach", 7, 11, 0, 0),
            request("wl_surface", "damage", 7, 0, 0, self._width, self._height),
            request("wl_surface", "frame", 7, callback),
            request("wl_surface", "commit", 7),
        )
        await self._guest.wait_for(callback, 0)


class Clients:
    """The clients of one VM; each gets a new context when its compositor has gone."""

    def __init__(self, vm: FakeFrontend) -> None:
        self._vm = vm
        self._last = 0

    async def open(self, width: int, height: int) -> GuestWindow:
        """A client with a window of that size, as soon as there is a compositor."""
        while True:
            self._last += 1
            context = await GuestContext.open(self._vm, self._last)
            window = GuestWindow(WaylandGuest(context), width, height)
            try:
                await window.open()
            except HungUp:
                await window.close()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return window

    async def draw_for_ever(self, number: int) -> None:
        """One of the crowd."""
        while True:
            window = await self.open(CROWD_SIZE, CROWD_SIZE)
            with suppress(HungUp):
                for frame in range(1 << 30):
                    await window.paint(f"{frame * 7 % 256:02x}{number % 256:02x}40")
            await window.close()

    async def paint_what_is_asked(self, width: int, height: int) -> None:
        """The painter, until the input ends."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        window = await self.open(width, height)
        say(READY)
        while line := (await reader.readline()).decode().strip():
            while True:
                try:
                    await window.paint(line)
                    break
                except HungUp:
                    await window.close()
                    window = await self.open(width, height)
            say(line)


async def live(path: str, width: int, height: int, crowd: int) -> int:
    """The VM's whole life; its exit status."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return LEFT
    vm = FakeFrontend(connection, ram_size=16 << 20)
    async with vm:
        clients = Clients(vm)
        painting = asyncio.ensure_future(clients.paint_what_is_asked(width, height))
        tasks = [asyncio.ensure_future(clients.draw_for_ever(number)) for number in range(crowd)]
        leaving = asyncio.ensure_future(vm.wait_for_hang_up())
        done, _ = await asyncio.wait((painting, leaving, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in (painting, leaving, *tasks):
            task.cancel()
        return 0 if painting in done and painting.exception() is None else LEFT


def main(path: str, width: int, height: int, crowd: int) -> int:
    """See the module's docstring."""
    return asyncio.run(live(path, width, height, crowd))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:5])))
