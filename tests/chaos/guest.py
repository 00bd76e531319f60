"""`python3 -m tests.chaos.guest GPU_SOCKET WIDTH HEIGHT CROWD`: a VM with a painter, and a crowd that draws.

Its standard input and output are a painter's (see `painter`).  The compositor may go: its clients come back
as soon as there is another, and a colour that was being shown then is shown again.  It ends with its input,
and with status 3 where the device leaves it.
"""

import asyncio
import socket
import sys
from contextlib import suppress
from typing import Final

from tests.chaos.picture import LEFT, READY
from tests.fakes.flag import say
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_window import GuestWindow
from tests.fakes.wayland_guest import HungUp, WaylandGuest

CROWD_SIZE: Final = 16
"""Width and height of a window of the crowd, px."""
RETRY_SECONDS: Final = 0.2


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
