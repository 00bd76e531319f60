"""What people use: keyboards of any country, mice, fingers and pens."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest
from Xlib import XK, X, Xutil

from crossdomain.vm.image import Image
from crossdomain.vm.seat import Touch
from tests.fakes.sway import OUTPUT, Sway
from tests.fakes.sway_devices import Devices, running_sway_with_devices
from tests.fakes.weston import wait_until
from tests.fakes.wlroots import VirtualSeat
from tests.fakes.x11 import PATIENCE, X11Desktop, running_x11, with_xwayland_of
from tests.fakes.x11_client import XEvent, XTestClient
from tests.fakes.xinput2 import TouchEvent, TouchKind, poll_touch, select_touches

KEY_Y: Final = 21
"""linux/input-event-codes.h; where Z is on German keyboards."""
KEY_X: Final = 45
EVENTS: Final = X.ButtonPressMask | X.PointerMotionMask | X.KeyPressMask
PLACES: Final = (("left", 460), ("right", 552), ("left", 440), ("right", 532))
"""Windows and columns of the screen where X has both of them."""


class Desk(NamedTuple):
    """A sway with devices, and an X client."""

    sway: Sway
    devices: Devices
    client: XTestClient


@pytest.fixture(scope="module")
def shared_desk(debian: Image) -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        running_sway_with_devices(debian, folder) as (sway, devices),
        running_x11(sway.socket_path) as applications,
        XTestClient(applications.display, applications.authority) as client,
    ):
        devices.use("tablet")
        devices.use("touchpad")
        yield Desk(sway, devices, client)
    shutil.rmtree(folder)


@pytest.fixture
def desk(shared_desk: Desk) -> Generator[Desk]:
    """One without windows."""
    yield shared_desk
    shared_desk.client.destroy_all()
    wait_until(lambda: not shared_desk.sway.windows(), seconds=PATIENCE, what="no window")


@pytest.fixture
def windows(desk: Desk) -> dict[str, int]:
    """Two windows beside each other on the screen, which lie on top of each other in X."""
    made = {title: desk.client.create_window(mask=EVENTS, title=title) for title in ("left", "right")}
    for window in made.values():
        wait_for_width(desk, window, desk.sway.size[0] // 2)
    return made


def wait_for_width(desk: Desk, window: int, width: int) -> None:
    """Wait until sway has given a window its place."""
    wait_until(
        lambda: int(desk.client.window(window).get_geometry().width) == width,
        seconds=PATIENCE,
        what=f"a window of {width} px",
    )


def test_keys_are_those_of_the_layout(desk: Desk) -> None:
    window = desk.client.create_window(mask=EVENTS, title="keys")
    wait_for_width(desk, window, desk.sway.size[0])
    wait_until(lambda: desk.client.active_title() == "keys", seconds=PATIENCE, what="the keyboard")

    def typed() -> str:
        desk.sway.seat.tap(KEY_Y)
        press = desk.client.wait(X.KeyPress, "a key")
        # python-xlib keeps the keymap that it has read first.
        (symbols,) = desk.client.display.get_keyboard_mapping(press.detail, 1)
        return str(XK.keysym_to_string(symbols[0]))

    assert typed() == "y"
    desk.sway.seat.set_layout("de")
    wait_until(lambda: typed() == "z", seconds=PATIENCE, what="a German keyboard")
    desk.sway.seat.set_layout("us")
    wait_until(lambda: typed() == "y", seconds=PATIENCE, what="an American one again")


def press(desk: Desk, use: Callable[[], None]) -> XEvent:
    """The ButtonPress that comes of a use of a device.

    What happens while sway arranges its windows is nobody's: then there is none, and another try.
    """
    found: list[XEvent] = []

    def is_pressed() -> bool:
        use()
        found.append(desk.client.poll(X.ButtonPress, seconds=3.0))
        return found[-1] is not None

    desk.client.forget_events()
    wait_until(is_pressed, seconds=PATIENCE, what="a press")
    return found[-1]


def test_a_click_is_on_the_window_that_is_seen_however_fast_it_comes(
    desk: Desk, windows: dict[str, int]
) -> None:
    for title, column in PLACES * 5:
        pressed = press(desk, partial(desk.sway.seat.click, column, 320))
        assert (pressed.window.id, pressed.event_x, pressed.event_y) == (windows[title], column % 512, 320)


def test_a_key_is_for_the_window_that_has_just_got_the_keyboard(desk: Desk, windows: dict[str, int]) -> None:
    press(desk, partial(desk.sway.seat.click, 440, 320))
    for title, column in (("right", 532), ("left", 440)) * 15:
        desk.sway.seat.click(column, 320)
        desk.sway.seat.tap(KEY_Y)
        assert desk.client.wait(X.KeyPress, "a key").window.id == windows[title]


@pytest.fixture
def shortcut(desk: Desk) -> Generator[None]:
    """Sway keeps Y for itself."""
    desk.sway.swaymsg("bindsym y nop")
    yield
    desk.sway.swaymsg("unbindsym y")


@pytest.mark.usefixtures("shortcut")
def test_a_client_that_grabs_the_keyboard_gets_the_compositors_shortcuts(desk: Desk) -> None:
    window = desk.client.create_window(mask=EVENTS, title="grab")
    wait_for_width(desk, window, desk.sway.size[0])
    wait_until(lambda: desk.client.active_title() == "grab", seconds=PATIENCE, what="the keyboard")

    def typed() -> list[int]:
        """What arrives of Y and X."""
        desk.sway.seat.tap(KEY_Y)
        desk.sway.seat.tap(KEY_X)
        found = [int(desk.client.wait(X.KeyPress, "a key").detail) - 8]
        while found[-1] != KEY_X:
            found.append(int(desk.client.wait(X.KeyPress, "X").detail) - 8)
        return found

    assert typed() == [KEY_X]
    desk.client.window(window).grab_keyboard(True, X.GrabModeAsync, X.GrabModeAsync, X.CurrentTime)
    wait_until(lambda: typed() == [KEY_Y, KEY_X], seconds=PATIENCE, what="the compositor's shortcut")
    desk.client.display.ungrab_keyboard(X.CurrentTime)
    wait_until(lambda: typed() == [KEY_X], seconds=PATIENCE, what="no shortcut")


def test_a_pen_is_on_the_window_that_is_seen(desk: Desk, windows: dict[str, int]) -> None:
    def draw(place: str) -> None:
        for command in ("pen 1", "tip 1", "tip 0", "pen 0"):
            desk.devices.use(f"{command} {place}")

    for title, column in PLACES * 5:
        pressed = press(desk, partial(draw, f"{column / 1024} 0.5"))
        assert (pressed.window.id, pressed.event_x, pressed.event_y) == (windows[title], column % 512, 320)


def test_how_hard_and_how_a_pen_is_held_is_told(desk: Desk) -> None:
    """XInput 2: x, y, pressure of 65535, and degrees of tilt."""
    window = desk.client.create_window(mask=EVENTS, title="paper")
    wait_for_width(desk, window, desk.sway.size[0])
    desk.client.select_raw_motion()
    desk.devices.use("pen 1 0.25 0.5")
    desk.devices.use("tip 1 0.25 0.5")

    def draw() -> list[tuple[float, ...]]:
        # What happens while sway arranges its windows is nobody's.
        desk.client.forget_events()
        for command in ("pen 1 0.25 0.5", "tip 1 0.25 0.5", "draw 0.5 0.25 0.75", "tilt 30 -20"):
            desk.devices.use(command)
        desk.devices.use("draw 0.25 0.25 0.2")
        found: list[tuple[float, ...]] = []
        while (values := desk.client.poll_raw_motion(seconds=0.5)) is not None:
            found.append(values[:5])
        desk.devices.use("tip 0 0.25 0.25")
        desk.devices.use("pen 0 0.25 0.25")
        return found

    held = {(512, 160, 49151, 0, 0), (512, 160, 49151, 30, -20), (256, 160, 13107, 30, -20)}
    wait_until(lambda: held <= {*draw()}, seconds=PATIENCE, what="how it is held")


def test_a_wheel_of_high_resolution_makes_a_click_of_its_parts(desk: Desk, windows: dict[str, int]) -> None:
    assert press(desk, partial(desk.sway.seat.click, 100, 320)).window.id == windows["left"]
    desk.client.forget_events()
    for _ in range(3):
        for part in (30, 30, 60):
            desk.devices.use(f"wheel {part}")
    for _ in range(3):
        turned = desk.client.wait(X.ButtonPress, "a click of the wheel")
        assert (turned.window.id, turned.detail) == (windows["left"], 5)
    desk.sway.seat.click(100, 320)
    assert desk.client.wait(X.ButtonPress, "the next click").detail == 1


def test_a_wheel_of_high_resolution_scrolls_by_parts_of_a_click_on_a_new_xwayland(
    desk: Desk, debian: Image, runtime_dir: Path
) -> None:
    """wl_pointer.axis_value120, which Xwayland takes from 23.1 on."""
    with (
        running_x11(desk.sway.socket_path, wrapper=with_xwayland_of(debian, runtime_dir)) as applications,
        XTestClient(applications.display, applications.authority) as client,
    ):
        client.create_window(mask=EVENTS, title="new")
        wait_until(lambda: client.active_title() == "new", seconds=PATIENCE, what="the keyboard")
        press(desk._replace(client=client), partial(desk.sway.seat.click, 300, 300))
        client.select_raw_motion()
        for _ in range(4):
            desk.devices.use("wheel 30")
            assert client.poll_raw_motion(seconds=PATIENCE) == (0.25,)
        assert client.wait(X.ButtonPress, "a click of the wheel").detail == 5


def test_a_pointer_that_is_confined_stays_in_its_window(desk: Desk, windows: dict[str, int]) -> None:
    """XGrabPointer's confine_to, as zwp_confined_pointer_v1."""
    press(desk, partial(desk.sway.seat.click, 100, 320))
    keep(desk, windows["left"])

    def is_kept() -> bool:
        desk.sway.seat.nudge_pointer(900, 0)
        found = desk.client.window(windows["left"]).query_pointer()
        return int(found.win_x) in (510, 511)

    wait_until(is_kept, seconds=PATIENCE, what="the window's edge")
    desk.client.display.ungrab_pointer(X.CurrentTime)
    desk.client.display.sync()
    pressed = press(desk, partial(desk.sway.seat.click, 600, 320))
    assert pressed.window.id == windows["right"]


