"""Where the daemon or the compositor dies, applications are told, and the next ones work."""

import configparser
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.endpoint import Disconnected
from tests.fakes.launcher import running_launcher
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import Weston, running_weston

TOLD = "crossdomain host has ended"


def kill_supervisor(daemon: RunningDaemon) -> None:
    daemon.process.kill()
    daemon.process.wait()


def kill_worker(daemon: RunningDaemon) -> None:
    (worker,) = daemon.workers
    os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_supervisor, kill_worker])
def test_a_client_that_waits_is_told_that_the_daemon_has_ended(
    runtime_dir: Path, weston: Weston, kill: Callable[[RunningDaemon], None]
) -> None:
    with (
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
        FakeClient(launcher.socket) as client,
    ):
        kill(daemon)
        with pytest.raises(ProtocolError, match=TOLD):
            client.wait(lambda: False, what="its end")
        assert TOLD in launcher.log
        # The application decides what it ends with.
        assert launcher.end_application() == 0


def test_a_launcher_outlives_the_daemon_and_serves_with_the_next(runtime_dir: Path, weston: Weston) -> None:
    with (
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
    ):
        with FakeClient(launcher.socket):
            kill_supervisor(daemon)
        fds = launcher.fds
        with pytest.raises(ProtocolError, match="no crossdomain host"):
            FakeClient(launcher.socket)
        # Its sockets are still there, and nobody listens: the next one's take their place.
        assert daemon.local_socket.exists()
        with running_daemon(runtime_dir, weston.socket_path), FakeClient(launcher.socket) as client:
            client.round_trip()
        assert launcher.fds <= fds
        assert launcher.end_application() == 0


def test_new_clients_find_the_compositor_that_takes_the_place_of_a_dead_one(runtime_dir: Path) -> None:
    folder = runtime_dir / "weston"
    folder.mkdir()
    with (
        running_weston(folder) as weston,
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
    ):
        with FakeClient(launcher.socket) as client:
            weston.kill()
            with pytest.raises(Disconnected):
                client.wait(lambda: False, what="its end")
        with pytest.raises((Disconnected, ProtocolError)):
            FakeClient(launcher.socket)
        with running_weston(folder), FakeClient(launcher.socket) as client:
            client.round_trip()


@pytest.mark.parametrize("name", ["crossdomain-host", "crossdomain-run"])
def test_systemd_starts_a_killed_service_again_however_often(name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(REPOSITORY / "docs" / f"{name}.service")
    assert unit["Service"]["Restart"] == "on-failure"
    assert float(unit["Service"]["RestartSec"]) >= 1
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
