"""Which globals a client sees through the real launcher and daemon, and that it can do without any."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.fakes.client import FakeClient
from tests.fakes.compositor import FakeCompositor, served
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import running_launcher

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
    """The interfaces of all globals that it was told of."""
    return [entry.interface for entry in client.globals]


def test_privileged_globals_are_not_offered(runtime_dir: Path) -> None:
    with connected(runtime_dir, OFFERED) as client:
        assert seen(client) == ["wl_compositor"]


def test_the_host_may_allow_a_group_of_privileged_globals(runtime_dir: Path) -> None:
    with connected(runtime_dir, OFFERED, "--allow=data-control") as client:
        assert seen(client) == ["wl_compositor", "ext_data_control_manager_v1"]
        client.bind("ext_data_control_manager_v1")
        client.round_trip()
