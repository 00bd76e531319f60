"""A client that is hard on whoever carries its buffers: `python3 -m tests.fakes.pool_storm DISPLAY CASE...`.

Each case is a client of its own and ends with a window in one colour.  It prints the case and how many pixels
of that colour are on the screen of the compositor at DISPLAY; where that is "-" somebody else looks, until a
line comes on standard input.

With `--holdings`, or `--holdings=CONTROL_SOCKET` where the daemon is on this machine, what is held
(`tests.fakes.holdings`) is compared when the first client has gone and when the last has: it ends with
"holds what it held", or with what is more.
"""

import fcntl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fakes.client import FakeClient, Proxy
from tests.fakes.holdings import more_than, settled
from tests.fakes.holes import punch_hole
from tests.fakes.painting import XRGB8888
from tests.fakes.screenshot import look
from tests.fakes.windows import Buffer, Layout, Pool, Window

WIDTH, HEIGHT = 256, 64
"""64 KiB: the least that is read in place."""
SIZE: Final = WIDTH * HEIGHT * 4
COLOUR: Final = bytes((0x33, 0x66, 0x99))
"""Blue, green and red."""
OTHER_COLOUR: Final = bytes((0x99, 0x33, 0x66))
ROUNDS: Final = 12
MANY: Final = 3000
CALM_FRAMES: Final = 8


