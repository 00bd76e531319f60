"""A working day in Firefox and in Chromium: pages, menus, other windows, the clipboard, a film."""

import contextlib
import subprocess
from collections.abc import Generator

import numpy as np
import pytest

from crossdomain.vm import root
from crossdomain.vm.image import Image
from crossdomain.vm.seat import BUTTON_RIGHT, KEY_LEFT_CONTROL
from tests.applications.browsers import CHROMIUM, FIREFOX, Page, other_window, running_browser
from tests.applications.conftest import Scene
from tests.fakes.stage import APPLICATION_SECONDS, await_no_window, keep, press
from tests.fakes.sway import Sway
from tests.fakes.weston import stop, wait_until

pytestmark = pytest.mark.timeout(600)

KEY_ESCAPE, KEY_A, KEY_C, KEY_V, KEY_F8 = 1, 30, 46, 47, 66

MENUS, LISTS = 180, 20
"""How many menus, and lists of a form, are opened and closed."""

FOCUS_CHANGES = 200
"""How often the browser loses or gets the focus."""

TEXT = (200, 166)
CHOICE = (80, 226)
NOWHERE = (400, 500)
"""Where the page's field, its list, and none of both are on the screen, px."""

LIST = (slice(170, 220), slice(30, 150))
"""Where the opened list is in the page's picture: rows, columns."""

FILM = (slice(160, 320), slice(620, 900))
"""Where the film is on the screen: rows, columns."""


@pytest.fixture(scope="module", params=(FIREFOX, CHROMIUM), ids=lambda browser: browser.name)
def page(
    request: pytest.FixtureRequest, debian: Image, sway_scene: Scene, wide_sway: Sway
) -> Generator[Page]:
    """The page in each browser; in the end the browser is closed as a person closes it."""
    with running_browser(debian, sway_scene, request.param) as (shown, application):
        keep(wide_sway, f"{request.param.name}-page")
        yield shown
        wide_sway.close_window("frames=")
        assert application.wait() == 0, application.log
        await_no_window(wide_sway, "frames=")


@contextlib.contextmanager
def host_clipboard(debian: Image, sway: Sway, text: str) -> Generator[None]:
    """Text in the clipboard and the primary selection, from programs that are no guest's."""
    programs = [
        subprocess.Popen(
            debian.command(["wl-copy", "--foreground", *option, text]),
            env=root.program_environment(sway.environment),
            stdin=subprocess.DEVNULL,
        )
        for option in ([], ["--primary"])
    ]
    try:
        wait_until(
            lambda: paste(debian, sway) == text, seconds=APPLICATION_SECONDS, what="the host's clipboard"
        )
        yield
    finally:
        for program in programs:
            stop(program)


def paste(debian: Image, sway: Sway) -> str:
    """What a program of the host gets from the clipboard."""
    done = subprocess.run(
        debian.command(["wl-paste", "--no-newline"]),
        env=root.program_environment(sway.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=APPLICATION_SECONDS,
        check=False,
    )
    return done.stdout


def clear_text(page: Page) -> None:
    """Focus the page's field and empty it."""
    page.stage.seat.click(*TEXT)
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_A)
    page.stage.seat.type("x")
    page.await_text("x")
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_A)


def test_what_is_typed_arrives_letter_by_letter(page: Page) -> None:
    clear_text(page)
    page.stage.seat.type("Typed by hand, 100% (all of it)")
    page.await_text("Typed by hand, 100% (all of it)")
    keep(page.stage, "typed")


def test_the_wheel_scrolls_the_page_and_back(page: Page) -> None:
    page.stage.seat.click(*NOWHERE)  # no caret may blink
    top = page.settled()
    page.stage.seat.scroll(150)
    page.await_count("scroll", 200)
    page.await_other(top, what="another part of the page")
    page.stage.seat.scroll(-1500)
    page.await_same(top, what="the page's top")


def test_menus_open_and_close_two_hundred_times(page: Page) -> None:
    page.stage.seat.click(*NOWHERE)  # no caret may blink
    closed = page.settled()
    menus = int(page.told("menus"))
    for count in range(1, MENUS + 1):
        page.stage.seat.click(*NOWHERE, BUTTON_RIGHT)
        page.await_count("menus", menus + count)
        page.await_other(closed, what=f"menu {count}")
        page.stage.seat.tap(KEY_ESCAPE)
        page.await_same(closed, what=f"menu {count} closed")
    for count in range(1, LISTS + 1):
        page.stage.seat.click(*CHOICE)
        page.await_other(closed, LIST, what=f"list {count}")
        page.stage.seat.tap(KEY_ESCAPE)
        page.await_same(closed, LIST, what=f"list {count} closing")
        page.stage.seat.click(*NOWHERE)
        page.await_same(closed, what=f"list {count} closed")
    keep(page.stage, "menus-closed")


def test_the_focus_changes_two_hundred_times(page: Page, debian: Image, wide_sway: Sway) -> None:
    (browser,) = wide_sway.windows()
    with host_clipboard(debian, wide_sway, "offered anew with each focus"), other_window(wide_sway) as other:
        told = int(page.told("focus"))
        for count in range(1, FOCUS_CHANGES // 2 + 1):
            wide_sway.swaymsg(f"[con_id={other}] focus")
            wide_sway.swaymsg(f"[con_id={browser['id']}] focus")
            page.await_count("focus", told + count)
        clear_text(page)
        press(page.stage.seat, KEY_LEFT_CONTROL, KEY_V)
        page.await_text("offered anew with each focus")


def test_text_is_copied_and_pasted_both_ways(page: Page, debian: Image, wide_sway: Sway) -> None:
    with host_clipboard(debian, wide_sway, "written on the host"):
        clear_text(page)
        press(page.stage.seat, KEY_LEFT_CONTROL, KEY_V)
        page.await_text("written on the host")
    clear_text(page)
    page.stage.seat.type("written in the browser")
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_A)
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_C)
    wait_until(
        lambda: paste(debian, wide_sway) == "written in the browser",
        seconds=APPLICATION_SECONDS,
        what="the copied text on the host",
    )


def test_a_film_plays(page: Page) -> None:
    page.stage.seat.click(*NOWHERE)
    page.stage.seat.tap(KEY_F8)
    page.await_count("frames", 30)
    page.await_other(page.picture(), what="the next frame")
    shown = page.stage.screenshot()[FILM]
    keep(page.stage, "film")
    page.stage.seat.tap(KEY_F8)
    red, green, blue = (shown[:, :, channel].astype(int) for channel in range(3))
    # ffmpeg's test picture has bars of pure colours.
    assert np.mean((red > 200) & (green < 60) & (blue < 60)) > 0.05
    assert np.mean((red < 60) & (green > 200) & (blue < 60)) > 0.05
    assert np.mean((red < 60) & (green < 60) & (blue > 200)) > 0.05
