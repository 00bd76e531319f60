"""X clients that do everything wrong: they cost the others nothing, and the display goes on."""

import contextlib
import os
import select
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

from Xlib import X
from Xlib.error import ConnectionClosedError

from launcher.xwayland.limits import MAX_WINDOWS
from tests.fakes.programs import REPOSITORY
from tests.fakes.x11 import X11Desktop, running_x11_desktop
from tests.fakes.x11_client import XTestClient

STRANGE: Final = (
    ("WM_NORMAL_HINTS", "WM_SIZE_HINTS", 32, [0x3FF, 1]),
    ("WM_NORMAL_HINTS", "WM_SIZE_HINTS", 32, [0xFFFFFFFF] * 18),
    ("WM_HINTS", "WM_HINTS", 32, [0xFFFFFFFF] * 9),
    ("WM_HINTS", "WM_HINTS", 8, b"x"),
    ("WM_CLASS", "STRING", 8, b"\xff" * 60000),
    ("WM_NAME", "COMPOUND_TEXT", 8, b"\x1b%/1\x80\x80\x1b" * 500),
    ("_NET_WM_NAME", "UTF8_STRING", 8, b"\xf0\x9f\x98" * 20000),
    ("WM_TRANSIENT_FOR", "WINDOW", 32, [0xFFFFFFFF]),
    ("WM_PROTOCOLS", "ATOM", 32, [0xFFFFFFFF] * 5000),
    ("_NET_WM_WINDOW_TYPE", "ATOM", 16, [1, 2, 3]),
    ("_MOTIF_WM_HINTS", "_MOTIF_WM_HINTS", 32, [0xFFFFFFFF]),
    ("_GTK_FRAME_EXTENTS", "CARDINAL", 32, [0x7FFFFFFF] * 4),
    ("_NET_WM_SYNC_REQUEST_COUNTER", "CARDINAL", 32, [0xDEAD]),
    ("_NET_STARTUP_ID", "UTF8_STRING", 8, b"t" * 60000),
    ("_NET_WM_ICON", "CARDINAL", 32, [0xFFFFFFFF, 0xFFFFFFFF, 1]),
    ("_NET_WM_ICON", "CARDINAL", 32, [0, 0, 16, 16]),
)
"""Properties that nobody should have."""

MANY_WINDOWS: Final = textwrap.dedent(
    """
    import struct, sys
    from Xlib.display import Display
    display = Display()
    screen = display.screen()
    count, bare = int(sys.argv[1]), int(sys.argv[2])
    windows = [
        screen.root.create_window(
            0, 0, 10, 10, 0, screen.root_depth, background_pixel=0, override_redirect=bare
        )
        for _ in range(count)
    ]
    display.flush()
    # MapWindow of all of them at once: python-xlib would take as long for each as others take to answer.
    core = display.display
    core.socket.sendall(b"".join(struct.pack("=BxHI", 8, 2, window.id) for window in windows))
    core.request_serial = (core.request_serial + count) % 65536
    display.sync()
    print("mapped", flush=True)
    sys.stdin.read(1)
    """
)


ORDINARY: Final = textwrap.dedent(
    """\
    #!/usr/bin/python3
    import os, socket, sys
    with socket.socket(fileno=os.dup(int(os.environ["WAYLAND_SOCKET"]))) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 212992)
    os.execv("/usr/bin/Xwayland", ["Xwayland", *sys.argv[1:]])
    """
)
"""An Xwayland whose connection holds as little as an ordinary user's, where nobody has changed wmem_max."""


def start_many(desktop: X11Desktop, count: int, *, bare: bool) -> subprocess.Popen[bytes]:
    """A client that has mapped so many windows at once; bare: override-redirect ones."""
    many = begin_many(desktop, count, bare=bare)
    assert many.stdout is not None
    assert many.stdout.readline() == b"mapped\n"
    return many


def begin_many(desktop: X11Desktop, count: int, *, bare: bool) -> subprocess.Popen[bytes]:
    """A client that is about to map them, and says so then."""
    many = subprocess.Popen(
        [sys.executable, "-c", MANY_WINDOWS, str(count), str(int(bare))],
        env=desktop.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    desktop.adopt(many)
    return many


def has_spoken(process: subprocess.Popen[bytes], *, seconds: float) -> bool:
    """Whether it has printed something, or does so soon."""
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], seconds)[0])


class Witness:
    """A window of a client of its own, which takes keys and draws."""

    def __init__(self, desktop: X11Desktop, client: XTestClient) -> None:
        self._desktop = desktop
        self._client = client
        self._window = client.create_window(title="witness", mask=X.KeyPressMask)
        self._view = desktop.place(desktop.window("witness"), 600, 400)
        self._colour = 0
        self.take_keyboard()
        # What others put there is a menu on it then, and no new window that would get the keyboard.
        client.window(self._window).configure(x=0, y=0)
        client.display.sync()

    def take_keyboard(self) -> None:
        """It is clicked."""
        self._desktop.seat.click(self._view.x + 20, self._view.y + 20)
        self._desktop.wait(lambda: self._client.focused() == self._window, "it has the keyboard")

    def assert_lives(self) -> None:
        """A key arrives, and what is drawn is seen."""
        self.assert_takes_keys()
        self._colour = (self._colour + 40) % 256
        record = self._client.window(self._window)
        record.change_attributes(background_pixel=self._colour << 8)
        record.clear_area()
        self._client.display.flush()
        self._desktop.wait(lambda: self._seen() == (0, self._colour, 0), "what it has drawn")

    def assert_takes_keys(self) -> None:
        """A key arrives."""
        self._desktop.seat.type("k")
        self._client.wait(X.KeyPress, "key")

    def _seen(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self._desktop.picture_of(self._view)[80, 150][:3])


