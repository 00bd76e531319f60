"""What X clients ask of a window manager (EWMH 1.5, ICCCM 4.1): they get it, and are told so."""

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from typing import Final

import pytest
from Xlib import X, Xutil
from Xlib.error import ConnectionClosedError

from crossdomain.vm.seat import View
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_client import XTestClient
from tests.fakes.x11_counter import Counter

REMOVE, ADD, TOGGLE = range(3)
NORMAL, ICONIC = 1, 3
COLOUR: Final = (0x33, 0x66, 0x99)
"""Of the windows of `XTestClient.create_window`."""
FRAME: Final = [1, 1, 28, 1]
"""_NET_FRAME_EXTENTS: left, right, top, bottom."""

KEY_A: Final = 30
TWO_PLACES: Final = {"other": 100, "taker": 600}
"""x of two windows, px."""
MOVED: Final = (140, 130, 200, 100)
RESIZED: Final = (100, 100, 240, 130)
"""x, y, width and height of a window of 200 x 100 px at 100, 100 that is dragged by 40 and 30 px."""


@pytest.fixture
def client(desktop: X11Desktop) -> Generator[XTestClient]:
    """An X client whose windows the tests make."""
    with desktop.client() as made:
        yield made


def open_window(
    desktop: X11Desktop, client: XTestClient, title: str, mask: int = 0, protocols: tuple[str, ...] = ()
) -> tuple[int, View]:
    """A window that is on the screen; its client gets the events of `mask`, and has these WM_PROTOCOLS."""
    window = client.create_window(mask=mask)
    client.window(window).set_wm_protocols([client.atom(name) for name in protocols])
    return window, show(desktop, client, window, title)


def show(desktop: X11Desktop, client: XTestClient, window: int, title: str) -> View:
    """Have a window, which is as it is to be otherwise, on the screen."""
    client.window(window).set_wm_name(title)
    client.window(window).map()
    client.display.sync()
    return desktop.window(title)


def width_of(desktop: X11Desktop, title: str) -> int:
    """How wide a window is on the screen, 0 where there is none."""
    view = desktop.seat.find_view(f"'{title}'")
    return 0 if view is None else view.width


def state_of(client: XTestClient, window: int) -> int:
    """Its WM_STATE, -1 where it has none."""
    return (client.words(window, "WM_STATE") or [-1])[0]


def ask_state(client: XTestClient, window: int, change: int, *states: str) -> None:
    """Ask for a change of up to two states."""
    client.ask_manager(window, "_NET_WM_STATE", change, *(client.atom(f"_NET_WM_STATE_{s}") for s in states))


def has_states(client: XTestClient, window: int, *states: str) -> bool:
    """Whether it has these states, among others."""
    return {f"_NET_WM_STATE_{state}" for state in states} <= client.names(window, "_NET_WM_STATE")


def lacks_state(client: XTestClient, window: int, state: str) -> bool:
    """Whether it has not this state."""
    return not has_states(client, window, state)


def place_of(client: XTestClient, window: int) -> tuple[int, int, int, int]:
    """x, y, width and height on the X screen."""
    place = client.window(window).get_geometry()
    return int(place.x), int(place.y), int(place.width), int(place.height)


def is_full_of(desktop: X11Desktop, colour: tuple[int, int, int]) -> bool:
    """Whether all of the screen's right half, where the cursor is not, is of one colour."""
    return bool((desktop.screenshot()[:, 560:] == colour).all())


def test_the_manager_tells_who_it_is(client: XTestClient) -> None:
    (check,) = client.words(client.root, "_NET_SUPPORTING_WM_CHECK")
    assert client.words(check, "_NET_SUPPORTING_WM_CHECK") == [check]
    assert client.window(check).get_full_property(client.atom("_NET_WM_NAME"), 0).value == b"crossdomain"
    assert client.words(client.root, "_NET_WORKAREA") == [0, 0, 1024, 768]
    assert int(client.display.get_selection_owner(client.atom("WM_S0")).id) == check
    assert {"_NET_WM_STATE_FULLSCREEN", "_NET_WM_MOVERESIZE", "_NET_FRAME_EXTENTS"} <= client.names(
        client.root, "_NET_SUPPORTED"
    )


