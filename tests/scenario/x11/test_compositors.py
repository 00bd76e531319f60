"""The same X11 window on every compositor, decorated where the compositor does not do that itself."""

import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest

from tests.fakes.capture import capture
from tests.fakes.sway import Sway
from tests.fakes.weston import Pixels, running_weston, wait_until
from tests.fakes.weston16 import running_weston16
from tests.fakes.x11 import PATIENCE, ApplicationEnvironment, running_x11

COLOUR: Final = (0x12, 0xAB, 0x56)
MENU: Final = (0x99, 0x33, 0x66)
"""The colour of `XTestClient.create_menu`'s windows."""
TITLE_BARS: Final = ((0x30, 0x34, 0x3C), (0x45, 0x4A, 0x53))
"""Of a window with and without the keyboard."""


class Compositor(NamedTuple):
    """One of them, with X11 applications on it."""

    applications: ApplicationEnvironment
    screenshot: Callable[[], Pixels]


@pytest.fixture
def on_weston_10() -> Generator[Compositor]:
    """The distribution's own Weston, without a seat.

    A new one has the same places for windows each time; later ones may be below its panel.
    """
    with (
        tempfile.TemporaryDirectory(prefix="xd-") as folder,
        running_weston(Path(folder)) as weston,
        running_x11(weston.socket_path) as applications,
    ):
        yield Compositor(applications, weston.screenshot)


@pytest.fixture
def on_weston_16() -> Generator[Compositor]:
    """The newest Weston, which wants a Configure to come before any commit."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-") as folder,
        running_weston16(Path(folder), configuration="[shell]\npanel-position=none\n") as weston,
        running_x11(weston.socket_path) as applications,
    ):
        yield Compositor(applications, lambda: capture(weston.socket_path))


@pytest.fixture
def on_sway(sway: Sway) -> Generator[Compositor]:
    """sway, which tiles windows and would decorate them itself."""
    with running_x11(sway.socket_path) as applications:
        yield Compositor(applications, sway.screenshot)


def count(pixels: Pixels, *colours: tuple[int, int, int]) -> int:
    """How many pixels have one of these colours."""
    return sum(int(np.all(pixels == colour, axis=2).sum()) for colour in colours)


def edges(pixels: Pixels, colour: tuple[int, int, int]) -> tuple[int, ...]:
    """The edges of what is of a colour: left, top, right, bottom, px; nothing where nothing is."""
    rows, columns = np.nonzero(np.all(pixels == colour, axis=2))
    found = (columns.min, rows.min, columns.max, rows.max) if len(rows) else ()
    return tuple(int(edge()) for edge in found)


def shown(compositor: Compositor, least: int) -> Pixels:
    """The screen, as soon as the window of one colour covers so many pixels of it."""
    deadline = time.monotonic() + PATIENCE
    while count(pixels := compositor.screenshot(), COLOUR) < least:
        assert time.monotonic() < deadline, compositor.applications.launcher.log
    return pixels


def start_window(compositor: Compositor) -> None:
    """Show a window of one colour."""
    place = ("-geometry", "300x200", "-title", "plain")
    compositor.applications.start("xlogo", "-bg", "#12ab56", "-fg", "#12ab56", *place)


def test_weston_10_shows_it_with_our_frame(on_weston_10: Compositor) -> None:
    start_window(on_weston_10)
    pixels = shown(on_weston_10, 300 * 200)
    assert count(pixels, *TITLE_BARS) > 300 * 28 / 2


def test_weston_16_shows_it_with_our_frame(on_weston_16: Compositor) -> None:
    start_window(on_weston_16)
    pixels = shown(on_weston_16, 300 * 200)
    assert count(pixels, *TITLE_BARS) > 300 * 28 / 2


def test_weston_16_keeps_a_menu_beyond_the_screens_edge_on_it_and_x_is_told(on_weston_16: Compositor) -> None:
    """As sway does (`test_sway`)."""
    (width, height), size = (640, 480), (180, 120)
    with on_weston_16.applications.client() as client:
        window = client.create_window()
        client.set_words(window, "_NET_WM_STATE", "ATOM", [client.atom("_NET_WM_STATE_FULLSCREEN")])
        client.window(window).map()
        client.display.sync()
        wait_until(
            lambda: int(client.window(window).get_geometry().width) == width,
            seconds=PATIENCE,
            what="its size",
        )
        menu = client.create_menu(window, (width - 20, height - 10, *size))
        kept = (width - size[0], height - size[1])

        def place() -> tuple[int, int]:
            found = client.window(window).translate_coords(menu, 0, 0)
            return int(found.x), int(found.y)

        wait_until(lambda: place() == kept, seconds=PATIENCE, what="X's place of it")
        wait_until(
            lambda: edges(on_weston_16.screenshot(), MENU) == (*kept, width - 1, height - 1),
            seconds=PATIENCE,
            what="the menu as a whole",
        )


def test_sway_shows_it_as_its_own(on_sway: Compositor, sway: Sway) -> None:
    start_window(on_sway)
    pixels = shown(on_sway, 1024 * 640 - 1000)  # the pointer is above it
    assert count(pixels, *TITLE_BARS) == 0
    assert sway.labels() == ["plain XLogo"]
