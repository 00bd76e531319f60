"""Which globals a client sees through the real launcher and daemon, and that it can do without any."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from crossdomain.wire import policy
from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.compositor import FakeCompositor, served
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.weston16 import running_weston16
from tests.fakes.windows import Surface

OFFERED: Final = {"wl_compositor": 5, "ext_data_control_manager_v1": 1, "ext_session_lock_manager_v1": 1}


@contextmanager
def connected(folder: Path, offered: Mapping[str, int], *options: str) -> Generator[FakeClient]:
    """A client of a daemon with these options, on a compositor that offers this."""
    with (
        FakeCompositor(folder / "host", offered) as compositor,
        running_daemon(folder, compositor.path, *options) as daemon,
        running_launcher(folder, daemon.local_socket) as launcher,
        served(compositor),
        FakeClient(launcher.socket) as client,
    ):
        yield client


def seen(client: FakeClient) -> list[str]:
    """The interfaces of all globals that it was told of, but those that the launcher serves itself."""
    return [entry.interface for entry in client.globals if entry.interface not in EMULATED]


EMULATED: Final = {
    name: rule.version
    for name, rule in policy.load().rules.items()
    if rule.treatment is policy.Treatment.EMULATE
    if name not in ("wp_linux_drm_syncobj_manager_v1", "wl_drm")
} | {"zwp_linux_dmabuf_v1": 3}
"""No timelines, no DRM, and dmabufs of the last version without feedback: there is no guest's device here."""


def test_privileged_globals_are_not_offered(runtime_dir: Path) -> None:
    with connected(runtime_dir, OFFERED) as client:
        assert seen(client) == ["wl_compositor"]


def test_what_is_hidden_stays_so_whatever_is_allowed(runtime_dir: Path) -> None:
    allowed = [f"--allow={group}" for group in policy.load().grantable]
    with connected(runtime_dir, {"wl_compositor": 5, **HIDDEN}, *allowed) as client:
        assert seen(client) == ["wl_compositor"]
        assert {
            "wp_drm_lease_device_v1",
            "zwp_xwayland_keyboard_grab_manager_v1",
            "gtk_shell1",
        } <= HIDDEN.keys()


def test_the_host_may_allow_a_group_of_privileged_globals(runtime_dir: Path) -> None:
    with connected(runtime_dir, OFFERED, "--allow=data-control") as client:
        assert seen(client) == ["wl_compositor", "ext_data_control_manager_v1"]
        client.bind("ext_data_control_manager_v1")
        client.round_trip()


HIDDEN: Final = {name: 1 for name, rule in policy.load().rules.items() if not rule.version}
"""What no configuration shows: it can't be carried, or must not be."""
ORDINARY: Final = {
    name: rule.version for name, rule in policy.load().rules.items() if policy.load().visible_version(name, 1)
}
"""All of the compositor's that a guest sees where nothing is configured."""


@pytest.fixture(scope="module")
def compositor() -> Generator[FakeCompositor]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with FakeCompositor(folder / "host", {}) as made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def launcher(compositor: FakeCompositor) -> Generator[RunningLauncher]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        running_daemon(folder, compositor.path) as daemon,
        running_launcher(folder, daemon.local_socket) as running,
    ):
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def offered(compositor: FakeCompositor) -> Generator[dict[int, tuple[str, int]]]:
    """What the compositor offers to its next client, by name: the test's to change."""
    yield compositor.globals
    compositor.globals.clear()
    compositor.wait(lambda: all(peer.gone for peer in compositor.peers), what="end of the client")


@pytest.mark.parametrize("missing", ORDINARY)
def test_a_client_can_use_all_that_there_is_where_a_global_is_missing(
    missing: str,
    offered: dict[int, tuple[str, int]],
    compositor: FakeCompositor,
    launcher: RunningLauncher,
) -> None:
    there = {name: version for name, version in ORDINARY.items() if name != missing}
    offered.update(enumerate(there.items(), start=1))
    with served(compositor), FakeClient(launcher.socket) as client:
        shown = {entry.interface: entry.version for entry in client.globals}
        assert {name: version for name, version in shown.items() if name not in EMULATED} == there
        for interface in shown:
            client.bind(interface)
        client.round_trip()
        assert compositor.peers[-1].bound.keys() == there.keys()


def test_newer_versions_are_capped_and_the_unknown_is_hidden(
    offered: dict[int, tuple[str, int]], compositor: FakeCompositor, launcher: RunningLauncher
) -> None:
    newer = {name: version + 1 for name, version in ORDINARY.items()}
    offered.update(enumerate({"some_private_protocol": 1, **newer}.items(), start=1))
    with served(compositor), FakeClient(launcher.socket) as client:
        assert {entry.interface: entry.version for entry in client.globals} == ORDINARY | EMULATED


def test_windows_of_vehicles_have_numbers_that_are_the_hosts_to_grant(runtime_dir: Path) -> None:
    folder = runtime_dir / "weston"
    folder.mkdir()
    with (
        running_weston16(folder, configuration="[core]\nshell=ivi-shell.so\n") as weston,
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
        FakeClient(launcher.socket) as first,
        FakeClient(launcher.socket) as second,
    ):
        windows = [Surface(client, client.bind("wl_compositor")) for client in (first, second)]
        first.bind("ivi_application").create("surface_create", 7, windows[0].proxy)
        first.round_trip()
        second.bind("ivi_application").create("surface_create", 7, windows[1].proxy)
        with pytest.raises(ProtocolError, match="ivi_application"):
            second.round_trip()
