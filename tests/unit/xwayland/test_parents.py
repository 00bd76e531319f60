"""Windows that are transient for each other: compositors end who tells them of a circle."""

from crossdomain.wire.codec import integer
from tests.unit.xwayland.shell_rig import NEEDED, ShellRig, rig_before

TOPLEVEL = ("xdg_toplevel",)
rig = rig_before(NEEDED)


def parents(rig: ShellRig) -> list[tuple[int, int]]:
    """Who was told to be on whom since the last time: the compositor's ids of both."""
    return [
        (toplevel, integer(values[0]))
        for toplevel, name, values in rig.said_to(TOPLEVEL)
        if name == "set_parent"
    ]


def test_of_two_that_are_transient_for_each_other_one_is_on_the_other(rig: ShellRig) -> None:
    first, _second = rig.open(1), rig.open(2, transient_for=1)
    assert len(parents(rig)) == 1
    first.transient_for = 2
    rig.manager.refresh(first)
    assert parents(rig) == []


def test_nor_do_three_make_a_circle(rig: ShellRig) -> None:
    first, _second, _third = rig.open(1), rig.open(2, transient_for=1), rig.open(3, transient_for=2)
    assert len(parents(rig)) == 2
    first.transient_for = 3
    rig.manager.refresh(first)
    assert parents(rig) == []


def test_they_may_change_places(rig: ShellRig) -> None:
    first, second = rig.open(1), rig.open(2, transient_for=1)
    ((upper, lower),) = parents(rig)
    second.transient_for = 0
    rig.manager.refresh(second)
    first.transient_for = 2
    rig.manager.refresh(first)
    assert parents(rig) == [(upper, 0), (lower, upper)]
