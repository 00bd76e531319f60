"""Security contexts as sway makes them, and compositors that make none."""

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.fakes.client import FakeClient
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.launcher import PATIENCE, running_launcher
from tests.fakes.local_client import LocalClient
from tests.fakes.sway import Sway
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import Weston, wait_until
from tests.scenario.test_sway import filling_window

PRIVILEGED = "zwlr_layer_shell_v1"
"""What sway hides from clients in a security context."""


def settings(folder: Path, security_context: str) -> str:
    """A VM that may use PRIVILEGED as far as we are concerned."""
    return (
        f'[vm.work]\nsocket = "{folder}/work.sock"\nlocal_socket = "{folder}/local-work.sock"\n'
        f'allow = ["layer-shell"]\nsecurity_context = "{security_context}"\n'
    )


def booted(folder: Path) -> FakeFrontend:
    """The VM `work`."""
    return FakeFrontend(connected(folder / "work.sock"), ram_size=16 << 20)


async def new_client(vm: FakeFrontend, ctx_id: int = 1) -> WaylandGuest:
    """A client in a VM, that has seen the globals."""
    made = WaylandGuest(await GuestContext.open(vm, ctx_id))
    await made.list_globals()
    return made


@asynccontextmanager
async def guest(folder: Path) -> AsyncGenerator[WaylandGuest]:
    """A client in the VM `work`, that has seen the globals."""
    async with booted(folder) as vm:
        yield await new_client(vm)


@contextmanager
def daemon_on(folder: Path, compositor: Path, security_context: str) -> Generator[RunningDaemon]:
    """A daemon with `settings`."""
    with running_daemon(folder, compositor, settings=settings(folder, security_context)) as daemon:
        yield daemon
        daemon.assert_alive()


@pytest.mark.parametrize("mode", ["auto", "require"])
async def test_sway_knows_a_vms_clients_and_hides_what_is_privileged(
    sway: Sway, runtime_dir: Path, mode: str
) -> None:
    with daemon_on(runtime_dir, sway.socket_path, mode) as daemon:
        async with guest(runtime_dir) as client:
            assert "xdg_wm_base" in client.globals
            assert PRIVILEGED not in client.globals
        assert "work: in a security context" in daemon.log


async def test_without_a_context_sway_hides_nothing(sway: Sway, runtime_dir: Path) -> None:
    with daemon_on(runtime_dir, sway.socket_path, "off"):
        async with guest(runtime_dir) as client:
            assert PRIVILEGED in client.globals


@pytest.mark.parametrize(("before", "after"), [("off", "auto"), ("auto", "off")])
async def test_new_settings_hold_for_the_next_client(
    sway: Sway, runtime_dir: Path, before: str, after: str
) -> None:
    with daemon_on(runtime_dir, sway.socket_path, before) as daemon:
        async with booted(runtime_dir) as vm:
            first = await new_client(vm, 1)
            daemon.reload(settings(runtime_dir, after))
            second = await new_client(vm, 2)
            await first.round_trip(4)
            seen = [PRIVILEGED in client.globals for client in (first, second)]
            assert seen == [before == "off", after == "off"]


def test_windows_work_inside_a_context(sway: Sway, runtime_dir: Path) -> None:
    with (
        daemon_on(runtime_dir, sway.socket_path, "require"),
        running_launcher(runtime_dir, runtime_dir / "local-work.sock") as launcher,
        FakeClient(launcher.socket) as client,
        filling_window(client, sway),
    ):
        assert [window["name"] for window in sway.windows()] == ["[work] filling"]


async def test_a_compositor_without_contexts_is_used_as_it_is(weston: Weston, runtime_dir: Path) -> None:
    with daemon_on(runtime_dir, weston.socket_path, "auto"):
        async with guest(runtime_dir) as client:
            assert "xdg_wm_base" in client.globals


def test_a_context_that_is_required_and_missing_is_said(weston: Weston, runtime_dir: Path) -> None:
    why = "which the settings require"
    with (
        daemon_on(runtime_dir, weston.socket_path, "require") as daemon,
        LocalClient.connect(runtime_dir / "local-work.sock"),
    ):
        wait_until(lambda: why in daemon.log, seconds=PATIENCE, what="the reason")


def test_nothing_is_left_of_a_vms_context(sway: Sway, runtime_dir: Path) -> None:
    with daemon_on(runtime_dir, sway.socket_path, "auto") as daemon:
        before = daemon.footprint.fds
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.connect(str(runtime_dir / "work.sock"))
                wait_until(lambda: bool(daemon.status()["vms"]), seconds=PATIENCE, what="the VM")
            wait_until(lambda: not daemon.status()["vms"], seconds=PATIENCE, what="its end")
        wait_until(lambda: daemon.footprint.fds == before, seconds=PATIENCE, what="the end of its fds")
