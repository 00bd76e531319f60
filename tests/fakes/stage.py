"""What a story about an application needs of a compositor, whichever it is: screen, windows, a person."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.seat import BUTTON_LEFT
from tests.fakes.capture import capture
from tests.fakes.pictures import EVIDENCE
from tests.fakes.weston import Pixels, save_pixels, wait_until

APPLICATION_SECONDS: Final = 90.0
"""Until a large application has done what it was asked for, on a loaded machine."""


class Person(Protocol):
    """Who sits at keyboard and pointer; see `crossdomain.vm.seat.Seat`."""

    def key(self, code: int, *, pressed: bool) -> None: ...
    def tap(self, code: int) -> None: ...
    def type(self, text: str) -> None: ...
    def move_pointer(self, x: int, y: int) -> None: ...
    def click(self, x: int, y: int, code: int = BUTTON_LEFT) -> None: ...
    def scroll(self, value: float, *, horizontal: bool = False) -> None: ...


class Stage(Protocol):
    """A compositor with a keyboard and a pointer."""

    @property
    def socket_path(self) -> Path: ...
    @property
    def seat(self) -> Person: ...
    def labels(self) -> list[str]: ...
    def screenshot(self) -> Pixels: ...


class WestonStage:
    """A headless Weston 14 with the seat module."""

    def __init__(self, weston: HeadlessWeston) -> None:
        self._weston = weston
        self.seat: Person = weston.seat
        self.socket_path = weston.socket_path

    def labels(self) -> list[str]:
        """What Weston calls the windows; their titles are part of it."""
        return [view.label for view in self._weston.seat.views() if "top-level" in view.label]

    def screenshot(self) -> Pixels:
        """The whole output."""
        return capture(self.socket_path)


@contextmanager
def weston_stage(
    debian: Image, *, width: int, height: int, shell: Literal["desktop", "kiosk"] = "desktop"
) -> Generator[WestonStage]:
    """Run a Weston 14 until the block ends; the kiosk shell gives each window the whole output."""
    with HeadlessWeston(debian, width=width, height=height, shell=shell) as weston:
        yield WestonStage(weston)


def press(person: Person, *codes: int) -> None:
    """Press keys together, as Control and C, and release them."""
    for code in codes:
        person.key(code, pressed=True)
    for code in reversed(codes):
        person.key(code, pressed=False)


def await_window(stage: Stage, part: str, *, seconds: float = APPLICATION_SECONDS) -> None:
    """Return when a window has `part` in its label: its title, or its application id on sway."""
    wait_until(lambda: _is_shown(stage, part), seconds=seconds, what=f"a window of {part}")


def await_no_window(stage: Stage, part: str, *, seconds: float = APPLICATION_SECONDS) -> None:
    """Return when no window has `part` in its label."""
    wait_until(lambda: not _is_shown(stage, part), seconds=seconds, what=f"{part} to vanish")


def await_picture(stage: Stage, what: str, *, other_than: Pixels) -> Pixels:
    """The screen as soon as it differs from an earlier picture."""
    latest = [other_than]

    def differs() -> bool:
        latest[0] = stage.screenshot()
        return bool((latest[0] != other_than).any())

    wait_until(differs, seconds=APPLICATION_SECONDS, what=what)
    return latest[0]


def keep(stage: Stage, name: str) -> None:
    """Save what is on the screen, for a person to look at."""
    save_pixels(stage.screenshot(), EVIDENCE / "applications" / f"{name}.png")


def _is_shown(stage: Stage, part: str) -> bool:
    return any(part in label for label in stage.labels())
