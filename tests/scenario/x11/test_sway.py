"""X11 windows on sway, which has what Weston lacks: activation, urgency, opacity."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Xlib import X

from crossdomain.vm.image import Image
from tests.fakes.client import FakeClient
from tests.fakes.painting import solid_buffer
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import wait_until
from tests.fakes.windows import Window
from tests.fakes.x11 import PATIENCE, ApplicationEnvironment, running_x11
from tests.fakes.x11_client import XTestClient
from tests.scenario.test_input_protocols import activation_token

ADD = 1
NORMAL, ICONIC = 1, 3
MENU = (0x99, 0x33, 0x66)
"""The colour of `XTestClient.create_menu`'s windows."""


class SwayDesktop:
    """A sway, an X display on it, and an X client."""

    def __init__(self, sway: Sway, applications: ApplicationEnvironment, client: XTestClient) -> None:
        self.sway = sway
        self.applications = applications
        self.client = client

    def node(self, title: str) -> dict[str, Any]:
        """What sway tells of a window, nothing where there is none."""
        found = [node for node in self.sway.windows() if node["name"] == title]
        return found[0] if found else {}

    def wait(self, title: str, key: str) -> None:
        """Wait until something is true of a window."""
        wait_until(lambda: bool(self.node(title).get(key)), seconds=PATIENCE, what=f"{title} is {key}")

    def open(self, title: str, startup_id: str = "") -> int:
        """A window of one colour, shown by sway."""
        window = self.client.create_window()
        record = self.client.window(window)
        if startup_id:
            utf8, name = self.client.atom("UTF8_STRING"), self.client.atom("_NET_STARTUP_ID")
            record.change_property(name, utf8, 8, startup_id.encode())
        record.set_wm_name(title)
        record.map()
        self.client.display.sync()
        self.wait(title, "visible")
        return window


@pytest.fixture
def desktop(debian: Image) -> Generator[SwayDesktop]:
    """One for a test, with two windows beside each other."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-sway-") as folder,
        running_sway(debian, Path(folder), configuration="focus_on_window_activation smart\n") as sway,
        running_x11(sway.socket_path) as applications,
        XTestClient(applications.display, applications.authority) as client,
    ):
        yield SwayDesktop(sway, applications, client)


def test_a_window_that_can_not_be_out_of_the_way_is_not_told_so(desktop: SwayDesktop) -> None:
    """Electron, Firefox and others draw nothing then."""
    client = desktop.client
    window = desktop.open("icon")
    client.ask_manager(window, "WM_CHANGE_STATE", ICONIC)
    client.window(window).set_wm_name("still there")
    client.display.sync()
    desktop.wait("still there", "visible")
    assert client.words(window, "WM_STATE")[0] == NORMAL
    assert "_NET_WM_STATE_HIDDEN" not in client.names(window, "_NET_WM_STATE")
    actions = client.names(window, "_NET_WM_ALLOWED_ACTIONS")
    assert "_NET_WM_ACTION_CLOSE" in actions
    assert "_NET_WM_ACTION_MINIMIZE" not in actions


def test_a_startup_id_gives_a_new_window_the_keyboard(desktop: SwayDesktop) -> None:
    desktop.sway.swaymsg('no_focus [title="late"]')
    with FakeClient(str(desktop.sway.socket_path)) as starter:
        window = Window(starter, title="starter")
        buffer = solid_buffer(starter, 100, 100, "ffffff")
        window.show(buffer)
        token = activation_token(starter, desktop.sway, window)
        desktop.open("late without", "no token")
        assert desktop.node("starter")["focused"]
        desktop.open("late with", token)
        desktop.wait("late with", "focused")
        buffer.pool.close()


def test_nobody_has_the_keyboard_because_of_saying_so(desktop: SwayDesktop) -> None:
    """What a window claims of itself before it is mapped counts where that is the client's to say."""
    client = desktop.client
    desktop.open("other")
    desktop.sway.swaymsg('no_focus [title="claims"]')
    window = client.create_window()
    names = ("_NET_WM_STATE_FOCUSED", "_NET_WM_STATE_SKIP_PAGER")
    client.set_words(window, "_NET_WM_STATE", "ATOM", [client.atom(name) for name in names])
    client.window(window).set_wm_name("claims")
    client.window(window).map()
    client.display.sync()
    desktop.wait("claims", "visible")
    assert desktop.node("other")["focused"]
    assert client.names(window, "_NET_WM_STATE") == {"_NET_WM_STATE_SKIP_PAGER"}


