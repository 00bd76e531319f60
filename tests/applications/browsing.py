"""What a person does in a browser; each story returns once the page and the screen have shown all of it."""

import contextlib
import subprocess
from collections.abc import Generator
from typing import Final

import numpy as np

from crossdomain.vm import root
from crossdomain.vm.image import Image
from crossdomain.vm.seat import BUTTON_RIGHT, KEY_LEFT_CONTROL
from tests.applications.browsers import Page, other_window
from tests.fakes.stage import APPLICATION_SECONDS, keep, press
from tests.fakes.sway import Sway
from tests.fakes.weston import stop, wait_until

KEY_ESCAPE, KEY_A, KEY_C, KEY_V, KEY_F8 = 1, 30, 46, 47, 66

TEXT: Final = (200, 166)
CHOICE: Final = (80, 226)
NOWHERE: Final = (400, 500)
"""Where the page's field, its list, and none of both are on the screen, px."""

PAPER: Final = (0x20, 0x40, 0x60)
"""The page's colour."""
FIELDS: Final = (slice(0, 180), slice(0, 560))
"""Where the page's fields are in its picture: rows, columns."""
PLAIN: Final = (slice(260, 600), slice(20, 900))
LIST: Final = (slice(170, 220), slice(30, 150))
"""Parts of the page's picture that are empty but for menus, and for the opened list: rows, columns."""

FILM: Final = (slice(160, 320), slice(620, 900))
"""Where the film is on the screen: rows, columns."""

FRAMES: Final = 30
"""Frames of the film that must have been shown."""


def type_letters(page: Page) -> None:
    """A sentence, letter by letter, into the page's field."""
    clear_text(page)
    page.stage.seat.type("Typed by hand, 100% (all of it)")
    page.await_text("Typed by hand, 100% (all of it)")


def clear_text(page: Page) -> None:
    """Focus the page's field and empty it."""
    page.stage.seat.click(*TEXT)
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_A)
    page.stage.seat.type("x")
    page.await_text("x")
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_A)


def scroll_and_back(page: Page) -> None:
    """Turn the wheel down and up again."""
    page.stage.seat.click(*NOWHERE)  # no caret may blink
    top = page.settled()
    page.stage.seat.scroll(150)
    page.await_count("scroll", 200)
    page.await_other(top, FIELDS, what="another part of the page")
    page.stage.seat.scroll(-1500)
    page.await_same(top, FIELDS, what="the page's top")


def open_menus(page: Page, menus: int, lists: int) -> None:
    """Open and close the page's menu and its list that often."""
    page.stage.seat.click(*NOWHERE)
    plain = np.broadcast_to(np.array(PAPER, dtype=np.uint8), page.picture().shape)
    page.await_same(plain, PLAIN, what="an empty page")
    told = int(page.told("menus"))
    for count in range(1, menus + 1):
        page.stage.seat.click(*NOWHERE, BUTTON_RIGHT)
        page.await_count("menus", told + count)
        page.await_other(plain, PLAIN, what=f"menu {count}")
        page.stage.seat.tap(KEY_ESCAPE)
        page.await_same(plain, PLAIN, what=f"menu {count} closed")
    for count in range(1, lists + 1):
        page.stage.seat.click(*CHOICE)
        page.await_other(plain, LIST, what=f"list {count}")
        page.stage.seat.tap(KEY_ESCAPE)
        page.await_same(plain, LIST, what=f"list {count} closing")
        page.stage.seat.click(*NOWHERE)


def change_focus(page: Page, debian: Image, sway: Sway, changes: int, *, at_once: int = 2) -> None:
    """Leave the browser for another window and come back, and paste what was offered with each return.

    Args:
        page: in the only window of `sway`.
        debian: where programs of the host come from.
        sway: the host.
        changes: how often the browser loses or gets the focus.
        at_once: how many changes the browser hears of before it is waited for.
    """
    (browser,) = sway.windows()
    with host_clipboard(debian, sway, "offered anew with each focus"), other_window(sway) as other:
        told = int(page.told("focus"))
        away_and_back = f"[con_id={other}] focus; [con_id={browser['id']}] focus"
        for count in range(at_once, changes + 1, at_once):
            for _ in range(at_once // 2):
                sway.swaymsg(away_and_back)
            page.await_count("focus", told + count // 2)
        clear_text(page)
        press(page.stage.seat, KEY_LEFT_CONTROL, KEY_V)
        page.await_text("offered anew with each focus")


def copy_and_paste(page: Page, debian: Image, sway: Sway) -> None:
    """Paste what a program of the host copied, and the other way."""
    with host_clipboard(debian, sway, "written on the host"):
        clear_text(page)
        press(page.stage.seat, KEY_LEFT_CONTROL, KEY_V)
        page.await_text("written on the host")
    clear_text(page)
    page.stage.seat.type("written in the browser")
    page.await_text("written in the browser")
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_A)
    press(page.stage.seat, KEY_LEFT_CONTROL, KEY_C)
    page.wait(lambda: paste(debian, sway) == "written in the browser", what="the copied text on the host")


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


def play_film(page: Page, name: str) -> None:
    """Play the page's film for two seconds of it; a picture of that is kept under `name`."""
    page.stage.seat.click(*NOWHERE)
    page.stage.seat.tap(KEY_F8)
    page.await_count("frames", FRAMES)
    page.await_other(page.picture(), what="the next frame")
    shown = page.stage.screenshot()[FILM]
    keep(page.stage, name)
    page.stage.seat.tap(KEY_F8)
    red, green, blue = (shown[:, :, channel].astype(int) for channel in range(3))
    # ffmpeg's test picture has bars of pure colours.
    assert np.mean((red > 200) & (green < 60) & (blue < 60)) > 0.05
    assert np.mean((red < 60) & (green > 200) & (blue < 60)) > 0.05
    assert np.mean((red < 60) & (green < 60) & (blue > 200)) > 0.05