def test_a_pointer_that_is_warped_and_hidden_is_locked(desk: Desk, windows: dict[str, int]) -> None:
    """As games do it: what the mouse does is told, and the pointer stays (zwp_locked_pointer_v1)."""
    press(desk, partial(desk.sway.seat.click, 100, 320))
    desk.client.hide_cursor(windows["left"])
    desk.client.select_raw_motion()
    keep(desk, windows["left"])

    def is_locked() -> bool:
        desk.client.window(windows["left"]).warp_pointer(256, 320)
        desk.client.display.sync()
        desk.client.forget_events()
        desk.sway.seat.nudge_pointer(30, -20)
        found = desk.client.poll_raw_motion(seconds=1.0)
        place = desk.client.window(windows["left"]).query_pointer()
        return (found, place.win_x, place.win_y) == ((30, -20), 286, 300)

    wait_until(is_locked, seconds=PATIENCE, what="the mouse's own motion")
    desk.client.display.ungrab_pointer(X.CurrentTime)
    desk.client.show_cursor(windows["left"])

    # The compositor's own pointer is where the X client's was.
    desk.sway.seat.nudge_pointer(1, 0)

    def click() -> None:
        desk.sway.seat.button(pressed=True)
        desk.sway.seat.button(pressed=False)

    pressed = press(desk, click)
    assert (pressed.window.id, pressed.event_x, pressed.event_y) == (windows["left"], 287, 300)


