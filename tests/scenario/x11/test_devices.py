"""What people use: keyboards of any country, and fingers."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from Xlib import XK, X

from crossdomain.vm.image import Image
from crossdomain.vm.seat import Touch
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import wait_until
from tests.fakes.x11 import PATIENCE, X11Desktop, running_x11
from tests.fakes.x11_client import XTestClient

KEY_Y: Final = 21
"""linux/input-event-codes.h; where Z is on German keyboards."""
EVENTS: Final = X.ButtonPressMask | X.PointerMotionMask | X.KeyPressMask


class Desk(NamedTuple):
    """A sway, and an X client with a window that fills its screen."""

    sway: Sway
    client: XTestClient


@pytest.fixture(scope="module")
def desk(debian: Image) -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        running_sway(debian, folder) as sway,
        running_x11(sway.socket_path) as applications,
        XTestClient(applications.display, applications.authority) as client,
    ):
        window = client.create_window(mask=EVENTS, title="keys")

        def is_shown() -> bool:
            return int(client.window(window).get_geometry().width) == sway.size[0]

        wait_until(is_shown, seconds=PATIENCE, what="the whole screen")
        wait_until(lambda: client.active_title() == "keys", seconds=PATIENCE, what="the keyboard")
        yield Desk(sway, client)
    shutil.rmtree(folder)


def test_keys_are_those_of_the_layout(desk: Desk) -> None:
    def typed() -> str:
        desk.sway.seat.tap(KEY_Y)
        press = desk.client.wait(X.KeyPress, "a key")
        # python-xlib keeps the keymap that it has read first.
        (symbols,) = desk.client.display.get_keyboard_mapping(press.detail, 1)
        return str(XK.keysym_to_string(symbols[0]))

    desk.sway.seat.click(100, 100)
    assert typed() == "y"
    desk.sway.seat.set_layout("de")
    wait_until(lambda: typed() == "z", seconds=PATIENCE, what="a German keyboard")
    desk.sway.seat.set_layout("us")
    wait_until(lambda: typed() == "y", seconds=PATIENCE, what="an American one again")


def test_a_finger_is_on_the_window_that_is_seen(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        windows = {title: client.create_window(mask=EVENTS, title=title) for title in ("one", "other")}
        places = {"one": (100, 100), "other": (500, 100)}
        for title, place in places.items():
            desktop.place(desktop.window(title), *place)
        for title in ("one", "other", "one"):
            x, y = places[title]

            def is_touched(x: int = x, y: int = y, window: int = windows[title]) -> bool:
                desktop.seat.touch(0, Touch.DOWN, x + 30, y + 40)
                desktop.seat.touch(0, Touch.UP)
                # The first one only plugs the screen in.
                press = client.poll(X.ButtonPress)
                if press is None or int(press.window.id) != window:
                    return False
                # Xwayland tells places on the whole screen in 65536 steps.
                return abs(int(press.event_x) - 30) <= 1 and abs(int(press.event_y) - 40) <= 1

            desktop.wait(is_touched, f"a finger on {title}")
