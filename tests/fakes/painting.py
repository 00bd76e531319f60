"""Deterministic pixels for the test clients, cheap enough for an interpreter under TCG."""

import math
from fractions import Fraction
from functools import cache
from typing import Final, NamedTuple

from tests.fakes.client import FakeClient
from tests.fakes.windows import Buffer, Layout, Pool, Rectangle, Surface

ARGB8888: Final = 0
XRGB8888: Final = 1


class Format(NamedTuple):
    """How much memory a format takes; `planes` is all planes' bytes in units of stride x height."""

    bytes_per_pixel: int
    planes: Fraction = Fraction(1)


def fourcc(name: str) -> int:
    """The number of a DRM format."""
    return int.from_bytes(name.encode("ascii"), "little")


def _table() -> dict[int, Format]:
    by_size = {
        1: "C8   R8   ",
        2: "RG16 BG16 XR15 AR15 XR12 AR12 YUYV UYVY",
        3: "RG24 BG24",
        4: "XB24 AB24 RX24 RA24 BX24 BA24 XR30 AR30 XB30 AB30 RX30 RA30 BX30 BA30 XYUV AYUV",
        8: "XR48 AR48 XB48 AB48 XR4H AR4H XB4H AB4H",
    }
    table = {ARGB8888: Format(4), XRGB8888: Format(4)}
    for size, names in by_size.items():
        for start in range(0, len(names), 5):
            table[fourcc(names[start : start + 4])] = Format(size)
    table[fourcc("YU12")] = Format(1, Fraction(3, 2))
    table[fourcc("P010")] = Format(2, Fraction(3, 2))
    table[fourcc("NV12")] = Format(1, Fraction(3, 2))
    table[fourcc("NV16")] = Format(1, Fraction(2))
    table[fourcc("NV24")] = Format(1, Fraction(3))
    table[fourcc("YU24")] = Format(1, Fraction(3))
    return table


FORMATS: Final = _table()
"""The formats that compositors offer.  One that is missing here fails the test that met it."""


@cache
def _shift(amount: int) -> bytes:
    """A translation table that adds to every byte."""
    return bytes((value + amount) & 0xFF for value in range(256))


@cache
def _base_row(x: int, width: int, bytes_per_pixel: int) -> bytes:
    """A gradient of its own for each byte of a pixel, by absolute position."""
    return bytes(
        (column * (1 + 2 * channel) + (column & 16) * 3) & 0xFF
        for column in range(x, x + width)
        for channel in range(bytes_per_pixel)
    )


def paint(buffer: Buffer, area: Rectangle, *, seed: int) -> None:
    """Fill the part of `area` that is inside the buffer with the pattern number `seed`.

    A pixel depends on its position and the seed alone.  Four-byte pixels get all bits of the
    last byte set, so that formats with alpha in it are opaque.
    """
    layout = buffer.layout
    x1, y1 = max(area.x, 0), max(area.y, 0)
    x2, y2 = min(area.x + area.width, layout.width), min(area.y + area.height, layout.height)
    if x1 >= x2:
        return
    base = _base_row(x1, x2 - x1, layout.bytes_per_pixel)
    for row in range(y1, y2):
        pixels = bytearray(base.translate(_shift((seed * 53 + row * 3) & 0xFF)))
        if layout.bytes_per_pixel == 4:
            pixels[3::4] = b"\xff" * (x2 - x1)
        buffer.write_row(row, x1, bytes(pixels))


def paint_colours(buffer: Buffer, *, seed: int) -> None:
    """Fill the second plane of NV12 or P010: pairs of samples for 2 x 2 px, rows as in the first."""
    layout = buffer.layout
    base = _base_row(0, -(-layout.width // 2) * 2, layout.bytes_per_pixel)
    for row in range(-(-layout.height // 2)):
        start = layout.offset + (layout.height + row) * layout.stride
        buffer.pool.memory[start : start + len(base)] = base.translate(_shift((seed * 31 + row * 2) & 0xFF))


def layout_for(width: int, height: int, format_code: int, *, padding: int = 0, offset: int = 0) -> Layout:
    """Where a buffer lies: rows are padded to 4 bytes, as pixman wants it, and by `padding` more."""
    size = FORMATS[format_code].bytes_per_pixel
    return Layout(offset, width, height, (width * size + 3) // 4 * 4 + padding, size)


def pool_size(layout: Layout, format_code: int) -> int:
    """Bytes for a buffer with all its planes."""
    rows = math.ceil(layout.height * FORMATS[format_code].planes)
    return layout.offset + layout.stride * rows


def solid_buffer(client: FakeClient, width: int, height: int, colour: str) -> Buffer:
    """A buffer of one colour, RRGGBB."""
    layout = layout_for(width, height, XRGB8888)
    buffer = Buffer(Pool(client, client.bind("wl_shm"), layout.end), layout, XRGB8888)
    pixel = bytes.fromhex(colour)[::-1] + b"\xff"
    for row in range(height):
        buffer.write_row(row, 0, pixel * width)
    return buffer


class Swapchain:
    """Buffers of one size that a surface shows in turn.

    What changed while a buffer was away is drawn into it before it is used again, as every
    client with buffer ages does: only the newest changes need damage.
    """

    def __init__(self, surface: Surface, buffers: list[Buffer]) -> None:
        self.surface = surface
        self.buffers = buffers
        self._drawn = [0 for _ in buffers]
        self._history: list[tuple[list[Rectangle], int]] = []
        self._turn = 0
        self.width = buffers[0].layout.width
        self.height = buffers[0].layout.height

    def draw(self, areas: list[Rectangle], *, seed: int) -> None:
        """Draw pattern `seed` into `areas` of the next free buffer and attach it; damage is the caller's."""
        self._history.append((areas, seed))
        self._turn = (self._turn + 1) % len(self.buffers)
        buffer = self.buffers[self._turn]
        buffer.wait_released()
        for missed, missed_seed in self._history[self._drawn[self._turn] :]:
            for area in missed:
                paint(buffer, area, seed=missed_seed)
        self._drawn[self._turn] = len(self._history)
        self.surface.attach(buffer)

    def destroy(self) -> None:
        """Destroy the buffers."""
        for buffer in self.buffers:
            buffer.destroy()
