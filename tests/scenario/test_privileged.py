"""Privileged protocols of a real sway, used from the guest through the real launcher and daemon."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.seat import KEY_LEFT_SHIFT
from crossdomain.wire import policy
from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.sway import Sway
from tests.fakes.wlroots import VirtualSeat
from tests.scenario.test_sway import filling_window

KEY_A: Final = 30


@pytest.fixture(scope="module")
def launcher(sway: Sway) -> Generator[RunningLauncher]:
    """A launcher whose host allows everything that can be allowed."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    allowed = [f"--allow={group}" for group in policy.load().grantable]
    with ExitStack() as stack:
        daemon = stack.enter_context(running_daemon(folder, sway.socket_path, *allowed))
        yield stack.enter_context(running_launcher(folder, daemon.local_socket))
    shutil.rmtree(folder)


@pytest.fixture
def client(launcher: RunningLauncher) -> Generator[FakeClient]:
    """A client in the guest."""
    with FakeClient(launcher.socket) as made:
        yield made


def watch_keymap(keyboard: Proxy) -> list[bytes]:
    """The contents of the keymaps that a keyboard is told, which grow."""
    found: list[bytes] = []

    def read(values: tuple[Value, ...]) -> None:
        fd = integer(values[1])
        found.append(os.pread(fd, integer(values[2]), 0))
        os.close(fd)

    keyboard.handlers["keymap"] = read
    return found


def test_a_virtual_keyboard_of_the_guest_types_with_its_own_keymap(
    client: FakeClient, launcher: RunningLauncher, sway: Sway
) -> None:
    keyboard = client.bind("wl_seat").create("get_keyboard")
    keymaps = watch_keymap(keyboard)
    with filling_window(client, sway):
        client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
        seat = VirtualSeat(Path(launcher.socket), *sway.size)
        seat.tap(KEY_A)
        client.wait(lambda: len(keyboard.received("key")) == 2, what="a key")
        seat.close()
    assert [values[2:] for values in keyboard.received("key")] == [(KEY_A, 1), (KEY_A, 0)]
    assert keymaps[-1].startswith(b"xkb_keymap {")


def test_an_input_method_of_the_guest_gets_the_keymap_of_what_it_grabs(
    client: FakeClient, sway: Sway
) -> None:
    method = client.bind("zwp_input_method_manager_v2").create("get_input_method", client.bind("wl_seat"))
    grab = method.create("grab_keyboard")
    keymaps = watch_keymap(grab)
    client.round_trip()
    sway.seat.tap(KEY_LEFT_SHIFT)
    client.wait(lambda: bool(keymaps), what="the keymap")
    assert keymaps[-1].startswith(b"xkb_keymap {")