class Storm:
    """A client with a fullscreen window."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.shm: Proxy = client.bind("wl_shm")
        self.window = Window(client, title="storm", fullscreen=True)

    def fit(self) -> None:
        """From now on any buffer fills the screen."""
        viewport = self.client.bind("wp_viewporter").create("get_viewport", self.window.surface.proxy)
        viewport.send("set_destination", *self.window.size)

    def pool(self, size: int) -> Pool:
        """A pool over a memfd that can be sealed."""
        return Pool(self.client, self.shm, size)

    def buffer(self, pool: Pool, offset: int = 0, *, width: int = WIDTH, height: int = HEIGHT) -> Buffer:
        """A buffer in it."""
        return Buffer(pool, Layout(offset, width, height, width * 4, 4), XRGB8888)

    def show(self, buffer: Buffer, colour: bytes = COLOUR) -> None:
        """Fill it with the colour, and return when it is on the screen."""
        layout = buffer.layout
        buffer.pool.memory[layout.offset : layout.end] = (colour + b"\0") * (layout.width * layout.height)
        self.window.show(buffer)

    def commit(self, buffer: Buffer) -> None:
        """Show it without waiting."""
        surface = self.window.surface
        surface.attach(buffer)
        surface.damage_all()
        surface.commit()

    def end(self) -> None:
        """Show a fresh buffer, whatever was before."""
        self.show(self.buffer(self.pool(SIZE)))


def large_buffers(storm: Storm) -> None:
    """More buffers that could be read in place than a client may have."""
    pool = storm.pool(70 * SIZE)
    buffers = [storm.buffer(pool, number * SIZE) for number in range(70)]
    for buffer in buffers[:3]:
        # Until the host knows what becomes of such a buffer.
        storm.show(buffer)
    for buffer in buffers:
        storm.commit(buffer)
    storm.show(buffers[-1])
    for buffer in buffers[:-1]:
        buffer.destroy()


def thousands(storm: Storm) -> None:
    """As many small buffers at a time as a careless program has, of which one is the last."""
    pool = storm.pool(MANY * 64)
    buffers = [storm.buffer(pool, number * 64, width=4, height=4) for number in range(MANY)]
    for buffer in buffers[:: MANY // 10]:
        storm.commit(buffer)
    for buffer in buffers:
        buffer.destroy()
    storm.end()


def resizes(storm: Storm) -> None:
    """Each frame a pool and a buffer of another size, given up at once."""
    for number in range(ROUNDS):
        pool = storm.pool(SIZE * 8)
        buffer = storm.buffer(pool, width=WIDTH + 64 * (number % 5), height=HEIGHT + number)
        storm.commit(buffer)
        buffer.destroy()
        pool.destroy()
        pool.close()
    storm.end()


def growth(storm: Storm) -> None:
    """A pool that grows each frame, with the buffers in its new part."""
    pool = storm.pool(SIZE)
    for number in range(ROUNDS):
        storm.commit(storm.buffer(pool, number * SIZE))
        pool.resize((number + 2) * SIZE)
    storm.show(storm.buffer(pool, ROUNDS * SIZE))


def film(storm: Storm) -> None:
    """Three buffers of 3840 x 2160 in turn, in a pool of more than 64 MiB."""
    storm.fit()
    size = 3840 * 2160 * 4
    pool = storm.pool(3 * size)
    buffers = [storm.buffer(pool, number * size, width=3840, height=2160) for number in range(3)]
    for buffer in (*buffers, buffers[0]):
        storm.show(buffer)


def beyond(storm: Storm) -> None:
    """One buffer of more than 64 MiB."""
    storm.fit()
    storm.show(storm.buffer(storm.pool(4096 * 4200 * 4), width=4096, height=4200))


def calm(storm: Storm) -> None:
    """One buffer in some frames, after which everybody has what is kept for later."""
    buffer = storm.buffer(storm.pool(SIZE))
    for _ in range(CALM_FRAMES):
        storm.show(buffer)


def punched(storm: Storm) -> None:
    """A pool whose pages are taken out while it is shown, and drawn anew some frames later."""
    pool = storm.pool(2 * SIZE)
    buffers = [storm.buffer(pool, number * SIZE) for number in range(2)]
    for buffer in (*buffers, *buffers):
        storm.show(buffer, OTHER_COLOUR)
    assert fcntl.fcntl(pool.fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK, "it could be truncated"
    punch_hole(pool.fd, 0, SIZE)
    storm.show(buffers[1], OTHER_COLOUR)
    storm.show(buffers[0])


def refilled(storm: Storm) -> None:
    """A pool whose pages are taken out, and drawn anew before the next frame: as many as there were."""
    pool = storm.pool(2 * SIZE)
    buffers = [storm.buffer(pool, number * SIZE) for number in range(2)]
    for buffer in (*buffers, *buffers):
        storm.show(buffer, OTHER_COLOUR)
    punch_hole(pool.fd, 0, SIZE)
    storm.show(buffers[0])


CASES: Final[dict[str, Callable[[Storm], None]]] = {
    case.__name__: case
    for case in (calm, large_buffers, thousands, resizes, growth, film, beyond, punched, refilled)
}


def carry_out(name: str, display: str) -> None:
    """One client."""
    with FakeClient() as client:
        CASES[name](Storm(client))
        if display == "-":
            print(name, flush=True)
            sys.stdin.readline()
        else:
            print(name, look(display).pixels.count(COLOUR), flush=True)


def draw_once(display: str) -> None:
    """Have the compositor draw a client of its own: llvmpipe holds what a frame is made of until the next."""
    if display != "-":
        with FakeClient(display) as client:
            Storm(client).end()


def compare(names: list[str], display: str, control: Path | None) -> str:
    """All clients, and whether the last leaves no more than the first left."""
    first, *others = names
    carry_out(first, display)
    draw_once(display)
    before = settled(control)
    for name in others:
        carry_out(name, display)
    draw_once(display)
    more = more_than(before, control)
    return f"holds more: {more}" if more else "holds what it held"


def main(arguments: list[str]) -> int:
    """Carry out the cases."""
    options = [argument for argument in arguments if argument.startswith("--")]
    display, *names = (argument for argument in arguments if not argument.startswith("--"))
    if not options:
        for name in names:
            carry_out(name, display)
        return 0
    control = options[0].partition("=")[2]
    print(compare(names, display, Path(control) if control else None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
