"""Patterns on surfaces whose coordinates are not those of their buffers."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple, TypeVar

from tests.fakes.client import Proxy
from tests.fakes.patterns.stage import HEIGHT, WIDTH, Stage
from tests.fakes.windows import Rectangle

_FIXED: Final = 256
"""1.0 in 24.8 fixed."""

_Number = TypeVar("_Number", int, Fraction)

_NORMAL: Final = 0
"""wl_output.transform without rotation."""


def into_buffer(area: Rectangle, transform: int, scale: int) -> Rectangle:
    """Surface coordinates of a WIDTH x HEIGHT buffer's surface as buffer coordinates.

    `transform` is a wl_output.transform: bit 2 mirrors around the vertical axis, the lower two
    turn counter-clockwise by quarters; wl_surface.set_buffer_transform says what the compositor undoes.
    """
    turned = transform & 1
    width, height = (WIDTH // scale, HEIGHT // scale) if not turned else (HEIGHT // scale, WIDTH // scale)
    x1, y1, x2, y2 = area.x, area.y, area.x + area.width, area.y + area.height
    corners = [_turned(x, y, transform, width, height) for x, y in ((x1, y1), (x2, y2))]
    left, right = sorted(corner[0] * scale for corner in corners)
    top, bottom = sorted(corner[1] * scale for corner in corners)
    return Rectangle(left, top, right - left, bottom - top)


def _turned(x: _Number, y: _Number, transform: int, width: int, height: int) -> tuple[_Number, _Number]:
    """A point of a width x height surface in its buffer, before scaling."""
    match transform:
        case 0:
            return x, y
        case 1:  # 90
            return y, width - x
        case 2:  # 180
            return width - x, height - y
        case 3:  # 270
            return height - y, x
        case 4:  # flipped
            return width - x, y
        case 5:  # flipped 90
            return y, x
        case 6:  # flipped 180
            return x, height - y
        case _:  # flipped 270
            return height - y, width - x


def transforms(stage: Stage) -> Iterator[str]:
    """Every buffer transform with scale 1 and 2, damage in surface and in buffer coordinates."""
    surface = stage.surface
    chain = stage.swapchain(WIDTH, HEIGHT)
    for scale in (1, 2):
        for transform in range(8):
            surface.proxy.send("set_buffer_transform", transform)
            surface.proxy.send("set_buffer_scale", scale)
            stage.settle(chain, seed=transform)
            yield f"transform {transform} scale {scale}"
            areas = [Rectangle(7, 3, 21, 50), Rectangle(0, 0, 1, 1), Rectangle(60, 55, 33, 1)]
            chain.draw([into_buffer(area, transform, scale) for area in areas], seed=30 + transform)
            for area in areas:
                surface.damage(area)
            surface.commit_and_show()
            yield f"transform {transform} scale {scale} surface damage"
            chain.draw([Rectangle(201, 33, 45, 87)], seed=40 + transform)
            surface.damage_buffer(Rectangle(201, 33, 45, 87))
            surface.commit_and_show()
            yield f"transform {transform} scale {scale} buffer damage"
    surface.proxy.send("set_buffer_transform", _NORMAL)
    surface.proxy.send("set_buffer_scale", 1)
    yield from stage.plain("transforms undone")
    chain.destroy()


def viewports(stage: Stage) -> Iterator[str]:
    """Cropped and scaled buffers where the compositor can."""
    if stage.viewporter is None:
        return
    viewport = stage.viewporter.create("get_viewport", stage.surface.proxy)
    yield from _cropped(stage, viewport)
    yield from _scaled(stage, viewport)


def _cropped(stage: Stage, viewport: Proxy) -> Iterator[str]:
    chain = stage.swapchain(WIDTH, HEIGHT)
    viewport.send("set_source", 40 * _FIXED, 30 * _FIXED, 200 * _FIXED, 150 * _FIXED)
    viewport.send("set_destination", 200, 150)
    stage.settle(chain, seed=8)
    yield "cropped"
    chain.draw([Rectangle(40 + 11, 30 + 13, 50, 60)], seed=9)
    stage.surface.damage(Rectangle(11, 13, 50, 60))
    stage.surface.commit_and_show()
    yield "cropped surface damage"
    chain.draw([Rectangle(100, 100, 80, 60)], seed=10)
    stage.surface.damage_buffer(Rectangle(100, 100, 80, 60))
    stage.surface.commit_and_show()
    yield "cropped buffer damage"
    chain.destroy()


def _scaled(stage: Stage, viewport: Proxy) -> Iterator[str]:
    chain = stage.swapchain(WIDTH, HEIGHT)
    viewport.send("set_source", -_FIXED, -_FIXED, -_FIXED, -_FIXED)
    viewport.send("set_destination", WIDTH * 3 // 2, HEIGHT // 2)
    stage.settle(chain, seed=11)
    yield "scaled"
    chain.draw([Rectangle(20, 40, 40, 80)], seed=12)
    stage.surface.damage(Rectangle(30, 20, 60, 40))
    stage.surface.commit_and_show()
    yield "scaled surface damage"
    # A height between two pixels stays set in Weston 10 when the viewport goes, and it aborts.
    viewport.send("set_source", 31 * _FIXED + 128, 17 * _FIXED + 64, 100 * _FIXED + 32, 77 * _FIXED)
    stage.settle(chain, seed=14)
    yield "scaled from between the pixels"
    chain.draw([Rectangle(64, 40, 37, 19)], seed=13)
    stage.surface.damage_buffer(Rectangle(64, 40, 37, 19))
    stage.surface.commit_and_show()
    yield "scaled buffer damage"
    _drop(viewport)
    yield from stage.plain("viewport destroyed")
    chain.destroy()


def _drop(viewport: Proxy) -> None:
    """Destroy a viewport; wlroots 0.18 keeps a source that is no whole number, as an error."""
    viewport.send("set_source", -_FIXED, -_FIXED, -_FIXED, -_FIXED)
    viewport.send("destroy")


class View(NamedTuple):
    """How a surface shows its buffer: destination (surface coordinates), transform, scale, and source."""

    destination: tuple[int, int]
    transform: int = _NORMAL
    scale: int = 1
    source: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    """x, y, width and height in px of the turned and scaled buffer; all of it where None."""

    def into_buffer(self, area: Rectangle) -> Rectangle:
        """The pixels of a WIDTH x HEIGHT buffer that an area of the surface touches."""
        turned = self.transform & 1
        width, height = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
        whole = (Fraction(0), Fraction(0), Fraction(width, self.scale), Fraction(height, self.scale))
        left, top, across, down = self.source or whole
        points = [
            _turned(
                (left + Fraction(x, self.destination[0]) * across) * self.scale,
                (top + Fraction(y, self.destination[1]) * down) * self.scale,
                self.transform,
                width,
                height,
            )
            for x, y in ((area.x, area.y), (area.x + area.width, area.y + area.height))
        ]
        (x1, x2), (y1, y2) = sorted(p[0] for p in points), sorted(p[1] for p in points)
        x, y = math.floor(x1), math.floor(y1)
        return Rectangle(x, y, math.ceil(x2) - x, math.ceil(y2) - y)


_VIEWS: Final = (
    View((256, 192)),  # 1.25
    View((213, 160)),  # 1.5, and the rounding that fractional scales bring
    View((137, 183), transform=1),  # 1.75
    View((133, 100), transform=4),  # 2.4
    View((400, 300), transform=2),  # 0.8
    View((100, 133), transform=7, scale=2),  # 2.4 of a buffer that has twice the pixels
    View((171, 91), 3, 1, (Fraction(63, 2), Fraction(69, 4), Fraction(801, 8), Fraction(77))),
)


def fractions(stage: Stage) -> Iterator[str]:
    """Surfaces whose pixels are no whole number of the buffer's, turned in every way."""
    if stage.viewporter is None:
        return
    surface = stage.surface
    viewport = stage.viewporter.create("get_viewport", surface.proxy)
    chain = stage.swapchain(WIDTH, HEIGHT)
    for number, view in enumerate(_VIEWS):
        surface.proxy.send("set_buffer_transform", view.transform)
        surface.proxy.send("set_buffer_scale", view.scale)
        source = view.source or (Fraction(-1),) * 4
        viewport.send("set_source", *(int(part * _FIXED) for part in source))
        viewport.send("set_destination", *view.destination)
        stage.settle(chain, seed=number)
        yield f"view {number}"
        areas = [
            Rectangle(0, 0, 1, 1),
            Rectangle(7, 3, 21, 50),
            Rectangle(60, 55, 33, 1),
            Rectangle(91, 11, 1, 70),
        ]
        chain.draw([view.into_buffer(area) for area in areas], seed=50 + number)
        for area in areas:
            surface.damage(area)
        surface.commit_and_show()
        yield f"view {number} surface damage"
        chain.draw([Rectangle(101, 33, 45, 87)], seed=60 + number)
        surface.damage_buffer(Rectangle(101, 33, 45, 87))
        surface.commit_and_show()
        yield f"view {number} buffer damage"
        stage.reveal()
        yield f"view {number} revealed"
    surface.proxy.send("set_buffer_transform", _NORMAL)
    surface.proxy.send("set_buffer_scale", 1)
    _drop(viewport)
    yield from stage.plain("fractions undone")
    chain.destroy()