def keep(desk: Desk, window: int) -> None:
    """Grab the pointer and confine it to a window."""
    status = desk.client.window(window).grab_pointer(
        True,
        X.PointerMotionMask | X.ButtonPressMask,
        X.GrabModeAsync,
        X.GrabModeAsync,
        window,
        0,
        X.CurrentTime,
    )
    assert status == X.GrabSuccess


@pytest.fixture
def far_output(desk: Desk) -> Generator[str]:
    """One more output, left of the first and above it: what is below them has no output."""
    name = desk.sway.plug_output()
    width, height = desk.sway.size
    desk.sway.swaymsg(f"output {OUTPUT} position 0 -{height}")
    desk.sway.swaymsg(f"output {name} position -{width} -{2 * height}")
    yield name
    desk.sway.unplug_output(name)
    desk.sway.swaymsg(f"output {OUTPUT} position 0 0")


@pytest.mark.parametrize("place", [(0, 0), (924, 270), (1024, 640)], ids=["corner", "middle", "other corner"])
def test_windows_and_menus_are_right_on_an_output_with_negative_places(
    desk: Desk, far_output: str, place: tuple[int, int]
) -> None:
    """Wherever the client wants to be on the X screen, a half of which is beside the outputs here."""
    window = desk.client.create_window(mask=EVENTS)
    desk.client.window(window).set_wm_normal_hints(flags=Xutil.USPosition)
    desk.client.window(window).configure(x=place[0], y=place[1])
    desk.client.window(window).set_wm_name("far")
    desk.client.window(window).map()
    wait_for_width(desk, window, desk.sway.size[0])
    desk.sway.swaymsg(f'[title="far"] move container to output {far_output}')

    def is_there() -> bool:
        return bool(np.all(desk.sway.screenshot(far_output)[500, 500] == (0x33, 0x66, 0x99)))

    wait_until(is_there, seconds=PATIENCE, what="the window on the far output")
    # The seat's places begin at the upper left corner of all outputs.
    width, height = (2 * side for side in desk.sway.size)
    with contextlib.closing(VirtualSeat(desk.sway.socket_path, width, height)) as seat:
        for x, y in ((5, 7), (100, 50), (1000, 600)):
            pressed = press(desk, partial(seat.click, x, y))
            assert (pressed.window.id, pressed.event_x, pressed.event_y) == (window, x, y)
        menu = desk.client.create_menu(window, (300, 200, 120, 80), mask=EVENTS)

        def is_open() -> bool:
            pixels = desk.sway.screenshot(far_output)
            inside = np.all(pixels == (0x99, 0x33, 0x66), axis=2)
            rows, columns = np.nonzero(inside)
            return inside.any() and (columns.min(), rows.min(), inside.sum()) == (300, 200, 120 * 80)

        wait_until(is_open, seconds=PATIENCE, what="a menu at its place")
        pressed = press(desk, partial(seat.click, 310, 220))
        assert (pressed.window.id, pressed.event_x, pressed.event_y) == (menu, 10, 20)