def test_a_title_in_the_encodings_of_old_is_shown(desktop: X11Desktop, client: XTestClient) -> None:
    window, _ = open_window(desktop, client, "plain")
    title = b"caf\xe9 \x1b-L\xd4\xd0"  # Latin 1, and Cyrillic after an escape (CTEXT)
    type_ = client.atom("COMPOUND_TEXT")
    client.window(window).change_property(client.atom("WM_NAME"), type_, 8, title)
    client.display.flush()
    desktop.window("caf\u00e9 \u0434\u0430")


def test_fullscreen_is_toggled(desktop: X11Desktop, client: XTestClient) -> None:
    window, before = open_window(desktop, client, "full")
    ask_state(client, window, TOGGLE, "FULLSCREEN")
    desktop.wait(lambda: desktop.window("full").width == 1024, "fullscreen")
    assert (desktop.window("full").x, desktop.window("full").height) == (0, 768)
    assert has_states(client, window, "FULLSCREEN")
    assert client.words(window, "_NET_FRAME_EXTENTS") == [0, 0, 0, 0]
    ask_state(client, window, TOGGLE, "FULLSCREEN")
    desktop.wait(lambda: desktop.window("full").width == before.width, "its former size")
    desktop.wait(lambda: not has_states(client, window, "FULLSCREEN"), "the state is gone")
    assert client.words(window, "_NET_FRAME_EXTENTS") == FRAME


def test_full_screen_is_what_a_game_has_set_the_screen_to(desktop: X11Desktop, client: XTestClient) -> None:
    window, _ = open_window(desktop, client, "game")
    client.set_mode(640, 480)
    ask_state(client, window, ADD, "FULLSCREEN")
    desktop.wait(lambda: place_of(client, window) == (0, 0, 640, 480), "the game has all of its screen")
    desktop.wait(lambda: desktop.window("game")[1:5] == (0, 0, 1024, 768), "and its user all of the real one")
    desktop.wait(lambda: is_full_of(desktop, COLOUR), "with its picture")
    desktop.seat.move_pointer(512, 384)
    desktop.wait(lambda: client.pointer_place() == (320, 240), "the pointer is in the middle for both")
    client.set_mode(1024, 768)
    desktop.wait(lambda: place_of(client, window) == (0, 0, 1024, 768), "the real one")
    desktop.wait(lambda: is_full_of(desktop, COLOUR), "with its picture")


def test_both_axes_are_maximised(desktop: X11Desktop, client: XTestClient) -> None:
    window, before = open_window(desktop, client, "large")
    ask_state(client, window, ADD, "MAXIMIZED_VERT", "MAXIMIZED_HORZ")
    desktop.wait(lambda: desktop.window("large").width == 1024, "maximised")
    desktop.wait(lambda: has_states(client, window, "MAXIMIZED_VERT", "MAXIMIZED_HORZ"), "the states")
    ask_state(client, window, REMOVE, "MAXIMIZED_VERT", "MAXIMIZED_HORZ")
    desktop.wait(lambda: desktop.window("large").width == before.width, "its former size")
    assert desktop.window("large").height == before.height


@pytest.mark.parametrize(("axis", "size"), [("MAXIMIZED_VERT", (200, 739)), ("MAXIMIZED_HORZ", (1022, 100))])
def test_one_axis_is_maximised(
    desktop: X11Desktop, client: XTestClient, axis: str, size: tuple[int, int]
) -> None:
    window, before = open_window(desktop, client, "long")
    ask_state(client, window, TOGGLE, axis)
    desktop.wait(lambda: desktop.window("long")[3:5] == size, "one side is the screen's")
    assert has_states(client, window, axis)
    ask_state(client, window, TOGGLE, axis)
    desktop.wait(lambda: desktop.window("long")[3:5] == before[3:5], "its former size")
    assert not has_states(client, window, axis)


