"""The desktops that most people have: Plasma's KWin, and GNOME Shell.

They come out of a Debian root of their own, of 1.2 GB.  KWin shows its output in a window of a headless sway,
whose pointer, keyboard and pictures are used; GNOME Shell has these itself (`gnome_person`).
"""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from crossdomain.vm import root
from crossdomain.vm.seat import BUTTON_LEFT, keystrokes
from tests.fakes import gnome_person, rooted
from tests.fakes.forky import Forky
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import Pixels, accepts, load_pixels, stop, wait_until

SIZE: Final = (1024, 768)
"""Of the only output, px."""
PACKAGES: Final = (
    "kwin-wayland,gnome-shell,dbus-bin,dbus-daemon,libgl1-mesa-dri,libegl-mesa0,breeze,xkb-data,python3-dbus,"
    "fonts-dejavu-core"
)
_SECONDS: Final = 180.0
_SOCKET: Final = "wayland-9"
_PANEL: Final = 32
"""px at the top of GNOME's screen that show the time of day."""
_SETTINGS: Final = """\
[org/gnome/desktop/background]
picture-options='none'
primary-color='#203040'
[org/gnome/desktop/interface]
enable-animations=false
[org/gnome/desktop/notifications]
show-banners=false
[org/gnome/mutter]
center-new-windows=true
"""


class Desktop(Protocol):
    """A compositor, and the person before it."""

    name: str

    @property
    def socket_path(self) -> Path:
        """Where clients connect."""
        ...

    def screenshot(self) -> Pixels:
        """What is on the screen now, without the pointer."""
        ...

    def move_pointer(self, x: int, y: int) -> None:
        """Move the pointer there, px."""
        ...

    def button(self, *, pressed: bool) -> None:
        """Press or release the pointer's left button."""
        ...

    def type(self, text: str) -> None:
        """Type ASCII text on a US keyboard."""
        ...


class Kwin:
    """A running KWin; obtained from `running_kwin`."""

    name = "kwin"

    def __init__(self, folder: Path, sway: Sway) -> None:
        self.socket_path = folder / _SOCKET
        self._sway = sway

    def screenshot(self) -> Pixels:
        """See `Desktop`."""
        return self._sway.screenshot()

    def move_pointer(self, x: int, y: int) -> None:
        """See `Desktop`."""
        self._sway.seat.move_pointer(x, y)

    def button(self, *, pressed: bool) -> None:
        """See `Desktop`."""
        self._sway.seat.button(pressed=pressed)

    def type(self, text: str) -> None:
        """See `Desktop`."""
        self._sway.seat.type(text)


class Gnome:
    """A running GNOME Shell; obtained from `running_gnome`."""

    name = "gnome"

    def __init__(self, folder: Path, orders: IO[str], answers: IO[str]) -> None:
        self.socket_path = folder / _SOCKET
        self._picture = folder / "picture.png"
        self._orders = orders
        self._answers = answers

    def screenshot(self) -> Pixels:
        """See `Desktop`."""
        self._do("picture", self._picture)
        pixels = load_pixels(self._picture).copy()
        pixels[:_PANEL] = 0
        return pixels

    def move_pointer(self, x: int, y: int) -> None:
        """See `Desktop`."""
        self._do("move", x, y)

    def button(self, *, pressed: bool) -> None:
        """See `Desktop`."""
        self._do("button", BUTTON_LEFT, int(pressed))

    def type(self, text: str) -> None:
        """See `Desktop`."""
        for code, pressed in keystrokes(text):
            self._do("key", code, int(pressed))

    def _do(self, *words: object) -> None:
        print(*words, file=self._orders, flush=True)
        assert self._answers.readline() == "done\n"


@contextmanager
def running_kwin(folder: Path) -> Generator[Kwin]:
    """Run a KWin until the block ends.

    Args:
        folder: existing, with a short path; for this alone.

    Raises:
        TimeoutError: it did not serve in time.
    """
    outside = folder / "sway"
    outside.mkdir()
    folder.chmod(0o700)
    with running_sway(Forky(), outside, width=SIZE[0], height=SIZE[1]) as sway:
        extra = {"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "KWIN_COMPOSE": "Q", "LANG": "C.UTF-8"}
        command = [
            "dbus-run-session", "--", "kwin_wayland", f"--wayland-display={sway.socket_path}",
            f"--socket={_SOCKET}", f"--width={SIZE[0]}", f"--height={SIZE[1]}",
            "--no-lockscreen", "--no-global-shortcuts", "--no-kactivities",
        ]  # fmt: skip
        process = rooted.start(Forky(PACKAGES).command(command), extra, folder / "kwin.log")
        kwin = Kwin(folder, sway)
        try:
            wait_until(lambda: accepts(kwin.socket_path), seconds=_SECONDS, what="KWin serves")
            wait_until(lambda: bool(sway.windows()), seconds=_SECONDS, what="KWin's output is shown")
            yield kwin
        finally:
            stop(process)


@contextmanager
def running_gnome(folder: Path) -> Generator[Gnome]:
    """Run a GNOME Shell until the block ends; `folder` is existing, with a short path, and for this alone."""
    folder.chmod(0o700)
    settings = folder / "config" / "glib-2.0" / "settings"
    settings.mkdir(parents=True)
    (settings / "keyfile").write_text(_SETTINGS)
    extra = {
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_SESSION_TYPE": "wayland",
        "GSETTINGS_BACKEND": "keyfile",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    person = Path(gnome_person.__file__)
    size = [str(side) for side in SIZE]
    command = ["dbus-run-session", "--", "python3", str(person), *size, _SOCKET]
    with (folder / "gnome.log").open("wb") as log:
        process = subprocess.Popen(
            Forky(PACKAGES).command(command),
            env=root.program_environment(extra),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin as orders, process.stdout as answers:
        line = answers.readline()
        assert line == "ready\n", (folder / "gnome.log").read_text(errors="replace")[-2000:]
        yield Gnome(folder, orders, answers)
