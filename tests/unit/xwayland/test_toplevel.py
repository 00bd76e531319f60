"""The life of a toplevel: configured before its first contents, answered with what carries it out."""

from typing import Final

import pytest

from launcher.xwayland.limits import MAX_WINDOWS
from launcher.xwayland.model.frame import FrameMetrics
from launcher.xwayland.model.geometry import NO_EXTENTS, Extents, Rectangle, Screen, Size, SizeHints
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.names import Protocol, State, WmState
from launcher.xwayland.model.ports import FrameKind, ShellState
from launcher.xwayland.model.properties import MotifDecoration, MotifHints, WmHints
from launcher.xwayland.model.requests import Change, ConfigureMask, Requests, Wish
from launcher.xwayland.model.window import Window
from tests.fakes.x11_ports import FakeShell, FakeToplevel, FakeX

FRAME = Extents(1, 1, 28, 1)
NOTHING: frozenset[ShellState] = frozenset()
ANYTHING = Size(0, 0)
SMALL = Rectangle(0, 0, 200, 100)
OTHER_CLIENT = 0x400000
"""The number that windows of another X client have."""


class Desk:
    """A model with its two ends."""

    def __init__(self) -> None:
        self.x = FakeX()
        self.shell = FakeShell()
        self.manager = Manager(self.x, self.shell, FrameMetrics(title_height=28, border=1))
        self.manager.screen = Screen(1024, 768)
        self.requests = Requests(self.manager)

    def add(self, number: int = 1, place: Rectangle = SMALL) -> Window:
        """A window that its client has made and described."""
        return self.manager.create(number, place, 2, override_redirect=False)

    def map(self, window: Window) -> FakeToplevel:
        """The client has it mapped, and Xwayland gives it a surface."""
        self.manager.request_map(window)
        self.manager.map(window, override_redirect=False)
        self.manager.set_surface(window, f"surface of {window.window}")
        return port_of(window)

    def configure(self, window: Window, size: Size = ANYTHING, *states: ShellState) -> FakeToplevel:
        """The compositor configures it."""
        port = port_of(window)
        self.manager.configure(window, port.next_configure(size, frozenset(states)))
        return port

    def open(self, number: int = 1) -> Window:
        """A window that is shown."""
        window = self.add(number)
        self.map(window)
        self.configure(window)
        return window


def port_of(window: Window) -> FakeToplevel:
    """The compositor's end of a toplevel."""
    assert window.role is not None
    port = window.role.port
    assert isinstance(port, FakeToplevel)
    return port


def is_shown(window: Window) -> bool:
    """Whether its contents go to the compositor."""
    return port_of(window).released


def shown_size(port: FakeToplevel) -> Size:
    """The size that a toplevel was last shown with."""
    assert port.shown is not None
    return port.shown[0]


@pytest.fixture
def desk() -> Desk:
    """An empty one."""
    return Desk()


def test_contents_wait_for_the_first_configure(desk: Desk) -> None:
    window = desk.add()
    port = desk.map(window)
    assert port.released is False
    assert desk.configure(window).released
    assert port.acked == port.sent[0]


def test_the_first_configure_may_come_with_another_size(desk: Desk) -> None:
    window = desk.add()
    desk.map(window)
    port = desk.configure(window, Size(402, 329))
    assert window.rectangle.size == (400, 300)
    assert not is_shown(window)
    desk.manager.commit(window, Size(200, 100))
    assert not is_shown(window)
    desk.manager.commit(window, Size(400, 300))
    assert is_shown(window)
    assert port.shown == ((400, 300), FRAME, NOTHING)


def test_a_resize_is_answered_by_the_commit_that_carries_it_out(desk: Desk) -> None:
    window = desk.open()
    port = desk.configure(window, Size(302, 229), ShellState.RESIZING)
    desk.manager.commit(window, Size(200, 100))
    assert port.acked == port.sent[0]
    desk.manager.commit(window, Size(300, 200))
    assert port.acked == port.sent[1]
    assert port.shown is not None
    assert port.shown[:2] == ((300, 200), FRAME)


