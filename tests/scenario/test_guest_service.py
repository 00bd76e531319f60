"""A launcher that serves the whole session: applications join it, and start as without us."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.announcement import find
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.launcher import ENTRIES, PATIENCE, RUN, Entry, Finished, environment, run_launcher
from tests.fakes.weston import Weston, running_weston, wait_until


@pytest.fixture(scope="module")
def daemon() -> Generator[RunningDaemon]:
    """One host with a real Weston for all tests here."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-") as folder,
        running_weston(Path(folder)) as weston,
        running_daemon(Path(folder), weston.socket_path) as running,
    ):
        yield running


@contextmanager
def running_service(
    daemon: RunningDaemon, runtime_dir: Path, *options: str, extra: dict[str, str] | None = None
) -> Generator["subprocess.Popen[str]"]:
    """Run a service until the block ends; it has announced itself."""
    command = [*RUN, f"--channel=local:{daemon.local_socket}", *options, "--service"]
    process = subprocess.Popen(
        command, env=environment(runtime_dir, extra), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        wait_until(lambda: bool(find(str(runtime_dir))), seconds=PATIENCE, what="the announcement")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture(params=ENTRIES.values(), ids=tuple(ENTRIES))
def entry(request: pytest.FixtureRequest) -> Entry:
    """Each of the ways to start crossdomain-run."""
    found: Entry = request.param
    return found


def start(
    runtime_dir: Path, *arguments: str, extra: dict[str, str] | None = None, entry: Entry = ENTRIES["script"]
) -> Finished:
    """Run crossdomain-run to its end, as a person does where a service may run."""
    return run_launcher(runtime_dir, *arguments, extra=extra, entry=entry)


def test_an_application_joins_the_service_and_takes_the_launchers_place(
    daemon: RunningDaemon, runtime_dir: Path, entry: Entry
) -> None:
    with running_service(daemon, runtime_dir, "--socket=session"):
        done = start(
            runtime_dir,
            *("sh", "-c", 'echo "$WAYLAND_DISPLAY,$WAYLAND_SOCKET,$PPID"; exit 7'),
            extra={"WAYLAND_SOCKET": "3"},
            entry=entry,
        )
    assert done == (7, f"session,,{os.getpid()}\n", "")


def test_a_real_client_talks_to_the_hosts_compositor_through_it(
    daemon: RunningDaemon, runtime_dir: Path, entry: Entry
) -> None:
    with running_service(daemon, runtime_dir):
        done = start(runtime_dir, "wayland-info", entry=entry)
    assert done.status == 0
    assert "wl_compositor" in done.output


def test_the_application_has_the_signals_that_it_would_have_without_us(
    daemon: RunningDaemon, runtime_dir: Path, entry: Entry
) -> None:
    show = ("grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status")
    with running_service(daemon, runtime_dir):
        done = start(runtime_dir, *show, entry=entry)
    direct = subprocess.run(show, capture_output=True, text=True, check=True)
    assert done.output == direct.stdout


@pytest.mark.parametrize(
    ("program", "status", "reason"),
    [("no-such-application", 127, "No such file or directory"), ("/etc/passwd", 126, "Permission denied")],
)
def test_what_can_not_be_run_is_told_as_without_a_service(
    daemon: RunningDaemon, runtime_dir: Path, entry: Entry, program: str, status: int, reason: str
) -> None:
    told = (status, "", f"crossdomain-run: {program!r} can't be run: {reason}\n")
    with running_service(daemon, runtime_dir):
        assert start(runtime_dir, program, entry=entry) == told
    assert run_launcher(runtime_dir, f"--channel=local:{daemon.local_socket}", program) == told


def test_an_option_means_a_launcher_of_its_own(
    daemon: RunningDaemon, runtime_dir: Path, entry: Entry
) -> None:
    with running_service(daemon, runtime_dir, "--socket=session"):
        own = ("--no-service", f"--channel=local:{daemon.local_socket}")
        done = start(runtime_dir, *own, "sh", "-c", "echo $WAYLAND_DISPLAY", entry=entry)
    assert done == (0, "wayland-1\n", "")


def test_a_service_that_was_killed_leads_nobody_astray(
    daemon: RunningDaemon, runtime_dir: Path, entry: Entry
) -> None:
    with running_service(daemon, runtime_dir):
        pass
    assert (runtime_dir / "crossdomain-run.env").exists()
    # There is no virtio-gpu here: that it is looked for shows that nobody waited for the dead one.
    done = start(runtime_dir, "true", entry=entry)
    assert done.status == 125
    assert "render node" in done.errors
    with running_service(daemon, runtime_dir, "--socket=next"):
        assert start(runtime_dir, "sh", "-c", "echo $WAYLAND_DISPLAY", entry=entry) == (0, "next\n", "")


def test_it_outlives_the_daemon_and_serves_with_the_next(runtime_dir: Path, weston: Weston) -> None:
    host, guest = runtime_dir / "host", runtime_dir / "guest"
    host.mkdir(mode=0o700)
    guest.mkdir(mode=0o700)
    with running_daemon(host, weston.socket_path) as first, running_service(first, guest) as service:
        first.process.kill()
        first.process.wait()
        alone = start(guest, "wayland-info")
        assert (alone.output, "no crossdomain host" in alone.errors) == ("", True)
        with running_daemon(host, weston.socket_path):
            assert start(guest, "wayland-info").status == 0
        assert service.poll() is None


def test_a_signal_ends_it_and_it_leaves_nothing(daemon: RunningDaemon, runtime_dir: Path) -> None:
    with running_service(daemon, runtime_dir) as service:
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0
        assert service.stderr is not None
        assert service.stderr.read() == ""
    assert list(runtime_dir.iterdir()) == []


def test_there_is_one_service_for_a_session(daemon: RunningDaemon, runtime_dir: Path) -> None:
    with running_service(daemon, runtime_dir):
        done = run_launcher(runtime_dir, f"--channel=local:{daemon.local_socket}", "--service")
        assert done.status == 125
        assert "serves" in done.errors
        assert done.errors.count("\n") == 1
        assert start(runtime_dir, "true").status == 0


def test_a_service_needs_a_directory_to_be_found_in(daemon: RunningDaemon, runtime_dir: Path) -> None:
    done = run_launcher(
        runtime_dir, f"--channel=local:{daemon.local_socket}", "--service", extra={"XDG_RUNTIME_DIR": ""}
    )
    assert (done.status, done.errors.count("\n")) == (125, 1)
    assert "XDG_RUNTIME_DIR" in done.errors


def test_systemd_is_told_when_applications_can_come(daemon: RunningDaemon, runtime_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(runtime_dir / "notify"))
        manager.settimeout(PATIENCE)
        extra = {"NOTIFY_SOCKET": str(runtime_dir / "notify")}
        with running_service(daemon, runtime_dir, extra=extra):
            assert manager.recv(4096).splitlines()[0] == b"READY=1"
            assert (runtime_dir / "crossdomain-run.env").exists()


def test_x11_applications_find_their_display_there(daemon: RunningDaemon, runtime_dir: Path) -> None:
    with running_service(daemon, runtime_dir, "--x11=on"):
        done = start(runtime_dir, "sh", "-c", 'echo "$DISPLAY"; test -r "$XAUTHORITY"')
    assert done.status == 0
    assert done.output.startswith(":")


def test_the_unit_for_systemd_is_sound(tmp_path: Path) -> None:
    unit = tmp_path / "crossdomain-run.service"
    text = (Path(__file__).parents[2] / "docs" / unit.name).read_text()
    unit.write_text(text.replace("/usr/local/bin/crossdomain-run", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", unit],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
