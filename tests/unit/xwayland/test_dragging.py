"""_NET_WM_MOVERESIZE: a window is dragged with what the user holds down, and with nothing else."""

from collections.abc import Generator

import pytest

from crossdomain.vm.seat import BUTTON_LEFT
from crossdomain.wire.codec import Value
from launcher.xwayland.model.names import Edge
from launcher.xwayland.model.requests import Requests
from launcher.xwayland.wayland.entries import Entry
from tests.unit.xwayland.shell_rig import NEEDED, ShellRig
from tests.unit.xwayland.test_contacts import ContactRig

SEAT, SERIAL = 77, 12
PRESSED, RELEASED = 1, 0
OTHER_BUTTON = BUTTON_LEFT + 1


class DraggedRig(ShellRig):
    """One with a window whose client asks for it to be dragged."""

    def __init__(self) -> None:
        super().__init__(NEEDED)
        self.window = self.open(1)
        self.requests = Requests(self.manager)

    def drag(self, direction: int) -> list[tuple[str, tuple[Value, ...]]]:
        """What the compositor is asked for then."""
        self.to_host.data.clear()
        self.requests.drag(self.window, direction)
        return self.said(("xdg_toplevel",))


@pytest.fixture
def dragged() -> Generator[DraggedRig]:
    """A rig with a window."""
    made = DraggedRig()
    yield made
    made.close()


@pytest.fixture
def rig() -> Generator[ContactRig]:
    """A rig with a pointer, a finger and a pen; the left button is down on a window."""
    made = ContactRig()
    yield made
    made.close()


def held(rig: ContactRig) -> tuple[Entry, int] | None:
    """What the user holds now."""
    return rig.seats.held


@pytest.mark.parametrize(
    ("direction", "asked"),
    [
        (8, ("move", (SEAT, SERIAL))),
        (4, ("resize", (SEAT, SERIAL, Edge.BOTTOM_RIGHT))),
        (7, ("resize", (SEAT, SERIAL, Edge.LEFT))),
        (9, ("resize", (SEAT, SERIAL, Edge.BOTTOM_RIGHT))),
        (10, ("move", (SEAT, SERIAL))),
    ],
)
def test_what_is_held_drags_the_window(
    dragged: DraggedRig, direction: int, asked: tuple[str, tuple[Value, ...]]
) -> None:
    assert dragged.drag(direction) == []
    holder = (Entry("wl_pointer", 5, client_id=10, host_id=78), 0)
    dragged.seats.note_press(holder, Entry("wl_seat", 5, client_id=9, host_id=SEAT), SERIAL)
    assert dragged.drag(direction) == [asked]
    dragged.seats.note_release(holder)
    assert dragged.drag(direction) == []


def test_the_first_button_is_what_the_compositor_knows_the_drag_by(rig: ContactRig) -> None:
    seat = rig.mediator.find_client(9)
    assert held(rig) == (seat, SERIAL)
    rig.point("button", 13, 1001, OTHER_BUTTON, PRESSED)
    assert held(rig) == (seat, SERIAL)
    rig.point("button", 14, 1002, OTHER_BUTTON, RELEASED)
    assert held(rig) == (seat, SERIAL)
    rig.point("button", 15, 1003, BUTTON_LEFT, RELEASED)
    assert held(rig) is None


def test_what_the_compositor_has_taken_over_is_held_no_more(rig: ContactRig) -> None:
    rig.point("leave", 13, rig.surface.entry.host_id)
    assert held(rig) is None
    rig.finger("down", 14, 1000, rig.own, 3, 0x100, 0x200)
    rig.finger("down", 15, 1000, rig.own, 4, 0x100, 0x200)
    rig.finger("cancel")
    assert held(rig) is None
    rig.pen("proximity_in", 16, 0xFF000000, rig.own)
    rig.pen("down", 17)
    rig.pen("proximity_out")
    assert held(rig) is None


def test_a_button_on_a_frame_is_held_until_it_is_up(rig: ContactRig) -> None:
    rig.point("enter", 13, rig.own, 0x100, 0x100)
    rig.point("button", 14, 1001, BUTTON_LEFT, PRESSED)
    assert held(rig) == (rig.mediator.find_client(9), 14)
    rig.point("button", 15, 1002, BUTTON_LEFT, RELEASED)
    assert held(rig) is None


def test_a_finger_or_a_pen_is_held_until_it_is_up(rig: ContactRig) -> None:
    rig.point("button", 13, 1001, BUTTON_LEFT, RELEASED)
    seat = rig.mediator.find_client(9)
    rig.finger("down", 21, 1000, rig.surface.entry.host_id, 3, 0x100, 0x200)
    assert held(rig) == (seat, 21)
    rig.finger("up", 22, 1001, 3)
    assert held(rig) is None
    rig.pen("proximity_in", 23, 0xFF000000, rig.surface.entry.host_id)
    rig.pen("down", 24)
    assert held(rig) == (seat, 24)
    rig.pen("up")
    assert held(rig) is None


def test_a_device_that_is_unplugged_holds_nothing(rig: ContactRig) -> None:
    rig.request("wl_pointer", 10, "release")
    assert held(rig) is None
