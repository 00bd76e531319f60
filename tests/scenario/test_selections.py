"""Clipboard and primary selection between the guest and a real sway, through every protocol for them."""

import os
from collections.abc import Generator
from typing import Final

import pytest

from tests.fakes.client import FakeClient, integer
from tests.fakes.guest import running_guest
from tests.fakes.launcher import RunningLauncher
from tests.fakes.selections import CLIPBOARD, PRIMARY, Protocol, Selection, data_control
from tests.fakes.sway import Sway
from tests.scenario.test_sway import bind_keyboard, filling_window

IMAGE: Final = os.urandom(3 << 20)
LARGE: Final = bytes(range(256)) * (64 << 12)
"""64 MiB."""
CONTENTS: Final = {"text/plain;charset=utf-8": "Grüße\n".encode(), "image/png": IMAGE, "video/x-raw": LARGE}


@pytest.fixture(scope="module")
def launcher(sway: Sway) -> Generator[RunningLauncher]:
    with running_guest(sway.socket_path, allow=["data-control"]) as running:
        yield running


@pytest.fixture(scope="module")
def new_launcher(new_sway: Sway) -> Generator[RunningLauncher]:
    with running_guest(new_sway.socket_path, allow=["data-control"]) as running:
        yield running


@pytest.fixture
def guest(launcher: RunningLauncher) -> Generator[FakeClient]:
    with FakeClient(launcher.socket) as client:
        yield client


@pytest.fixture
def host(sway: Sway) -> Generator[FakeClient]:
    with FakeClient(str(sway.socket_path)) as client:
        yield client


@pytest.fixture
def new_guest(new_launcher: RunningLauncher) -> Generator[FakeClient]:
    with FakeClient(new_launcher.socket) as client:
        yield client


@pytest.fixture
def new_host(new_sway: Sway) -> Generator[FakeClient]:
    with FakeClient(str(new_sway.socket_path)) as client:
        yield client


FOCUSED: Final = [(CLIPBOARD, data_control("zwlr")), (PRIMARY, data_control("zwlr", primary=True))]
"""A protocol for who has the focus, and one that sees the same selection without it."""
CONTROLS: Final = [control for _, control in FOCUSED]
NEW_CONTROLS: Final = [data_control("ext"), data_control("ext", primary=True)]

focused = pytest.mark.parametrize(("protocol", "control"), FOCUSED, ids=["clipboard", "primary"])


@focused
def test_the_focused_window_of_the_guest_pastes_what_the_host_copied(
    protocol: Protocol, control: Protocol, guest: FakeClient, host: FakeClient, sway: Sway
) -> None:
    offered = Selection(host, control).set(CONTENTS)
    pasting = Selection(guest, protocol)
    with filling_window(guest, sway):
        for mime_type, contents in CONTENTS.items():
            assert pasting.paste(offered, mime_type) == contents


@focused
def test_the_host_pastes_what_the_focused_window_of_the_guest_copied(
    protocol: Protocol, control: Protocol, guest: FakeClient, host: FakeClient, sway: Sway
) -> None:
    copying = Selection(guest, protocol)
    keyboard = bind_keyboard(guest)
    with filling_window(guest, sway):
        guest.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
        offered = copying.set(CONTENTS, integer(keyboard.received("enter")[0][0]))
        pasting = Selection(host, control)
        for mime_type, contents in CONTENTS.items():
            assert pasting.paste(offered, mime_type) == contents


controls = pytest.mark.parametrize("control", CONTROLS, ids=["clipboard", "primary"])
new_controls = pytest.mark.parametrize("control", NEW_CONTROLS, ids=["clipboard", "primary"])


@controls
def test_a_clipboard_manager_of_the_guest_reads_without_focus(
    control: Protocol, guest: FakeClient, host: FakeClient
) -> None:
    offered = Selection(host, control).set(CONTENTS)
    manager = Selection(guest, control)
    for mime_type, contents in CONTENTS.items():
        assert manager.paste(offered, mime_type) == contents


@controls
def test_a_clipboard_manager_of_the_guest_writes_without_focus(
    control: Protocol, guest: FakeClient, host: FakeClient
) -> None:
    offered = Selection(guest, control).set(CONTENTS)
    pasting = Selection(host, control)
    for mime_type, contents in CONTENTS.items():
        assert pasting.paste(offered, mime_type) == contents


@new_controls
def test_a_newer_clipboard_manager_of_the_guest_reads_without_focus(
    control: Protocol, new_guest: FakeClient, new_host: FakeClient
) -> None:
    offered = Selection(new_host, control).set(CONTENTS)
    manager = Selection(new_guest, control)
    for mime_type, contents in CONTENTS.items():
        assert manager.paste(offered, mime_type) == contents


@new_controls
def test_a_newer_clipboard_manager_of_the_guest_writes_without_focus(
    control: Protocol, new_guest: FakeClient, new_host: FakeClient
) -> None:
    offered = Selection(new_guest, control).set(CONTENTS)
    pasting = Selection(new_host, control)
    for mime_type, contents in CONTENTS.items():
        assert pasting.paste(offered, mime_type) == contents