def assert_works(desktop: X11Desktop) -> None:
    """A new client shows a window, and closes it."""
    process = desktop.start("xclock", "-title", "still works")
    desktop.window("still works")
    process.kill()
    process.wait()
    desktop.gone("still works")


def test_properties_that_nobody_should_have(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window(title="strange")
        desktop.window("strange")
        for name, type_, format_, data in STRANGE:
            client.window(window).change_property(client.atom(name), client.atom(type_), format_, data)
        client.ask_manager(window, "_NET_WM_STATE", 1, client.atom("_NET_WM_STATE_FULLSCREEN"))
        desktop.wait(
            lambda: client.window(window).get_geometry().width == 1024, "it does what it is asked for"
        )
        for name, type_, format_, data in STRANGE:
            other = client.create_window()
            client.window(other).change_property(client.atom(name), client.atom(type_), format_, data)
            client.window(other).map()
        client.display.sync()
        desktop.wait(lambda: len(client.words(client.root, "_NET_CLIENT_LIST")) == 17, "all of them")
    assert_works(desktop)


def test_an_icon_of_many_megabytes_is_passed_over(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window()
        icon = client.atom("_NET_WM_ICON")
        client.window(window).change_property(icon, client.atom("CARDINAL"), 32, [3000, 3000])
        part = struct.pack("I", 0xFF336699) * 60000
        for _ in range(150):
            client.window(window).change_property(icon, client.atom("CARDINAL"), 32, part, X.PropModeAppend)
        client.window(window).set_wm_name("heavy")
        client.window(window).map()
        client.display.sync()
        desktop.window("heavy")
    assert_works(desktop)


def test_a_storm_of_properties_holds_nobody_up(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window(title="storm")
        desktop.window("storm")
        for number in range(20000):
            client.window(window).set_wm_name(f"storm {number}")
        client.display.sync()
        desktop.window("storm 19999")
    assert_works(desktop)


def test_windows_may_be_gone_at_any_instant(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        last = 0
        for number in range(300):
            window = client.create_window()
            record = client.window(window)
            record.set_wm_transient_for(client.window(last or window))
            record.set_wm_protocols([client.atom("WM_TAKE_FOCUS"), client.atom("_NET_WM_SYNC_REQUEST")])
            record.map()
            client.ask_manager(window, "_NET_WM_STATE", 2, client.atom("_NET_WM_STATE_FULLSCREEN"))
            if number % 3:
                record.configure(width=300 + number, height=200)
            if number % 2:
                client.display.flush()
            record.destroy()
            client.ask_manager(window, "_NET_ACTIVE_WINDOW", 1)
            last = window
        client.display.sync()
        desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [], "none is left")
        assert client.words(last, "WM_STATE") == []
    assert_works(desktop)


def test_ten_thousand_windows_are_too_many_for_nobody_else(desktop: X11Desktop) -> None:
    many = start_many(desktop, 10000, bare=False)
    assert_works(desktop)
    with desktop.client() as client:
        shown = len(client.words(client.root, "_NET_CLIENT_LIST"))
        assert 0 < shown < MAX_WINDOWS
        many.kill()
        many.wait()
        desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [], "they are gone")
    assert_works(desktop)


def test_ten_thousand_menus_at_once_leave_the_others_as_they_are(desktop: X11Desktop) -> None:
    served = desktop.launcher.log.count("starting Xwayland")
    with desktop.client() as client:
        witness = Witness(desktop, client)
        many = begin_many(desktop, 10000, bare=True)
        while not has_spoken(many, seconds=0.2):
            witness.assert_takes_keys()
        witness.assert_lives()
        assert_works(desktop)
        many.kill()
        many.wait()
        desktop.wait(lambda: len(client.window(client.root).query_tree().children) < 20, "they are gone")
        witness.take_keyboard()
        witness.assert_lives()
        assert_works(desktop)
    assert desktop.launcher.log.count("starting Xwayland") <= max(served, 1)


def test_many_clients_with_too_many_windows_leave_room_for_another(desktop: X11Desktop) -> None:
    many = [start_many(desktop, 400, bare=False) for _ in range(3)]
    assert_works(desktop)
    for process in many:
        process.kill()
        process.wait()
    with desktop.client() as client:
        desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [], "they are gone")
    assert_works(desktop)


def test_many_menus_at_once_find_room_where_sockets_are_narrow(runtime_dir: Path) -> None:
    program = runtime_dir / "Xwayland"
    program.write_text(ORDINARY)
    program.chmod(0o755)
    path = f"PATH={runtime_dir}:{os.environ['PATH']}"
    with running_x11_desktop(wrapper=("env", path)) as desktop:
        desktop.start("xclock", "-title", "base")
        desktop.window("base")
        many = start_many(desktop, 1200, bare=True)
        assert_works(desktop)
        many.kill()
        many.wait()
        with desktop.client() as client:
            desktop.wait(lambda: len(client.window(client.root).query_tree().children) < 20, "they are gone")
        assert_works(desktop)
        desktop.window("base")
        assert desktop.launcher.log.count("starting Xwayland") == 1


def test_a_client_that_was_ended_by_the_manager_leaves_the_others(desktop: X11Desktop) -> None:
    with contextlib.suppress(ConnectionClosedError), desktop.client() as client:
        client.create_window(title="ended")
        bar = desktop.title_bar(desktop.window("ended"))
        desktop.start("xclock", "-title", "stays")
        desktop.window("stays")
        desktop.seat.click(bar.x + bar.width - 14, bar.y + 14)
        desktop.gone("ended")
        desktop.window("stays")
