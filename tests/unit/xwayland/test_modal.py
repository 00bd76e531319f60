"""Modal dialogs (xdg_wm_dialog_v1): the messages, when they are sent and when not."""

from launcher.xwayland.model.names import State
from launcher.xwayland.model.properties import MotifHints
from tests.unit.xwayland.shell_rig import NEEDED, ShellRig, rig_before

DIALOG = ("xdg_wm_dialog_v1", "xdg_dialog_v1")
rig = rig_before({**NEEDED, "xdg_wm_dialog_v1": 1})


def test_a_modal_dialog_is_one_for_the_compositor_too(rig: ShellRig) -> None:
    rig.open(1)
    dialog = rig.open(2, transient_for=1)
    assert rig.said(DIALOG) == []
    dialog.states.add(State.MODAL)
    rig.manager.refresh(dialog)
    assert [name for name, _ in rig.said(DIALOG)] == ["get_xdg_dialog", "set_modal"]
    rig.manager.refresh(dialog)
    assert rig.said(DIALOG) == []
    dialog.states.clear()
    rig.manager.refresh(dialog)
    assert rig.said(DIALOG) == [("unset_modal", ())]


def test_motif_has_its_own_word_for_modal(rig: ShellRig) -> None:
    rig.open(1)
    dialog = rig.open(2, transient_for=1)
    dialog.motif = MotifHints(modal=True)
    rig.manager.refresh(dialog)
    assert [name for name, _ in rig.said(DIALOG)] == ["get_xdg_dialog", "set_modal"]


def test_a_window_that_is_modal_for_nobody_is_none(rig: ShellRig) -> None:
    window = rig.open(1)
    window.states.add(State.MODAL)
    rig.manager.refresh(window)
    assert rig.said(DIALOG) == []


def test_a_dialog_that_goes_says_so_before_its_window(rig: ShellRig) -> None:
    rig.open(1)
    dialog = rig.open(2, transient_for=1)
    dialog.states.add(State.MODAL)
    rig.manager.refresh(dialog)
    rig.said(DIALOG)
    rig.manager.unmap(dialog)
    assert rig.said(DIALOG) == [("destroy", ())]
