"""X11 windows are ordinary windows on the host, with frames that do what their users expect."""

from pathlib import Path

from Xlib import X, Xutil

from crossdomain.vm.seat import Touch, View
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_client import XTestClient


def drag(desktop: X11Desktop, begin: tuple[int, int], end: tuple[int, int], done: str, moved: View) -> View:
    """Drag from one point to another until the window is elsewhere, and return where it is then."""
    seat = desktop.seat
    seat.move_pointer(*begin)
    seat.button(pressed=True)
    middle = ((begin[0] + end[0]) // 2, (begin[1] + end[1]) // 2)

    def look() -> View | None:
        # The compositor takes over some time after the first motion.
        seat.move_pointer(*middle)
        seat.move_pointer(*end)
        found = next(view for view in seat.views() if view.identity == moved.identity)
        changed = (found.x, found.y, found.width) != (moved.x, moved.y, moved.width)
        return found if changed and end[0] - begin[0] in settled(found, moved) else None

    found = desktop.wait(look, done)
    seat.button(pressed=False)
    return found


def settled(found: View, before: View) -> tuple[int, int]:
    """How far a window has moved, and how much wider it is."""
    return found.x - before.x, found.width - before.width


def test_a_terminal_shows_and_takes_what_is_typed(desktop: X11Desktop, tmp_path: Path) -> None:
    told = tmp_path / "told"
    desktop.start("xterm", "-T", "typing", "-e", f'read line; echo "$line" >{told}; sleep 100')
    window = desktop.window("typing")
    desktop.click(window, 50, 50)
    desktop.seat.type("Hello, World!\n")
    desktop.wait(lambda: told.exists() and told.read_text() == "Hello, World!\n", "what was typed")


def test_the_keyboard_is_the_windows_after_a_click_on_its_title(desktop: X11Desktop, tmp_path: Path) -> None:
    told = tmp_path / "told"
    desktop.start("xterm", "-T", "title", "-e", f'read line; echo "$line" >{told}; sleep 100')
    bar = desktop.title_bar(desktop.window("title"))
    desktop.click(bar, 30, 14)
    desktop.seat.type("from the title\n")
    desktop.wait(lambda: told.exists() and told.read_text() == "from the title\n", "what was typed")


def test_the_class_and_the_title_are_the_windows(desktop: X11Desktop) -> None:
    process = desktop.start(
        "xterm", "-class", "Special", "-T", "first", "-e", "read x; printf '\\033]2;second\\007'; read x"
    )
    window = desktop.window("first' of Special")
    desktop.click(window, 50, 50)
    desktop.seat.type("\n")
    desktop.window("second' of Special")
    assert process.poll() is None


def test_the_close_button_closes(desktop: X11Desktop) -> None:
    process = desktop.start("xclock", "-title", "closed")
    bar = desktop.title_bar(desktop.window("closed"))
    desktop.click(bar, -14, 14)
    desktop.gone("closed")
    process.wait(10)


def test_the_maximise_button_maximises_and_restores(desktop: X11Desktop) -> None:
    desktop.start("xclock", "-title", "large")
    before = desktop.window("large")
    bar = desktop.title_bar(before)
    desktop.click(bar, -42, 14)
    desktop.wait(lambda: desktop.window("large").width == 1024, "the whole screen")
    large = desktop.window("large")
    assert (large.x, large.y, large.width, large.height) == (0, 28, 1024, 740)
    bar = desktop.title_bar(large)
    desktop.click(bar, -42, 14)
    desktop.wait(lambda: desktop.window("large").width == before.width, "its former size")
    after = desktop.window("large")
    assert (after.width, after.height) == (before.width, before.height)


def test_a_double_click_on_the_title_maximises(desktop: X11Desktop) -> None:
    desktop.start("xclock", "-title", "double")
    bar = desktop.title_bar(desktop.window("double"))
    desktop.click(bar, 20, 14)
    desktop.click(bar, 20, 14)
    desktop.wait(lambda: desktop.window("double").width == 1024, "the whole screen")


def test_the_title_moves_the_window(desktop: X11Desktop) -> None:
    desktop.start("xclock", "-title", "moved")
    window = desktop.place(desktop.window("moved"), 100, 100)
    bar = desktop.title_bar(window)
    begin = (bar.x + 20, bar.y + 14)
    moved = drag(desktop, begin, (begin[0] + 200, begin[1] + 150), "the window moved", window)
    assert (moved.x, moved.y) == (300, 250)


def test_an_edge_resizes_the_window(desktop: X11Desktop) -> None:
    desktop.start("xclock", "-title", "resized")
    window = desktop.place(desktop.window("resized"), 100, 100)
    begin = (window.x + window.width + 4, window.y + window.height + 4)
    resized = drag(desktop, begin, (begin[0] + 100, begin[1] + 60), "the window is larger", window)
    assert (resized.width, resized.height) == (window.width + 100, window.height + 60)
    assert desktop.title_bar(resized).width == resized.width + 2


def test_a_window_keeps_its_proportions(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        made = client.window(client.create_window())
        ratio = {"num": 2, "denum": 1}
        made.set_wm_normal_hints(flags=Xutil.PAspect, min_aspect=ratio, max_aspect=ratio)
        made.set_wm_name("wide")
        made.map()
        client.display.sync()
        window = desktop.place(desktop.window("wide"), 100, 100)
        begin = (window.x + window.width + 4, window.y + window.height + 4)
        resized = drag(desktop, begin, (begin[0] + 100, begin[1] + 80), "the window is larger", window)
        assert (resized.width, resized.height) == (300, 150)


def tap(desktop: X11Desktop, x: int, y: int) -> None:
    """Touch a point and let it go."""
    desktop.seat.touch(0, Touch.DOWN, x, y)
    desktop.seat.touch(0, Touch.UP)


def presses(client: XTestClient) -> set[tuple[int, int]]:
    """Where in its windows the client has been pressed since the last time."""
    events = iter(lambda: client.poll(X.ButtonPress), None)
    return {(event.event_x, event.event_y) for event in events}


def test_fingers_do_with_a_frame_what_mice_do(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window(mask=X.ButtonPressMask, title="touched")
        client.set_words(window, "WM_PROTOCOLS", "ATOM", [client.atom("WM_DELETE_WINDOW")])
        before = desktop.place(desktop.window("touched"), 100, 100)
        touched: set[tuple[int, int]] = set()

        def is_touched() -> bool:
            # The first one only plugs the screen in.
            tap(desktop, before.x + 20, before.y + 20)
            touched.update(presses(client))
            return bool(touched)

        desktop.wait(is_touched, "a finger")
        slide(desktop, desktop.title_bar(before), before)
        bar = desktop.title_bar(desktop.window("touched"))
        tap(desktop, bar.x + 20, bar.y + 14)
        tap(desktop, bar.x + 26, bar.y + 10)
        desktop.wait(lambda: desktop.window("touched").width == 1024, "the whole screen")
        bar = desktop.title_bar(desktop.window("touched"))
        tap(desktop, bar.x + bar.width - 42, bar.y + 14)
        desktop.wait(lambda: desktop.window("touched").width == before.width, "its former size")
        bar = desktop.title_bar(desktop.window("touched"))
        tap(desktop, bar.x + bar.width - 14, bar.y + 14)
        asked = client.wait(X.ClientMessage, "the wish to close")
        assert client.name(asked.data[1][0]) == "WM_DELETE_WINDOW"
        # None but those of `is_touched`, where it took more than one.
        assert presses(client) <= touched


def slide(desktop: X11Desktop, bar: View, moved: View) -> None:
    """Drag a window by its title with a finger, until it follows."""
    seat = desktop.seat
    begin = (bar.x + 20, bar.y + 14)
    seat.touch(0, Touch.DOWN, *begin)

    def place(way: int) -> tuple[int, int]:
        seat.touch(0, Touch.MOTION, begin[0] + way, begin[1] + way)
        found = next(view for view in seat.views() if view.identity == moved.identity)
        return found.x, found.y

    def follows() -> bool:
        # The compositor takes over some time after the first motion.
        (x, y), (other_x, other_y) = place(100), place(240)
        return (other_x - x, other_y - y) == (140, 140)

    desktop.wait(follows, "the window moves")
    seat.touch(0, Touch.UP)


def test_a_terminal_is_resized_by_whole_characters(desktop: X11Desktop) -> None:
    desktop.start("xterm", "-T", "cells", "-geometry", "80x24")
    window = desktop.place(desktop.window("cells"), 50, 50)
    begin = (window.x + window.width + 4, window.y + window.height + 4)
    seat = desktop.seat
    seat.move_pointer(*begin)
    seat.button(pressed=True)

    def look() -> View | None:
        seat.move_pointer(begin[0] + 40, begin[1])
        seat.move_pointer(begin[0] + 47, begin[1])
        found = desktop.window("cells")
        return found if found.width > window.width + 40 else None

    resized = desktop.wait(look, "seven more columns")
    seat.button(pressed=False)
    assert (resized.width - window.width, resized.height) == (42, window.height)
