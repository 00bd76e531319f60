"""What an X11 application has copied stays when it quits, if asked for; on sway, which keeps nothing."""

import os
import subprocess
from collections.abc import Generator
from typing import Final, NamedTuple

import pytest

from launcher.xwayland.limits import MAX_KEPT
from tests.fakes.sway import Sway
from tests.fakes.weston import wait_until
from tests.fakes.x11 import PATIENCE, ApplicationEnvironment, running_x11
from tests.fakes.x11_client import XTestClient

TEXT: Final = "grün €".encode()


class Desk(NamedTuple):
    """X11 applications on a sway, one of which has the keyboard."""

    sway: Sway
    place: ApplicationEnvironment

    def copy(self, data: bytes, target: str = "UTF8_STRING", selection: str = "clipboard") -> None:
        """Make xclip own a selection."""
        process = subprocess.Popen(
            ["xclip", "-selection", selection, "-i", "-t", target, "-quiet"],
            env=self.place.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.place.adopt(process)
        assert process.stdin is not None
        process.stdin.write(data)
        process.stdin.close()

    def paste(self, *options: str) -> bytes:
        """What an application of the host gets."""
        command = ["wl-paste", "-n", *options]
        return subprocess.run(command, env=self.sway.environment, capture_output=True, check=False).stdout

    def paste_in_x(self, target: str = "UTF8_STRING", selection: str = "clipboard") -> bytes:
        """What another X11 application gets."""
        return subprocess.run(
            ["xclip", "-selection", selection, "-o", "-t", target],
            env=self.place.environment,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        ).stdout

    def owns_nothing(self, selection: str) -> bool:
        """Whether no X client has a selection."""
        with XTestClient(self.place.display, self.place.authority) as client:
            return client.owner(selection) == 0


@pytest.fixture(scope="module")
def place(sway: Sway) -> Generator[ApplicationEnvironment]:
    with running_x11(sway.socket_path, "--x11-keep-clipboard") as applications:
        yield applications


@pytest.fixture
def desk(sway: Sway, place: ApplicationEnvironment) -> Generator[Desk]:
    with XTestClient(place.display, place.authority) as client:
        client.create_window(title="keyboard")
        wait_until(lambda: client.active_title() == "keyboard", seconds=PATIENCE, what="the keyboard")
        yield Desk(sway, place)
        place.end_adopted()
    wait_until(lambda: not sway.windows(), seconds=PATIENCE, what="no window")


def test_text_stays_for_applications_of_the_host_and_of_x(desk: Desk) -> None:
    desk.copy(TEXT)
    wait_until(lambda: desk.paste() == TEXT, seconds=PATIENCE, what="the copy")
    desk.place.end_adopted()
    wait_until(lambda: desk.paste_in_x() == TEXT, seconds=PATIENCE, what="what was kept")
    assert desk.paste_in_x("STRING") == b"gr\xfcn ?"
    assert desk.paste() == TEXT


def test_a_picture_stays_and_goes_with_the_next_copy(desk: Desk) -> None:
    picture = os.urandom(1 << 20)
    desk.copy(picture, "image/png")
    wait_until(lambda: desk.paste("-t", "image/png") == picture, seconds=PATIENCE, what="the copy")
    desk.place.end_adopted()
    wait_until(lambda: desk.paste_in_x("image/png") == picture, seconds=PATIENCE, what="what was kept")
    assert desk.paste("-t", "image/png") == picture
    desk.place.adopt(subprocess.Popen(["wl-copy", "--foreground", "next"], env=desk.sway.environment))
    wait_until(lambda: desk.paste_in_x() == b"next", seconds=PATIENCE, what="the next copy")
    assert desk.paste_in_x("image/png") == b""


def test_what_is_too_much_goes_with_its_owner(desk: Desk) -> None:
    picture = bytes(MAX_KEPT + 1)
    desk.copy(picture, "image/png")
    wait_until(lambda: desk.paste("-t", "image/png") == picture, seconds=PATIENCE, what="the copy")
    desk.place.end_adopted()
    wait_until(lambda: desk.owns_nothing("CLIPBOARD"), seconds=PATIENCE, what="no owner")
    assert desk.paste("-t", "image/png") == b""


def test_what_is_only_marked_goes_with_its_owner(desk: Desk) -> None:
    desk.copy(TEXT, selection="primary")
    wait_until(lambda: desk.paste("--primary") == TEXT, seconds=PATIENCE, what="the selection")
    desk.place.end_adopted()
    wait_until(lambda: desk.paste("--primary") == b"", seconds=PATIENCE, what="nothing")
    assert desk.owns_nothing("PRIMARY")
