"""What is marked in X11 applications is pasted in Wayland ones, and back; on sway, for Weston can't."""

import contextlib
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import running_launcher
from tests.fakes.sway import Sway
from tests.fakes.weston import wait_until
from tests.fakes.x11 import PATIENCE, TELL, ApplicationEnvironment

SHOWS: Final = "xterm"


class PrimarySelection:
    """Applications on an X display and on a Wayland socket that end on one sway."""

    def __init__(self, place: ApplicationEnvironment) -> None:
        self.place = place
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, wayland: bool = False, data: bytes = b"") -> subprocess.Popen[bytes]:
        """Start an application that has all its input already."""
        process = subprocess.Popen(
            command,
            env=self.place.wayland_environment if wayland else self.place.environment,
            stdin=subprocess.PIPE,
        )
        self._started.append(process)
        assert process.stdin is not None
        process.stdin.write(data)
        process.stdin.close()
        return process

    def paste(self, *command: str, wayland: bool = False) -> bytes:
        """What an application prints."""
        environment = self.place.wayland_environment if wayland else self.place.environment
        return subprocess.run(
            command, env=environment, capture_output=True, timeout=PATIENCE, check=False
        ).stdout

    def end(self) -> None:
        """End all applications."""
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def primary(own_sway: Sway) -> Generator[PrimarySelection]:
    """An X window has the keyboard on a sway, which had no other keyboard before."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xd-")))
        host, guest = folder / "host", folder / "guest"
        host.mkdir()
        guest.mkdir(mode=0o700)
        daemon = stack.enter_context(running_daemon(host, own_sway.socket_path))
        launcher = stack.enter_context(
            running_launcher(guest, daemon.local_socket, "--x11=on", command=("sh", "-c", TELL))
        )
        selection = PrimarySelection(ApplicationEnvironment(launcher))
        stack.callback(selection.end)
        selection.start("xterm", "-T", SHOWS)
        focused = ("xprop", "-root", "_NET_ACTIVE_WINDOW")
        wait_until(
            lambda: b"0x0\n" not in selection.paste(*focused), seconds=PATIENCE, what="an X window's keyboard"
        )
        yield selection
        launcher.assert_alive()
        daemon.assert_alive()


def test_what_is_marked_in_x_is_pasted_in_wayland(primary: PrimarySelection) -> None:
    primary.start("xclip", "-selection", "primary", "-i", "-quiet", data="grün €".encode())
    wait_until(
        lambda: primary.paste("wl-paste", "-p", "-n", wayland=True) == "grün €".encode(),
        seconds=PATIENCE,
        what="the text",
    )


def test_what_is_marked_in_wayland_is_pasted_in_x(primary: PrimarySelection) -> None:
    primary.start("wl-copy", "-p", "--foreground", wayland=True, data="grün €".encode())
    command = ("xclip", "-selection", "primary", "-o", "-t", "UTF8_STRING")
    wait_until(lambda: primary.paste(*command) == "grün €".encode(), seconds=PATIENCE, what="the text")
    # Each selection is its own.
    assert primary.paste("xclip", "-selection", "clipboard", "-o") == b""
