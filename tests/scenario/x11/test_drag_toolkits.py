"""Drag and drop of a text between GTK's entries, one on X11 and one on Wayland."""

import contextlib
import re
from collections.abc import Generator
from typing import Final, NamedTuple

import pytest

from crossdomain.errors import HostFault
from tests.fakes.x11 import X11Desktop, running_x11_desktop


class Side(NamedTuple):
    """Where zenity's entry is in its window, px."""

    is_wayland: bool
    text: tuple[int, int]
    """Something of the text that it holds."""
    middle: tuple[int, int]
    button: tuple[int, int]
    """The one that says that all is entered."""


X: Final = Side(is_wayland=False, text=(40, 53), middle=(100, 53), button=(143, 94))
WAYLAND: Final = Side(is_wayland=True, text=(85, 113), middle=(125, 113), button=(172, 156))
"""With shadows and a title bar of its own."""
ACTS: Final = re.compile(r"<- wl_data_source#\d+\.action\([12]\)")
"""The compositor tells the source that something would be done."""


def taken_by(program: str) -> re.Pattern[str]:
    """What a target says when it would take it, and what the compositor tells the source then.

    Of the source's own window, which the pointer has left, it may be told later than the target is entered.
    """
    accepts = rf"{program}\[\d+\]: -> wl_data_offer#\d+\.accept\(\d+, (?P<mime>'.+?')\)\n"
    return re.compile(accepts + r"(?s:.*)<- wl_data_source#\d+\.target\((?P=mime)\)")


@pytest.fixture(scope="module")
def traced() -> Generator[X11Desktop]:
    with running_x11_desktop(options=("--trace",)) as running:
        yield running


def point_at(desktop: X11Desktop, side: Side, title: str) -> None:
    """Return when X, too, knows that the pointer is on a window."""
    with desktop.client() as client:
        desktop.wait(lambda: side.is_wayland or client.under_pointer() == title, "the pointer")


@pytest.fixture
def ended(traced: X11Desktop) -> Generator[None]:
    """Let go of everything also where a test has failed."""
    yield
    with contextlib.suppress(HostFault):
        traced.seat.button(pressed=False)
    traced.end_applications()


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    ("source", "target"), [(X, WAYLAND), (WAYLAND, X)], ids=["X to Wayland", "Wayland to X"]
)
def test_a_text_is_dragged_from_one_entry_to_another(traced: X11Desktop, source: Side, target: Side) -> None:
    for side, title, text in ((source, "source", "dragged text"), (target, "target", "")):
        command = ("zenity", "--entry", f"--title={title}", f"--entry-text={text}")
        process = traced.start(*command, wayland=side.is_wayland)
    begin = traced.place(traced.window("source"), 60, 100)
    end = traced.place(traced.window("target"), 500, 350)
    told = len(traced.launcher.log)
    x, y = target.middle
    entered = re.compile(rf"<- wl_data_device#\d+\.enter\(\d+, wl_surface#\d+, (?:{x}|{x + 2}), {y}, ")
    takes = taken_by("zenity" if target.is_wayland else r"python[\d.]*")
    seat = traced.seat
    seat.move_pointer(begin.x + source.text[0], begin.y + source.text[1])
    point_at(traced, source, "source")
    seat.button(pressed=True)

    def drag() -> bool:
        # GTK begins with the second motion, and the compositor some time after.
        for step in (20, 40):
            seat.move_pointer(begin.x + source.text[0] + step, begin.y + source.text[1])
        return "start_drag" in traced.launcher.log[told:]

    def hover() -> bool:
        for step in (0, 2):
            seat.move_pointer(end.x + x + step, end.y + y)
        _, *over = entered.split(traced.launcher.log[told:])
        return bool(over) and bool(takes.search(over[-1]) and ACTS.search(over[-1]))

    traced.wait(drag, "the drag")
    traced.wait(hover, "the target")
    seat.button(pressed=False)
    traced.wait(lambda: "dnd_finished" in traced.launcher.log[told:], "the end of the drag")
    seat.move_pointer(end.x + target.button[0], end.y + target.button[1])
    point_at(traced, target, "target")
    seat.click(end.x + target.button[0], end.y + target.button[1])
    traced.wait(lambda: process.poll() is not None, "what was entered")
    assert process.stdout is not None
    assert process.stdout.read() == "dragged text\n"
