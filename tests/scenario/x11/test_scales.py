"""HiDPI: X11 windows are as sharp as the outputs of the compositor, and clicks land where they are aimed."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from Xlib import X

from crossdomain.vm.image import Image
from launcher.xwayland.decorations.pointers import draw_pointer
from launcher.xwayland.model.names import Edge
from tests.fakes.sway import OUTPUT, Sway, running_sway
from tests.fakes.weston import Pixels, wait_until
from tests.fakes.x11 import PATIENCE, ApplicationEnvironment, running_x11
from tests.fakes.x11_client import XTestClient

SIZE: Final = (1200, 600)
"""px of an output: whole numbers of logical px at each scale here."""
LIGHT, DARK = 0xF0F0F0, 0x102030
PLAIN, BANDS = 0x4488CC, (0x44, 0x88, 0xCC)
PLACE: Final = (600, 300)
"""Of the pointer, px: whole logical ones as well."""
MARGIN: Final = 4
"""px around a pointer that are to be plain."""


TURNS: Final[tuple[tuple[str, int, tuple[int, int]], ...]] = (
    ("90", 1, (600, 1200)), ("180", 2, SIZE), ("270", 3, (600, 1200)), ("normal", 0, SIZE),
)  # fmt: skip
"""How the output is turned, how often its picture has to be turned back, and what size windows have then."""

XCursor: TypeAlias = Any
"""A cursor of python-xlib's."""


