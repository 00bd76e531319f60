"""Wine's notepad: `make wine`.  Not among the tests, because Wine is large and slow to start."""

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.seat import KEY_LEFT_CONTROL
from tests.fakes.stage import press
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_looks import assert_framed, await_same, managed_by
from tests.scenario.x11.test_programs import KEY_S, close_popup, open_popup

FIRST_SECONDS: Final = 240.0
"""Until Wine has made its first prefix, which it does once for each user."""


@pytest.fixture
def prefix(tmp_path: Path) -> Generator[Path]:
    """An empty place for Wine's own files; what it leaves running there is ended."""
    yield tmp_path / "wine"
    end = ("env", f"WINEPREFIX={tmp_path / 'wine'}", "wineserver", "-k", "-w")
    subprocess.run(end, check=False, timeout=FIRST_SECONDS)


@pytest.mark.timeout(2 * FIRST_SECONDS)
def test_notepad_takes_what_is_typed(desktop: X11Desktop, prefix: Path, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("")
    environment = (f"WINEPREFIX={prefix}", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=")
    desktop.start("env", *environment, "wine", "notepad", str(text))
    desktop.wait(lambda: desktop.seat.find_view("letter.txt"), "notepad", seconds=FIRST_SECONDS)
    window = desktop.place(desktop.window("letter.txt - Notepad' of notepad.exe"), 200, 150)
    desktop.click(window, 200, 100)
    await_same(desktop, window, "wine")
    assert_framed(desktop, window)

    menu = open_popup(desktop, window, 20, 10)
    assert (menu.x, menu.y) == (window.x, window.y + 19)
    await_same(desktop, window, "wine-menu")
    desktop.click(menu, 20, -60)  # "Page Setup" is a window of its own
    desktop.window("Page Setup")
    close_popup(desktop, window)
    desktop.gone("Page Setup")

    with desktop.client() as client:
        desktop.wait(lambda: client.focused() == managed_by(client, window), "the keyboard is its own again")

    desktop.seat.type("Dear reader, (Wine)")
    press(desktop.seat, KEY_LEFT_CONTROL, KEY_S)
    desktop.wait(lambda: text.read_text() == "Dear reader, (Wine)", "what was typed")