def test_only_the_last_of_many_resizes_is_answered(desk: Desk) -> None:
    window = desk.open()
    for width in range(212, 312, 10):
        desk.configure(window, Size(width, 129), ShellState.RESIZING)
    port = port_of(window)
    desk.manager.commit(window, Size(250, 100))
    assert port.acked == port.sent[0]
    desk.manager.commit(window, window.rectangle.size)
    assert port.acked == port.sent[-1]


def test_a_new_title_does_not_stand_for_the_new_size(desk: Desk) -> None:
    """Terminals have their size in it."""
    window = desk.open()
    port = desk.configure(window, Size(302, 229), ShellState.RESIZING)
    window.net_name = "80 x 25"
    desk.manager.refresh(window)
    assert port.acked == port.sent[0]
    assert port.shown == ((200, 100), FRAME, NOTHING)
    desk.manager.commit(window, Size(300, 200))
    assert port.acked == port.sent[1]


def test_a_frame_that_goes_while_its_window_is_resized_goes_with_the_old_size(desk: Desk) -> None:
    window = desk.open()
    port = desk.configure(window, Size(302, 229), ShellState.RESIZING)
    window.motif = MotifHints(decorations=MotifDecoration(0))
    desk.manager.refresh(window)
    assert port.shown == ((200, 100), FRAME, NOTHING)
    desk.manager.commit(window, Size(300, 200))
    assert port.acked == port.sent[1]
    assert port.shown is not None
    assert port.shown[:2] == ((300, 200), NO_EXTENTS)


def test_a_configure_that_changes_no_size_is_answered_at_once(desk: Desk) -> None:
    window = desk.open()
    port = desk.configure(window, ANYTHING, ShellState.ACTIVATED)
    assert port.acked == port.sent[-1]
    assert port.shown == ((200, 100), FRAME, frozenset({ShellState.ACTIVATED}))


def test_a_maximised_window_fills_what_it_is_given_whatever_its_hints_say(desk: Desk) -> None:
    window = desk.open()
    window.hints = SizeHints(increment=Size(7, 13), maximum=Size(500, 500))
    desk.configure(window, Size(1024, 768), ShellState.MAXIMIZED)
    assert window.rectangle.size == (1024, 740)
    assert desk.x.net_states[1] == {State.MAXIMIZED_HORZ, State.MAXIMIZED_VERT}
    desk.manager.commit(window, Size(1024, 740))
    desk.configure(window, ANYTHING)
    assert window.rectangle.size == (200, 100)
    assert desk.x.net_states[1] == set()


@pytest.mark.parametrize("state", [ShellState.MAXIMIZED, ShellState.FULLSCREEN])
def test_a_window_ends_where_the_compositor_insists_on_it_whatever_its_client_shows(
    desk: Desk, state: ShellState
) -> None:
    window = desk.open()
    port = desk.configure(window, Size(1000, 700), state)
    insisted = window.rectangle.size
    for size in (insisted, Size(321, 123), Size(2000, 1000)):
        desk.manager.commit(window, size)
        assert shown_size(port) == insisted
    desk.configure(window, Size(302, 229))
    desk.manager.commit(window, Size(2000, 1000))
    assert shown_size(port) == insisted
    desk.manager.commit(window, Size(300, 200))
    desk.manager.commit(window, Size(321, 123))
    assert shown_size(port) == Size(321, 123)


def test_a_fullscreen_window_has_no_frame(desk: Desk) -> None:
    window = desk.open()
    port = desk.configure(window, Size(1024, 768), ShellState.FULLSCREEN)
    desk.manager.commit(window, Size(1024, 768))
    assert port.shown == ((1024, 768), NO_EXTENTS, frozenset({ShellState.FULLSCREEN}))
    assert desk.x.extents[1] == NO_EXTENTS


def test_a_resize_by_the_user_keeps_whole_characters(desk: Desk) -> None:
    window = desk.open()
    window.hints = SizeHints(minimum=Size(10, 17), base=Size(4, 4), has_base=True, increment=Size(6, 13))
    desk.configure(window, Size(300, 300), ShellState.RESIZING)
    assert window.rectangle.size == (298, 264)


