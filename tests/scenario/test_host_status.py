"""What is seen of the daemon from outside: its status in three forms, its log as JSON, and systemd's view."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from crossdomain.host.control import control_socket
from tests.bench import processes
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.local_client import LocalClient
from tests.fakes.programs import REPOSITORY
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import Weston, wait_until
from tests.unit.context.world import request

PATIENCE: Final = 60.0
NUMBER: Final = r"[0-9.e+-]+"


@pytest.fixture
def notify(runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[socket.socket]:
    """A service manager that started the daemon, with a watchdog of 1.5 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(runtime_dir / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(runtime_dir / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1500000")
        yield manager


@pytest.fixture
def daemon(folder: Path, weston: Weston) -> Generator[RunningDaemon]:
    options = ("--name", "a.b", "--log-format", "json")
    with running_daemon(folder, weston.socket_path, *options) as running:
        yield running
        running.assert_alive()


@asynccontextmanager
async def guest_on(daemon: RunningDaemon) -> AsyncGenerator[WaylandGuest]:
    """A VM with one client, which has one surface."""
    async with FakeFrontend(connected(daemon.gpu_socket)) as vm:
        guest = WaylandGuest(await GuestContext.open(vm, 3, name=b'say "hi"'))
        await guest.list_globals()
        await guest.send(guest.bind("wl_compositor", 4, 4), request("wl_compositor", "create_surface", 4, 5))
        for number in range(20):
            await guest.round_trip(6 + number % 2)
        yield guest


async def ask(daemon: RunningDaemon, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `crossdomain host status`."""
    command = [sys.executable, "-m", "crossdomain.cli", "host", "--socket", str(daemon.gpu_socket), "status"]
    return await asyncio.to_thread(
        subprocess.run,
        [*command, *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


async def test_the_status_says_who_has_what(daemon: RunningDaemon) -> None:
    async with guest_on(daemon):
        with LocalClient.connect(daemon.local_socket, "container"):
            told = await ask(daemon, "--json")
            shown = await ask(daemon)
            exposed = await ask(daemon, "--prometheus")
    assert (told.returncode, shown.returncode, exposed.returncode) == (0, 0, 0), told.stderr + shown.stderr
    status: dict[str, Any] = json.loads(told.stdout)
    (vm,) = status["vms"]
    (client,) = vm["clients"]
    assert (vm["name"], vm["contexts"], vm["resources"]) == ("vm a.b", 1, 2)
    assert vm["quotas"]["vm"]["contexts"] == 512
    assert (client["name"], client["context"]) == ("vm a.b, ctx 3, 'say \"hi\"'", 3)
    assert (client["surfaces"], client["requests"], client["objects"]) == (1, 24, 4)
    assert 0 < client["to_host_p50"] <= client["to_host_p99"] < 10_000_000
    assert 0 < client["to_guest_p50"] <= client["to_guest_p99"] < 10_000_000
    assert (client["resources"], client["blob_bytes"]) == (2, 0)
    # Its other commands are messages as well.
    assert 24 < client["messages"] == vm["messages"]
    assert 0 < vm["messages_per_second"] <= vm["messages"]
    assert 0 < vm["cpu_ms"] < 60_000
    assert 0 <= vm["cpu_percent"] <= 100
    (local,) = status["local"]
    assert local["name"] == "local, 'container'"

    assert "vm a.b: contexts 1 of 512, resources 2 of 16384" in shown.stdout
    (row,) = [line for line in shown.stdout.splitlines() if "ctx 3" in line]
    assert row.split("'")[2].split()[:3] == ["1", "4", "24"]

    series = dict(line.rsplit(" ", 1) for line in exposed.stdout.splitlines() if not line.startswith("#"))
    labels = '{vm="vm a.b",context="3",client="vm a.b, ctx 3, \'say \\"hi\\"\'"}'
    assert series[f"crossdomain_client_surfaces{labels}"] == "1"
    assert series[f"crossdomain_client_requests_total{labels}"] == "24"
    assert series['crossdomain_vm_quota{vm="vm a.b",of="client",quota="surfaces"}'] == "4096"
    assert series["crossdomain_vms"] == "1"
    assert float(series['crossdomain_vm_cpu_seconds_total{vm="vm a.b"}']) >= vm["cpu_ms"] / 1e3
    assert float(series['crossdomain_vm_cpu_seconds_total{vm="local"}']) >= status["local_cpu_ms"] / 1e3
    assert int(series['crossdomain_vm_messages_total{vm="vm a.b"}']) == vm["messages"]


def test_the_control_socket_is_for_its_owner_alone(daemon: RunningDaemon) -> None:
    path = control_socket(daemon.gpu_socket)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # Who asks and does not listen, or asks too often, costs nobody anything.
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for connection in idle:
        connection.connect(str(path))
        connection.close()
    wait_until(lambda: daemon.status()["vms"] == [], seconds=PATIENCE, what="a daemon that answers")


async def test_a_daemon_that_does_not_run_is_one_line(runtime_dir: Path) -> None:
    command = [sys.executable, "-m", "crossdomain.cli", "host", "status", "--socket", str(runtime_dir / "no")]
    asked = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert asked.returncode == 1
    assert asked.stdout == ""
    assert "start `crossdomain host`" in asked.stderr
    assert asked.stderr.count("\n") == 1


async def test_a_log_line_tells_vm_context_and_client_apart(daemon: RunningDaemon) -> None:
    async with guest_on(daemon) as guest:
        assert not (await guest.context.send(request("wl_display", "sync", 1, 500))).ok
    # A worker's lines pass the supervisor.
    wait_until(lambda: "invalid arguments" in daemon.log, seconds=PATIENCE, what="the line")
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    (fault,) = [line for line in lines if "invalid arguments" in line["message"] and "context" in line]
    assert (fault["vm"], fault["context"], fault["client"]) == ("vm a.b", 3, 'say "hi"')
    assert fault["level"] == "warning"
    connected = [line for line in lines if line["message"] == "vm a.b: connected"]
    assert [line["vm"] for line in connected] == ["vm a.b"]


async def test_systemd_is_told_and_a_worker_that_hangs_costs_its_vm_alone(
    notify: socket.socket, daemon: RunningDaemon
) -> None:
    def receive(expected: str) -> list[str]:
        heard: list[str] = []
        while expected not in heard:
            heard += notify.recv(4096).decode().splitlines()
        return heard

    assert "READY=1" in receive("WATCHDOG=1")
    (local,) = daemon.workers
    async with guest_on(daemon) as guest:
        await asyncio.to_thread(receive, "STATUS=1 VMs: a.b")
        (stuck,) = [pid for pid in daemon.workers if pid != local]
        await guest.round_trip(6)
        os.kill(stuck, signal.SIGSTOP)
        await asyncio.to_thread(receive, "STATUS=no VMs")
        assert daemon.workers == [local]
        # It is fed again, and goes on.
        await asyncio.to_thread(receive, "WATCHDOG=1")
    daemon.reload("")
    heard = receive("READY=1")
    assert "RELOADING=1" in heard
    assert "its worker does not answer" in daemon.log


def test_an_idle_daemon_is_not_woken_without_a_watchdog(daemon: RunningDaemon) -> None:
    def switches() -> int:
        return processes.switches(processes.tree(daemon.process.pid))

    wait_until(lambda: is_quiet(switches), seconds=PATIENCE, what="a daemon at rest")


def is_quiet(switches: Callable[[], int]) -> bool:
    """Whether the count stays for a second."""
    before = switches()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nothing:
        nothing.settimeout(1.0)
        with pytest.raises(TimeoutError):
            nothing.recv(1)
    return switches() == before