def test_a_window_that_the_user_turns_to_comes_to_the_front(desktop: SwayDesktop) -> None:
    """_NET_ACTIVE_WINDOW: the click that the client had counts."""
    windows = {title: desktop.open(title) for title in ("first", "second")}
    for window in windows.values():
        desktop.client.window(window).change_attributes(event_mask=X.ButtonPressMask)
    for clicked, column, asking in (("second", 900, "first"), ("first", 100, "second")):

        def is_clicked(column: int = column) -> bool:
            desktop.sway.seat.click(column, 300)
            return desktop.client.poll(X.ButtonPress, seconds=3.0) is not None

        wait_until(is_clicked, seconds=PATIENCE, what="a click")
        desktop.wait(clicked, "focused")
        desktop.client.ask_manager(windows[asking], "_NET_ACTIVE_WINDOW", 1)
        desktop.wait(asking, "focused")


def test_a_dialog_of_a_group_is_on_one_of_its_windows(desktop: SwayDesktop) -> None:
    """What has a parent floats on sway."""
    main = desktop.open("main")
    desktop.open("alone")
    hints = [1 << 6, 0, 0, 0, 0, 0, 0, 0, main]
    dialog = desktop.client.create_window()
    desktop.client.set_words(dialog, "WM_HINTS", "WM_HINTS", hints)
    desktop.client.set_words(dialog, "WM_TRANSIENT_FOR", "WINDOW", [desktop.client.root])
    desktop.client.window(dialog).set_wm_name("dialog")
    desktop.client.window(dialog).map()
    desktop.client.display.sync()
    desktop.wait("dialog", "visible")
    types = {title: desktop.node(title)["type"] for title in ("main", "alone", "dialog")}
    assert types == {"main": "con", "alone": "con", "dialog": "floating_con"}


def test_windows_that_are_transient_for_each_other_end_nobody(desktop: SwayDesktop) -> None:
    client = desktop.client
    first, second = desktop.open("first"), desktop.open("second")
    client.window(second).set_wm_transient_for(client.window(first))
    client.window(first).set_wm_transient_for(client.window(second))
    desktop.open("third")


def test_a_window_that_demands_attention_is_urgent(desktop: SwayDesktop) -> None:
    desktop.sway.swaymsg("focus_on_window_activation urgent")
    first = desktop.open("first")
    desktop.open("second")
    desktop.wait("second", "focused")
    attention = desktop.client.atom("_NET_WM_STATE_DEMANDS_ATTENTION")
    desktop.client.ask_manager(first, "_NET_WM_STATE", ADD, attention)
    desktop.wait("first", "urgent")
    assert desktop.node("second")["focused"]


def test_an_urgency_hint_makes_a_window_urgent(desktop: SwayDesktop) -> None:
    desktop.sway.swaymsg("focus_on_window_activation urgent")
    first = desktop.open("first")
    desktop.open("second")
    desktop.wait("second", "focused")
    desktop.client.set_words(first, "WM_HINTS", "WM_HINTS", [1 << 8, 0, 0, 0, 0, 0, 0, 0, 0])
    desktop.wait("first", "urgent")


def test_a_window_is_as_opaque_as_its_client_says(desktop: SwayDesktop) -> None:
    window = desktop.open("glass")

    def looks_like(red: int, green: int, blue: int) -> bool:
        pixels = desktop.sway.screenshot()[400:500, 400:500].astype(int)
        return bool(np.all(np.abs(pixels - (red, green, blue)) <= 2))

    wait_until(lambda: looks_like(0x33, 0x66, 0x99), seconds=PATIENCE, what="an opaque window")
    desktop.client.set_words(window, "_NET_WM_WINDOW_OPACITY", "CARDINAL", [0x7FFFFFFF])
    wait_until(lambda: looks_like(0x19, 0x33, 0x4C), seconds=PATIENCE, what="half of it")


@pytest.mark.parametrize("size", [(180, 120), (60, 300)])
def test_a_menu_beyond_the_screens_edge_is_wholly_visible_and_x_is_told(
    desktop: SwayDesktop, size: tuple[int, int]
) -> None:
    client, (width, height) = desktop.client, desktop.sway.size
    window = desktop.open("edge")
    wait_until(
        lambda: int(client.window(window).get_geometry().width) == width, seconds=PATIENCE, what="its place"
    )
    menu = client.create_menu(window, (width - 20, height - 10, *size))
    kept = (width - size[0], height - size[1])

    def place() -> tuple[int, int]:
        found = client.window(window).translate_coords(menu, 0, 0)
        return int(found.x), int(found.y)

    def seen() -> list[tuple[int, ...]]:
        shown = np.argwhere((desktop.sway.screenshot()[:, :, :3] == MENU).all(axis=2))
        return (
            [tuple(int(edge) for edge in edges) for edges in (shown.min(0), shown.max(0))]
            if len(shown)
            else []
        )

    wait_until(lambda: place() == kept, seconds=PATIENCE, what="X's place of it")
    whole = [kept[::-1], (height - 1, width - 1)]
    wait_until(lambda: seen() == whole, seconds=PATIENCE, what="the menu as a whole")