def test_a_window_is_iconified(desktop: X11Desktop, client: XTestClient) -> None:
    window, _ = open_window(desktop, client, "small")
    client.ask_manager(window, "WM_CHANGE_STATE", ICONIC)
    desktop.wait(lambda: state_of(client, window) == ICONIC, "iconic")
    assert has_states(client, window, "HIDDEN")
    desktop.gone("small")


def iconify(desktop: X11Desktop, client: XTestClient, title: str) -> int:
    """A window that is out of the way, and was at its place before."""
    window, _ = open_window(desktop, client, title)
    client.ask_manager(window, "WM_CHANGE_STATE", ICONIC)
    desktop.wait(lambda: state_of(client, window) == ICONIC, "iconic")
    desktop.gone(title)
    return window


def unhide(client: XTestClient, window: int) -> None:
    """What GTK asks for."""
    ask_state(client, window, REMOVE, "HIDDEN")


def activate(client: XTestClient, window: int) -> None:
    """What other toolkits do."""
    client.ask_manager(window, "_NET_ACTIVE_WINDOW", 1)


def map_again(client: XTestClient, window: int) -> None:
    """What ICCCM says: nothing but this."""
    client.window(window).map()
    client.display.sync()


@pytest.mark.parametrize("ask", [unhide, activate, map_again])
def test_an_iconified_window_comes_back(
    desktop: X11Desktop, client: XTestClient, ask: Callable[[XTestClient, int], None]
) -> None:
    """Also on this compositor, which has no activation."""
    window = iconify(desktop, client, "back")
    ask(client, window)
    view = desktop.window("back")
    assert (view.width, view.height) == (200, 100)
    # The cursor is on the left half of it.
    desktop.wait(lambda: bool((desktop.picture_of(view)[:, 120:] == COLOUR).all()), "its contents")
    desktop.wait(lambda: state_of(client, window) == NORMAL, "normal")
    assert not has_states(client, window, "HIDDEN")


def test_a_window_begins_iconic(desktop: X11Desktop, client: XTestClient) -> None:
    window = client.create_window()
    client.window(window).set_wm_name("later")
    client.set_words(window, "WM_HINTS", "WM_HINTS", [Xutil.StateHint, 0, ICONIC, 0, 0, 0, 0, 0, 0])
    client.window(window).map()
    client.display.sync()
    desktop.wait(lambda: state_of(client, window) == ICONIC, "iconic")
    desktop.gone("later")
    # Windows before it are not told of it, and what the compositor has said by now has been heard.
    other, _ = open_window(desktop, client, "other")
    desktop.wait(lambda: has_states(client, other, "FOCUSED"), "the keyboard is another one's")
    assert state_of(client, window) == ICONIC
    assert has_states(client, window, "HIDDEN")


def test_a_window_is_withdrawn_and_comes_again(desktop: X11Desktop, client: XTestClient) -> None:
    window, _ = open_window(desktop, client, "away")
    assert state_of(client, window) == NORMAL
    client.window(window).unmap()
    client.display.sync()
    desktop.gone("away")
    desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [], "it is no client's any more")
    assert client.words(window, "_NET_WM_STATE") == []
    client.window(window).map()
    client.display.sync()
    desktop.window("away")
    desktop.wait(lambda: state_of(client, window) == NORMAL, "normal")


def test_a_window_that_is_withdrawn_at_once_does_not_come(desktop: X11Desktop, client: XTestClient) -> None:
    window = client.create_window(title="never")
    client.window(window).map()
    client.withdraw(window)
    open_window(desktop, client, "later")
    assert client.window(window).get_attributes().map_state == X.IsUnmapped


def test_states_that_only_the_client_knows_are_kept(desktop: X11Desktop, client: XTestClient) -> None:
    window, _ = open_window(desktop, client, "kept")
    for state, other in (("ABOVE", "SKIP_TASKBAR"), ("STICKY", "SKIP_PAGER"), ("BELOW", "MODAL")):
        ask_state(client, window, ADD, state, other)
        desktop.wait(partial(has_states, client, window, state, other), "both")
        ask_state(client, window, TOGGLE, state)
        desktop.wait(partial(lacks_state, client, window, state), "one is gone")
        assert has_states(client, window, other)


