"""The daemon as a person meets it: start, end, what is missing, a compositor that goes and comes back."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from crossdomain.abi.cross_domain import RING_NONE, SendReceive, encode_init
from tests.fakes.client import FakeClient
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.local_client import LocalClient
from tests.fakes.programs import REPOSITORY
from tests.fakes.vhost_socket import connected
from tests.fakes.weston import Weston, running_weston, wait_until
from tests.unit.context.world import request, sync

DEADLINE = 60.0
HANG_UP = SendReceive((), memoryview(b""))
EPOLL_WAIT = "232"


def run_crossdomain(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A `crossdomain` command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "crossdomain.cli", *arguments],
        cwd=REPOSITORY,
        env=None if environment is None else {**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def host_arguments(folder: Path, display: Path | str) -> list[str]:
    """`crossdomain host` with sockets in `folder`."""
    return [
        "host",
        f"--socket={folder / 'gpu.sock'}",
        f"--local-socket={folder / 'local.sock'}",
        f"--wayland-display={display}",
    ]


def globals_of(client: LocalClient) -> bytes:
    """Everything between get_registry and the done of a sync."""
    client.send(request("wl_display", "get_registry", 1, 2) + sync(3))
    stream = b""
    while not stream.endswith(b"\x01\0\0\0\x01\0\x0c\0\x03\0\0\0"):  # delete_id of the callback
        event = client.next_event()
        assert event.data, "hang-up"
        stream += event.data
    return stream


class TestService:
    def test_a_client_sees_the_globals_of_the_real_compositor(self, daemon: RunningDaemon) -> None:
        with LocalClient.connect(daemon.local_socket) as client:
            stream = globals_of(client)
        assert b"wl_compositor\0" in stream
        assert b"xdg_wm_base\0" in stream
        assert b"zwp_linux_explicit_synchronization_v1\0" in stream
        assert b"weston_screenshooter\0" not in stream  # it sees other windows

    def test_200_clients_one_after_the_other_leave_no_fd(self, daemon: RunningDaemon, weston: Weston) -> None:
        before = daemon.footprint.fds
        weston_before = _fds(weston.process.pid)
        for _ in range(200):
            with LocalClient.connect(daemon.local_socket) as client:
                globals_of(client)
        wait_until(lambda: daemon.footprint.fds == before, seconds=DEADLINE, what="no fd left behind")
        wait_until(
            lambda: _fds(weston.process.pid) == weston_before, seconds=DEADLINE, what="no client left behind"
        )

    def test_50_clients_at_once_are_all_served(self, daemon: RunningDaemon) -> None:
        clients = [LocalClient.connect(daemon.local_socket, f"client {n}") for n in range(50)]
        assert all(b"wl_compositor\0" in globals_of(client) for client in reversed(clients))
        assert len(daemon.status()["local"]) == 50
        for client in clients:
            client.close()
        wait_until(lambda: not daemon.status()["local"], seconds=DEADLINE, what="all clients gone")

    def test_status_counts_what_passed(self, daemon: RunningDaemon) -> None:
        with LocalClient.connect(daemon.local_socket, "counted") as client:
            stream = globals_of(client)
            (status,) = daemon.status()["local"]
        assert status["name"] == "local, 'counted'"
        assert status["alive"]
        assert status["bytes_to_host"] == 24
        assert status["bytes_to_guest"] == len(stream)

    async def test_status_names_the_vms_and_counts_what_they_hold(self, daemon: RunningDaemon) -> None:
        async with _vm(daemon) as first, _vm(daemon) as second:
            await GuestContext.open(first, 1, name=b"foot")
            context = await GuestContext.open(second, 7, name=b"bar")
            await context.send(sync(2))
            one, two = daemon.status()["vms"]
        assert (one["name"], two["name"]) == ("vm guest", "vm guest-2")
        assert (one["clients"][0]["name"], two["clients"][0]["name"]) == (
            "vm guest, ctx 1, 'foot'",
            "vm guest-2, ctx 7, 'bar'",
        )
        assert (one["resources"], two["clients"][0]["bytes_to_host"]) == (2, 12)
        wait_until(lambda: not daemon.status()["vms"], seconds=DEADLINE, what="both VMs gone")

    def test_idle_means_asleep_without_a_timeout(self, daemon: RunningDaemon) -> None:
        """With a client connected, the loop waits in epoll_wait for ever."""
        with LocalClient.connect(daemon.local_socket) as client:
            globals_of(client)
            syscall = Path(f"/proc/{daemon.process.pid}/syscall")
            wait_until(lambda: syscall.read_text().startswith(EPOLL_WAIT), seconds=DEADLINE, what="asleep")
            timeout = int(syscall.read_text().split()[4], 16) & 0xFFFFFFFF
        assert timeout == 0xFFFFFFFF

    @pytest.mark.parametrize("garbage", [b"", b"\0" * 12, b"\xff" * 5000])
    def test_a_vmm_that_breaks_the_protocol_costs_only_itself(
        self, daemon: RunningDaemon, garbage: bytes
    ) -> None:
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(str(daemon.gpu_socket))
            vmm.sendall(garbage)
            vmm.shutdown(socket.SHUT_WR)
            vmm.settimeout(DEADLINE)
            wait_for_close(vmm)
        with LocalClient.connect(daemon.local_socket) as client:
            globals_of(client)

    def test_a_compositor_that_goes_costs_its_clients_and_serves_new_ones_when_it_is_back(
        self, runtime_dir: Path, folder: Path
    ) -> None:
        display = runtime_dir / "weston"
        display.mkdir()
        with running_weston(display) as weston, running_daemon(folder, weston.socket_path) as daemon:
            before = daemon.footprint.fds
            with LocalClient.connect(daemon.local_socket) as client:
                globals_of(client)
                weston.kill()
                assert client.next_event() == HANG_UP
            with LocalClient(daemon.local_socket) as client:
                client.greet()
                client.submit(encode_init(RING_NONE, RING_NONE))
                assert b"the compositor can't be reached" in bytes(client.next_event().data)
                assert client.next_event() == HANG_UP
            with running_weston(display) as again, LocalClient.connect(daemon.local_socket) as client:
                assert again.socket_path == weston.socket_path
                assert b"wl_compositor\0" in globals_of(client)
            wait_until(lambda: daemon.footprint.fds == before, seconds=DEADLINE, what="nothing left")
            daemon.assert_alive()


class TestStart:
    def test_without_a_compositor_one_line_says_what_to_do(self, folder: Path) -> None:
        result = run_crossdomain(*host_arguments(folder, folder / "wayland-0"))
        assert result.returncode == 1
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("crossdomain: no Wayland compositor at")
        assert "--wayland-display" in line
        assert list(folder.iterdir()) == []

    def test_without_a_runtime_folder_one_line_says_what_to_do(self) -> None:
        result = run_crossdomain("host", environment={"XDG_RUNTIME_DIR": ""})
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("crossdomain: XDG_RUNTIME_DIR")

    def test_a_socket_in_use_is_one_line_and_the_first_daemon_goes_on(
        self, daemon: RunningDaemon, weston: Weston
    ) -> None:
        folder = daemon.gpu_socket.parent
        result = run_crossdomain(*host_arguments(folder, weston.socket_path))
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert "is in use: another daemon serves there" in line
        with LocalClient.connect(daemon.local_socket) as client:
            globals_of(client)

    def test_a_taken_local_socket_leaves_no_gpu_socket_behind(self, folder: Path, weston: Weston) -> None:
        (folder / "local.sock").write_text("a file")
        result = run_crossdomain(*host_arguments(folder, weston.socket_path))
        assert result.returncode == 1
        assert [path.name for path in folder.iterdir()] == ["local.sock"]

    def test_sockets_of_a_killed_daemon_are_replaced(self, folder: Path, weston: Weston) -> None:
        with running_daemon(folder, weston.socket_path) as killed:
            killed.process.kill()
            killed.process.wait()
        assert (folder / "gpu.sock").is_socket()
        with (
            running_daemon(folder, weston.socket_path) as daemon,
            LocalClient.connect(daemon.local_socket) as client,
        ):
            globals_of(client)

    @pytest.mark.parametrize("value", ["0", "3", "-1", "1000", "x", str(1 << 21)])
    def test_a_window_that_qemu_would_abort_on_is_wrong_usage(self, value: str) -> None:
        result = run_crossdomain("host", f"--window-size={value}")
        assert result.returncode == 2
        assert "Traceback" not in result.stderr

    def test_a_command_that_is_none_is_wrong_usage(self) -> None:
        assert run_crossdomain("frobnicate").returncode == 2
        assert run_crossdomain().returncode == 2

    def test_the_arguments_for_qemu_name_the_socket_and_need_no_compositor(self, folder: Path) -> None:
        result = run_crossdomain(*host_arguments(folder, folder / "none"), "--qemu-args")
        assert result.returncode == 0, result.stderr
        assert str(folder / "gpu.sock") in result.stdout
        assert "vhost-user" in result.stdout
        assert len(result.stdout.splitlines()) == 1


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_cleanly_with_clients_connected(
        self, folder: Path, weston: Weston, number: signal.Signals
    ) -> None:
        with running_daemon(folder, weston.socket_path) as daemon:
            with LocalClient.connect(daemon.local_socket) as client, socket.socket(socket.AF_UNIX) as vmm:
                vmm.connect(str(daemon.gpu_socket))
                globals_of(client)
                daemon.process.send_signal(number)
                client.wait_for_close()
            assert daemon.process.wait(DEADLINE) == 0
            assert {path.name for path in folder.iterdir()} == {"daemon.log", "host.toml"}

    def test_systemd_is_told(self, folder: Path, weston: Weston) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(folder / "notify"))
            notify.settimeout(DEADLINE)
            with subprocess.Popen(
                [sys.executable, "-m", "crossdomain.cli", *host_arguments(folder, weston.socket_path)],
                cwd=REPOSITORY,
                env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                assert notify.recv(100) == b"READY=1\nSTATUS=no VMs"
                process.terminate()
                assert notify.recv(100) == b"STOPPING=1"
                assert process.wait(DEADLINE) == 0


class TestDoctor:
    def test_it_finds_the_compositor(self, weston: Weston) -> None:
        result = run_crossdomain(
            "doctor",
            environment={"XDG_RUNTIME_DIR": str(weston.runtime_dir), "WAYLAND_DISPLAY": weston.display},
        )
        assert result.returncode == 0, result.stdout
        assert f"ok      compositor: {weston.socket_path}" in result.stdout

    def test_it_says_what_is_missing_and_what_to_do(self, folder: Path) -> None:
        result = run_crossdomain(
            "doctor", environment={"XDG_RUNTIME_DIR": str(folder), "WAYLAND_DISPLAY": "wayland-9"}
        )
        assert result.returncode == 1
        assert "MISSING compositor: no Wayland compositor" in result.stdout
        assert "-> start one" in result.stdout
        assert result.stderr == ""

    def test_it_finds_mistakes_in_the_settings(self, folder: Path, weston: Weston) -> None:
        file = folder / "crossdomain" / "host.toml"
        file.parent.mkdir()
        file.write_text("[default]\ntitel = 1\n")
        where = {"XDG_RUNTIME_DIR": str(weston.runtime_dir), "WAYLAND_DISPLAY": weston.display}
        result = run_crossdomain("doctor", environment={**where, "XDG_CONFIG_HOME": str(folder)})
        assert result.returncode == 1
        assert f"MISSING settings: {file}: there is no key default.titel" in result.stdout
        assert "-> did you mean default.title?" in result.stdout


def test_the_fake_client_and_the_daemon_agree_on_the_globals(daemon: RunningDaemon, weston: Weston) -> None:
    """What a raw local client is shown is what a direct client sees, less what is hidden or capped."""
    with FakeClient(str(weston.socket_path)) as direct:
        direct_names = {entry.interface for entry in direct.globals}
    with LocalClient.connect(daemon.local_socket) as client:
        stream = globals_of(client)
    shown = {name for name in direct_names if name.encode() + b"\0" in stream}
    assert {"wl_compositor", "wl_shm", "xdg_wm_base", "wl_output"} <= shown < direct_names


def _vm(daemon: RunningDaemon) -> FakeFrontend:
    """A VM on the daemon."""
    return FakeFrontend(connected(daemon.gpu_socket), ram_size=16 << 20)


def wait_for_close(connection: socket.socket) -> None:
    """Returns when the peer has closed, with or without having read everything."""
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(4096) == b""


def _fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
