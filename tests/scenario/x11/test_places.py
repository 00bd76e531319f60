"""Where Weston's own desktop shell puts X11 windows: their title bars are on the screen, and can be used."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest
from Xlib import X

import tests.fakes
from crossdomain.vm import image, seat
from crossdomain.vm.headless import HeadlessWeston, Places
from tests.fakes.weston import Pixels
from tests.fakes.x11 import X11Desktop, running_x11_on
from tests.fakes.x11_client import XTestClient

WIDTH, HEIGHT = 1024, 768
"""px of an output, logical ones."""
PANEL: Final = 32
"""px of the desktop's panel, where it is at the top."""
TITLE: Final = 28
"""px of a title bar's height."""
COLOUR: Final = (0x33, 0x66, 0x99)
"""Of `XTestClient.create_window`'s windows."""
TITLE_BARS: Final = ((0x30, 0x34, 0x3C), (0x45, 0x4A, 0x53))
"""Of a window with and without the keyboard."""
SIZES: Final = ((150, 60), (400, 300), (300, HEIGHT - PANEL - 40), (300, HEIGHT - PANEL - 20), (600, HEIGHT))
"""Of windows, logical px: small ones, those that just fit, and one as high as the screen."""
TIMES: Final = 4
"""How often each is shown: the places are random."""


class Case(NamedTuple):
    """How Weston is set up."""

    panel: str = "top"
    scale: int = 1
    outputs: int = 1


CASES: Final = (Case(), Case(panel="none"), Case(scale=2), Case(outputs=2), Case(panel="left", scale=3))


@contextmanager
def desktop_of(case: Case) -> Generator[X11Desktop]:
    """A Weston 14 that finds places itself, with X11 applications on it."""
    debian = image.obtain(image.Recipe())
    sources = Path(tests.fakes.__file__).parent
    more = (seat.compile_module(debian, "outputs", sources=sources),) if case.outputs > 1 else ()
    with (
        HeadlessWeston(
            debian,
            width=WIDTH,
            height=HEIGHT,
            places=Places(case.panel, more),
            extra=(f"--scale={case.scale}",),
        ) as weston,
        running_x11_on(weston) as desktop,
    ):
        yield desktop


def edges(pixels: Pixels) -> tuple[int, int, int, int]:
    """The edges of the window's contents on a screenshot, px: left, top, right, bottom."""
    rows, columns = np.nonzero(np.all(pixels == COLOUR, axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def is_bar(pixels: Pixels) -> bool:
    """Whether a part of the screen is a title bar: nothing lies on it, and it ends where the part does."""
    found = np.any([np.all(pixels == colour, axis=2) for colour in TITLE_BARS], axis=0)
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1]]
    return bool(corners.all()) and float(found.mean()) > 0.7


def close_by_button(desktop: X11Desktop, client: XTestClient, case: Case, size: tuple[int, int]) -> None:
    """Open a window, look whether its title bar is whole, and click on its close button."""
    scale = case.scale
    window = client.create_window(width=size[0] * scale, height=size[1] * scale, title="placed")
    client.set_words(window, "WM_PROTOCOLS", "ATOM", [client.atom("WM_DELETE_WINDOW")])
    bar = desktop.title_bar(desktop.window("placed"))
    pixels = desktop.screenshot()
    left, top, right, _ = edges(pixels)
    assert right - left == size[0] * scale, f"{size} of {case} is cut off: {bar}"
    frame = pixels[max(0, top - TITLE * scale) : top, max(0, left - scale) : right + scale]
    assert frame.shape == (TITLE * scale, (size[0] + 2) * scale, 3), f"{size} of {case}: {bar}"
    assert is_bar(frame), f"{size} of {case}: {bar}"
    desktop.seat.click(right / scale - TITLE / 2, top / scale - TITLE / 2)
    asked = client.wait(X.ClientMessage, "the wish to close")
    assert client.name(asked.data[1][0]) == "WM_DELETE_WINDOW"
    client.window(window).destroy()
    client.display.sync()
    desktop.gone("placed")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_title_bar_is_on_the_screen_wherever_a_window_comes_and_its_close_button_works(case: Case) -> None:
    with desktop_of(case) as desktop, desktop.client() as client:
        for output in range(case.outputs):
            for size in SIZES:
                for _ in range(TIMES):
                    # Windows come where the pointer is.
                    desktop.seat.move_pointer(WIDTH * output, HEIGHT - 1)
                    close_by_button(desktop, client, case, size)
