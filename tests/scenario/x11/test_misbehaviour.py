"""X clients that do everything wrong: they cost the others nothing, and the display goes on."""

import contextlib
import os
import select
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from Xlib import X
from Xlib.error import ConnectionClosedError
from Xlib.protocol import event as xevent

from launcher.xwayland.limits import MAX_SURFACES, MAX_WINDOWS
from tests.fakes import census
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import Pixels
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


RAGING: Final = 300
"""How many windows and how many titles are a storm."""
ICON_BYTES: Final = 3 << 20
WINDOW_RECORD: Final = "launcher.xwayland.model.window.Window"
ALLOWED: Final[tuple[dict[str, int], ...]] = (
    # What the relay remembers of objects that are gone is looked for when it is much.
    {"launcher.relay.families._Member": 4 * RAGING, "blocks": 20 * RAGING, "private": ICON_BYTES},
    {"blocks": RAGING, "private": 2 * ICON_BYTES - (1 << 20)},
)
"""By how much the launcher, and its process of the X11 side, may grow in two storms."""


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


class CountedDesktop:
    """A desktop whose processes are counted (`census`), and whose Xwayland is ORDINARY."""

    def __init__(self, desktop: X11Desktop, folder: Path) -> None:
        self.desktop = desktop
        self._folder = folder

    def count(self) -> tuple[census.Holdings, census.Holdings]:
        """What the launcher holds, and its process of the X11 side."""
        launcher = self.desktop.launcher.process.pid
        return census.count(self._folder, launcher), census.count(self._folder, self._manager())

    def count_windows(self) -> int:
        """How many windows the window manager remembers."""
        return census.count(self._folder, self._manager()).objects[WINDOW_RECORD]

    def grown(self, before: tuple[census.Holdings, census.Holdings]) -> dict[str, int]:
        """What there is more of than before, and more than may be."""
        more: dict[str, int] = {}
        for was, now, allowed in zip(before, self.count(), ALLOWED, strict=True):
            grown = {
                **(now.objects - was.objects),
                "blocks": now.blocks - was.blocks,
                "private": now.private - was.private,
            }
            more |= {name: by for name, by in grown.items() if by > allowed.get(name, 0)}
        return more

    def keep_a_window(self) -> None:
        """Have the window manager never forget a window that has come since it was counted."""
        census.keep(self._folder, self._manager(), WINDOW_RECORD)

    def _manager(self) -> int:
        launcher = self.desktop.launcher.process.pid
        children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        (found,) = (
            int(pid) for pid in children if b"launcher.xwayland" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        return found


@pytest.fixture(scope="module")
def shared_counted_desktop() -> Generator[CountedDesktop]:
    """The desktop; tests use `counted_desktop`."""
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        program = Path(folder) / "Xwayland"
        program.write_text(ORDINARY)
        program.chmod(0o755)
        variables = {"PATH": f"{folder}:{os.environ['PATH']}", **census.customize(Path(folder))}
        wrapper = ("env", *(f"{name}={value}" for name, value in variables.items()))
        with running_x11_desktop(wrapper=wrapper) as running:
            yield CountedDesktop(running, Path(folder))


@pytest.fixture
def counted_desktop(shared_counted_desktop: CountedDesktop) -> Generator[CountedDesktop]:
    """One without windows."""
    yield shared_counted_desktop
    shared_counted_desktop.desktop.end_applications()


def rage(desktop: X11Desktop, client: XTestClient) -> None:
    """A storm of windows, one of titles, and a large icon; all of it is gone in the end."""
    many = start_many(desktop, RAGING, bare=True)
    window = client.create_window(title="raging")
    record = client.window(window)
    for number in range(RAGING):
        record.set_wm_name(f"raging {number}")
    icon, cardinal = client.atom("_NET_WM_ICON"), client.atom("CARDINAL")
    for _ in range(ICON_BYTES >> 20):
        record.change_property(icon, cardinal, 32, [512, 512], X.PropModeAppend)
        for _ in range(8):
            part = struct.pack("I", 0xFF336699) * 32768
            record.change_property(icon, cardinal, 32, part, X.PropModeAppend)
    client.display.sync()
    desktop.window(f"raging {RAGING - 1}")
    many.kill()
    many.wait()
    record.destroy()
    client.display.sync()
    desktop.gone(f"raging {RAGING - 1}")


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
        self._desktop.click(self._view, 20, 20)
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


def is_all(pixels: Pixels, colour: tuple[int, int, int]) -> bool:
    """Whether they all have that colour."""
    return bool((pixels == colour).all())


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


def test_a_maximised_window_that_takes_another_size_itself_costs_nobody_else(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window()
        record = client.window(window)
        record.set_wm_name("own will")
        record.change_attributes(override_redirect=True)
        record.map()
        client.display.sync()
        before = desktop.window("own will").width
        axes = [client.atom(f"_NET_WM_STATE_MAXIMIZED_{axis}") for axis in ("HORZ", "VERT")]
        client.ask_manager(window, "_NET_WM_STATE", 1, *axes)
        desktop.wait(lambda: desktop.window("own will").width > before, "maximised")
        record.configure(width=before, height=90)
        client.display.sync()
        assert_works(desktop)


def test_events_that_a_client_has_made_up_take_nothing_from_anybody(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window(title="believed in")
        desktop.window("believed in")
        manager, now = client.owner("WM_S0"), X.CurrentTime
        cleared = xevent.SelectionClear(time=now, window=client.window(manager), atom=client.atom("WM_S0"))
        client.send(manager, cleared)
        for kind in (xevent.DestroyNotify, xevent.MapNotify):
            made_up = kind(window=client.window(window), event=client.window(client.root), override=False)
            client.window(client.root).send_event(made_up, event_mask=X.SubstructureRedirectMask)
        client.display.sync()
        assert_works(desktop)
        assert window in client.words(client.root, "_NET_CLIENT_LIST")


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


def test_a_window_among_too_many_surfaces_is_shown_when_there_is_room(desktop: X11Desktop) -> None:
    """Nobody can take windows away while one client has the X server for itself.

    There are so many at a time then that the host does not hear of them all.
    """
    with desktop.client() as owner, desktop.client() as greedy:
        wanted = owner.create_window(width=120, height=90)
        owner.window(wanted).change_attributes(override_redirect=True, background_pixel=0x22CC44)
        owner.window(wanted).configure(x=500, y=400)
        owner.window(wanted).set_wm_name("wanted")
        owner.display.sync()
        served = desktop.launcher.log.count("starting Xwayland")
        greedy.display.grab_server()
        windows = greedy.create_bare(MAX_SURFACES + 100)
        greedy.map_at_once([*windows, wanted])
        greedy.display.ungrab_server()
        greedy.display.flush()
        view = desktop.window("wanted")
        desktop.wait(lambda: is_all(desktop.picture_of(view), (0x22, 0xCC, 0x44)), "all of it")
        assert desktop.launcher.log.count("starting Xwayland") == served


def test_many_clients_with_too_many_windows_leave_room_for_another(desktop: X11Desktop) -> None:
    many = [start_many(desktop, 400, bare=False) for _ in range(3)]
    assert_works(desktop)
    for process in many:
        process.kill()
        process.wait()
    with desktop.client() as client:
        desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [], "they are gone")
    assert_works(desktop)


def test_many_menus_at_once_find_room_where_sockets_are_narrow(counted_desktop: CountedDesktop) -> None:
    desktop = counted_desktop.desktop
    served = desktop.launcher.log.count("starting Xwayland")
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
    assert desktop.launcher.log.count("starting Xwayland") <= max(served, 1)


def test_nothing_stays_of_storms_that_are_over(counted_desktop: CountedDesktop) -> None:
    """The product's objects are counted one by one; what else there is has bounds that leaks exceed."""
    desktop = counted_desktop.desktop
    with desktop.client() as client:
        client.create_window(title="stays")
        rage(desktop, client)
        desktop.wait(lambda: counted_desktop.count_windows() == 1, "one window is left")
        before = counted_desktop.count()
        for _ in range(2):
            rage(desktop, client)
            desktop.wait(lambda: counted_desktop.grown(before) == {}, "nothing is left that was not there")


def test_one_record_of_a_window_that_stayed_would_be_found(counted_desktop: CountedDesktop) -> None:
    desktop = counted_desktop.desktop
    with desktop.client() as client:
        client.create_window(title="stays")
        desktop.window("stays")
        desktop.wait(lambda: counted_desktop.count_windows() == 1, "one window")
        before = counted_desktop.count()
        kept = client.create_window(title="kept")
        desktop.window("kept")
        counted_desktop.keep_a_window()
        client.window(kept).destroy()
        client.display.sync()
        desktop.gone("kept")
        desktop.wait(
            lambda: "launcher.xwayland.shell.toplevel.ToplevelRole" not in counted_desktop.grown(before),
            "its role is gone",
        )
        assert counted_desktop.grown(before)[WINDOW_RECORD] == 1


def test_a_client_that_was_ended_by_the_manager_leaves_the_others(desktop: X11Desktop) -> None:
    with contextlib.suppress(ConnectionClosedError), desktop.client() as client:
        desktop.start("xclock", "-title", "stays")
        desktop.window("stays")
        client.create_window(title="ended")
        bar = desktop.title_bar(desktop.window("ended"))
        desktop.click(bar, -14, 14)
        desktop.gone("ended")
        desktop.window("stays")