def test_windows_are_listed_in_the_order_in_which_they_came(desktop: X11Desktop, client: XTestClient) -> None:
    first, _ = open_window(desktop, client, "first")
    second, _ = open_window(desktop, client, "second")
    desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [first, second], "both")
    desktop.place(desktop.window("second"), 100, 100)
    view = desktop.place(desktop.window("first"), 600, 400)
    desktop.click(view, 5, 5)
    stacked = "_NET_CLIENT_LIST_STACKING"
    desktop.wait(lambda: client.words(client.root, stacked) == [second, first], "the first is on top")
    assert client.words(client.root, "_NET_CLIENT_LIST") == [first, second]
    desktop.wait(lambda: client.words(client.root, "_NET_ACTIVE_WINDOW") == [first], "it has the keyboard")
    desktop.wait(lambda: has_states(client, first, "FOCUSED"), "which it is told")
    assert not has_states(client, second, "FOCUSED")


@pytest.mark.parametrize(
    ("gravity", "place"),
    [
        (X.NorthWestGravity, (30 + FRAME[0], 40 + FRAME[2])),
        (X.SouthEastGravity, (30 - FRAME[1], 40 - FRAME[3])),
        (X.StaticGravity, (30, 40)),
    ],
)
@pytest.mark.parametrize("who", ["the client", "others"])
def test_a_window_is_resized_for_whoever_asks(
    desktop: X11Desktop, client: XTestClient, who: str, gravity: int, place: tuple[int, int]
) -> None:
    window, _ = open_window(desktop, client, "moved")
    if who == "the client":
        # Both are on their way at once.
        client.window(window).set_wm_normal_hints(flags=Xutil.PWinGravity, win_gravity=gravity)
        client.window(window).configure(x=30, y=40, width=320, height=240)
        client.display.flush()
    else:
        flags = gravity | 0b1111 << 8
        client.ask_manager(window, "_NET_MOVERESIZE_WINDOW", flags, 30, 40, 320, 240)
    desktop.wait(lambda: desktop.window("moved")[3:5] == (320, 240), "its new size")
    geometry = client.window(window).get_geometry()
    assert (geometry.x, geometry.y) == place


def test_the_frame_is_known_before_the_window_is_mapped(desktop: X11Desktop, client: XTestClient) -> None:
    window = client.create_window()
    client.ask_manager(window, "_NET_REQUEST_FRAME_EXTENTS")
    desktop.wait(lambda: client.words(window, "_NET_FRAME_EXTENTS") == FRAME, "the frame's sides")


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        pytest.param(8, MOVED, id="move"),
        pytest.param(4, RESIZED, id="resize"),
        pytest.param(10, MOVED, id="move by keyboard"),
        pytest.param(9, RESIZED, id="resize by keyboard"),
    ],
)
def test_a_client_lets_its_window_be_dragged(
    desktop: X11Desktop, client: XTestClient, direction: int, expected: tuple[int, int, int, int]
) -> None:
    window, _ = open_window(desktop, client, "dragged", mask=X.ButtonPressMask)
    view = desktop.place(desktop.window("dragged"), 100, 100)
    seat = desktop.seat
    seat.move_pointer(150, 150)
    seat.button(pressed=True)
    client.wait(X.ButtonPress, "a pressed button")
    client.ask_manager(window, "_NET_WM_MOVERESIZE", view.x + 50, view.y + 50, direction, 1, 1)

    def look() -> bool:
        # The compositor takes over some time after the first motion.
        seat.move_pointer(170, 160)
        seat.move_pointer(190, 180)
        return desktop.window("dragged")[1:5] == expected

    desktop.wait(look, "the window is dragged")
    seat.button(pressed=False)