def test_a_wheel_is_four_buttons(desk: Desk, windows: dict[str, int]) -> None:
    press(desk, partial(desk.sway.seat.click, 100, 320))
    for value, horizontal, button in ((15, False, 5), (-15, False, 4), (30, True, 7), (-15, True, 6)):
        desk.client.forget_events()
        desk.sway.seat.scroll(value, horizontal=horizontal)
        for _ in range(abs(value) // 15):
            turned = desk.client.wait(X.ButtonPress, "a click of the wheel")
            assert (turned.window.id, turned.detail) == (windows["left"], button)


def test_fingers_on_a_touch_pad_scroll_by_less_than_a_click(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        client.create_window(mask=EVENTS, title="smooth")
        place = desktop.window("smooth")
        desktop.click(place, 30, 30)
        client.wait(X.ButtonPress, "the click")
        client.select_raw_motion()
        for value in (2.5, -5, 1.25):
            desktop.seat.scroll(value)
            # Ten of Weston's are a click.
            assert client.poll_raw_motion(seconds=PATIENCE) == (value / 10,)


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


def test_two_fingers_are_told_apart(desktop: X11Desktop) -> None:
    seat = desktop.seat
    with desktop.client() as client:
        window = client.create_window(mask=EVENTS, title="hands")
        place = desktop.place(desktop.window("hands"), 100, 100)
        select_touches(client, window)

        def hears_touches() -> bool:
            seat.touch(0, Touch.DOWN, place.x + 10, place.y + 10)
            seat.touch(0, Touch.UP)
            # The first one only plugs the screen in.
            return poll_touch(client, seconds=1.0) is not None

        desktop.wait(hears_touches, "a touch screen")
        desktop.wait(lambda: poll_touch(client, seconds=0.2) is None, "all of that touch")
        seat.touch(1, Touch.DOWN, place.x + 30, place.y + 40)
        seat.touch(2, Touch.DOWN, place.x + 120, place.y + 60)
        seat.touch(2, Touch.MOTION, place.x + 150, place.y + 80)
        seat.touch(1, Touch.UP)
        seat.touch(2, Touch.UP)
        found: list[TouchEvent] = []
        while (heard := poll_touch(client, seconds=1.0)) is not None:
            found.append(heard)
    one, other = dict.fromkeys(event.finger for event in found)
    assert {event.window for event in found} == {window}
    for finger, places in ((one, [(30, 40)]), (other, [(120, 60), (150, 80)])):
        events = [event for event in found if event.finger == finger]
        assert [events[0].kind, events[-1].kind] == [TouchKind.BEGIN, TouchKind.END]
        told = [(round(event.x), round(event.y)) for event in events]
        assert list(dict.fromkeys(told)) == places
