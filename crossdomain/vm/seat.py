"""Compiles modules for Weston, the seat's above all, and drives that.

A module (`seat.c`, `placement.c`) is compiled with the host's C compiler against the image's headers,
once per change of either; the result is never written over, because a compositor may have it loaded.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.errors import EnvironmentFault, HostFault, LocalError
from crossdomain.vm.image import Image

FD_VARIABLE: Final = "CROSSDOMAIN_SEAT_FD"
"""The environment variable that tells the module its socket."""

_SOURCES: Final = Path(__file__).parent
_HEADERS: Final = ("libweston-14", "pixman-1", "xkbcommon", "wayland-*.h")
_ANSWER_SECONDS: Final = 10.0

BUTTON_LEFT: Final = 0x110
BUTTON_RIGHT: Final = 0x111
KEY_ENTER: Final = 28
KEY_LEFT_CONTROL: Final = 29
KEY_LEFT_SHIFT: Final = 42
KEY_LEFT_ALT: Final = 56

_PLAIN: Final = {
    **dict(zip("1234567890-=", range(2, 14), strict=True)),
    **dict(zip("qwertyuiop[]", range(16, 28), strict=True)),
    **dict(zip("asdfghjkl;'`", range(30, 42), strict=True)),
    **dict(zip("\\zxcvbnm,./", range(43, 54), strict=True)),
    "\n": KEY_ENTER, "\t": 15, " ": 57,
}  # fmt: skip
_SHIFTED: Final = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))


class Touch(IntEnum):
    """What a finger does; the opcodes of wl_touch's events."""

    DOWN = 0
    UP = 1
    MOTION = 2


class View(NamedTuple):
    """A rectangle on the compositor's screen, in its coordinates (px); `label` names its surface."""

    identity: str
    x: int
    y: int
    width: int
    height: int
    label: str