def test_a_client_that_resizes_itself_while_it_is_resized_is_answered(desk: Desk) -> None:
    window = desk.open()
    port = desk.configure(window, Size(302, 229))
    desk.requests.configure(window, Wish(ConfigureMask.WIDTH, width=310))
    desk.manager.commit(window, Size(310, 200))
    assert port.acked == port.sent[-1]


def test_a_maximised_client_can_not_resize_itself_but_is_told(desk: Desk) -> None:
    window = desk.open()
    desk.configure(window, Size(1024, 768), ShellState.MAXIMIZED)
    desk.requests.configure(window, Wish(ConfigureMask.WIDTH, width=310))
    assert window.rectangle.width == 1024
    assert desk.x.asked[-1] == ("notify", 1, window.rectangle)


def test_a_window_is_placed_with_room_for_its_title(desk: Desk) -> None:
    window = desk.add(place=Rectangle(0, 0, 200, 100))
    window.hints = SizeHints(positioned=True)
    desk.map(window)
    assert desk.x.geometry[1] == (1, 28, 200, 100)
    assert window.border_width == 0


def test_a_window_that_asks_for_no_place_is_in_the_middle(desk: Desk) -> None:
    window = desk.add()
    desk.map(window)
    assert desk.x.geometry[1] == (412, 334, 200, 100)


def test_a_dialog_is_in_the_middle_of_its_window(desk: Desk) -> None:
    parent = desk.open(1)
    parent.rectangle = Rectangle(100, 100, 400, 400)
    dialog = desk.add(2)
    dialog.transient_for = 1
    desk.map(dialog)
    assert desk.x.geometry[2] == (200, 250, 200, 100)


def test_a_window_without_decorations_gets_none(desk: Desk) -> None:
    window = desk.add()
    window.motif = MotifHints(decorations=MotifDecoration(0))
    assert desk.map(window).kind is FrameKind.NONE
    port = desk.configure(window)
    assert port.shown == ((200, 100), NO_EXTENTS, NOTHING)


def test_a_window_with_a_border_alone_gets_no_title(desk: Desk) -> None:
    window = desk.add()
    window.motif = MotifHints(decorations=MotifDecoration.BORDER)
    desk.map(window)
    assert desk.configure(window).shown == ((200, 100), Extents(1, 1, 1, 1), NOTHING)


def test_a_shadow_of_its_own_does_not_count_as_the_window(desk: Desk) -> None:
    window = desk.add()
    window.gtk_extents = Extents(26, 26, 23, 29)
    desk.map(window)
    port = desk.configure(window, Size(400, 300))
    desk.manager.commit(window, Size(452, 352))
    assert port.shown == ((452, 352), Extents(-26, -26, -23, -29), NOTHING)
    assert desk.x.extents[1] == NO_EXTENTS


def test_a_shadow_that_changes_moves_the_windows_edge(desk: Desk) -> None:
    window = desk.open()
    window.gtk_extents = Extents(10, 10, 10, 10)
    desk.manager.refresh(window)
    shown = port_of(window).shown
    assert shown is not None
    assert shown[1] == Extents(-10, -10, -10, -10)


def test_a_window_that_was_maximised_before_it_was_mapped(desk: Desk) -> None:
    window = desk.add()
    desk.requests.change_states(window, Change.ADD, frozenset({State.MAXIMIZED_HORZ, State.MAXIMIZED_VERT}))
    assert ("maximized", True) in desk.map(window).asked


def test_toggling_maximised_twice(desk: Desk) -> None:
    window = desk.open()
    both = frozenset({State.MAXIMIZED_HORZ, State.MAXIMIZED_VERT})
    desk.requests.change_states(window, Change.TOGGLE, both)
    desk.configure(window, Size(1024, 768), ShellState.MAXIMIZED)
    desk.requests.change_states(window, Change.TOGGLE, both)
    assert port_of(window).asked == [("maximized", True), ("maximized", False)]


GAME: Final = Rectangle(0, 0, 640, 480)
"""What a game has of the screen in the mode that it has set."""


