"""A desktop on which X11 applications run: Weston 14 with a seat, the host daemon, and crossdomain-run.

Everything is the real thing; the X11 applications are whatever the tests start.
"""

import contextlib
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from crossdomain.vm import image
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.seat import View
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.sway import Root
from tests.fakes.weston import Pixels, load_pixels
from tests.fakes.x11_client import XTestClient

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds for what takes a part of one, on a loaded machine."""

TELL: Final = (
    'echo "$WAYLAND_DISPLAY"; echo "$DISPLAY"; echo "$XAUTHORITY"; echo "$_JAVA_AWT_WM_NONREPARENTING";'
    " exec cat >/dev/null"
)


class ApplicationEnvironment:
    """Where the applications of a crossdomain-run run; its command has to be TELL."""

    def __init__(self, launcher: RunningLauncher) -> None:
        self.launcher = launcher
        self.display = launcher.read_line()
        self.authority = launcher.read_line()
        self.told_java = launcher.read_line()
        self._started: list[subprocess.Popen[str]] = []
        self._adopted: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What leads an application to the X display, and to nothing else."""
        made = {**os.environ, "DISPLAY": self.display, "XAUTHORITY": self.authority, "LANG": "C.UTF-8"}
        made.pop("WAYLAND_DISPLAY", None)
        made["_JAVA_AWT_WM_NONREPARENTING"] = self.told_java
        made["XDG_RUNTIME_DIR"] = str(self.launcher.runtime_dir)
        return made

    @property
    def wayland_environment(self) -> dict[str, str]:
        """What leads an application to the launcher's Wayland socket, and to nothing else."""
        made = {**self.environment, "WAYLAND_DISPLAY": self.launcher.socket}
        del made["DISPLAY"]
        return made

    def start(self, *command: str, wayland: bool = False) -> subprocess.Popen[str]:
        """Start an application; it is ended with the test."""
        process = subprocess.Popen(
            command,
            env=self.wayland_environment if wayland else self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *command: str, data: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the X display to its end."""
        return subprocess.run(
            command,
            env=self.environment,
            input=data,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def client(self) -> XTestClient:
        """An X client of the test's own; closed by it."""
        return XTestClient(self.display, self.authority)

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """End a process with the test."""
        self._adopted.append(process)

    def end_adopted(self) -> None:
        """End the processes that were adopted."""
        for process in self._adopted:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._adopted.clear()

    def end_started(self) -> None:
        """End what was started, and what was adopted."""
        self.end_adopted()
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._started.clear()


class X11Desktop(ApplicationEnvironment):
    """A screen, a person before it, and an X display whose windows are on that screen."""

    def __init__(self, weston: HeadlessWeston, daemon: RunningDaemon, launcher: RunningLauncher) -> None:
        super().__init__(launcher)
        self.weston = weston
        self.seat = weston.seat
        self.daemon = daemon

    def end_applications(self) -> None:
        """End what was started, and wait until the screen is empty."""
        self.end_started()
        self.wait(lambda: self.seat.find_view("top-level window") is None, "no window is left")

    # What is on the screen.

    def wait(self, look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
        """What `look` returns, as soon as that is true.

        Raises:
            TimeoutError: it is not; says what is on the screen instead.
        """
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                views = "\n".join(str(view) for view in self.seat.views())
                raise TimeoutError(f"{what}: not within {seconds} s\n{views}\n{self.launcher.log}")
            time.sleep(0.02)
        return found

    def window(self, label: str) -> View:
        """The contents of the window with `label` in its title or class, as soon as it has some."""

        def look() -> View | None:
            view = self.seat.find_view(f"top-level window '{label}")
            return view if view is not None and self.seat.count_colours(view) > 0 else None

        return self.wait(look, f"a window {label!r}")

    def gone(self, label: str) -> None:
        """Wait until there is no such window."""
        self.wait(lambda: self.seat.find_view(f"'{label}") is None, f"no window {label!r}")

    def above(self, window: View) -> list[View]:
        """The views above a window, the highest first; without the pointer's."""
        views = self.seat.views()
        position = [view.identity for view in views].index(window.identity)
        return [view for view in views[:position] if view.label != "cursor"]

    def spot(self, view: View, x: int, y: int) -> tuple[int, int]:
        """A point of a view on the screen, as soon as the view is what a person sees there.

        Args:
            view: as it was seen last; it may have been moved or resized since.
            x: from its left side, px; where negative from its right one.
            y: from its upper side, px; where negative from its lower one.

        Raises:
            TimeoutError: the point is beyond the screen's edge, or something else lies on it.
        """

        def look() -> tuple[int, int] | None:
            views = [each for each in self.seat.views() if each.label != "cursor"]
            found = next((each for each in views if each.identity == view.identity), None)
            if found is None:
                return None
            point = (
                found.x + x + (found.width if x < 0 else 0),
                found.y + y + (found.height if y < 0 else 0),
            )
            if not (0 <= point[0] < self.weston.width and 0 <= point[1] < self.weston.height):
                return None
            return point if next((each for each in views if _covers(each, *point)), None) is found else None

        return self.wait(look, f"{x}, {y} of {view} in sight")

    def click(self, view: View, x: int, y: int) -> None:
        """Click at a point of a view (`spot`)."""
        self.seat.click(*self.spot(view, x, y))

    def title_bar(self, window: View) -> View:
        """The title bar that we draw above a window."""

        def look() -> View | None:
            return next(
                (
                    view
                    for view in self.seat.views()
                    if view.label == "sub-surface" and view.y + view.height == window.y and view.x <= window.x
                    if view.height > 20 and view.x + view.width >= window.x + window.width
                ),
                None,
            )

        return self.wait(look, f"a title bar above {window}")

    def screenshot(self) -> Pixels:
        """What is on the screen."""
        path = self.weston.runtime_directory / "picture.png"
        self.weston.screenshot(path)
        return load_pixels(path)

    def picture_of(self, view: View) -> Pixels:
        """What is on the screen where a view is."""
        pixels = self.screenshot()
        return pixels[max(view.y, 0) : view.y + view.height, max(view.x, 0) : view.x + view.width]

    def place(self, window: View, x: int, y: int) -> View:
        """Put a window's contents there, and return where it is then."""
        self.seat.move_view(window, x, y)

        def look() -> View | None:
            found = next((view for view in self.seat.views() if view.identity == window.identity), None)
            return found if found is not None and (found.x, found.y) == (x, y) else None

        return self.wait(look, f"{window} at {x}, {y}")


def _covers(view: View, x: int, y: int) -> bool:
    return view.x <= x < view.x + view.width and view.y <= y < view.y + view.height


def with_xwayland_of(debian: Root, folder: Path) -> tuple[str, ...]:
    """The wrapper that has crossdomain-run find the Xwayland of another root; `folder` is for that alone."""
    program = folder / "Xwayland"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(debian.command(["/usr/bin/Xwayland"]))} "$@"\n')
    program.chmod(0o755)
    return "env", f"PATH={folder}:{os.environ['PATH']}"


@contextlib.contextmanager
def running_x11(
    compositor: Path, *options: str, wrapper: Sequence[str] = ()
) -> Generator[ApplicationEnvironment]:
    """Run an X display on a compositor, by its socket, until the block ends; `wrapper` runs its launcher."""
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        host, guest = Path(folder) / "host", Path(folder) / "guest"
        host.mkdir()
        guest.mkdir(mode=0o700)
        with (
            running_daemon(host, compositor) as daemon,
            running_launcher(
                guest, daemon.local_socket, *options, command=("sh", "-c", TELL), wrapper=wrapper
            ) as launcher,
        ):
            running = ApplicationEnvironment(launcher)
            yield running
            running.end_started()
            launcher.assert_alive()
            daemon.assert_alive()


@contextlib.contextmanager
def running_x11_desktop(
    *, width: int = 1024, height: int = 768, options: Sequence[str] = (), wrapper: Sequence[str] = ()
) -> Generator[X11Desktop]:
    """Run a desktop until the block ends; `options` are those of crossdomain-run, `wrapper` runs that."""
    with (
        HeadlessWeston(image.obtain(image.Recipe()), width=width, height=height) as weston,
        running_x11_on(weston, options=options, wrapper=wrapper) as desktop,
    ):
        yield desktop


@contextlib.contextmanager
def running_x11_on(
    weston: HeadlessWeston, *, options: Sequence[str] = (), wrapper: Sequence[str] = ()
) -> Generator[X11Desktop]:
    """Run all else of a desktop on a compositor until the block ends."""
    command = ("sh", "-c", TELL)
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        host = Path(folder) / "host"
        guest = Path(folder) / "guest"
        host.mkdir()
        guest.mkdir(mode=0o700)
        with (
            running_daemon(host, weston.socket_path) as daemon,
            running_launcher(
                guest, daemon.local_socket, *options, command=command, wrapper=wrapper
            ) as launcher,
        ):
            desktop = X11Desktop(weston, daemon, launcher)
            yield desktop
            desktop.end_applications()
            launcher.assert_alive()
            daemon.assert_alive()
