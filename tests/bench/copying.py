"""Rows about the bridge's damage copy, against memcpy of the same bytes in the same memory."""

import ctypes
import mmap
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from crossdomain.bridge.copy import Pixels, copy_damage
from crossdomain.bridge.damage import Rectangle
from crossdomain.bridge.formats import BufferRequest, check_buffer
from crossdomain.native.system import address_of
from tests.bench.rows import Row, against

_WIDTH: Final = 1920
_HEIGHT: Final = 1080
_STRIDE: Final = _WIDTH * 4
_SIZE: Final = _STRIDE * _HEIGHT
_XRGB8888: Final = 1
_LAYOUT: Final = check_buffer(BufferRequest(2, _SIZE, 0, _WIDTH, _HEIGHT, _STRIDE, _XRGB8888))
_COLUMN: Final = 64
"""Width of a narrow damage, px."""

_ROUNDS: Final = 300


class _Frames(NamedTuple):
    """Two frames in memory, the addresses of their first bytes."""

    target: int
    source: int


async def measure_copying() -> list[Row]:
    """Copies a 1920x1080 frame whole, and as narrow columns: rows copy_whole_rows and copy_narrow, in GB/s.

    The columns are the damage of one commit, each a rectangle.  memcpy gets the same bytes of the same two
    frames: at once, and in as many pieces as there are columns, each of which lies in one piece.
    """
    with mmap.mmap(-1, _SIZE) as target, mmap.mmap(-1, _SIZE) as source:
        source.write(bytes(range(256)) * (_SIZE // 256))
        target.write(bytes(_SIZE))
        frames = _Frames(address_of(target), address_of(source))
        took = _race({**_whole(frames), **_narrow(frames)})
    rows = {name: Row(name, _SIZE / seconds / 1e9, "GB/s") for name, seconds in took.items()}
    return [
        rows["memcpy_whole_rows"],
        against(rows["copy_whole_rows"], rows["memcpy_whole_rows"]),
        rows["memcpy_narrow"],
        against(rows["copy_narrow"], rows["memcpy_narrow"]),
    ]


def _whole(frames: _Frames) -> dict[str, Callable[[], None]]:
    return {
        "memcpy_whole_rows": lambda: _memcpy(frames, 0, _SIZE),
        "copy_whole_rows": lambda: _copy(frames, [Rectangle(0, 0, _WIDTH, _HEIGHT)]),
    }


def _narrow(frames: _Frames) -> dict[str, Callable[[], None]]:
    columns = range(_WIDTH // _COLUMN)
    rectangles = [Rectangle(column * _COLUMN, 0, (column + 1) * _COLUMN, _HEIGHT) for column in columns]
    piece = _COLUMN * 4 * _HEIGHT

    def copy_pieces() -> None:
        for column in columns:
            _memcpy(frames, column * piece, piece)

    return {"memcpy_narrow": copy_pieces, "copy_narrow": lambda: _copy(frames, rectangles)}


def _memcpy(frames: _Frames, offset: int, size: int) -> None:
    ctypes.memmove(frames.target + offset, frames.source + offset, size)


def _copy(frames: _Frames, rectangles: list[Rectangle]) -> None:
    copy_damage(Pixels(frames.target, _SIZE), Pixels(frames.source, _SIZE), _LAYOUT, rectangles)


def _race(runners: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Returns the shortest seconds of each, taken in turn: a copy that was interrupted says nothing."""
    took: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(_ROUNDS):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - start)
    return {name: min(samples) for name, samples in took.items()}
