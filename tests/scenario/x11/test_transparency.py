"""Windows through which one sees what is below: shapes, opacity, and visuals with an alpha channel."""

from collections.abc import Generator
from typing import Any, Final

import numpy as np
import pytest
from Xlib import X
from Xlib.ext import shape

from crossdomain.vm.seat import View
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_client import XTestClient

BELOW: Final = (0xFF, 0x80, 0x40)
ABOVE: Final = (0x33, 0x66, 0x99)
"""What `XTestClient.create_window` fills windows with."""
BLEND: Final = (0x99, 0x73, 0x6C)
"""Half of each."""
PLACE: Final = (300, 250)


@pytest.fixture
def below(desktop: X11Desktop) -> View:
    """A window of one colour."""
    desktop.start("xlogo", "-bg", "#ff8040", "-fg", "#ff8040", "-title", "below", "-geometry", "500x400")
    return desktop.place(desktop.window("below"), 100, 100)


@pytest.fixture
def client(desktop: X11Desktop) -> Generator[XTestClient]:
    with desktop.client() as client:
        yield client


def show(desktop: X11Desktop, client: XTestClient, window: int, title: str) -> None:
    """Map a window of 200 x 100 px, without a frame, and put it where the other one is below."""
    client.set_words(window, "_MOTIF_WM_HINTS", "_MOTIF_WM_HINTS", [2, 0, 0, 0, 0])
    client.window(window).set_wm_name(title)
    client.window(window).map()
    client.display.flush()
    desktop.place(desktop.window(title), *PLACE)


def colour_at(desktop: X11Desktop, x: int, y: int) -> tuple[int, ...]:
    """What is on the screen at a place in the upper window."""
    return tuple(int(band) for band in desktop.screenshot()[PLACE[1] + y, PLACE[0] + x, :3])


def is_like(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether colours are the same but for rounding."""
    return bool(np.all(np.abs(np.subtract(found, wanted)) <= 2))


def set_shape(client: XTestClient, window: int, *rectangles: tuple[int, int, int, int]) -> None:
    """Leave nothing of a window but some rectangles; none: it is all there."""
    record: Any = client.window(window)
    if rectangles:
        record.shape_rectangles(shape.SO.Set, shape.SK.Bounding, X.Unsorted, 0, 0, list(rectangles))
    else:
        record.shape_mask(shape.SO.Set, shape.SK.Bounding, 0, 0, X.NONE)
    client.display.flush()


@pytest.mark.usefixtures("below")
def test_what_lies_outside_of_a_shape_is_not_there(desktop: X11Desktop) -> None:
    desktop.start("xeyes")
    eyes = desktop.place(desktop.window("xeyes"), *PLACE)
    # They look to where the pointer moves, which may have lain anywhere: to the right, so that no pupil
    # hides what is looked at.
    desktop.seat.move_pointer(PLACE[0] + 110, PLACE[1] + 50)
    desktop.seat.move_pointer(PLACE[0] + 112, PLACE[1] + 50)
    desktop.wait(lambda: colour_at(desktop, 35, 20) == (255, 255, 255), "the white of an eye")
    picture = desktop.picture_of(eyes)[..., :3]
    assert colour_at(desktop, 1, 1) == BELOW
    assert colour_at(desktop, eyes.width - 2, eyes.height - 2) == BELOW
    assert 0.1 < (picture == BELOW).all(axis=2).mean() < 0.4


@pytest.mark.usefixtures("below")
def test_a_shape_may_change_and_go(desktop: X11Desktop, client: XTestClient) -> None:
    window = client.create_window()
    set_shape(client, window, (0, 0, 100, 100))
    show(desktop, client, window, "shaped")
    desktop.wait(lambda: colour_at(desktop, 50, 50) == ABOVE, "its left half")
    assert colour_at(desktop, 150, 50) == BELOW
    set_shape(client, window, (100, 0, 100, 100))
    desktop.wait(lambda: colour_at(desktop, 50, 50) == BELOW, "no left half")
    assert colour_at(desktop, 150, 50) == ABOVE
    set_shape(client, window)
    desktop.wait(lambda: colour_at(desktop, 50, 50) == ABOVE, "both")
    assert colour_at(desktop, 150, 50) == ABOVE


@pytest.mark.usefixtures("below")
def test_a_click_outside_of_a_shape_is_for_what_is_there(desktop: X11Desktop, client: XTestClient) -> None:
    window = client.create_window(mask=X.ButtonPressMask)
    set_shape(client, window, (0, 0, 100, 100))
    show(desktop, client, window, "shaped")
    desktop.wait(lambda: colour_at(desktop, 150, 50) == BELOW, "its shape")
    desktop.seat.move_pointer(PLACE[0] + 50, PLACE[1] + 50)
    # A person needs longer to press a button than the X server to know which window is on top.
    desktop.wait(lambda: client.under_pointer() == "shaped", "X knows where the pointer is")
    desktop.seat.click(PLACE[0] + 50, PLACE[1] + 50)
    client.wait(X.ButtonPress, "a click inside")
    desktop.wait(lambda: client.active_title() == "shaped", "the keyboard")
    desktop.seat.click(PLACE[0] + 150, PLACE[1] + 50)
    desktop.wait(lambda: client.active_title() == "below", "a click outside")


@pytest.mark.usefixtures("below")
def test_a_window_is_as_opaque_as_it_says_also_without_the_compositors_help(
    desktop: X11Desktop, client: XTestClient
) -> None:
    """Weston 14 has no wp_alpha_modifier_v1."""
    window = client.create_window()
    show(desktop, client, window, "glass")
    desktop.wait(lambda: colour_at(desktop, 50, 50) == ABOVE, "an opaque window")
    client.set_words(window, "_NET_WM_WINDOW_OPACITY", "CARDINAL", [0x7FFFFFFF])
    desktop.wait(lambda: is_like(colour_at(desktop, 50, 50), BLEND), "half of it")
    client.window(window).clear_area(width=1, height=1)
    client.set_words(window, "_NET_WM_WINDOW_OPACITY", "CARDINAL", [0xFFFFFFFF])
    desktop.wait(lambda: colour_at(desktop, 50, 50) == ABOVE, "all of it")


@pytest.mark.usefixtures("below")
def test_a_visual_with_an_alpha_channel_shows_through(desktop: X11Desktop, client: XTestClient) -> None:
    screen = client.display.screen()
    visual = next(
        visual.visual_id
        for depth in screen.allowed_depths
        if depth.depth == 32
        for visual in depth.visuals
        if visual.visual_class == X.TrueColor
    )
    colours = screen.root.create_colormap(visual, X.AllocNone)
    made = screen.root.create_window(
        0, 0, 200, 100, 0, 32, X.InputOutput, visual,
        background_pixel=0x7F19334C, border_pixel=0, colormap=colours,
    )  # fmt: skip
    show(desktop, client, int(made.id), "argb")
    desktop.wait(lambda: is_like(colour_at(desktop, 50, 50), BLEND), "half of it")