def test_full_screen_has_the_mode_that_its_client_has_set(desk: Desk) -> None:
    window = desk.open()
    window.modes = (Rectangle(1024, 0, 320, 200), GAME)
    port = desk.configure(window, Size(1024, 768), ShellState.FULLSCREEN)
    assert desk.x.geometry[1] == GAME
    desk.manager.commit(window, GAME.size)
    assert port.acked == port.sent[-1]
    assert port.shown is not None
    assert port.shown[:2] == (Size(1024, 768), NO_EXTENTS)


def test_a_mode_that_is_set_later_counts_and_its_end_too(desk: Desk) -> None:
    window = desk.open()
    port = desk.configure(window, Size(1024, 768), ShellState.FULLSCREEN)
    desk.manager.commit(window, Size(1024, 768))
    for modes, size in (((GAME,), GAME.size), ((), Size(1024, 768))):
        window.modes = modes
        desk.manager.refresh(window)
        desk.requests.configure(window, Wish(ConfigureMask.WIDTH, width=5))
        assert window.rectangle == Rectangle(0, 0, *size)
        desk.manager.commit(window, size)
        assert shown_size(port) == Size(1024, 768)


def test_a_window_of_the_modes_size_comes_to_its_place_with_full_screen(desk: Desk) -> None:
    window = desk.add(place=Rectangle(100, 80, 640, 480))
    window.hints = SizeHints(positioned=True)
    desk.map(window)
    desk.configure(window)
    window.modes = (GAME,)
    port = desk.configure(window, Size(1024, 768), ShellState.FULLSCREEN)
    assert ("move", 1, 0, 0) in desk.x.asked
    assert port.acked == port.sent[-1]


def test_a_mode_is_nothing_to_a_window_that_is_not_in_full_screen(desk: Desk) -> None:
    window = desk.open()
    window.modes = (GAME,)
    desk.manager.refresh(window)
    desk.configure(window, Size(1024, 768), ShellState.MAXIMIZED)
    assert window.rectangle.size == (1024, 740)


def test_one_axis_is_maximised_by_a_size(desk: Desk) -> None:
    window = desk.open()
    desk.requests.change_states(window, Change.ADD, frozenset({State.MAXIMIZED_VERT}))
    assert window.rectangle.size == (200, 768 - 29)
    assert desk.x.net_states[1] == {State.MAXIMIZED_VERT}


def test_a_withdrawn_window_leaves_nothing(desk: Desk) -> None:
    window = desk.open()
    port = port_of(window)
    desk.manager.unmap(window)
    desk.manager.flush_lists()
    assert not port.alive
    assert desk.x.wm_states[1] is WmState.WITHDRAWN
    assert desk.x.clients == []


def test_a_window_that_comes_again_is_a_new_toplevel(desk: Desk) -> None:
    window = desk.open()
    first = port_of(window)
    desk.manager.unmap(window)
    desk.manager.set_surface(window, None)
    second = desk.map(window)
    assert second is not first
    assert not second.released


def test_closing_asks_the_client_and_wants_a_sign_of_life(desk: Desk) -> None:
    window = desk.open()
    window.protocols = frozenset({Protocol.DELETE_WINDOW, Protocol.PING})
    desk.manager.close(window)
    assert desk.x.asked[-2:] == [
        ("protocol", 1, Protocol.DELETE_WINDOW),
        ("protocol", 1, Protocol.PING, 1),
    ]
    desk.manager.answer_ping(window)
    desk.manager.close(window)
    assert ("kill", 1) not in desk.x.asked


def test_who_does_not_answer_is_ended_by_the_second_try(desk: Desk) -> None:
    window = desk.open()
    window.protocols = frozenset({Protocol.DELETE_WINDOW, Protocol.PING})
    window.pid = 4711
    desk.manager.close(window)
    desk.manager.close(window)
    assert desk.x.asked[-1] == ("end", 1, 4711)


def test_who_can_not_be_asked_is_ended(desk: Desk) -> None:
    window = desk.open()
    desk.manager.close(window)
    assert desk.x.asked[-1] == ("kill", 1)


