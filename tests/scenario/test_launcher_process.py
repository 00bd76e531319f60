"""crossdomain-run as a person meets it: statuses, signals, environment, and nothing left behind."""

import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.fakes.compositor import FakeCompositor
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.launcher import (
    PATIENCE,
    RUN,
    Finished,
    environment,
    run_launcher,
    running_launcher,
)
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import wait_until

Run = Callable[..., Finished]


@pytest.fixture(scope="module")
def daemon() -> Generator[RunningDaemon]:
    """One host for all tests here: its compositor accepts everybody and says nothing."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-") as folder,
        FakeCompositor(Path(folder) / "wayland") as fake,
        running_daemon(Path(folder), fake.path) as running,
    ):
        yield running


@pytest.fixture
def run(daemon: RunningDaemon, runtime_dir: Path) -> Run:
    """Run an application to its end."""

    def call(*arguments: str, extra: dict[str, str] | None = None) -> Finished:
        return run_launcher(runtime_dir, f"--channel=local:{daemon.local_socket}", *arguments, extra=extra)

    return call


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_the_exit_status_is_the_applications(run: Run, status: int) -> None:
    assert run("sh", "-c", f"exit {status}") == (status, "", "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_an_application_that_was_killed_is_told_as_a_shell_does(run: Run, number: signal.Signals) -> None:
    assert run("sh", "-c", f"kill -{number.value} $$").status == 128 + number


def test_an_application_that_does_not_exist(run: Run) -> None:
    done = run("no-such-application")
    assert done.status == 127
    assert done.errors == "crossdomain-run: 'no-such-application' can't be run: No such file or directory\n"


def test_an_application_that_is_not_executable(run: Run) -> None:
    done = run("/etc/passwd")
    assert done.status == 126
    assert done.errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--bogus", "true"),
        ("--channel", "local:/nowhere", "true"),
        ("--channel", "virtgpu:/dev/null", "true"),
        ("--channel", "virtgpu:/dev/dri/renderD999", "true"),
        ("--socket", "x" * 200, "true"),
    ],
)
def test_our_own_failures_are_one_line_and_a_status_of_their_own(
    run: Run, runtime_dir: Path, arguments: tuple[str, ...]
) -> None:
    done = run(*arguments)
    assert done.status == 125
    assert done.errors.startswith("crossdomain-run: ")
    assert done.errors.count("\n") == 1
    assert "Traceback" not in done.errors
    assert list(runtime_dir.iterdir()) == []


def test_something_that_is_no_host_is_told(runtime_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(runtime_dir / "other"))
        listener.listen()
        process = subprocess.Popen(
            [*RUN, f"--channel=local:{runtime_dir / 'other'}", "true"],
            env=environment(runtime_dir),
            stderr=subprocess.PIPE,
        )
        connection, _ = listener.accept()
        connection.close()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 125
    assert b"does not answer as a crossdomain host" in errors
    assert errors.count(b"\n") == 1


def test_the_application_finds_our_socket_and_nothing_that_leads_past_it(run: Run) -> None:
    done = run(
        "sh",
        "-c",
        'echo "$WAYLAND_DISPLAY,$WAYLAND_SOCKET,$MINE"',
        extra={"WAYLAND_SOCKET": "3", "MINE": "x"},
    )
    assert done.output == "wayland-1,,x\n"


def test_a_socket_of_our_choice(run: Run) -> None:
    command = ("sh", "-c", 'echo "$WAYLAND_DISPLAY"; test -S "$XDG_RUNTIME_DIR/mine"')
    assert run("--socket", "mine", *command) == (0, "mine\n", "")


def test_nothing_is_left_behind(run: Run, runtime_dir: Path) -> None:
    run("--stats", str(runtime_dir / "stats"), "true")
    assert [path.name for path in runtime_dir.iterdir()] == ["stats"]


def test_without_a_runtime_directory_there_is_one_for_the_time_being(run: Run) -> None:
    done = run("sh", "-c", 'stat -c "%a %n" "$XDG_RUNTIME_DIR"', extra={"XDG_RUNTIME_DIR": ""})
    mode, path = done.output.split()
    assert mode == "700"
    assert not os.path.exists(path)


def test_the_application_starts_as_if_nobody_stood_between(run: Run) -> None:
    script = (
        "import os, resource, signal;"
        "print(sorted(os.listdir('/proc/self/fd'))[:3]);"
        "print(len(os.listdir('/proc/self/fd')));"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []));"
        # Above 31 are the C library's own, which its posix_spawn leaves ignored.
        "print(hex(int(open('/proc/self/status').read().split('SigIgn:')[1].split()[0], 16) & 0x7fffffff));"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    command = [sys.executable, "-c", script]
    direct = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert run(*command).output == direct.stdout


def test_a_soft_limit_of_fds_stays_the_applications(daemon: RunningDaemon, runtime_dir: Path) -> None:
    command = [*RUN, f"--channel=local:{daemon.local_socket}", "sh", "-c", "ulimit -Sn"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -Sn 200; exec "$@"', "sh", *command],
        env=environment(runtime_dir),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "200\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_we_stay_until_the_application_ends(
    daemon: RunningDaemon, runtime_dir: Path, number: signal.Signals
) -> None:
    script = f"trap 'echo got it; exit 9' {number.name[3:]}; echo $WAYLAND_DISPLAY; while :; do read x; done"
    with running_launcher(runtime_dir, daemon.local_socket, command=("sh", "-c", script)) as launcher:
        launcher.process.send_signal(number)
        assert launcher.read_line() == "got it"
        assert launcher.process.wait(PATIENCE) == 9


def test_a_signal_that_was_ignored_stays_ignored(daemon: RunningDaemon, runtime_dir: Path) -> None:
    script = 'trap "" HUP; exec "$@"'
    inner = "kill -HUP $PPID; kill -HUP $$; echo alive"
    done = subprocess.run(
        ["sh", "-c", script, "sh", *RUN, f"--channel=local:{daemon.local_socket}", "sh", "-c", inner],
        env=environment(runtime_dir),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "alive\n"


def test_control_c_reaches_the_application_once(daemon: RunningDaemon, runtime_dir: Path) -> None:
    script = (
        "import signal, sys\n"
        "count = 0\n"
        "def got(*_):\n    global count; count += 1; print('interrupt', count, flush=True)\n"
        "signal.signal(signal.SIGINT, got)\n"
        "print('up', flush=True)\n"
        "while sys.stdin.readline().strip() != 'end': pass\n"
        "print('in all', count, flush=True)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [*RUN, f"--channel=local:{daemon.local_socket}", sys.executable, "-c", script],
            environment(runtime_dir),
        )
    with open(terminal, "r+b", buffering=0) as screen:
        read_until(screen.fileno(), b"up\r\n")
        screen.write(b"\x03")
        read_until(screen.fileno(), b"interrupt 1\r\n")
        screen.write(b"end\n")
        shown = read_until(screen.fileno(), b"in all ")
        shown += os.read(screen.fileno(), 1)
        assert shown.endswith(b"in all 1")
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def read_until(fd: int, wanted: bytes) -> bytes:
    """All that comes until `wanted` has come."""
    seen = b""
    while not seen.endswith(wanted):
        seen += os.read(fd, 1)
    return seen


def test_with_wait_we_serve_until_the_last_client_has_gone(daemon: RunningDaemon, runtime_dir: Path) -> None:
    command = ("sh", "-c", "echo $WAYLAND_DISPLAY; cat >/dev/null; exit 3")
    with running_launcher(runtime_dir, daemon.local_socket, "--wait", command=command) as launcher:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(launcher.socket)
            client.send(b"")
            wait_for_log(launcher.log_path, "connected")
            assert launcher.process.stdin is not None
            launcher.process.stdin.close()
            wait_for_log(launcher.log_path, "ended with status 3")
            launcher.assert_alive()
        assert launcher.process.wait(PATIENCE) == 3


def test_without_wait_the_application_takes_everybody_with_it(
    daemon: RunningDaemon, runtime_dir: Path
) -> None:
    with (
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(launcher.socket)
        assert launcher.end_application() == 0
        assert client.recv(1) == b""


def test_a_signal_ends_our_waiting_for_clients(daemon: RunningDaemon, runtime_dir: Path) -> None:
    command = ("sh", "-c", "echo $WAYLAND_DISPLAY; cat >/dev/null; exit 3")
    with (
        running_launcher(runtime_dir, daemon.local_socket, "--wait", command=command) as launcher,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(launcher.socket)
        wait_for_log(launcher.log_path, "connected")
        assert launcher.process.stdin is not None
        launcher.process.stdin.close()
        wait_for_log(launcher.log_path, "ended with status 3")
        launcher.process.terminate()
        assert launcher.process.wait(PATIENCE) == 3


def wait_for_log(path: Path, text: str) -> None:
    """Return when a line with `text` was written."""
    with path.open() as log:
        seen = ""
        while text not in seen:
            seen += log.read()


def test_what_a_killed_launcher_left_does_not_stop_the_next(daemon: RunningDaemon, runtime_dir: Path) -> None:
    with running_launcher(runtime_dir, daemon.local_socket, "--socket=mine") as launcher:
        launcher.process.kill()
        launcher.process.wait()
    assert (runtime_dir / "mine").exists()
    with running_launcher(runtime_dir, daemon.local_socket, "--socket=mine") as launcher:
        assert launcher.display == "mine"


def test_starting_loads_nothing_that_is_slow() -> None:
    script = (
        "import sys; import launcher.run, launcher.serving, launcher.channel.local, launcher.channel.virtgpu;"
        "import launcher.channel.guest_pages;"
        "from launcher.channel import render_node;"
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    slow = {
        "asyncio",
        "logging",
        "dataclasses",
        "inspect",
        "subprocess",
        "pywayland",
        "Xlib",
        "json",
        "pathlib",
        "tomllib",
        "shutil",
    }
    assert slow & set(loaded) == set()


def test_many_starts_leave_the_host_as_it_was(run: Run, daemon: RunningDaemon) -> None:
    for _ in range(3):
        run("true")
    before = daemon.footprint
    for _ in range(20):
        assert run("true").status == 0
    # It may hear of the last one's end a moment later than we.
    wait_until(lambda: daemon.footprint.fds <= before.fds, seconds=10.0, what="no fds more than before")
    after = daemon.footprint
    assert after.mappings <= before.mappings + 2
    assert after.anonymous < before.anonymous + (4 << 20)
