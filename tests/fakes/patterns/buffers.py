"""Patterns that try where and how buffers lie in pools, and how long they live."""

from collections.abc import Iterator

from tests.fakes.painting import XRGB8888, fourcc, paint, paint_colours
from tests.fakes.patterns.stage import Stage
from tests.fakes.windows import Buffer, Layout, Rectangle

_SEMIPLANAR = frozenset({fourcc("NV12"), fourcc("P010")})


def formats(stage: Stage) -> Iterator[str]:
    """Every format, in a pool at an offset that is no page's, with space between the rows."""
    for code in stage.formats:
        buffer = stage.buffer(160, 120, format_code=code, padding=32, offset=4096 + 64)
        paint(buffer, Rectangle(0, 0, 160, 120), seed=7)
        stage.show(buffer)
        yield f"format {code:#x}"
        buffer.destroy()


def planes(stage: Stage) -> Iterator[str]:
    """Formats with a second plane for colour, a quarter as many pairs of samples, each in two buffers.

    One is as GPUs like it, of whole chroma samples and rows of 256 bytes, with colours in less than 64 KiB;
    the other is of odd size.
    """
    for code in (code for code in stage.formats if code in _SEMIPLANAR):
        for width, height in ((512, 224), (509, 269)):
            buffer = stage.buffer(width, height, format_code=code)
            paint(buffer, Rectangle(0, 0, width, height), seed=height)
            paint_colours(buffer, seed=height)
            for _ in range(8):
                # Whoever has to find out first whether it can be read in place has done so by then.
                stage.show(buffer)
            yield f"planes {code:#x} {width}x{height}"
            buffer.destroy()


def offsets(stage: Stage) -> Iterator[str]:
    """Buffers that share a pool: interleaved row by row, and in each other's way nowhere."""
    row = 200 * 4
    pool = stage.shared_pool(1 << 20)
    layouts = [
        Layout(0, 200, 150, row * 2, 4),
        Layout(row, 200, 149, row * 2, 4),
        Layout(300_004, 100, 90, 100 * 4 + 12, 4),
        Layout((1 << 20) - 64 * 64 * 4, 64, 64, 64 * 4, 4),
    ]
    buffers = [Buffer(pool, layout, XRGB8888) for layout in layouts]
    for number, buffer in enumerate(buffers):
        paint(buffer, Rectangle(0, 0, buffer.layout.width, buffer.layout.height), seed=number)
    for number, buffer in enumerate(buffers):
        stage.show(buffer)
        yield f"shared pool {number}"
    for number, buffer in enumerate(buffers[:2]):
        paint(buffer, Rectangle(20, 20, 50, 50), seed=40 + number)
        stage.surface.attach(buffer)
        stage.surface.damage_all()
        stage.surface.commit_and_show()
        yield f"interleaved again {number}"
    for buffer in buffers:
        buffer.destroy()
    pool.destroy()


def pool_growth(stage: Stage) -> Iterator[str]:
    """A pool that grows under its buffers, and one that is destroyed before its buffers are drawn."""
    one = 200 * 100 * 4
    pool = stage.shared_pool(one)
    first = Buffer(pool, Layout(0, 200, 100, 800, 4), XRGB8888)
    paint(first, Rectangle(0, 0, 200, 100), seed=3)
    stage.show(first)
    yield "before it grows"
    pool.resize(one * 3 + 4096)
    second = Buffer(pool, Layout(one + 4096, 200, 200, 800, 4), XRGB8888)
    paint(second, Rectangle(0, 0, 200, 200), seed=4)
    stage.show(second)
    yield "in the grown part"
    pool.destroy()
    paint(first, Rectangle(10, 10, 100, 50), seed=5)
    stage.surface.attach(first)
    stage.surface.damage_all()
    stage.surface.commit_and_show()
    yield "after the pool was destroyed"
    first.destroy()
    second.destroy()


def sizes(stage: Stage) -> Iterator[str]:
    """A window that changes its size."""
    for number, (width, height) in enumerate(
        [(64, 64), (300, 200), (17, 13), (1, 1), (401, 299), (400, 300), (1024, 640), (3, 500), (320, 240)]
    ):
        buffer = stage.buffer(width, height)
        paint(buffer, Rectangle(0, 0, width, height), seed=number)
        stage.show(buffer)
        yield f"size {width}x{height}"
        buffer.destroy()


def short_lived(stage: Stage) -> Iterator[str]:
    """Each frame a buffer of its own, created, shown and destroyed without waiting; ids are reused."""
    shown: list[Buffer] = []
    for number in range(24):
        width, height = 100 + number * 5 % 37, 80 + number * 7 % 29
        buffer = stage.buffer(width, height)
        paint(buffer, Rectangle(0, 0, width, height), seed=number)
        stage.surface.attach(buffer)
        stage.surface.damage_all()
        if number % 8 == 7:
            stage.surface.commit_and_show()
            yield f"short-lived {number}"
        else:
            stage.surface.commit()
            stage.client.round_trip()
        shown.append(buffer)
        if len(shown) > 1:
            shown.pop(0).destroy()