@pytest.mark.parametrize(
    ("accepts", "asks", "focus", "told"),
    [(True, False, 1, False), (True, True, 1, True), (False, True, 0, True), (False, False, 0, False)],
    ids=["passive", "locally active", "globally active", "no input"],
)
def test_the_four_ways_to_take_the_keyboard(
    desk: Desk, accepts: bool, asks: bool, focus: int, told: bool
) -> None:
    window = desk.open()
    window.wm_hints = WmHints(accepts_input=accepts)
    window.protocols = frozenset({Protocol.TAKE_FOCUS} if asks else ())
    desk.manager.enter_keyboard(window)
    assert desk.x.focus == focus
    assert (("offer focus", 1) in desk.x.asked) is told
    assert desk.x.active == 1
    assert State.FOCUSED in desk.x.net_states[1]
    assert is_due(desk) is (asks and not accepts)
    desk.manager.enter_keyboard(None)
    assert (desk.x.focus, desk.x.active) == (0, 0)
    assert State.FOCUSED not in desk.x.net_states[1]
    assert not is_due(desk)


def test_what_x_tells_late_of_a_windows_place_is_old(desk: Desk) -> None:
    window = desk.open()
    for x in (100, 300):
        desk.requests.configure(window, Wish(ConfigureMask.X, x=x))
    desk.manager.move(window, desk.x.geometry[1]._replace(x=101), 0)
    desk.requests.configure(window, Wish(ConfigureMask.Y, y=200))
    assert desk.x.geometry[1][:2] == (301, 228)


def is_due(desk: Desk) -> bool:
    """Whether a window is waited for that takes the keyboard itself."""
    return desk.manager.focus.is_due


def test_a_window_that_takes_the_keyboard_itself_is_waited_for_until_it_has(desk: Desk) -> None:
    other, window = desk.open(1), desk.open(OTHER_CLIENT | 2)
    window.wm_hints = WmHints(accepts_input=False)
    window.protocols = frozenset({Protocol.TAKE_FOCUS})
    desk.manager.enter_keyboard(other)
    desk.manager.focus.change_holder(other, gained=True)
    taken: list[bool] = []
    desk.manager.focus.taken = lambda: taken.append(is_due(desk))
    desk.manager.enter_keyboard(window)
    desk.manager.focus.change_holder(other, gained=False)
    desk.manager.focus.change_holder(other, gained=True)
    assert (is_due(desk), taken) == (True, [])
    desk.manager.focus.change_holder(window, gained=True)
    assert (is_due(desk), taken) == (False, [False])
    desk.manager.enter_keyboard(other)
    desk.manager.enter_keyboard(window)
    assert not is_due(desk), "it has never lost it"
    desk.manager.focus.change_holder(window, gained=False)
    desk.manager.enter_keyboard(other)
    desk.manager.enter_keyboard(window)
    assert is_due(desk)
    desk.manager.destroy(OTHER_CLIENT | 2)
    assert taken == [False, False]


def test_who_changes_how_it_takes_the_keyboard_that_it_has_gets_it_so(desk: Desk) -> None:
    window = desk.open()
    window.wm_hints = WmHints(accepts_input=False)
    desk.manager.enter_keyboard(window)
    assert desk.x.focus == 0
    window.wm_hints = WmHints(accepts_input=True)
    desk.manager.refresh(window)
    assert desk.x.focus == 1
    offers = desk.x.asked.count(("offer focus", 1))
    window.protocols = frozenset({Protocol.TAKE_FOCUS})
    desk.manager.refresh(window)
    desk.manager.refresh(window)
    assert desk.x.asked.count(("offer focus", 1)) == offers + 1


def test_the_window_under_the_pointer_is_on_top_of_the_x_screen(desk: Desk) -> None:
    """Also above its dialogs: on the compositor's screen they may lie elsewhere."""
    first, second, dialog = desk.open(1), desk.open(2), desk.add(3)
    dialog.transient_for = 1
    desk.map(dialog)
    desk.manager.enter_pointer(second)
    assert list(desk.manager.stack) == [1, 3, 2]
    desk.manager.enter_pointer(first)
    assert list(desk.manager.stack) == [3, 2, 1]
    desk.x.asked.clear()
    desk.manager.enter_pointer(first)
    assert desk.x.asked == []