def stripes_of(width: int) -> Pixels:
    """Columns that are light and dark by turns: one row, RGB."""
    return np.array([[0xF0] * 3, [0x10, 0x20, 0x30]] * (width // 2), dtype=np.uint8)


class Scaled:
    """A sway of some scale, with an X client."""

    def __init__(self, sway: Sway, applications: ApplicationEnvironment, client: XTestClient) -> None:
        self.sway = sway
        self.applications = applications
        self.client = client

    def show_stripes(self) -> int:
        """A window whose columns are light and dark by turns, which any blur mixes."""
        window = self.client.create_window(mask=X.ButtonPressMask | X.PointerMotionMask)
        record = self.client.window(window)
        depth = self.client.display.screen().root_depth
        pixmap = record.create_pixmap(2, 1, depth)
        gc = pixmap.create_gc(foreground=LIGHT)
        pixmap.fill_rectangle(gc, 0, 0, 2, 1)
        gc.change(foreground=DARK)
        pixmap.fill_rectangle(gc, 1, 0, 1, 1)
        record.change_attributes(background_pixmap=pixmap)
        record.set_wm_name("stripes")
        record.map()
        self.client.display.sync()
        return window

    def are_sharp(self, quarters: int = 0) -> bool:
        """Whether the screen shows nothing but stripes of one px below where the pointer is at first.

        Args:
            quarters: how often its picture has to be turned counterclockwise, by 90 degrees, to be upright.
        """
        part = np.rot90(self.sway.screenshot(), quarters)[400:]
        return bool((part == stripes_of(part.shape[1])).all())

    def shows(self, window: int, size: tuple[int, int], quarters: int) -> bool:
        """Whether a window has that size, and its stripes are sharp on an output that is turned."""
        return self.size(window) == size and self.are_sharp(quarters)

    def show_pointer(self, window: int, *, stripes: int = 0) -> None:
        """Have the pointer at PLACE, above a plain colour: the usual one, or stripes of the client's."""
        record = self.client.window(window)
        record.change_attributes(background_pixel=PLAIN)
        if stripes:
            record.change_attributes(cursor=self._create_cursor(stripes))
        record.clear_area()
        self.client.display.sync()
        self.sway.seat.move_pointer(*PLACE)

    def shows_pointer(self, picture: Pixels) -> bool:
        """Whether a picture (premultiplied BGRA) is at PLACE, px by px, and nothing else around it."""
        height, width, _ = picture.shape
        wanted = np.full((height + 2 * MARGIN, width + 2 * MARGIN, 3), BANDS, dtype=int)
        inner = wanted[MARGIN:-MARGIN, MARGIN:-MARGIN]
        inner[:] = picture[..., 2::-1] + inner * (255 - picture[..., 3:].astype(int)) / 255
        screen = self.sway.screenshot().astype(int)
        # Its hot spot is in logical px, which leaves some places.
        places = [(PLACE[0] - x, PLACE[1] - y) for x in range(20) for y in range(20)]
        windows = (screen[y : y + wanted.shape[0], x : x + wanted.shape[1]] for x, y in places)
        return any(bool((np.abs(window - wanted) <= 2).all()) for window in windows)

    def _create_cursor(self, side: int) -> XCursor:
        root = self.client.display.screen().root
        image, mask = root.create_pixmap(side, side, 1), root.create_pixmap(side, side, 1)
        gc = mask.create_gc(foreground=1)
        mask.fill_rectangle(gc, 0, 0, side, side)
        gc.change(foreground=0)
        image.fill_rectangle(gc, 0, 0, side, side)
        gc.change(foreground=1)
        for x in range(0, side, 2):
            image.fill_rectangle(gc, x, 0, 1, side)
        return image.create_cursor(mask, (0xF0F0,) * 3, (0x1010, 0x2020, 0x3030), 0, 0)

    def size(self, window: int) -> tuple[int, int]:
        """A window's size on the X screen."""
        geometry: Any = self.client.window(window).get_geometry()
        return geometry.width, geometry.height


@contextmanager
def scaled(debian: Image, scale: str, *options: str) -> Generator[Scaled]:
    """Run everything until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-sway-") as folder,
        running_sway(
            debian, Path(folder), width=SIZE[0], height=SIZE[1], configuration=f"output * scale {scale}\n"
        ) as sway,
        running_x11(sway.socket_path, *options) as applications,
        XTestClient(applications.display, applications.authority) as client,
    ):
        yield Scaled(sway, applications, client)


@pytest.mark.parametrize("scale", ["1", "1.25", "1.5", "2", "3"])
def test_contents_and_pointers_are_sharp_at_the_scale_of_the_output(debian: Image, scale: str) -> None:
    side = round(24 * float(scale))
    arrow = np.frombuffer(draw_pointer(Edge.NONE, side), dtype=np.uint8).reshape(side, side, 4)
    striped = np.full((side, side, 4), 255, dtype=np.uint8)
    striped[..., 2::-1] = stripes_of(side)
    with scaled(debian, scale) as desktop:
        window = desktop.show_stripes()
        wait_until(desktop.are_sharp, seconds=PATIENCE, what="sharp stripes")
        assert desktop.size(window) == SIZE
        desktop.show_pointer(window)
        wait_until(lambda: desktop.shows_pointer(arrow), seconds=PATIENCE, what="the usual arrow")
        desktop.show_pointer(window, stripes=side)
        wait_until(lambda: desktop.shows_pointer(striped), seconds=PATIENCE, what="the client's own pointer")


def test_a_scale_of_the_users_choice_counts_more(debian: Image) -> None:
    with scaled(debian, "2", "--x11-scale=1") as desktop:
        window = desktop.show_stripes()
        wait_until(lambda: desktop.size(window) == (600, 300), seconds=PATIENCE, what="logical px")


@pytest.mark.parametrize("scale", ["1.5", "2"])
def test_a_click_lands_where_it_is_aimed_at(debian: Image, scale: str) -> None:
    with scaled(debian, scale) as desktop:
        desktop.show_stripes()
        wait_until(desktop.are_sharp, seconds=PATIENCE, what="sharp stripes")
        desktop.sway.seat.click(900, 450)
        press = desktop.client.wait(X.ButtonPress, "a click")
        assert abs(press.event_x - 900) <= 2
        assert abs(press.event_y - 450) <= 2


def test_toolkits_are_told_how_dense_the_screen_is(debian: Image) -> None:
    with scaled(debian, "1.5") as desktop:
        resources = desktop.applications.run("xrdb", "-query").stdout
        assert resources == "Xft.dpi:\t144\nXcursor.size:\t36\n"
        owner = desktop.client.display.get_selection_owner(desktop.client.atom("_XSETTINGS_S0"))
        found = owner.get_full_property(desktop.client.atom("_XSETTINGS_SETTINGS"), X.AnyPropertyType)
        assert b"Xft/DPI" in found.value


def test_outputs_may_come_go_turn_and_be_of_another_scale(debian: Image) -> None:
    with scaled(debian, "2") as desktop:
        window = desktop.show_stripes()
        wait_until(lambda: desktop.size(window) == SIZE, seconds=PATIENCE, what="the whole output")
        for transform, quarters, size in TURNS:
            desktop.sway.swaymsg(f"output {OUTPUT} transform {transform}")
            is_turned = partial(desktop.shows, window, size, quarters)
            wait_until(is_turned, seconds=PATIENCE, what=f"it is turned, and sharp: {transform}")
        desktop.sway.swaymsg(f"output {OUTPUT} scale 1")
        twice = (2 * SIZE[0], 2 * SIZE[1])
        wait_until(lambda: desktop.size(window) == twice, seconds=PATIENCE, what="px for twice the density")
        desktop.sway.swaymsg(f"output {OUTPUT} scale 2")
        wait_until(lambda: desktop.size(window) == SIZE, seconds=PATIENCE, what="its former scale")
        second = desktop.sway.plug_output()
        desktop.sway.swaymsg(f"output {second} scale 2")

        def screen() -> int:
            return int(desktop.client.window(desktop.client.root).get_geometry().width)

        wait_until(lambda: screen() == 2 * SIZE[0], seconds=PATIENCE, what="two outputs in a row")
        desktop.sway.swaymsg(f"[title=stripes] move container to output {second}")
        desktop.sway.unplug_output(second)
        wait_until(lambda: screen() == SIZE[0], seconds=PATIENCE, what="one output again")
        desktop.sway.swaymsg("[title=stripes] focus")  # its workspace came along, behind the other one
        wait_until(desktop.are_sharp, seconds=PATIENCE, what="the window is back, and sharp")