def compile_module(image: Image, name: str = "seat", *, sources: Path = _SOURCES) -> Path:
    """Return a module for the Weston of `image`, compiling it first where needed; `sources` has its source.

    Raises:
        EnvironmentFault: there is no C compiler, or it fails.
    """
    source = sources / f"{name}.c"
    key = hashlib.sha256(source.read_bytes() + image.directory.name.encode()).hexdigest()[:16]
    place = (
        image.directory.parent if os.access(image.directory.parent, os.W_OK) else Path(tempfile.gettempdir())
    )
    final = place / f"{name}-{os.geteuid()}-{key}.so"
    if final.exists():
        return final
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise EnvironmentFault("there is no C compiler", hint="install it: apt install gcc libc6-dev")
    with tempfile.TemporaryDirectory(prefix=f"crossdomain-{name}-") as work:
        headers = _link_headers(image, Path(work))
        built = Path(work) / "module.so"
        flags = [f"-I{headers}", f"-I{headers}/libweston-14", f"-I{headers}/pixman-1"]
        command = [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", *flags]
        done = subprocess.run(
            [*command, "-o", str(built), str(source)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise EnvironmentFault(
                f"the {name} module does not compile: {reason}", hint="is the package libc6-dev installed?"
            )
        whole = final.with_name(f"{final.name}.{os.getpid()}")
        shutil.copy(built, whole)
        os.rename(whole, final)
    return final


def _link_headers(image: Image, work: Path) -> Path:
    """Make a directory with the image's headers, without its C library's: those are the host compiler's."""
    headers = work / "include"
    headers.mkdir()
    for pattern in _HEADERS:
        for path in (image.root / "usr/include").glob(pattern):
            (headers / path.name).symlink_to(path)
    return headers


def keystrokes(text: str) -> list[tuple[int, bool]]:
    """Return the keys, as evdev codes, that type ASCII text on a US keyboard, and whether each goes down.

    Raises:
        LocalError: a character is not on it.
    """
    strokes: list[tuple[int, bool]] = []
    for character in text:
        base = _SHIFTED.get(character, character.lower())
        code = _PLAIN.get(base)
        if code is None:
            raise LocalError(f"{character!r} is not on the keyboard")
        typed = [(code, True), (code, False)]
        shifted = [(KEY_LEFT_SHIFT, True), *typed, (KEY_LEFT_SHIFT, False)]
        strokes += typed if base == character else shifted
    return strokes


class Seat:
    """The person at the keyboard.

    Args:
        connection: our end of the module's socket; owned from now on.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(_ANSWER_SECONDS)

    def close(self) -> None:
        """Close the socket; the seat stays as it is."""
        self._connection.close()

    def key(self, code: int, *, pressed: bool) -> None:
        """Press or release the key of an evdev code."""
        self._ask(f"key {code} {int(pressed)}")

    def time_key(self, code: int) -> tuple[int, int]:
        """Press a key, and return when the window that has the keyboard commits next.

        Returns:
            when the key was pressed and when the commit came, ns of the compositor's CLOCK_MONOTONIC.

        Raises:
            HostFault: no window has the keyboard, it went away, or it does not answer the key.
        """
        pressed, committed = self._ask(f"time {code}").splitlines()[1].split()
        self.key(code, pressed=False)
        return int(pressed), int(committed)

    def tap(self, code: int) -> None:
        """Press and release a key."""
        self.key(code, pressed=True)
        self.key(code, pressed=False)

    def type(self, text: str) -> None:
        """Type ASCII text on a keyboard of the US layout.

        Raises:
            LocalError: a character is not on it.
        """
        for code, pressed in keystrokes(text):
            self.key(code, pressed=pressed)

    def move_pointer(self, x: float, y: float) -> None:
        """Move the pointer there, in the compositor's coordinates (px)."""
        self._ask(f"motion {x} {y}")

    def button(self, code: int = BUTTON_LEFT, *, pressed: bool) -> None:
        """Press or release a button of the pointer."""
        self._ask(f"button {code} {int(pressed)}")

    def click(self, x: float, y: float, code: int = BUTTON_LEFT) -> None:
        """Click at a place."""
        self.move_pointer(x, y)
        self.button(code, pressed=True)
        self.button(code, pressed=False)

    def scroll(self, value: float, *, horizontal: bool = False) -> None:
        """Turn the wheel by `value`, positive towards the user or the right."""
        self._ask(f"axis {int(horizontal)} {value}")

    def touch(self, finger: int, kind: Touch, x: float = 0, y: float = 0) -> None:
        """Put a finger down, lift or move it, in the compositor's coordinates (px).

        The first time plugs a touch screen in: an application that listens then may miss that touch.
        """
        self._ask(f"touch {finger} {kind} {x} {y}")

    def views(self) -> list[View]:
        """Return what is on the screen, topmost first."""
        views: list[View] = []
        for line in self._ask("views").splitlines()[1:]:
            identity, x, y, width, height, *label = line.split(" ", 5)
            views.append(View(identity, int(x), int(y), int(width), int(height), "".join(label)))
        return views

    def find_view(self, part: str) -> View | None:
        """Return the topmost view with `part` in its label, None without one."""
        return next((view for view in self.views() if part in view.label), None)

    def move_view(self, view: View, x: float, y: float) -> None:
        """Put a window there."""
        self._ask(f"move {view.identity} {x} {y}")

    def count_colours(self, view: View) -> int:
        """Return how many different colours a window's content has, counted up to 64.

        1 is a blank one, and 0 one that can't be seen.
        """
        return int(self._ask(f"colours {view.identity}").splitlines()[1])

    def _ask(self, command: str) -> str:
        try:
            self._connection.send(command.encode())
            answer = self._connection.recv(65536).decode(errors="replace")
        except OSError as error:
            raise HostFault(f"the compositor does not answer: {error}") from error
        if not answer.startswith("ok"):
            raise HostFault(f"the compositor refuses {command!r}: {answer or 'it is gone'}")
        return answer