def test_a_window_that_was_made_before_others_is_raised_though_it_was_mapped_last(desk: Desk) -> None:
    older, younger = desk.add(1), desk.add(2)
    desk.map(younger)
    desk.map(older)
    desk.configure(older)
    desk.manager.enter_pointer(older)
    assert ("raise", 1) in desk.x.asked


def test_the_window_under_the_pointer_stays_there_when_others_open_or_get_the_keyboard(desk: Desk) -> None:
    first, second, dialog = desk.open(1), desk.open(2), desk.add(3)
    desk.manager.enter_pointer(first)
    dialog.transient_for = 2
    desk.map(dialog)
    assert list(desk.manager.stack) == [2, 3, 1]
    desk.manager.enter_keyboard(second)
    assert list(desk.manager.stack) == [2, 3, 1]
    desk.manager.unmap(first)
    desk.manager.enter_keyboard(second)
    assert list(desk.manager.stack) == [2, 3]


def test_windows_that_are_transient_for_each_other_are_no_circle(desk: Desk) -> None:
    first, second = desk.add(1), desk.add(2)
    first.transient_for, second.transient_for = 2, 1
    desk.map(first)
    desk.map(second)
    desk.configure(first)
    desk.configure(second)
    desk.manager.enter_pointer(first)
    desk.manager.enter_keyboard(second)
    assert desk.x.active == 2


def test_while_a_client_draws_only_the_last_configure_counts(desk: Desk) -> None:
    window = desk.open()
    window.protocols = frozenset({Protocol.SYNC_REQUEST})
    window.sync_counter = 7
    port = desk.configure(window, Size(302, 229))
    assert desk.x.asked[-1] == ("resize", 1, 7)
    desk.configure(window, Size(402, 329))
    desk.configure(window, Size(502, 429))
    assert desk.x.geometry[1].size == Size(300, 200)
    desk.manager.commit(window, Size(300, 200))
    assert port.acked == port.sent[-3]
    desk.manager.drawn(window)
    assert desk.x.geometry[1].size == Size(500, 400)
    desk.manager.commit(window, Size(500, 400))
    assert port.acked == port.sent[-1]


def test_a_startup_id_is_handed_in_once_the_window_is_there(desk: Desk) -> None:
    window = desk.add()
    window.startup_id = "token"
    port = desk.map(window)
    assert port.asked == []
    desk.configure(window)
    assert port.asked == [("activate", "token")]


def test_urgency_is_told_once_and_only_of_windows_without_the_keyboard(desk: Desk) -> None:
    window = desk.open()
    desk.manager.enter_keyboard(window)
    window.wm_hints = WmHints(urgent=True)
    desk.manager.refresh(window)
    assert port_of(window).asked == []
    desk.manager.enter_keyboard(None)
    desk.manager.refresh(window)
    desk.manager.refresh(window)
    assert port_of(window).asked == [("attention", True)]


def test_one_maximised_axis_survives_what_the_compositor_configures(desk: Desk) -> None:
    window = desk.open()
    desk.requests.change_states(window, Change.ADD, frozenset({State.MAXIMIZED_VERT}))
    assert window.rectangle.size == Size(200, 768 - 29)
    desk.configure(window, ANYTHING, ShellState.ACTIVATED)
    assert desk.x.net_states[1] >= {State.MAXIMIZED_VERT}
    desk.requests.change_states(window, Change.REMOVE, frozenset({State.MAXIMIZED_VERT}))
    assert window.rectangle.size == SMALL.size


def test_a_window_that_grows_stays_where_it_can_be_pointed_at(desk: Desk) -> None:
    window = desk.open()
    assert window.rectangle[:2] == (412, 334)
    desk.configure(window, Size(1024, 768), ShellState.FULLSCREEN)
    assert desk.x.geometry[1] == (0, 0, 1024, 768)
    desk.manager.commit(window, Size(1024, 768))
    desk.configure(window, Size(802, 629))
    assert desk.x.geometry[1] == (0, 0, 800, 600)


def test_a_window_follows_the_screens_edge(desk: Desk) -> None:
    window = desk.open()
    desk.requests.configure(window, Wish(ConfigureMask.X | ConfigureMask.Y, 2000, -50))
    assert window.rectangle == (824, 0, 200, 100)
    desk.manager.resize_screen(Size(640, 480))
    assert ("move", 1, 440, 0) in desk.x.asked


