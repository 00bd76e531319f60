"""Xwayland's pointer while the compositor drags something with its own."""

from collections.abc import Generator

import pytest

from crossdomain.wire.codec import decode_arguments, decode_header
from launcher.xwayland.wayland.contacts import Contacts
from launcher.xwayland.wayland.seats import Pointer, Seats
from launcher.xwayland.wayland.stand_in import StandIn
from launcher.xwayland.wayland.surfaces import Surface
from tests.unit.xwayland.test_mediator import TABLES, SurfaceRig

BUTTON = 0x110
EVENTS = [message.name for message in TABLES.interface("wl_pointer").events]


class User:
    """`wayland.seats.Listener`."""

    def __init__(self) -> None:
        self.entered: list[Surface] = []
        self.is_late = False
        """Whether X has not yet what is on top of the screen, and the keyboard."""

    def pointer_entered(self, surface: Surface) -> bool:
        self.entered.append(surface)
        return self.is_late

    def pointer_used(self, surface: Surface) -> bool:
        return surface is not self.entered[-1] and self.pointer_entered(surface)

    def key_came(self) -> bool:
        return self.is_late

    def serial_came(self) -> None:
        pass

    def keyboard_entered(self, surface: Surface | None) -> None:
        pass


class PointerRig(SurfaceRig):
    """One in which a button was pressed on Xwayland's surface (4), by its pointer (10)."""

    def __init__(self) -> None:
        super().__init__()
        self.user = User()
        self.seats = Seats(self.mediator, self.surfaces, self.user)
        Contacts(self.mediator, self.surfaces, self.seats, self.user)
        self.request("wl_registry", 2, "bind", 3, "wl_seat", 5, 9)
        self.request("wl_seat", 9, "get_pointer", 10)
        entry = self.mediator.find_client(10)
        assert entry is not None
        self.pointer_id = entry.host_id
        self.point("enter", 11, self.surface.entry.host_id, 0x500, 0x600)
        self.point("button", 12, 1000, BUTTON, 1)
        pressed = self.seats.pressed_pointer()
        assert pressed is not None
        self.pressed: Pointer = pressed
        self.lost = 0
        self.to_client.data.clear()
        self.stand_in = StandIn(self.mediator, self.seats, pressed, self.surface, self.lose)

    def lose(self) -> None:
        self.lost += 1

    def point(self, name: str, *values: int) -> None:
        """The compositor moves its pointer."""
        self.event("wl_pointer", self.pointer_id, name, *values)

    def pointed(self) -> list[tuple[str, tuple[object, ...]]]:
        """What Xwayland's pointer did since the last time."""
        found: list[tuple[str, tuple[object, ...]]] = []
        data = bytes(self.to_client.data)
        position = 0
        while (header := decode_header(data, position)) is not None:
            message = TABLES.interface("wl_pointer").events[header.opcode]
            found.append((message.name, decode_arguments(message, data[position : position + header.size])))
            position += header.size
        self.to_client.data.clear()
        return found


@pytest.fixture
def rig() -> Generator[PointerRig]:
    made = PointerRig()
    yield made
    made.close()


def names(pointed: list[tuple[str, tuple[object, ...]]]) -> list[str]:
    """What happened, in its order."""
    return [name for name, _ in pointed]


def test_it_begins_where_the_compositor_left_the_pointer(rig: PointerRig) -> None:
    rig.point("motion", 1001, 0x9000, 0xA00)
    rig.point("leave", 13, rig.surface.entry.host_id)
    assert (rig.stand_in.x, rig.stand_in.y) == (0x9000, 0xA00)


def test_the_pointer_does_not_leave_while_something_is_dragged(rig: PointerRig) -> None:
    rig.point("leave", 13, rig.surface.entry.host_id)
    rig.point("frame")
    assert rig.pointed() == []
    rig.stand_in.move(-0x700, 0x800)
    (moved, (_, x, y)), (framed, _) = rig.pointed()
    assert (moved, x, y, framed) == ("motion", -0x700, 0x800, "frame")


def test_the_button_goes_up_and_the_pointer_leaves_when_it_is_over(rig: PointerRig) -> None:
    rig.stand_in.take()
    rig.stand_in.release()
    rig.stand_in.end()
    pointed = rig.pointed()
    assert names(pointed) == ["button", "frame", "leave", "frame"]
    assert pointed[0][1][2:] == (BUTTON, 0)
    assert rig.seats.pressed_pointer() is None
    rig.point("enter", 14, rig.surface.entry.host_id, 1, 2)
    assert names(rig.pointed()) == ["enter", "motion"]


def test_where_the_compositor_goes_on_early_its_enter_comes_when_all_is_over(rig: PointerRig) -> None:
    rig.stand_in.take()
    rig.point("enter", 14, rig.surface.entry.host_id, 0x100, 0x200)
    assert (rig.lost, rig.pointed()) == (1, [])
    rig.stand_in.release()
    rig.stand_in.end()
    pointed = rig.pointed()
    assert names(pointed) == ["button", "frame", "leave", "frame", "enter", "motion", "frame"]
    assert pointed[4][1] == (14, 4, 0x100, 0x200)


def test_a_drag_that_the_compositor_refuses_changes_nothing(rig: PointerRig) -> None:
    rig.point("motion", 1001, 0x900, 0xA00)
    rig.point("button", 13, 1002, BUTTON, 0)
    assert rig.lost == 1
    rig.stand_in.release()
    rig.stand_in.end()
    assert names(rig.pointed()) == ["motion", "button"]
    assert rig.seats.pressed_pointer() is None
