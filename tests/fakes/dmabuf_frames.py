"""Frames out of dmabufs: `python3 -m tests.fakes.dmabuf_frames KIND [--gate] frames COUNT WIDTHxHEIGHT ...`.

A window of that size shows so many frames, damaged whole, in two buffers of a kind (`tests.fakes.dmabufs`) in
turn; some more come before, until everybody knows which way they go.  The arguments behind KIND, the gate and
the result are those of the benchmark's client (`tests/bench/client`), as far as they mean anything here.
"""

import json
import sys
import time
from typing import Final

from tests.fakes.client import FakeClient
from tests.fakes.painting import XRGB8888
from tests.fakes.patterns.allocation import Allocator
from tests.fakes.windows import Buffer, Layout, Window

_WARM_FRAMES: Final = 12


class Film:
    """The window and its buffers."""

    def __init__(self, client: FakeClient, kind: str, width: int, height: int) -> None:
        self._window = Window(client, title="frames")
        layout = Layout(0, width, height, width * 4, 4)
        self.frame_bytes = layout.end
        allocator = Allocator(client, [kind])
        self._buffers = [allocator.buffer(layout, XRGB8888, layout.end)[1] for _ in range(2)]

    def show(self, count: int) -> None:
        """Show so many frames."""
        for number in range(count):
            buffer: Buffer = self._buffers[number % 2]
            if buffer.busy:
                buffer.wait_released()
            buffer.write_row(0, 0, number.to_bytes(4, "little") * buffer.layout.width)
            self._window.show(buffer)


def main(arguments: list[str]) -> int:
    """Show them."""
    kind, *others = arguments
    gated = "--gate" in others
    _frames, count, size, *_ = (argument for argument in others if argument != "--gate")
    width, height = map(int, size.split("x"))

    def wait(word: str) -> None:
        if gated:
            print(word, flush=True)
            sys.stdin.readline()

    with FakeClient() as client:
        film = Film(client, kind, width, height)
        film.show(_WARM_FRAMES)
        wait("begin")
        began, used = time.monotonic_ns(), time.process_time_ns()
        film.show(int(count))
        result = {"wall_ns": time.monotonic_ns() - began, "cpu_ns": time.process_time_ns() - used}
        wait("end")
    damaged = {
        "bytes_damaged": int(count) * film.frame_bytes,
        "bytes_damaged_warm": _WARM_FRAMES * film.frame_bytes,
    }
    print(json.dumps({**result, "frames": int(count), **damaged}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
