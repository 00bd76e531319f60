"""Menus and everything else that X applications place themselves."""

import textwrap
from typing import Final

from crossdomain.vm.seat import View
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_looks import await_same

TK: Final = textwrap.dedent(
    """
    import tkinter as tk
    import tkinter.ttk as ttk
    root = tk.Tk()
    root.title("tk")
    root.geometry("400x300")
    bar = tk.Menu(root)
    menu = tk.Menu(bar, tearoff=0)
    for name in ("New", "Open", "Save"):
        menu.add_command(label=name, command=lambda name=name: print(name, flush=True))
    below = tk.Menu(menu, tearoff=0)
    for name in ("one.txt", "two.txt"):
        below.add_command(label=name, command=lambda name=name: print(name, flush=True))
    menu.add_cascade(label="Recent", menu=below)
    bar.add_cascade(label="File", menu=menu)
    root.config(menu=bar)
    box = ttk.Combobox(root, values=["red", "green", "blue"])
    box.bind("<<ComboboxSelected>>", lambda event: print(box.get(), flush=True))
    box.place(x=100, y=40, width=180)
    root.mainloop()
    """
)


CORNER: Final = textwrap.dedent(
    """
    import tkinter as tk
    root = tk.Tk()
    root.title("corner")
    root.attributes("-fullscreen", True)
    button = tk.Menubutton(root, text="more", relief="raised")
    menu = tk.Menu(button, tearoff=0)
    for number in range(12):
        menu.add_command(label=f"a rather long entry, number {number}")
    button.config(menu=menu)
    button.place(relx=1.0, rely=1.0, anchor="se")
    def placed(event):
        if (event.x + event.width, event.y + event.height) == (1024, 768):
            print("placed", flush=True)
    button.bind("<Configure>", placed)
    root.mainloop()
    """
)


def popup(desktop: X11Desktop, window: View, number: int = 1) -> View:
    """The `number`th popup above a window, as soon as so many have contents."""

    def look() -> View | None:
        popups = [view for view in desktop.above(window) if view.label == ""]
        return popups[0] if len(popups) == number and all(view.width for view in popups) else None

    return desktop.wait(look, f"{number} popups")


def no_popup(desktop: X11Desktop, window: View) -> None:
    """Wait until none is left."""
    desktop.wait(lambda: not [v for v in desktop.above(window) if v.label == ""], "no popup")


def test_a_menu_opens_below_its_title_and_takes_a_click(desktop: X11Desktop) -> None:
    process = desktop.start("/usr/bin/python3", "-c", TK)
    window = desktop.place(desktop.window("tk"), 200, 100)
    desktop.click(window, 20, 10)
    menu = popup(desktop, window)
    assert (menu.x, menu.y) == (window.x + 1, window.y + 31)
    desktop.click(menu, 20, 10)
    assert process.stdout is not None
    assert process.stdout.readline() == "New\n"
    no_popup(desktop, window)


def test_a_submenu_opens_beside_its_menu(desktop: X11Desktop) -> None:
    process = desktop.start("/usr/bin/python3", "-c", TK)
    window = desktop.place(desktop.window("tk"), 300, 200)
    desktop.click(window, 20, 10)
    menu = popup(desktop, window)

    def point() -> bool:
        # Tk follows the pointer from some time after the menu is shown; a person's is never still.
        for x in (30, 31):
            desktop.seat.move_pointer(*desktop.spot(menu, x, -12))
        return len([view for view in desktop.above(window) if view.label == ""]) == 2

    desktop.wait(point, "a submenu")
    submenu = popup(desktop, window, 2)
    assert abs(submenu.x - (menu.x + menu.width)) < 10
    assert menu.y < submenu.y < menu.y + menu.height
    await_same(desktop, window, "tk-submenu", hold=True)
    desktop.click(submenu, 20, 10)
    assert process.stdout is not None
    assert process.stdout.readline() == "one.txt\n"
    no_popup(desktop, window)


def test_a_combo_box_opens_below_its_field(desktop: X11Desktop) -> None:
    process = desktop.start("/usr/bin/python3", "-c", TK)
    window = desktop.place(desktop.window("tk"), 300, 300)
    field = (window.x + 100 + 170, window.y + 31 + 40 + 10)
    desktop.seat.click(*field)
    choices = popup(desktop, window)
    assert choices.x == window.x + 100
    assert choices.y >= field[1]
    desktop.click(choices, 20, 28)
    assert process.stdout is not None
    assert process.stdout.readline() == "green\n"


def test_a_menu_in_the_screens_corner_is_wholly_on_the_screen(desktop: X11Desktop) -> None:
    """Toolkits see to that themselves where X knows where their window is, as it does with this one."""
    process = desktop.start("/usr/bin/python3", "-c", CORNER)
    assert process.stdout is not None
    assert process.stdout.readline() == "placed\n"
    desktop.wait(lambda: desktop.window("corner").width == 1024, "full screen")
    window = desktop.window("corner")
    desktop.seat.move_pointer(1014, 758)
    # Tk closes a menu that comes below the pointer when the button comes up at once.
    desktop.seat.button(pressed=True)
    menu = popup(desktop, window)
    assert 0 <= menu.x < menu.x + menu.width <= 1024
    assert 0 <= menu.y < menu.y + menu.height <= 768
    await_same(desktop, window, "tk-corner", hold=True)
    desktop.seat.button(pressed=False)


def test_a_menu_stays_open_and_leaves_the_keyboard_alone(desktop: X11Desktop) -> None:
    desktop.start("/usr/bin/python3", "-c", TK)
    window = desktop.place(desktop.window("tk"), 200, 100)
    desktop.click(window, 20, 10)
    menu = popup(desktop, window)
    active = desktop.run("xprop", "-root", "_NET_ACTIVE_WINDOW").stdout
    assert "0x0" not in active.split("#")[1]
    # Pointing at something else is no reason to close it.
    desktop.seat.move_pointer(*desktop.spot(window, 390, 290))
    desktop.seat.move_pointer(5, 5)
    assert popup(desktop, window).identity == menu.identity
    desktop.seat.tap(1)  # Escape
    no_popup(desktop, window)


def test_a_menu_that_grabs_opens_under_the_pointer(desktop: X11Desktop) -> None:
    """Xt's menus (xterm's here) grab the pointer and follow the pressed button."""
    desktop.start("xterm", "-T", "old", "-geometry", "80x24")
    window = desktop.place(desktop.window("old"), 300, 100)
    seat = desktop.seat
    seat.click(window.x + 100, window.y + 50)
    seat.key(29, pressed=True)  # Control
    seat.move_pointer(window.x + 100, window.y + 50)
    seat.button(pressed=True)
    menu = popup(desktop, window)
    assert menu.x < window.x + 100 < menu.x + menu.width
    assert menu.y < window.y + 50 < menu.y + menu.height
    await_same(desktop, window, "xterm-menu", hold=True)
    seat.move_pointer(window.x + 100, menu.y + 42)  # "Full Screen" is the first entry
    seat.button(pressed=False)
    seat.key(29, pressed=False)
    no_popup(desktop, window)
    desktop.wait(lambda: desktop.window("old").width > 1000, "the whole screen")
