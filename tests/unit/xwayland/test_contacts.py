"""Fingers and pens on surfaces of our own, and on Xwayland's."""

from collections.abc import Generator

import pytest

from crossdomain.wire.codec import decode_header
from launcher.xwayland.wayland.seats import Pointer
from launcher.xwayland.wayland.surfaces import Surface
from tests.unit.xwayland.test_stand_in import PointerRig

TABLET, TOOL = 0xFF000000, 0xFF000001


class Piece:
    """`wayland.seats.Target`: keeps what fingers and pens do there."""

    def __init__(self, window_surface: Surface) -> None:
        self.window_surface = window_surface
        self.done: list[tuple[object, ...]] = []

    def pointer_moved(self, pointer: Pointer) -> None:
        self.done.append(("pointer", pointer))

    def pointer_left(self, pointer: Pointer) -> None:
        self.done.append(("pointer", pointer))

    def pointer_button(self, pointer: Pointer, button: int, *, pressed: bool, time: int) -> None:
        self.done.append(("pointer", pointer, button, pressed, time))

    def contact_down(self, x: int, y: int, time: int) -> None:
        assert time > 0
        self.done.append(("down", x, y))

    def contact_moved(self, x: int, y: int) -> None:
        self.done.append(("moved", x, y))

    def contact_up(self, x: int, y: int) -> None:
        self.done.append(("up", x, y))

    def contact_cancelled(self) -> None:
        self.done.append(("cancelled",))


class ContactRig(PointerRig):
    """One with a touch screen, a pen, and a surface of our own."""

    def __init__(self) -> None:
        super().__init__()
        self.stand_in.end()
        registry = self.mediator.display.create("get_registry")
        self.own = registry.bind(30, "wl_compositor", 4).create("create_surface").entry.host_id
        self.piece = Piece(self.surface)
        self.seats.add_target(self.mediator.find_own(self.own), self.piece)
        self.request("wl_seat", 9, "get_touch", 11)
        self.request("wl_registry", 2, "bind", 31, "zwp_tablet_manager_v2", 1, 12)
        self.request("zwp_tablet_manager_v2", 12, "get_tablet_seat", 13, 9)
        self.touch = self.host_id(11)
        self.event("zwp_tablet_seat_v2", self.host_id(13), "tablet_added", TABLET)
        self.event("zwp_tablet_seat_v2", self.host_id(13), "tool_added", TOOL)
        self.to_client.data.clear()

    def host_id(self, client_id: int) -> int:
        entry = self.mediator.find_client(client_id)
        assert entry is not None
        return entry.host_id

    def finger(self, name: str, *values: int) -> None:
        self.event("wl_touch", self.touch, name, *values)

    def pen(self, name: str, *values: int) -> None:
        self.event("zwp_tablet_tool_v2", TOOL, name, *values)

    def passed(self) -> int:
        """How many events Xwayland got since the last time."""
        data, count = bytes(self.to_client.data), 0
        self.to_client.data.clear()
        while (header := decode_header(data, 0)) is not None:
            data, count = data[header.size :], count + 1
        return count


@pytest.fixture
def rig() -> Generator[ContactRig]:
    made = ContactRig()
    yield made
    made.close()


def test_a_finger_on_our_own_surface_is_no_business_of_xwaylands(rig: ContactRig) -> None:
    rig.finger("down", 21, 1000, rig.own, 3, 0x100, 0x200)
    rig.finger("motion", 1001, 3, 0x300, 0x400)
    rig.finger("shape", 3, 0x100, 0x100)
    rig.finger("up", 22, 1002, 3)
    assert rig.piece.done == [("down", 0x100, 0x200), ("moved", 0x300, 0x400), ("up", 0x300, 0x400)]
    assert rig.passed() == 0
    assert rig.seats.last_input == (rig.mediator.find_client(9), 21)


def test_a_finger_on_a_window_goes_on_and_its_press_may_move_the_window(rig: ContactRig) -> None:
    rig.finger("down", 21, 1000, rig.surface.entry.host_id, 3, 0x100, 0x200)
    rig.finger("motion", 1001, 3, 0x300, 0x400)
    rig.finger("up", 22, 1002, 3)
    assert (rig.passed(), rig.piece.done) == (3, [])
    assert rig.user.entered[-1] is rig.surface
    assert rig.seats.last_input == (rig.mediator.find_client(9), 21)


def test_what_the_compositor_cancels_is_not_done(rig: ContactRig) -> None:
    rig.finger("down", 21, 1000, rig.own, 3, 0x100, 0x200)
    rig.finger("cancel")
    rig.finger("up", 22, 1002, 3)
    assert rig.piece.done == [("down", 0x100, 0x200), ("cancelled",)]


def test_a_pen_does_what_a_finger_does(rig: ContactRig) -> None:
    rig.pen("proximity_in", 21, TABLET, rig.own)
    rig.pen("motion", 0x100, 0x200)
    rig.pen("down", 22)
    rig.pen("pressure", 100)
    rig.pen("frame", 1000)
    rig.pen("motion", 0x300, 0x400)
    rig.pen("up")
    rig.pen("proximity_out")
    assert rig.piece.done == [
        ("down", 0x100, 0x200), ("moved", 0x300, 0x400), ("up", 0x300, 0x400), ("cancelled",),
    ]  # fmt: skip
    assert rig.passed() == 0
    assert rig.seats.last_input == (rig.mediator.find_client(9), 22)


def test_a_pen_that_comes_to_a_window_after_our_surface_is_the_windows(rig: ContactRig) -> None:
    rig.pen("proximity_in", 21, TABLET, rig.own)
    rig.pen("proximity_out")
    rig.pen("proximity_in", 22, TABLET, rig.surface.entry.host_id)
    rig.pen("motion", 0x100, 0x200)
    rig.pen("down", 23)
    rig.pen("frame", 1000)
    assert rig.passed() == 4
    assert rig.user.entered[-1] is rig.surface
