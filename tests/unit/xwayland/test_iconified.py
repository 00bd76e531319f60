"""Windows out of the way: how they come to be, and how their clients have them back (ICCCM 4.1.4)."""

from collections.abc import Callable
from typing import Final

import pytest

from launcher.xwayland.model.names import Action, State, WmState
from launcher.xwayland.model.ports import ShellState
from launcher.xwayland.model.properties import InitialState, WmHints
from launcher.xwayland.model.requests import Change
from launcher.xwayland.model.window import Window
from tests.unit.xwayland.test_toplevel import ANYTHING, Desk, is_shown, port_of


@pytest.fixture
def desk() -> Desk:
    """An empty one."""
    return Desk()


def test_a_window_that_begins_as_an_icon(desk: Desk) -> None:
    window = desk.add()
    window.wm_hints = WmHints(initial_state=InitialState.ICONIC)
    port = desk.map(window)
    desk.configure(window)
    assert ("minimized", True) in port.asked
    desk.configure(window, ANYTHING, ShellState.ACTIVATED)
    assert (desk.x.wm_states[1], desk.x.net_states[1]) == (WmState.ICONIC, {State.HIDDEN})
    port.hear()
    desk.configure(window, ANYTHING, ShellState.ACTIVATED)
    assert desk.x.wm_states[1] == WmState.NORMAL
    assert State.HIDDEN not in desk.x.net_states[1]


@pytest.fixture
def iconic(desk: Desk) -> Window:
    """A window that has begun as an icon."""
    window = desk.add()
    window.wm_hints = WmHints(initial_state=InitialState.ICONIC)
    desk.map(window)
    desk.configure(window).hear()
    port_of(window).asked.clear()
    return window


def test_where_the_compositor_has_no_icons_no_window_is_one(desk: Desk) -> None:
    window = desk.add()
    window.wm_hints = WmHints(initial_state=InitialState.ICONIC)
    port = desk.map(window)
    desk.manager.allow_icon(window, allowed=False)
    desk.configure(window)
    desk.requests.iconify(window)
    desk.requests.change_states(window, Change.ADD, frozenset({State.HIDDEN}))
    assert (desk.x.wm_states[1], desk.x.net_states[1]) == (WmState.NORMAL, set())
    assert ("minimized", True) not in port.asked


def test_a_client_knows_whether_its_window_can_be_an_icon(desk: Desk) -> None:
    window = desk.add()
    desk.map(window)
    everything = desk.x.actions[1]
    assert Action.MINIMIZE in everything
    desk.manager.allow_icon(window, allowed=False)
    assert desk.x.actions[1] == everything - {Action.MINIMIZE}
    desk.manager.allow_icon(window, allowed=True)
    assert desk.x.actions[1] == everything


def unhide(desk: Desk, window: Window) -> None:
    """What GTK asks for besides the mapping."""
    desk.requests.change_states(window, Change.REMOVE, frozenset({State.HIDDEN}))


def activate(desk: Desk, window: Window) -> None:
    """What all others do."""
    desk.requests.activate(window)


BACK: Final = (unhide, activate)
"""The ways to have an iconified window back."""


@pytest.mark.parametrize("ask", BACK)
def test_an_iconified_window_comes_back_by_activation(
    desk: Desk, iconic: Window, ask: Callable[[Desk, Window], None]
) -> None:
    ask(desk, iconic)
    port = port_of(iconic)
    assert port.asked == [("restored", True)]
    assert desk.x.wm_states[1] == WmState.ICONIC
    desk.configure(iconic, ANYTHING, ShellState.ACTIVATED)
    assert (desk.x.wm_states[1], desk.x.net_states[1]) == (WmState.NORMAL, set())
    port.deny()
    assert port_of(iconic) is port


@pytest.mark.parametrize("ask", BACK)
def test_an_iconified_window_comes_back_anew_where_that_is_denied(
    desk: Desk, iconic: Window, ask: Callable[[Desk, Window], None]
) -> None:
    before = port_of(iconic)
    ask(desk, iconic)
    ask(desk, iconic)
    before.deny()
    assert not before.alive
    port = desk.configure(iconic)
    assert is_shown(iconic)
    assert ("minimized", True) not in port.asked
    assert (desk.x.wm_states[1], desk.x.net_states[1]) == (WmState.NORMAL, set())


def test_a_window_that_is_no_icon_is_not_shown_anew(desk: Desk) -> None:
    window = desk.open()
    for ask in BACK:
        ask(desk, window)
    assert port_of(window).asked == [("activate", "")]
