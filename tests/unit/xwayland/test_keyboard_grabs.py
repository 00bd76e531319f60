"""X clients that grab the keyboard, as the compositor hears of it."""

import pytest

from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.keyboard_grabs import KeyboardGrabs
from tests.unit.xwayland.test_mediator import TABLES, Rig, bind_compositor

INHIBITORS = "zwp_keyboard_shortcuts_inhibit_manager_v1"
GRABS = "zwp_xwayland_keyboard_grab_manager_v1"
DESTROY, INHIBIT = 0, 1


class GrabRig(Rig):
    """One in which Xwayland has a surface (4), a seat (5), and what tells of grabs (6)."""

    def __init__(self) -> None:
        super().__init__()
        self.inhibitors = self.mediator.create_own(TABLES.interface(INHIBITORS), 1)
        KeyboardGrabs(self.mediator, Globals(self.mediator, TABLES), self.inhibitors)
        bind_compositor(self)
        name, interface, version = self.told_values("wl_registry", "global")
        assert interface == GRABS
        self.request("wl_compositor", 3, "create_surface", 4)
        self.request("wl_registry", 2, "bind", 3, "wl_seat", 5, 5)
        self.request("wl_registry", 2, "bind", name, interface, version, 6)
        self.sent()

    def host_id(self, client_id: int) -> int:
        """What the compositor calls an object of Xwayland's."""
        entry = self.mediator.find_client(client_id)
        assert entry is not None
        return entry.host_id


@pytest.fixture
def rig() -> GrabRig:
    return GrabRig()


def test_a_grab_stops_the_shortcuts_on_its_surface_until_it_ends(rig: GrabRig) -> None:
    rig.request(GRABS, 6, "grab_keyboard", 7, 4, 5)
    inhibitor, surface, seat = rig.sent_values(INHIBITORS, "inhibit_shortcuts")
    assert (surface, seat) == (rig.host_id(4), rig.host_id(5))
    rig.request("zwp_xwayland_keyboard_grab_v1", 7, "destroy")
    assert rig.sent() == [(inhibitor, DESTROY, 8)]
    assert rig.told_values("wl_display", "delete_id") == (7,)


def test_the_compositor_is_asked_once_for_a_surface(rig: GrabRig) -> None:
    for grab in (7, 8):
        rig.request(GRABS, 6, "grab_keyboard", grab, 4, 5)
    assert [opcode for _, opcode, _ in rig.sent()] == [INHIBIT]
    for grab in (8, 7):
        rig.request("zwp_xwayland_keyboard_grab_v1", grab, "destroy")
    assert [opcode for _, opcode, _ in rig.sent()] == [DESTROY]


def test_a_surface_that_the_compositor_does_not_know_of_stops_nothing(rig: GrabRig) -> None:
    rig.mediator.create_local("wl_surface", 4, 9, rig.mediator.ignore)
    rig.request(GRABS, 6, "grab_keyboard", 7, 9, 5)
    rig.request("zwp_xwayland_keyboard_grab_v1", 7, "destroy")
    assert rig.sent() == []