def test_a_window_is_closed_for_whoever_asks(desktop: X11Desktop, client: XTestClient) -> None:
    window, _ = open_window(desktop, client, "asked", protocols=("WM_DELETE_WINDOW",))
    client.ask_manager(window, "_NET_CLOSE_WINDOW")
    message = client.wait(X.ClientMessage, "WM_DELETE_WINDOW")
    assert message.data[1][0] == client.atom("WM_DELETE_WINDOW")


def test_a_client_is_not_ended_for_what_it_has_only_just_said(
    desktop: X11Desktop, client: XTestClient
) -> None:
    window, _ = open_window(desktop, client, "late")
    types = [client.atom(name) for name in ("WM_PROTOCOLS", "ATOM", "WM_DELETE_WINDOW", "_NET_CLOSE_WINDOW")]
    # Both are on their way at once.
    client.window(window).change_property(*types[:2], 32, types[2:3])
    client.ask_manager(window, "_NET_CLOSE_WINDOW")
    message = client.wait(X.ClientMessage, "WM_DELETE_WINDOW")
    assert message.data[1][0] == client.atom("WM_DELETE_WINDOW")


def test_a_client_that_answers_no_ping_is_ended_by_the_second_close(
    desktop: X11Desktop, client: XTestClient
) -> None:
    with contextlib.suppress(ConnectionClosedError), desktop.client() as hung:
        protocols = ("WM_DELETE_WINDOW", "_NET_WM_PING")
        _, view = open_window(desktop, hung, "hung", protocols=protocols)
        bar = desktop.title_bar(view)
        desktop.click(bar, -14, 14)
        assert hung.wait(X.ClientMessage, "a message").data[1][0] == hung.atom("WM_DELETE_WINDOW")
        assert hung.wait(X.ClientMessage, "a ping").data[1][0] == hung.atom("_NET_WM_PING")
        desktop.click(bar, -14, 14)
        desktop.gone("hung")
    assert client.words(client.root, "_NET_CLIENT_LIST") == []


@pytest.mark.parametrize(
    ("accepts", "takes", "focused"),
    [
        pytest.param(True, False, "model", id="passive"),
        pytest.param(True, True, "model", id="locally active"),
        pytest.param(False, True, "other", id="globally active"),
        pytest.param(False, False, "nobody", id="no input"),
    ],
)
def test_the_four_ways_to_take_the_keyboard(
    desktop: X11Desktop, client: XTestClient, accepts: bool, takes: bool, focused: str
) -> None:
    """ICCCM 4.1.7; a globally active client here does not take what it is offered."""
    other, _ = open_window(desktop, client, "other")
    window = client.create_window()
    record = client.window(window)
    record.set_wm_hints(flags=Xutil.InputHint, input=int(accepts))
    record.set_wm_protocols([client.atom("WM_TAKE_FOCUS")] * takes)
    record.set_wm_name("model")
    record.map()
    client.display.sync()
    view = desktop.place(desktop.window("model"), 600, 400)
    desktop.click(view, 5, 5)
    desktop.wait(lambda: client.words(client.root, "_NET_ACTIVE_WINDOW") == [window], "it is active")
    assert {window: "model", other: "other"}.get(client.focused(), "nobody") == focused
    desktop.wait(lambda: (client.poll(X.ClientMessage) is not None) == takes, "WM_TAKE_FOCUS, or none")


def test_a_window_that_takes_the_keyboard_itself_has_it_again_after_its_dialog(
    desktop: X11Desktop, client: XTestClient
) -> None:
    """ICCCM 4.1.7: a client sets the focus with the time that WM_TAKE_FOCUS tells; later ones count more."""
    first, _ = open_globally_active(desktop, client, "first")
    take_focus(client, first)
    dialog, _ = open_globally_active(desktop, client, "dialog")
    take_focus(client, dialog)
    client.window(dialog).destroy()
    take_focus(client, first)


