"""Compares what the host's screen shows of X11 windows with what the X server itself has."""

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from Xlib import X
from Xlib.error import BadMatch, BadWindow

from crossdomain.vm.seat import View
from tests.fakes.pictures import EVIDENCE
from tests.fakes.weston import Pixels, save_pixels
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_client import XTestClient

_AWAY: Final = (3, 3)
"""Where the pointer hides nothing."""


Mask: TypeAlias = npt.NDArray[np.bool_]
"""Which pixels, height x width."""


class Place(NamedTuple):
    """Where a window is on the X screen, or a popup relative to the window below it; px."""

    x: int
    y: int
    width: int
    height: int


def latest(desktop: X11Desktop, window: View) -> View:
    """A window as it is now."""
    return next(view for view in desktop.seat.views() if view.identity == window.identity)


def managed_by(client: XTestClient, window: View) -> int:
    """The X window of a window on the screen, by its title."""
    listed = client.words(client.root, "_NET_CLIENT_LIST")
    return next(number for number in listed if f"'{client.title(number)}'" in window.label)


def popups_on_screen(desktop: X11Desktop, window: View) -> list[View]:
    """What is open above a window: menus, combo boxes, tooltips; the highest first."""
    return [view for view in desktop.above(window) if view.label == "" and view.width > 0]


def popups_in_x(client: XTestClient) -> list[int]:
    """The override-redirect windows that X shows, the highest first; those that only take input aside."""
    found: list[int] = []
    for child in client.window(client.root).query_tree().children[::-1]:
        attributes: Any = child.get_attributes()
        is_shown = attributes.map_state == X.IsViewable and attributes.win_class == X.InputOutput
        if is_shown and attributes.override_redirect and child.get_geometry().width > 1:
            found.append(int(child.id))
    return found


def bounds(client: XTestClient, window: int) -> Place:
    """Where a window is on the X screen, with its border."""
    geometry = client.window(window).get_geometry()
    border = 2 * int(geometry.border_width)
    return Place(geometry.x, geometry.y, geometry.width + border, geometry.height + border)


def contents(client: XTestClient, window: int) -> tuple[Pixels, Mask]:
    """What X has of a window and its border (GetImage), and which of its pixels hide what is below."""
    border = int(client.window(window).get_geometry().border_width)
    *_, width, height = bounds(client, window)
    image = client.window(window).get_image(-border, -border, width, height, X.ZPixmap, 0xFFFFFFFF)
    pixels = np.frombuffer(image.data, dtype=np.uint8).reshape(height, width, 4)
    hides = pixels[:, :, 3] == 255 if image.depth == 32 else np.ones((height, width), dtype=bool)
    return np.ascontiguousarray(pixels[:, :, 2::-1]), hides


def await_same(desktop: X11Desktop, window: View, name: str, *, hold: bool = False) -> View:
    """Wait until a window, below nothing else, and its popups look as in X and are at the same places.

    Returns the window as it is then.

    Args:
        desktop: where they are.
        window: all of it is on the screen; it may become larger or smaller meanwhile.
        name: what the picture is called that is kept for a person.
        hold: the pointer stays where it is, because a button is held; where it is drawn does not count.
    """
    if not hold:
        desktop.seat.move_pointer(*_AWAY)
    found = ["nothing was looked at"]

    def look() -> bool:
        found[0] = difference(desktop, client, window)
        return not found[0]

    with desktop.client() as client:
        try:
            desktop.wait(look, f"{name} as X has it")
        except TimeoutError as error:
            raise AssertionError(f"{name}: {found[0]}") from error
        finally:
            save_pixels(desktop.screenshot(), EVIDENCE / "x11" / f"{name}.png")
    return latest(desktop, window)


def assert_framed(desktop: X11Desktop, window: View) -> None:
    """Check that a title bar with a text and three buttons, and three sides, are around a window."""
    bar = desktop.title_bar(window)
    screen = desktop.screenshot()
    title = screen[bar.y : bar.y + bar.height, bar.x : bar.x + bar.width]
    border = screen[window.y + window.height, window.x]
    assert _differing_columns(title[:, : bar.width - 84]) > 10, "a text"
    for left in (84, 56, 28):
        assert _differing_columns(title[:, bar.width - left : bar.width - left + 28]) >= 8, "a button"
    sides = (
        screen[window.y + window.height, window.x - 1 : window.x + window.width + 1],
        screen[window.y : window.y + window.height, window.x - 1],
        screen[window.y : window.y + window.height, window.x + window.width],
    )
    assert all(bool((side == border).all()) for side in sides)


def _differing_columns(part: Pixels) -> int:
    """How many columns of a part of a title bar are not all of one colour."""
    inner = part[3:-3]
    return int((inner != inner[:1]).any(axis=(0, 2)).sum())


def difference(desktop: X11Desktop, client: XTestClient, window: View) -> str:
    """What is on the screen otherwise than in X; empty where nothing is."""
    managed = managed_by(client, window)
    views, popups = popups_on_screen(desktop, window), popups_in_x(client)
    if len(views) != len(popups):
        return f"there are {len(views)} popups, in X {len(popups)}"
    screen = desktop.screenshot()
    window = latest(desktop, window)
    visible = np.ones(screen.shape[:2], dtype=bool)
    for view in desktop.seat.views():
        if view.label == "cursor":
            visible[_place_of(view)] = False
    try:
        origin = bounds(client, managed)
        for view, number in zip([*views, window], [*popups, managed], strict=True):
            there = bounds(client, number)
            in_x = there._replace(x=there.x - origin.x, y=there.y - origin.y)
            shown = Place(view.x - window.x, view.y - window.y, view.width, view.height)
            if in_x != shown:
                return f"{number:#x} is at {shown}, in X at {in_x}"
            pixels, hides = contents(client, number)
            differs = (screen[_place_of(view)] != pixels).any(axis=2) & hides
            if (differing := int((differs & visible[_place_of(view)]).sum())) > 0:
                return f"{number:#x} differs in {differing} pixels"
            visible[_place_of(view)] = False
    except (BadWindow, BadMatch) as error:
        return f"one has gone meanwhile: {error}"
    return ""


def _place_of(view: View) -> tuple[slice, slice]:
    return np.s_[max(view.y, 0) : view.y + view.height, max(view.x, 0) : view.x + view.width]
