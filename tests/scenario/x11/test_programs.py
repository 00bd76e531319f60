"""Programs of toolkits that take long to start, each in one story: window, menus, combo boxes, typing."""

import subprocess
from pathlib import Path
from typing import Final

from crossdomain.vm.image import Image
from crossdomain.vm.seat import KEY_LEFT_CONTROL, View
from tests.fakes.stage import press
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_looks import assert_framed, await_same, popups_on_screen

SWING: Final = Path(__file__).with_name("Swing.java")
KEY_ESCAPE, KEY_S = 1, 31


def open_popup(desktop: X11Desktop, window: View, x: int, y: int) -> View:
    """Click at a place of a window, and return what opens."""
    desktop.click(window, x, y)
    return desktop.wait(lambda: popups_on_screen(desktop, window), "a popup")[0]


def close_popup(desktop: X11Desktop, window: View) -> None:
    """Close it with Escape."""
    desktop.seat.tap(KEY_ESCAPE)
    desktop.wait(lambda: not popups_on_screen(desktop, window), "no popup")


def read_line(process: "subprocess.Popen[str]") -> str:
    """What a program says next."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_an_editor_of_qt(desktop: X11Desktop, debian: Image, runtime_dir: Path) -> None:
    text = runtime_dir / "letter.txt"
    text.write_text("")
    environment = ("PATH=/usr/sbin:/usr/bin", "QT_QPA_PLATFORM=xcb", f"HOME={runtime_dir}")
    desktop.start("env", *environment, *debian.command(["featherpad", "--standalone", str(text)]))
    desktop.window(f"{text}' of FeatherPad")
    window = desktop.place(desktop.window(f"{text}' of FeatherPad"), 200, 150)
    await_same(desktop, window, "qt")
    assert_framed(desktop, window)

    menu = open_popup(desktop, window, 100, 10)
    desktop.seat.move_pointer(*desktop.spot(menu, 60, 114))  # "Encoding"
    submenu = desktop.wait(lambda: popups_on_screen(desktop, window)[:-1], "a submenu")[0]
    assert abs(submenu.x - (menu.x + menu.width)) < 10
    await_same(desktop, window, "qt-submenu", hold=True)
    desktop.seat.tap(KEY_ESCAPE)
    close_popup(desktop, window)

    desktop.click(window, 300, 200)
    desktop.seat.type("Dear reader, (Qt)")
    press(desktop.seat, KEY_LEFT_CONTROL, KEY_S)
    desktop.wait(lambda: text.read_text() == "Dear reader, (Qt)\n", "what was typed")


def test_a_window_of_java_swing(desktop: X11Desktop) -> None:
    process = desktop.start("java", "-XX:TieredStopAtLevel=1", str(SWING))
    window = desktop.place(desktop.window("swing' of com-sun"), 300, 200)
    window = await_same(desktop, window, "java")
    assert_framed(desktop, window)

    menu = open_popup(desktop, window, 20, 10)
    await_same(desktop, window, "java-menu")
    desktop.click(menu, 20, 12)
    assert read_line(process) == "New\n"
    desktop.wait(lambda: not popups_on_screen(desktop, window), "no menu")

    choices = open_popup(desktop, window, 340, 38)
    assert choices.y > window.y + 38
    await_same(desktop, window, "java-combo-box")
    desktop.click(choices, 20, 28)
    assert read_line(process) == "green\n"

    desktop.click(window, 200, 38)
    desktop.seat.type("Typed (in Java)\n")
    assert read_line(process) == "Typed (in Java)\n"
