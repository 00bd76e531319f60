"""Programs of several toolkits, as a person uses them."""

import numpy as np

from crossdomain.vm.seat import View
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_looks import assert_framed, await_same, popups_on_screen


def test_a_button_of_xaw_ends_a_message(desktop: X11Desktop) -> None:
    process = desktop.start("xmessage", "-buttons", "ok:3,cancel:4", "Is everything in its place?")
    window = desktop.place(desktop.window("xmessage"), 300, 300)
    await_same(desktop, window, "xmessage")
    assert_framed(desktop, window)
    desktop.click(window, 15, -15)
    assert process.wait(30) == 3
    desktop.gone("xmessage")


def test_eyes_are_black_and_white(desktop: X11Desktop) -> None:
    desktop.start("xeyes", "+shape")
    window = desktop.place(desktop.window("xeyes"), 300, 300)
    await_same(desktop, window, "xeyes")
    picture = desktop.picture_of(window)
    assert int((picture == 255).all(axis=2).sum()) > 3000
    assert int((picture == 0).all(axis=2).sum()) > 500


def test_gears_turn_without_a_gpu(desktop: X11Desktop) -> None:
    desktop.start("glxgears")
    window = desktop.window("glxgears")
    first = desktop.picture_of(window)
    desktop.wait(lambda: bool(np.any(desktop.picture_of(window) != first)), "another picture")
    red, green, blue = (desktop.picture_of(window)[..., band].astype(int) for band in range(3))
    assert int((red - green - blue > 50).sum()) > 3000, "the large gear is red"


def test_images_go_through_shared_memory(desktop: X11Desktop) -> None:
    """And everything else is offered that Xwayland has without a GPU (docs/x11.md)."""
    names = desktop.run("xdpyinfo").stdout.split()
    assert {"MIT-SHM", "GLX", "Present", "RENDER", "SHAPE", "SYNC", "XInputExtension", "XVideo"} <= set(names)
    put = desktop.run("x11perf", "-repeat", "1", "-reps", "20", "-shmput500", "-shmget500")
    assert put.stdout.count(" reps @") == 2


def open_choices(desktop: X11Desktop, window: View) -> View:
    """The choices of the combo box "Items with icons", with the button held down."""
    desktop.wait(lambda: desktop.seat.count_colours(window) > 30, "all of its contents")
    desktop.seat.move_pointer(*desktop.spot(window, 100, 50))
    with desktop.client() as client:
        # A person needs longer to press a button than the X server to know which window is on top.
        desktop.wait(lambda: client.under_pointer() == "Combo Boxes", "X knows where the pointer is")
    desktop.seat.button(pressed=True)
    return desktop.wait(lambda: popups_on_screen(desktop, window), "its choices")[0]


def test_a_combo_box_of_gtk_opens_above_its_field_and_takes_a_choice(desktop: X11Desktop) -> None:
    desktop.start("gtk3-demo", "--run=combobox")
    window = desktop.place(desktop.window("Combo Boxes"), 400, 300)
    field = (window.x + 100, window.y + 50)
    before = desktop.picture_of(window)[30:70, 20:200]
    menu = open_choices(desktop, window)
    assert menu.x <= field[0] < menu.x + menu.width
    assert menu.y <= field[1] < menu.y + menu.height
    await_same(desktop, window, "gtk-combo-box", hold=True)
    desktop.seat.move_pointer(field[0], menu.y + menu.height - 20)
    desktop.wait(lambda: bool(np.any(desktop.picture_of(menu)[-20:, 60:] != 255)), "the last one is lit")
    desktop.seat.button(pressed=False)
    desktop.wait(lambda: not popups_on_screen(desktop, window), "it is closed")
    desktop.wait(lambda: bool(np.any(desktop.picture_of(window)[30:70, 20:200] != before)), "another choice")


def test_a_combo_box_of_gtk_stays_open_wherever_the_pointer_is(desktop: X11Desktop) -> None:
    desktop.start("gtk3-demo", "--run=combobox")
    window = desktop.place(desktop.window("Combo Boxes"), 400, 300)
    menu = open_choices(desktop, window)
    desktop.seat.move_pointer(5, 5)
    desktop.screenshot()
    assert popups_on_screen(desktop, window)[0].identity == menu.identity
    desktop.seat.button(pressed=False)


def test_a_window_of_gtk_that_draws_its_own_title_has_no_other(desktop: X11Desktop) -> None:
    desktop.start("gtk3-demo")
    window = desktop.window("Application Class")
    assert [view.label for view in desktop.seat.views() if view.label == "sub-surface"] == []
    desktop.click(window, -52, 45)
    desktop.gone("Application Class")
