"""_NET_SUPPORTED: what the window manager says that it does, it does, and a test shows it."""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from Xlib import Xutil

from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_client import XTestClient

FRAME: Final = [1, 1, 28, 1]
"""_NET_FRAME_EXTENTS: left, right, top, bottom."""
BARE: Final = [0, 0, 0, 0]
UNTITLED: Final = [1, 1, 1, 1]

ACTIONS: Final = (
    "MOVE", "RESIZE", "MINIMIZE", "MAXIMIZE_HORZ", "MAXIMIZE_VERT", "FULLSCREEN", "CLOSE"
)  # fmt: skip
SHOWN_BY: Final = {
    "test_the_root_window_tells_of_one_desktop": (
        "_NET_SUPPORTED", "_NET_NUMBER_OF_DESKTOPS", "_NET_DESKTOP_GEOMETRY", "_NET_DESKTOP_VIEWPORT",
        "_NET_CURRENT_DESKTOP", "_NET_DESKTOP_NAMES", "_NET_WM_DESKTOP", "_NET_WM_STATE_STICKY",
    ),
    "test_the_manager_tells_who_it_is": ("_NET_SUPPORTING_WM_CHECK", "_NET_WORKAREA"),
    "test_windows_are_listed_in_the_order_in_which_they_came": (
        "_NET_CLIENT_LIST", "_NET_CLIENT_LIST_STACKING", "_NET_WM_STATE_FOCUSED",
    ),
    "test_a_window_that_the_user_turns_to_comes_to_the_front": ("_NET_ACTIVE_WINDOW",),
    "test_a_window_is_closed_for_whoever_asks": ("_NET_CLOSE_WINDOW",),
    "test_a_window_is_resized_for_whoever_asks": ("_NET_MOVERESIZE_WINDOW",),
    "test_a_client_lets_its_window_be_dragged": ("_NET_WM_MOVERESIZE",),
    "test_the_kind_of_a_window_decides_about_its_frame": (
        "_NET_REQUEST_FRAME_EXTENTS", "_NET_FRAME_EXTENTS", "_NET_WM_WINDOW_TYPE",
        *(
            f"_NET_WM_WINDOW_TYPE_{name}"
            for name in (
                "DESKTOP", "DOCK", "TOOLBAR", "MENU", "UTILITY", "SPLASH", "DIALOG", "DROPDOWN_MENU",
                "POPUP_MENU", "TOOLTIP", "NOTIFICATION", "COMBO", "DND", "NORMAL",
            )
        ),
    ),
    "test_the_class_and_the_title_are_the_windows": ("_NET_WM_NAME",),
    "test_a_windows_icon_is_in_its_title_bar": ("_NET_WM_ICON",),
    "test_the_process_of_a_client_that_hangs_is_ended": ("_NET_WM_PID", "_NET_WM_PING"),
    "test_fullscreen_is_toggled": ("_NET_WM_STATE", "_NET_WM_STATE_FULLSCREEN"),
    "test_one_axis_is_maximised": ("_NET_WM_STATE_MAXIMIZED_VERT", "_NET_WM_STATE_MAXIMIZED_HORZ"),
    "test_a_window_is_iconified": ("_NET_WM_STATE_HIDDEN",),
    "test_states_that_only_the_client_knows_are_kept": (
        "_NET_WM_STATE_SKIP_TASKBAR", "_NET_WM_STATE_SKIP_PAGER",
    ),
    "test_a_window_that_demands_attention_is_urgent": ("_NET_WM_STATE_DEMANDS_ATTENTION",),
    "test_the_keyboard_stays_with_a_modal_dialog": ("_NET_WM_STATE_MODAL",),
    "test_a_window_allows_what_its_hints_allow": (
        "_NET_WM_ALLOWED_ACTIONS",
        *(
            f"_NET_WM_ACTION_{name}"
            for name in ACTIONS
        ),
    ),
    "test_a_window_is_as_opaque_as_its_client_says": ("_NET_WM_WINDOW_OPACITY",),
    "test_a_resize_is_shown_when_the_client_has_drawn_it": (
        "_NET_WM_SYNC_REQUEST", "_NET_WM_SYNC_REQUEST_COUNTER",
    ),
    "test_a_startup_id_gives_a_new_window_the_keyboard": ("_NET_STARTUP_ID",),
    "test_a_window_of_gtk_that_draws_its_own_title_has_no_other": ("_GTK_FRAME_EXTENTS",),
}  # fmt: skip
"""Which test, here or beside, shows what."""


@pytest.fixture
def client(desktop: X11Desktop) -> Generator[XTestClient]:
    """An X client whose windows the tests make."""
    with desktop.client() as made:
        yield made


