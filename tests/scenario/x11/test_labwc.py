"""X11 windows on labwc, which draws windows' icons and keeps users to a modal dialog."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.fakes.labwc import Labwc, running_labwc
from tests.fakes.weston import wait_until
from tests.fakes.wlroots import VirtualSeat
from tests.fakes.x11 import PATIENCE, running_x11
from tests.fakes.x11_client import XTestClient

REMOVE: Final = 0
NORMAL, ICONIC = 1, 3
RED: Final = (0xE0, 0x20, 0x30)
GREEN: Final = (0x20, 0xD0, 0x40)
MAIN: Final = (0x12, 0x34, 0xAB)
DIALOG: Final = (0xAB, 0x56, 0x12)
LEAST_SIDE: Final = 14
"""px of an icon in a title bar."""


def word(colour: tuple[int, int, int]) -> int:
    """A colour as X has it, and opaque as _NET_WM_ICON has it."""
    return int.from_bytes(bytes((0xFF, *colour)), "big")


class LabwcDesktop:
    """A labwc, its person, an X display on it, and an X client."""

    def __init__(self, labwc: Labwc, seat: VirtualSeat, client: XTestClient) -> None:
        self.labwc = labwc
        self.seat = seat
        self.client = client

    def open(self, title: str, colour: tuple[int, int, int], size: tuple[int, int], parent: int = 0) -> int:
        """A window of one colour, shown, with the keyboard; modal where it has a parent."""
        client = self.client
        window = client.create_window(width=size[0], height=size[1])
        record = client.window(window)
        record.change_attributes(background_pixel=word(colour) & 0xFFFFFF)
        record.set_wm_name(title)
        if parent:
            client.set_words(window, "WM_TRANSIENT_FOR", "WINDOW", [parent])
            client.set_words(window, "_NET_WM_STATE", "ATOM", [client.atom("_NET_WM_STATE_MODAL")])
        record.map()
        client.display.sync()
        wait_until(lambda: self.count(colour) == size[0] * size[1], seconds=PATIENCE, what=title)
        self.await_keyboard(title)
        return window

    def set_icon(self, window: int, *images: tuple[int, tuple[int, int, int]]) -> None:
        """Give a window squares of one colour for an icon, each by its side in px."""
        words = [part for side, colour in images for part in (side, side, *[word(colour)] * side * side)]
        self.client.set_words(window, "_NET_WM_ICON", "CARDINAL", words)

    def count(self, colour: tuple[int, int, int]) -> int:
        """How many px of the screen have a colour."""
        return int(np.all(self.labwc.screenshot() == colour, axis=2).sum())

    def icon_place(self, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
        """The edges of what is of a colour: top, left, bottom, right, as soon as it is an icon."""
        least = LEAST_SIDE**2
        wait_until(lambda: self.count(colour) >= least, seconds=PATIENCE, what=f"an icon of {colour}")
        return self.edges(colour)

    def edges(self, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
        """The edges of what is of a colour: top, left, bottom, right, px."""
        found = np.argwhere(np.all(self.labwc.screenshot() == colour, axis=2))
        top, left, bottom, right = (int(edge) for edge in (*found.min(0), *found.max(0)))
        return top, left, bottom, right

    def click(self, colour: tuple[int, int, int]) -> None:
        """Click into the lower left corner of what is of a colour."""
        _, left, bottom, _ = self.edges(colour)
        self.seat.click(left + 5, bottom - 5)

    def await_keyboard(self, title: str) -> None:
        """Wait until X knows that a window has the keyboard."""
        wait_until(lambda: self.client.active_title() == title, seconds=PATIENCE, what=f"{title} is active")


@pytest.fixture(scope="module")
def desktop() -> Generator[LabwcDesktop]:
    """One for all tests; each destroys its windows."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-labwc-") as folder,
        running_labwc(Path(folder)) as (labwc, seat),
        running_x11(labwc.socket_path) as applications,
        XTestClient(applications.display, applications.authority) as client,
    ):
        yield LabwcDesktop(labwc, seat, client)


@pytest.fixture(autouse=True)
def _no_windows_are_left(desktop: LabwcDesktop) -> Generator[None]:
    yield
    desktop.client.destroy_all()


def test_a_windows_icon_is_in_its_title_bar(desktop: LabwcDesktop) -> None:
    window = desktop.open("icon", MAIN, (300, 200))
    top, left, _, right = desktop.edges(MAIN)
    desktop.set_icon(window, (48, RED))
    place = desktop.icon_place(RED)
    assert place[0] < place[2] < top
    assert left <= place[1] < place[3] < (left + right) // 2
    desktop.set_icon(window, (16, GREEN), (64, GREEN))
    assert np.allclose(desktop.icon_place(GREEN), place, atol=1)
    assert desktop.count(RED) == 0


def test_a_window_without_an_icon_has_its_applications_again(desktop: LabwcDesktop) -> None:
    window = desktop.open("icon", MAIN, (300, 200))
    desktop.set_icon(window, (48, RED))
    desktop.icon_place(RED)
    desktop.client.window(window).delete_property(desktop.client.atom("_NET_WM_ICON"))
    desktop.client.display.sync()
    wait_until(lambda: desktop.count(RED) == 0, seconds=PATIENCE, what="no icon")


def test_the_keyboard_stays_with_a_modal_dialog(desktop: LabwcDesktop) -> None:
    """Who clicks the window below is led to the dialog, until that is no more modal."""
    client = desktop.client
    main = desktop.open("main", MAIN, (500, 400))
    dialog = desktop.open("dialog", DIALOG, (120, 80), parent=main)
    desktop.open("other", GREEN, (60, 40))
    desktop.click(MAIN)
    desktop.await_keyboard("dialog")
    client.ask_manager(dialog, "_NET_WM_STATE", REMOVE, client.atom("_NET_WM_STATE_MODAL"))

    def main_can_be_had() -> bool:
        desktop.click(MAIN)
        return client.active_title() == "main"

    wait_until(main_can_be_had, seconds=PATIENCE, what="the window below is active")


def iconify(desktop: LabwcDesktop, window: int) -> None:
    """The window gets out of the way."""
    desktop.client.ask_manager(window, "WM_CHANGE_STATE", ICONIC)
    wait_until(lambda: desktop.count(MAIN) == 0, seconds=PATIENCE, what="it is out of the way")


def await_back(desktop: LabwcDesktop, window: int) -> None:
    """It is shown again, and has the keyboard."""
    desktop.await_keyboard("icon")
    wait_until(lambda: desktop.count(MAIN) == 300 * 200, seconds=PATIENCE, what="it is back")
    assert desktop.client.words(window, "WM_STATE")[0] == NORMAL


def test_an_iconified_window_comes_back_where_it_was(desktop: LabwcDesktop) -> None:
    client = desktop.client
    window = desktop.open("icon", MAIN, (300, 200))
    before = desktop.edges(MAIN)
    iconify(desktop, window)
    desktop.open("other", GREEN, (60, 40))
    desktop.click(GREEN)
    client.ask_manager(window, "_NET_WM_STATE", REMOVE, client.atom("_NET_WM_STATE_HIDDEN"))
    await_back(desktop, window)
    assert desktop.edges(MAIN) == before


def test_an_iconified_window_comes_back_although_nobody_has_the_keyboard(desktop: LabwcDesktop) -> None:
    """So that labwc activates nothing."""
    window = desktop.open("icon", MAIN, (300, 200))
    desktop.click(MAIN)
    iconify(desktop, window)
    desktop.client.window(window).map()
    desktop.client.display.sync()
    await_back(desktop, window)
