"""What is dragged over an X window: the X client hears where it is, and what is to be done, at last."""

import struct
from collections.abc import Generator

import pytest

from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.window import Window
from launcher.xwayland.transfer.drag_to_x import DragToX
from tests.unit.xwayland.drag_rig import OFFER, SEND_EVENT, DragRig

WINDOW = 0x600001
COPY, MOVE = 1, 2
TRANSLATE_COORDINATES = 40


class ToXRig(DragRig):
    """One in which a Wayland client's drag has come over a window that takes drops."""

    def __init__(self, *, knows_types: bool) -> None:
        super().__init__()
        self.aware.add(WINDOW)
        offer = self.offer()
        if not knows_types:
            self.event("wl_data_offer", OFFER, "offer", "text/x-unheard-of")
        self.event("wl_data_offer", OFFER, "source_actions", COPY | MOVE)
        window = Window(WINDOW, Rectangle(100, 200, 300, 300), 0, override_redirect=False)
        self.drag = DragToX(self.stage, offer, 30, window, lambda _drag: self.end())
        self.drag.start(1 << 8, 2 << 8)

    def messages(self) -> list[tuple[str, tuple[int, ...]]]:
        """The Xdnd messages that the X client gets, once the X server has answered everything."""
        found: list[tuple[str, tuple[int, ...]]] = []
        while asked := self.serve_x():
            for opcode, request in asked:
                if opcode == SEND_EVENT:
                    type_, *data = struct.unpack_from("<6I", request, 12 + 8)
                    found.append((self.client.atoms.name(type_) or "", tuple(data)))
        return found

    def positions(self) -> list[tuple[int, int, str]]:
        """Where it is, and what is to be done with it there, as often as the X client is told."""
        return [
            (data[2] >> 16, data[2] & 0xFFFF, self.client.atoms.name(data[4]) or "")
            for name, data in self.messages()
            if name == "XdndPosition"
        ]

    def answer(self, action: str) -> None:
        """The X client takes it."""
        self.drag.handle_message("XdndStatus", (WINDOW, 3, 0, 0, self.client.atoms[action]))

    def choose(self, action: int) -> None:
        """The compositor does."""
        self.event("wl_data_offer", OFFER, "action", action)


@pytest.fixture(params=[True, False], ids=["known", "unknown"])
def rig(request: pytest.FixtureRequest) -> Generator[ToXRig]:
    """The X server knows the types of what is dragged, or has to be asked for them first."""
    made = ToXRig(knows_types=request.param)
    yield made
    made.close()


def test_the_last_place_is_told_also_where_it_came_before_the_types(rig: ToXRig) -> None:
    rig.drag.move(50 << 8, 40 << 8, 77)
    told = rig.positions()
    if told[-1][:2] != (150, 240):
        rig.answer("XdndActionCopy")
        told += rig.positions()
    assert told[-1][:2] == (150, 240)
    rig.answer("XdndActionCopy")
    assert rig.positions() == []


def test_what_lies_still_is_asked_about_again_for_another_action(rig: ToXRig) -> None:
    assert rig.positions() == [(101, 202, "XdndActionCopy")]
    rig.answer("XdndActionMove")
    assert rig.positions() == []
    rig.choose(MOVE)
    assert rig.positions() == [(101, 202, "XdndActionMove")]
    rig.answer("XdndActionMove")
    rig.choose(MOVE)
    assert rig.positions() == []


def test_a_place_beyond_all_of_the_screen_is_the_last_that_x_has(rig: ToXRig) -> None:
    rig.messages()
    rig.answer("XdndActionCopy")
    rig.drag.move(40000 << 8, -40000 << 8, 77)
    assert rig.positions() == [(0x7FFF, 0x8000, "XdndActionCopy")]


def test_a_place_beyond_all_of_the_screen_is_looked_for_in_windows_in_windows(rig: ToXRig) -> None:
    rig.messages()
    rig.aware.clear()
    rig.answer("XdndActionCopy")
    rig.drag.move(40000 << 8, -40000 << 8, 77)
    asked = dict(rig.serve_x() + rig.serve_x() + rig.serve_x())
    assert struct.unpack_from("<hh", asked[TRANSLATE_COORDINATES], 12) == (0x7FFF, -0x8000)
