"""Dialogs that are transient for a group (ICCCM 4.1.2.6, EWMH) are on one of its windows."""

import pytest

from launcher.xwayland.model.names import State, WindowType
from launcher.xwayland.model.placement import shown_parent
from launcher.xwayland.model.properties import WmHints
from launcher.xwayland.model.window import Window
from tests.unit.xwayland.test_toplevel import Desk

ROOT, LEADER = 0x51B, 90


@pytest.fixture
def desk() -> Desk:
    """With two main windows of one group, whose leader is never shown, and one of another."""
    made = Desk()
    made.add(LEADER)
    for number, group in ((1, LEADER), (2, LEADER), (3, 91)):
        made.open(number).wm_hints = WmHints(group=group)
    return made


def dialog(desk: Desk, number: int = 4, *, group: int = LEADER, transient_for: int = ROOT) -> Window:
    """A window that is shown, of a group, and transient for some window."""
    made = desk.open(number)
    made.wm_hints = WmHints(group=group)
    made.transient_for = transient_for
    return made


def parent_of(desk: Desk, window: Window) -> int:
    """What it is on, 0 for nothing."""
    found = shown_parent(window, desk.manager.windows)
    return 0 if found is None else found.window


def test_a_dialog_of_the_root_is_on_the_latest_window_of_its_group(desk: Desk) -> None:
    assert parent_of(desk, dialog(desk)) == 2


def test_the_leader_comes_first_where_it_is_shown(desk: Desk) -> None:
    assert parent_of(desk, dialog(desk, group=1)) == 1


def test_the_clients_leader_counts_where_there_is_no_group(desk: Desk) -> None:
    window = dialog(desk, group=0)
    assert parent_of(desk, window) == 0
    window.leader = LEADER
    assert parent_of(desk, window) == 2


def test_a_window_that_is_named_counts_more(desk: Desk) -> None:
    assert parent_of(desk, dialog(desk, transient_for=3)) == 3


@pytest.mark.parametrize("says", ["type", "state"])
def test_a_dialog_by_its_word_alone_is_on_its_group(desk: Desk, says: str) -> None:
    window = dialog(desk, transient_for=0)
    assert parent_of(desk, window) == 0
    window.types = {"type": (WindowType.DIALOG,), "state": ()}[says]
    window.states |= {"type": set[State](), "state": {State.MODAL}}[says]
    assert parent_of(desk, window) == 2


def test_dialogs_of_one_group_are_not_on_each_other(desk: Desk) -> None:
    first, second = dialog(desk, 4, group=5), dialog(desk, 5, group=5)
    assert [parent_of(desk, first), parent_of(desk, second)] == [0, 0]