def test_a_key_waits_for_a_window_that_takes_the_keyboard_itself(
    desktop: X11Desktop, client: XTestClient
) -> None:
    """ICCCM 4.1.7, globally active: X has the keyboard elsewhere until then, where nobody means to type."""
    other, _ = open_window(desktop, client, "other", mask=X.KeyPressMask)
    window, _ = open_globally_active(desktop, client, "taker", mask=X.KeyPressMask)
    places = {title: desktop.place(desktop.window(title), x, 400) for title, x in TWO_PLACES.items()}

    def is_typed_into_it() -> bool:
        desktop.click(places["other"], 5, 5)
        desktop.wait(lambda: client.focused() == other, "the other one's")
        client.forget_events()
        desktop.click(places["taker"], 5, 5)
        message = client.wait(X.ClientMessage, "WM_TAKE_FOCUS")
        desktop.seat.tap(KEY_A)
        if client.poll(X.KeyPress, seconds=0.1) is not None:
            return False
        client.window(window).set_input_focus(X.RevertToNone, message.data[1][1])
        key = client.poll(X.KeyPress, seconds=5.0)
        return key is not None and int(key.window.id) == window

    desktop.wait(is_typed_into_it, "a key in the window that has taken the keyboard")


def test_a_key_does_not_wait_for_ever(desktop: X11Desktop, client: XTestClient) -> None:
    other, _ = open_window(desktop, client, "other", mask=X.KeyPressMask)
    open_globally_active(desktop, client, "taker", mask=X.KeyPressMask)
    places = {title: desktop.place(desktop.window(title), x, 400) for title, x in TWO_PLACES.items()}
    desktop.click(places["other"], 5, 5)
    desktop.wait(lambda: client.focused() == other, "the other one's")
    desktop.click(places["taker"], 5, 5)
    client.wait(X.ClientMessage, "WM_TAKE_FOCUS")
    desktop.seat.tap(KEY_A)
    assert int(client.wait(X.KeyPress, "a key").window.id) == other


def open_globally_active(
    desktop: X11Desktop, client: XTestClient, title: str, mask: int = 0
) -> tuple[int, View]:
    """A window that is on the screen, and gets the keyboard only when it takes it."""
    window = client.create_window(mask=mask)
    client.window(window).set_wm_hints(flags=Xutil.InputHint, input=0)
    client.window(window).set_wm_protocols([client.atom("WM_TAKE_FOCUS")])
    client.window(window).set_wm_name(title)
    client.window(window).map()
    client.display.sync()
    return window, desktop.window(title)


def take_focus(client: XTestClient, window: int) -> None:
    """Take the keyboard when it is offered, and check that this counts."""
    message = client.wait(X.ClientMessage, "WM_TAKE_FOCUS")
    assert message.window.id == window
    client.window(window).set_input_focus(X.RevertToNone, message.data[1][1])
    assert client.focused() == window


def test_a_resize_is_shown_when_the_client_has_drawn_it(desktop: X11Desktop, client: XTestClient) -> None:
    window = client.create_window(mask=X.StructureNotifyMask)
    counter = Counter(client)
    client.set_words(window, "_NET_WM_SYNC_REQUEST_COUNTER", "CARDINAL", [counter.id])
    client.window(window).set_wm_protocols([client.atom("_NET_WM_SYNC_REQUEST")])
    show(desktop, client, window, "drawn")

    def is_shown_late() -> bool:
        before = width_of(desktop, "drawn")
        ask_state(client, window, TOGGLE, "FULLSCREEN")
        message = client.wait(X.ClientMessage, "_NET_WM_SYNC_REQUEST")
        desktop.wait(lambda: client.window(window).get_geometry().width != before, "X knows the new size")
        with contextlib.suppress(TimeoutError):
            # A client is waited for a second at most, which a test may miss.
            desktop.wait(lambda: width_of(desktop, "drawn") != before, "too early", seconds=0.3)
        is_late = width_of(desktop, "drawn") == before
        counter.set(message.data[1][2])
        desktop.wait(lambda: width_of(desktop, "drawn") != before, "the new size")
        return is_late

    for _ in range(3):
        desktop.wait(is_shown_late, "a size that is shown when it is drawn")