def test_whatever_is_announced_is_shown_by_a_test(client: XTestClient) -> None:
    announced = sorted(client.name(atom) for atom in client.words(client.root, "_NET_SUPPORTED"))
    assert announced == sorted(name for names in SHOWN_BY.values() for name in names)
    tests = Path(__file__).parents[2]
    sources = [*tests.glob("scenario/x11/*.py"), *tests.glob("unit/xwayland/*.py")]
    written = "".join(source.read_text() for source in sources)
    assert [name for name in SHOWN_BY if f"\ndef {name}(" not in written] == []


def test_the_root_window_tells_of_one_desktop(desktop: X11Desktop, client: XTestClient) -> None:
    told = {
        "_NET_NUMBER_OF_DESKTOPS": [1],
        "_NET_DESKTOP_GEOMETRY": [1024, 768],
        "_NET_DESKTOP_VIEWPORT": [0, 0],
        "_NET_CURRENT_DESKTOP": [0],
    }
    assert {name: client.words(client.root, name) for name in told} == told
    assert bytes(client.words(client.root, "_NET_DESKTOP_NAMES")) == b"Desktop\0"
    window = client.create_window(title="here")
    desktop.window("here")
    assert client.words(window, "_NET_WM_DESKTOP") == [0]
    client.window(window).unmap()
    client.display.sync()
    desktop.wait(lambda: client.words(window, "_NET_WM_DESKTOP") == [], "a window that is nowhere")


@pytest.mark.parametrize(
    ("names", "extents"),
    [
        (("NORMAL", "DIALOG", "UTILITY", "TOOLBAR", "MENU"), FRAME),
        (("DESKTOP", "DOCK", "SPLASH", "TOOLTIP", "NOTIFICATION"), BARE),
        (("DROPDOWN_MENU", "POPUP_MENU", "COMBO", "DND"), BARE),
    ],
    ids=["framed", "bare", "menus"],
)
def test_the_kind_of_a_window_decides_about_its_frame(
    desktop: X11Desktop, client: XTestClient, names: tuple[str, ...], extents: list[int]
) -> None:
    """Clients ask before they map a window, and are told what it will have."""
    for name in names:
        window = client.create_window()
        client.set_words(window, "_NET_WM_WINDOW_TYPE", "ATOM", [client.atom(f"_NET_WM_WINDOW_TYPE_{name}")])
        client.ask_manager(window, "_NET_REQUEST_FRAME_EXTENTS")
        desktop.wait(partial(client.words, window, "_NET_FRAME_EXTENTS"), f"a frame of {name}")
        assert client.words(window, "_NET_FRAME_EXTENTS") == extents, name
        client.window(window).map()
        desktop.wait(partial(client.words, window, "WM_STATE"), f"{name} is shown")
        assert client.words(window, "_NET_FRAME_EXTENTS") == extents, name


@pytest.mark.parametrize(
    ("decorations", "extents"), [(0, BARE), (2, UNTITLED), (10, FRAME), (1, FRAME)], ids=str
)
def test_motif_hints_decide_about_a_frame(
    desktop: X11Desktop, client: XTestClient, decorations: int, extents: list[int]
) -> None:
    window = client.create_window()
    client.set_words(window, "_MOTIF_WM_HINTS", "_MOTIF_WM_HINTS", [2, 0, decorations, 0, 0])
    client.ask_manager(window, "_NET_REQUEST_FRAME_EXTENTS")
    desktop.wait(lambda: client.words(window, "_NET_FRAME_EXTENTS") == extents, "what was asked for")


def test_a_window_allows_what_its_hints_allow(desktop: X11Desktop, client: XTestClient) -> None:
    def actions(window: int) -> set[str]:
        found = client.names(window, "_NET_WM_ALLOWED_ACTIONS")
        return {name.removeprefix("_NET_WM_ACTION_") for name in found}

    window = client.create_window()
    # MwmHints.functions: to move it and to close it.
    client.set_words(window, "_MOTIF_WM_HINTS", "_MOTIF_WM_HINTS", [1, 36, 0, 0, 0])
    client.window(window).set_wm_name("bound")
    client.window(window).map()
    client.display.sync()
    desktop.window("bound")
    assert actions(window) == {"MOVE", "CLOSE"}
    client.set_words(window, "_MOTIF_WM_HINTS", "_MOTIF_WM_HINTS", [0, 0, 0, 0, 0])
    desktop.wait(lambda: actions(window) == {*ACTIONS}, "all that there is")
    sizes = Xutil.PMinSize | Xutil.PMaxSize
    client.window(window).set_wm_normal_hints(
        flags=sizes, min_width=200, min_height=100, max_width=200, max_height=100
    )
    desktop.wait(lambda: actions(window) == {"MOVE", "MINIMIZE", "CLOSE"}, "what one size allows")
