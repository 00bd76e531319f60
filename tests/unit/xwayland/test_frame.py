"""A frame of ours, and the pointer on its title."""

import os
from collections.abc import Generator
from typing import Final

import pytest

from launcher.xwayland.model.geometry import Size
from tests.unit.xwayland.shell_rig import NEEDED, ShellRig

BUTTON: Final = 0x110
SERIAL: Final = 21


class FrameRig(ShellRig):
    """One with a window that has a frame, and a pointer."""

    def __init__(self) -> None:
        super().__init__({**NEEDED, "wp_viewporter": 1, "wl_seat": 5})
        self.bind("wl_seat", 5, 4)
        self.request("wl_seat", 4, "get_pointer", 5)
        window = self.open(1)
        self.configure(window, Size(0, 0))
        self.title = max(surface for surface, name, _ in self.said_to(("wl_surface",)) if name == "attach")
        """The piece of the frame that was made last."""
        entry = self.mediator.find_client(5)
        assert entry is not None
        self.pointer = entry.host_id

    def point(self, name: str, *values: int) -> None:
        """The compositor moves its pointer."""
        self.event("wl_pointer", self.pointer, name, *values)

    def press(self) -> None:
        """The user presses the title, left of its middle."""
        self.point("enter", SERIAL - 1, self.title, 80 << 8, 14 << 8)
        self.point("button", SERIAL, 1000, BUTTON, 1)

    def moves(self) -> list[object]:
        """The serials of the moves that the compositor was asked for since the last time."""
        return [values[1] for name, values in self.said(("xdg_toplevel",)) if name == "move"]


@pytest.fixture
def rig() -> Generator[FrameRig]:
    made = FrameRig()
    yield made
    for fd in made.to_host.fds:
        os.close(fd)
    vars(made).clear()  # frames keep what they draw in


def test_a_pressed_title_moves_the_window_once_the_pointer_is_dragged(rig: FrameRig) -> None:
    rig.press()
    rig.point("motion", 1001, 82 << 8, 14 << 8)
    assert rig.moves() == []
    rig.point("motion", 1002, 88 << 8, 14 << 8)
    rig.point("leave", SERIAL + 1, rig.title)
    assert rig.moves() == [SERIAL]


def test_a_pointer_that_leaves_with_its_button_pressed_drags_the_window(rig: FrameRig) -> None:
    rig.press()
    rig.point("leave", SERIAL + 1, rig.title)
    assert rig.moves() == [SERIAL]


def test_a_pointer_that_leaves_after_a_click_drags_nothing(rig: FrameRig) -> None:
    rig.press()
    rig.point("button", SERIAL + 1, 1001, BUTTON, 0)
    rig.point("leave", SERIAL + 2, rig.title)
    assert rig.moves() == []
