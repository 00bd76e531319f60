"""Requests right behind a change of WM_NORMAL_HINTS: the new ones decide about them, in their order."""

from struct import pack
from typing import Final

import pytest

from launcher.xwayland.model.geometry import Gravity, Rectangle, Screen, Size
from launcher.xwayland.model.names import State
from launcher.xwayland.x11.postponed import MAX_POSTPONED
from tests.fakes.x11_ports import FakeToplevel, FakeX
from tests.unit.xwayland.test_loader import ROOT, WINDOW, Server

PLACE: Final = 0x3
"""ConfigureRequest.value-mask: x and y."""
P_WIN_GRAVITY: Final = 1 << 9
ADD: Final = 1


class FramedServer(Server):
    """One with a window that is to be framed by 1 px and a title of 28 px."""

    def __init__(self) -> None:
        super().__init__()
        self.manager.screen = Screen(1024, 768)
        self.connection.receive(pack("<BxHIIhhHHHB9x", 16, 0, ROOT, WINDOW, 0, 0, 100, 100, 0, 0))
        self.window = self.manager.windows[WINDOW]
        assert isinstance(self.manager.x, FakeX)
        self.x = self.manager.x

    def ask_to_be_shown(self) -> None:
        """The client wants to see its window."""
        self.connection.receive(pack("<BxHII20x", 20, 0, ROOT, WINDOW))
        self.carry_out()
        self.connection.receive(pack("<BxHIIB19x", 19, 0, ROOT, WINDOW, 0))

    def be_shown(self) -> None:
        """The window is on the compositor's screen."""
        self.ask_to_be_shown()
        self.manager.set_surface(self.window, object())
        assert self.window.role is not None
        assert isinstance(self.window.role.port, FakeToplevel)
        self.manager.configure(self.window, self.window.role.port.next_configure(Size(0, 0), frozenset()))

    def set_gravity(self, gravity: Gravity) -> None:
        """The client changes what its places mean."""
        words = (P_WIN_GRAVITY, *[0] * 16, gravity)
        self.set_property("WM_NORMAL_HINTS", "WM_SIZE_HINTS", 32, pack("<18I", *words))

    def ask(self, x: int, y: int) -> None:
        """The client wants its window there."""
        values = (ROOT, WINDOW, 0, x, y, 0, 0, 0, PLACE)
        self.send(pack("<BBHIIIhhHHHH4x", 23, 0, self.sequence, *values))

    def ask_above(self) -> None:
        """The client wants its window above others."""
        atoms = (self.atoms["_NET_WM_STATE"], ADD, self.atoms["_NET_WM_STATE_ABOVE"])
        self.send(pack("<BBHIIII12x", 33, 32, self.sequence, WINDOW, *atoms))

    def withdraw(self) -> None:
        """The window is unmapped."""
        self.send(pack("<BxHII20x", 18, self.sequence, ROOT, WINDOW))

    @property
    def place(self) -> tuple[int, int]:
        """Where X has the window."""
        return self.x.geometry[WINDOW][:2]


@pytest.fixture
def server() -> FramedServer:
    """With one window, which is shown."""
    made = FramedServer()
    made.be_shown()
    return made


def test_a_place_is_the_frames_as_soon_as_a_window_is_to_be_shown() -> None:
    server = FramedServer()
    server.ask(10, 20)
    assert server.place == (10, 20)
    server.ask_to_be_shown()
    server.ask(30, 40)
    assert server.place == (31, 68)


def test_a_place_means_what_the_hints_say_by_then(server: FramedServer) -> None:
    server.set_gravity(Gravity.STATIC)
    server.ask(30, 40)
    server.carry_out()
    assert server.place == (30, 40)
    server.set_gravity(Gravity.NORTH_WEST)
    server.ask(30, 40)
    server.carry_out()
    assert server.place == (31, 68)


def test_nothing_waits_where_no_hints_have_changed(server: FramedServer) -> None:
    server.set_title(b"other")
    server.ask(30, 40)
    assert server.place == (31, 68)


def test_what_comes_behind_waits_too(server: FramedServer) -> None:
    server.set_gravity(Gravity.STATIC)
    server.ask(30, 40)
    server.ask_above()
    server.ask(50, 60)
    server.withdraw()
    assert (server.window.mapped, server.window.states) == (True, set())
    asked = len(server.x.asked)
    server.carry_out()
    assert server.place == (50, 60)
    assert not server.window.mapped
    notified = [what for what in server.x.asked[asked:] if what[0] == "notify"]
    assert notified == [("notify", WINDOW, Rectangle(x, x + 10, 100, 100)) for x in (30, 50)]


def test_each_change_is_waited_for_and_no_longer(server: FramedServer) -> None:
    """Whoever changes hints again and again has its window moved all the same."""
    for turn in range(50):
        server.set_gravity(Gravity.STATIC)
        server.ask(turn + 100, 40)
        server.carry_out(2)
        assert server.place == (turn + 100, 40)


def test_who_sends_too_much_has_it_decided_about_at_once(server: FramedServer) -> None:
    server.set_gravity(Gravity.STATIC)
    for turn in range(MAX_POSTPONED + 1):
        server.ask(turn % 700, 40)
    assert server.place == (MAX_POSTPONED % 700 + 1, 68)
    server.ask_above()
    server.carry_out()
    assert server.window.states == {State.ABOVE}
    assert server.place == (MAX_POSTPONED % 700 + 1, 68)


def test_a_window_that_ends_meanwhile_is_forgotten(server: FramedServer) -> None:
    server.set_gravity(Gravity.STATIC)
    server.ask(30, 40)
    before = server.place
    server.send(pack("<BxHII20x", 17, server.sequence, ROOT, WINDOW))
    server.create()
    server.carry_out()
    assert server.place == before
    server.ask(50, 60)
    assert server.place == (50, 60)
