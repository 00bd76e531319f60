"""Frames out of dmabufs: `python3 -m tests.fakes.dmabuf_frames KIND FRAMES`.

A window of 1920 x 1080 px shows so many frames, damaged whole, in two buffers of a kind
(`tests.fakes.dmabufs`) in turn.  It prints the bytes that were damaged.
"""

import sys
from typing import Final

from tests.fakes.client import FakeClient
from tests.fakes.painting import XRGB8888
from tests.fakes.patterns.allocation import Allocator
from tests.fakes.windows import Layout, Window

WIDTH, HEIGHT = 1920, 1080
SIZE: Final = WIDTH * HEIGHT * 4


def main(arguments: list[str]) -> int:
    """Show them."""
    kind, frames = arguments[0], int(arguments[1])
    with FakeClient() as client:
        allocator = Allocator(client, [kind])
        window = Window(client, title="frames")
        layout = Layout(0, WIDTH, HEIGHT, WIDTH * 4, 4)
        made = [allocator.buffer(layout, XRGB8888, SIZE)[1] for _ in range(2)]
        for number in range(frames):
            buffer = made[number % 2]
            if buffer.busy:
                buffer.wait_released()
            buffer.write_row(0, 0, number.to_bytes(4, "little") * WIDTH)
            window.show(buffer)
    print(frames * SIZE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
