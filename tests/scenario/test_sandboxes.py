"""A sandbox inside a guest, such as Flatpak's: its programs get a Wayland socket with fewer rights."""

import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from crossdomain.limits import MAX_SANDBOXES
from crossdomain.wire import policy
from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.guest import running_guest
from tests.fakes.launcher import PATIENCE, RunningLauncher
from tests.fakes.sway import Sway
from tests.fakes.weston import accepts, wait_until
from tests.scenario.test_sway import filling_window

MANAGER: Final = "wp_security_context_manager_v1"


@pytest.fixture(scope="module")
def launcher(sway: Sway) -> Generator[RunningLauncher]:
    """Of a host that allows everything that can be allowed."""
    with running_guest(sway.socket_path, allow=policy.load().grantable) as running:
        yield running


@pytest.fixture
def client(launcher: RunningLauncher) -> Generator[FakeClient]:
    """Who makes sandboxes."""
    with FakeClient(launcher.socket) as made:
        yield made


@contextmanager
def sandbox(client: FakeClient, path: Path) -> Generator[None]:
    """A security context as Flatpak makes it: programs can connect at `path` until the block ends."""
    closing, held = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            context = client.bind(MANAGER).create("create_listener", listening.fileno(), closing)
            context.send("set_sandbox_engine", "org.example")
            context.send("set_app_id", "org.example.App")
            context.send("set_instance_id", path.name)
            context.send("commit")
            context.send("destroy")
            client.round_trip()
        yield
    finally:
        os.close(closing)
        os.close(held)


def test_a_program_in_a_sandbox_has_fewer_rights(client: FakeClient, runtime_dir: Path, sway: Sway) -> None:
    with sandbox(client, runtime_dir / "one"), FakeClient(str(runtime_dir / "one")) as program:
        may, seen = ({entry.interface for entry in each.globals} for each in (client, program))
        with filling_window(program, sway):
            pass
        privileged = next(entry for entry in client.globals if entry.interface == "zwlr_layer_shell_v1")
        program.bind_name(privileged.name, privileged.interface, 1)
        with pytest.raises(ProtocolError, match="invalid global"):
            program.round_trip()
    groups = {name: rule.group for name, rule in policy.load().rules.items()}
    assert {groups[name] for name in may} > {"ordinary"}
    assert seen == {name for name in may if groups[name] == "ordinary"} - {MANAGER}


def test_a_sandbox_outlives_who_made_it_and_its_programs_outlive_the_sandbox(
    launcher: RunningLauncher, runtime_dir: Path
) -> None:
    path = runtime_dir / "one"
    with FakeClient(launcher.socket) as client:
        before = launcher.fds
        opened = ExitStack()
        opened.enter_context(sandbox(client, path))
    with opened, FakeClient(str(path)) as program:
        opened.close()
        wait_until(lambda: not accepts(path), seconds=PATIENCE, what="the sandbox's end")
        program.round_trip()
    wait_until(lambda: launcher.fds < before, seconds=PATIENCE, what="no fd of the sandbox's")


def test_a_launcher_serves_so_many_sandboxes_and_no_more(
    launcher: RunningLauncher, client: FakeClient, runtime_dir: Path
) -> None:
    with ExitStack() as stack:
        with FakeClient(launcher.socket) as greedy:
            for number in range(MAX_SANDBOXES):
                stack.enter_context(sandbox(greedy, runtime_dir / str(number)))
            with pytest.raises(ProtocolError, match="security contexts"):
                stack.enter_context(sandbox(greedy, runtime_dir / "more"))
        # Nobody else noticed.
        client.round_trip()
        with FakeClient(str(runtime_dir / "0")) as program:
            program.round_trip()
    wait_until(lambda: not accepts(runtime_dir / "0"), seconds=PATIENCE, what="the sandboxes' end")
