"""An X display is there without being asked for, costs nothing before it is used, and comes back."""

import os
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.compositor import FakeCompositor
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.launcher import Finished, run_launcher
from tests.fakes.x11 import X11Desktop

ICONIC: Final = 3
NO_XWAYLAND: Final = {"PATH": "/nonexistent", "DISPLAY": ""}
"""An environment in which Xwayland is not installed."""


@pytest.fixture(scope="module")
def daemon() -> Generator[RunningDaemon]:
    """A host whose compositor accepts everybody and says nothing."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-") as folder,
        FakeCompositor(Path(folder) / "wayland") as fake,
        running_daemon(Path(folder), fake.path) as running,
    ):
        yield running


def xwaylands(desktop: X11Desktop) -> list[int]:
    """The pids of the display's Xwayland, if it runs."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if command[0] == b"Xwayland" and desktop.authority.encode() in command:
            found.append(int(entry.name))
    return found


def start_without_xwayland(
    daemon: RunningDaemon, runtime_dir: Path, *arguments: str, extra: dict[str, str] | None = None
) -> Finished:
    """Run crossdomain-run where Xwayland is not installed."""
    channel = f"--channel=local:{daemon.local_socket}"
    return run_launcher(runtime_dir, channel, *arguments, extra={**NO_XWAYLAND, **(extra or {})})


def test_xwayland_runs_from_the_first_x_client_to_the_last(desktop: X11Desktop) -> None:
    desktop.wait(lambda: not xwaylands(desktop), "no Xwayland without clients")
    first = desktop.start("xclock", "-title", "first")
    desktop.window("first")
    (pid,) = xwaylands(desktop)
    desktop.start("xclock", "-title", "second")
    desktop.window("second")
    first.kill()
    desktop.gone("first")
    assert xwaylands(desktop) == [pid]
    desktop.end_applications()
    desktop.wait(lambda: not xwaylands(desktop), "no Xwayland after the last client")


def test_a_client_that_ends_as_an_icon_keeps_no_xwayland(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        window = client.create_window(title="icon")
        desktop.window("icon")
        client.ask_manager(window, "WM_CHANGE_STATE", ICONIC)
        desktop.wait(lambda: client.words(window, "WM_STATE")[:1] == [ICONIC], "iconic")
    desktop.wait(lambda: not xwaylands(desktop), "no Xwayland after the last client")


def test_a_killed_xwayland_is_told_and_the_next_client_has_another(desktop: X11Desktop) -> None:
    lost = desktop.start("xclock", "-title", "lost")
    desktop.window("lost")
    (pid,) = xwaylands(desktop)
    os.kill(pid, signal.SIGKILL)
    assert lost.wait(30) != 0
    desktop.start("xclock", "-title", "next")
    desktop.window("next")
    assert "Xwayland has ended with status -9" in desktop.launcher.log
    (after,) = xwaylands(desktop)
    assert after != pid


def test_without_xwayland_an_x_client_and_its_user_are_told(daemon: RunningDaemon, runtime_dir: Path) -> None:
    done = start_without_xwayland(
        daemon, runtime_dir, "/bin/sh", "-c", "/usr/bin/xdpyinfo; /usr/bin/xdpyinfo"
    )
    assert done.status == 1
    assert done.errors.count("unable to open display") == 2
    told = [line for line in done.errors.splitlines() if line.startswith("crossdomain-run: ")]
    assert told == [
        "crossdomain-run: an X11 application can't be served: Xwayland is not installed: "
        "install the package xwayland, or run with --x11 off"
    ]


def test_without_xwayland_a_display_of_the_guests_own_stays(daemon: RunningDaemon, runtime_dir: Path) -> None:
    command = ("/bin/sh", "-c", 'echo "$DISPLAY"')
    done = start_without_xwayland(daemon, runtime_dir, *command, extra={"DISPLAY": ":77"})
    assert done == (0, ":77\n", "")


def test_without_xwayland_asking_for_it_is_an_error(daemon: RunningDaemon, runtime_dir: Path) -> None:
    done = start_without_xwayland(daemon, runtime_dir, "--x11=on", "/bin/true")
    assert done.status == 125
    assert "Xwayland is not installed" in done.errors


def test_with_x11_off_nothing_leads_to_it(daemon: RunningDaemon, runtime_dir: Path) -> None:
    command = ("/bin/sh", "-c", 'echo "$DISPLAY,$XAUTHORITY"')
    done = start_without_xwayland(daemon, runtime_dir, "--x11=off", *command)
    assert done == (0, ",\n", "")