FIRST: Final = Rectangle(0, 0, 640, 480)
SECOND: Final = Rectangle(640, 480, 1024, 768)
"""Outputs that touch at a corner."""


def test_a_window_is_on_one_output(desk: Desk) -> None:
    """Beside outputs there is no pointer."""
    desk.manager.resize_screen(Size(1664, 1248))
    desk.manager.place_outputs((FIRST, SECOND))
    window = desk.open()
    assert window.rectangle == (220, 190, 200, 100)
    for wanted, place in (
        ((560, 0), (440, 28)),
        ((0, 500), (1, 380)),
        ((1500, 100), (1464, 480)),
        ((700, 500), (701, 528)),
    ):
        desk.requests.configure(window, Wish(ConfigureMask.X | ConfigureMask.Y, *wanted))
        assert window.rectangle[:2] == place
    desk.configure(window, Size(1024, 768), ShellState.FULLSCREEN)
    assert desk.x.geometry[1] == SECOND


def test_a_window_goes_with_the_output_that_it_was_on(desk: Desk) -> None:
    desk.manager.resize_screen(Size(1664, 1248))
    desk.manager.place_outputs((FIRST, SECOND))
    window = desk.open()
    desk.requests.configure(window, Wish(ConfigureMask.X | ConfigureMask.Y, 1400, 1100))
    desk.manager.place_outputs((FIRST, SECOND._replace(x=640, y=0)))
    assert ("move", 1, 1401, 668) in desk.x.asked
    desk.manager.place_outputs((FIRST,))
    assert ("move", 1, 440, 380) in desk.x.asked


def test_a_window_that_no_output_has_room_for_is_on_the_screen(desk: Desk) -> None:
    desk.manager.resize_screen(Size(1664, 1248))
    desk.manager.place_outputs((FIRST, SECOND))
    window = desk.open()
    every = ConfigureMask.X | ConfigureMask.Y | ConfigureMask.WIDTH | ConfigureMask.HEIGHT
    desk.requests.configure(window, Wish(every, 900, 300, 1100, 900))
    assert window.rectangle == (564, 328, 1100, 900)


def test_a_client_shows_a_third_of_what_there_is_room_for(desk: Desk) -> None:
    most = MAX_WINDOWS // 3
    windows = [desk.add(number) for number in range(1, most + 2)]
    for window in windows:
        desk.manager.request_map(window)
    assert ("map", most) in desk.x.asked
    assert ("map", most + 1) not in desk.x.asked
    desk.manager.destroy(1)
    desk.manager.request_map(windows[-1])
    assert ("map", most + 1) in desk.x.asked


def test_however_many_clients_show_what_they_can_there_is_room_for_another(desk: Desk) -> None:
    for client in range(1, 11):
        for number in range(1, MAX_WINDOWS):
            desk.manager.request_map(desk.add(client << 21 | number))
    assert sum(asked[0] == "map" for asked in desk.x.asked) < MAX_WINDOWS
    desk.manager.request_map(desk.add(11 << 21))
    assert ("map", 11 << 21) in desk.x.asked


def test_a_window_that_got_no_surface_is_mapped_anew_when_there_is_room(desk: Desk) -> None:
    window = desk.open(1)
    desk.manager.lack_surface(window)
    desk.x.asked.clear()
    desk.manager.show_unseen()
    desk.manager.show_unseen()
    assert desk.x.asked == [("unmap", 1), ("map", 1)]


def test_a_window_that_is_gone_is_not_mapped_anew(desk: Desk) -> None:
    window = desk.open(1)
    desk.manager.lack_surface(window)
    desk.manager.unmap(window)
    desk.x.asked.clear()
    desk.manager.show_unseen()
    assert desk.x.asked == []


def test_no_client_says_who_has_the_keyboard(desk: Desk) -> None:
    window = desk.add()
    desk.requests.change_states(window, Change.ADD, frozenset({State.FOCUSED, State.SKIP_PAGER}))
    desk.map(window)
    assert desk.x.net_states[1] == {State.SKIP_PAGER}
