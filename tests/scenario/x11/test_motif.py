"""Motif: its menus grab pointer and keyboard, and stay until they are told to go."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from crossdomain.vm.seat import View
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_looks import await_same
from tests.scenario.x11.test_menus import no_popup, popup

KEY_ESCAPE: Final = 1
KEY_DOWN: Final = 108
KEY_X: Final = 45


@pytest.fixture
def editor(desktop: X11Desktop) -> Generator[View]:
    """NEdit, with a file open."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "letter"
        file.write_text("Dear all\n")
        command = ("nedit", "-geometry", "60x15+0+0", "-svrname", "test", str(file))
        process = desktop.start("env", f"HOME={home}", *command)
        yield desktop.place(desktop.window("[test] letter"), 200, 100)
        process.kill()
        process.wait()


def test_menus_open_below_each_title_that_is_clicked(desktop: X11Desktop, editor: View) -> None:
    left: list[int] = []
    for column in (20, 170, 20):
        desktop.click(editor, column, 12)
        menu = popup(desktop, editor)
        left.append(menu.x - editor.x)
        assert menu.y == editor.y + 24
        assert menu.x - editor.x <= column < menu.x - editor.x + menu.width
        await_same(desktop, editor, "motif-menu", hold=True)
        desktop.seat.tap(KEY_ESCAPE)
        no_popup(desktop, editor)
    assert left[0] == left[2] < left[1]


def test_a_choice_is_made_in_a_menu_of_a_menu_of_a_menu(desktop: X11Desktop, editor: View) -> None:
    """Preferences, Default Settings, Auto Indent: each opens beside the one before, and all close at once."""
    desktop.click(editor, 170, 12)
    menu = popup(desktop, editor)
    desktop.click(menu, 60, 24)
    settings = popup(desktop, editor, 2)
    assert abs(settings.x - (menu.x + menu.width)) < 10
    desktop.click(settings, 60, 46)
    last = popup(desktop, editor, 3)
    assert settings.y < last.y + last.height < settings.y + settings.height
    await_same(desktop, editor, "motif-menus", hold=True)
    # Pointing elsewhere closes none of them.
    desktop.seat.move_pointer(5, 5)
    assert popup(desktop, editor, 3).identity == last.identity
    desktop.click(last, 40, 12)
    no_popup(desktop, editor)


def test_the_keyboard_walks_through_menus_and_stays_with_the_editor(
    desktop: X11Desktop, editor: View
) -> None:
    with desktop.client() as client:
        desktop.click(editor, 20, 12)
        menu = popup(desktop, editor)
        assert client.active_title().startswith("[test] letter")
    before = desktop.picture_of(menu)
    desktop.seat.tap(KEY_DOWN)
    # A key within the millisecond of the one before is none for Motif, whatever the server.
    desktop.wait(lambda: not np.array_equal(desktop.picture_of(menu), before), "another entry")
    assert popup(desktop, editor).identity == menu.identity
    desktop.seat.tap(KEY_ESCAPE)
    no_popup(desktop, editor)

    def is_typed() -> bool:
        # The toolkit gives the keyboard up some time after its menu has gone.
        desktop.click(editor, 100, 100)
        desktop.seat.tap(KEY_X)
        return desktop.seat.find_view("'[test] letter (modified)") is not None

    desktop.wait(is_typed, "a text that has changed")
