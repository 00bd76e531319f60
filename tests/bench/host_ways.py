"""The ways to a compositor on this machine: direct, through us over the local channel, through waypipe."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import client_run, processes
from tests.bench.client_run import BenchError, ClientProcess
from tests.fakes.weston import Weston, accepts, stop, wait_until

_ROOT: Final = Path(__file__).parents[2]

_START_SECONDS: Final = 30.0


class Daemon(NamedTuple):
    """A running `crossdomain host` and its sockets."""

    pid: int
    gpu_socket: Path
    local_socket: Path


class Bench(NamedTuple):
    """What every way on this machine needs."""

    client: Path
    weston: Weston
    folder: Path
    """For sockets and other files of this run; a short path."""

    @property
    def environment(self) -> dict[str, str]:
        """Leads to the compositor, and Python to this checkout."""
        return {**self.weston.environment, "PYTHONPATH": str(_ROOT)}


class HostProcess:
    """A client started on this machine, perhaps below a proxy that runs it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Of what was started: the proxy where there is one."""
        return self._process.pid

    async def read_line(self) -> str:
        """Returns the next line of output; empty at its end."""
        assert self._process.stdout is not None  # PIPE was asked for
        return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def write(self, data: bytes) -> None:
        """Gives it input."""
        assert self._process.stdin is not None  # PIPE was asked for
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def wait(self) -> int:
        """Returns the exit status."""
        return await self._process.wait()

    async def kill(self) -> None:
        """Makes it end if it has not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def start_process(command: Sequence[str | Path], environment: Mapping[str, str]) -> HostProcess:
    """Starts `command` with pipes; its lines may be as long as a client's samples are."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 24
    )
    return HostProcess(process)


def _pid(process: ClientProcess) -> int:
    if not isinstance(process, HostProcess):
        raise TypeError("this client does not run on this machine")
    return process.pid


class Direct:
    """No proxy at all."""

    name = "direct"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def start(self, arguments: Sequence[str]) -> HostProcess:
        """Starts the client on the compositor."""
        return await start_process([self._bench.client, *arguments], self._bench.environment)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Only the compositor."""
        del process
        return {"compositor": [self._bench.weston.process.pid]}


class Local:
    """Through crossdomain-run and the daemon, over the local channel."""

    name = "local"

    def __init__(self, bench: Bench, daemon: Daemon) -> None:
        self._bench = bench
        self._daemon = daemon
        self._stats = bench.folder / "stats.json"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs."""
        return self._bench.environment

    def command(self, *app: str | Path) -> list[str | Path]:
        """Returns the command that runs `app` through the launcher."""
        return [
            *launcher_command(),
            "--channel",
            f"local:{self._daemon.local_socket}",
            "--stats",
            self._stats,
            "--",
            *app,
        ]

    async def start(self, arguments: Sequence[str]) -> HostProcess:
        """Starts the client below a launcher of its own."""
        self._stats.unlink(missing_ok=True)
        return await start_process(self.command(self._bench.client, *arguments), self._bench.environment)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """The launcher, the daemon and the compositor."""
        return {
            "launcher": processes.proxies_of(_pid(process), client_run.NAME),
            "daemon": processes.tree(self._daemon.pid),
            "compositor": [self._bench.weston.process.pid],
        }

    def stats(self) -> dict[str, object]:
        """Returns what the last launcher counted."""
        counted: dict[str, object] = json.loads(self._stats.read_text())
        return counted


class Waypipe:
    """Through waypipe's two halves, without compression."""

    name = "waypipe"

    def __init__(self, bench: Bench, near: "subprocess.Popen[bytes]", socket: Path) -> None:
        self._bench = bench
        self._near = near
        self._socket = socket

    def command(self, *app: str | Path) -> list[str | Path]:
        """Returns the command that runs `app` through waypipe."""
        return ["waypipe", "-c", "none", "-s", self._socket, "server", "--", *app]

    async def start(self, arguments: Sequence[str]) -> HostProcess:
        """Starts the client below a waypipe server of its own."""
        return await start_process(self.command(self._bench.client, *arguments), self._bench.environment)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Both halves, and the compositor."""
        far = processes.proxies_of(_pid(process), client_run.NAME)
        return {
            "proxy": [*far, *processes.tree(self._near.pid)],
            "compositor": [self._bench.weston.process.pid],
        }


def launcher_command() -> list[str | Path]:
    """Returns how crossdomain-run is started: as installed, or from this checkout."""
    return _command("crossdomain-run", "launcher.run")


def _command(program: str, module: str) -> list[str | Path]:
    installed = Path(sys.executable).parent / program
    return [installed] if installed.exists() else [sys.executable, "-m", module]


@contextmanager
def running_daemon(environment: Mapping[str, str], folder: Path) -> Generator[Daemon]:
    """Runs the host daemon with its sockets in `folder` until the block ends."""
    gpu, local = folder / "gpu", folder / "local"
    sockets: list[str | Path] = ["--socket", gpu, "--local-socket", local]
    command = [*_command("crossdomain", "crossdomain.cli"), "host", *sockets, "--log-level", "warning"]
    with running(command, {**environment, "PYTHONPATH": str(_ROOT)}, local) as process:
        yield Daemon(process.pid, gpu, local)


@contextmanager
def running_waypipe(bench: Bench) -> Generator[Waypipe]:
    """Runs waypipe's half at the compositor until the block ends.

    Raises:
        BenchError: it is not installed.
    """
    path = bench.folder / "waypipe"
    with running(["waypipe", "-c", "none", "-s", path, "client"], bench.environment, path) as process:
        yield Waypipe(bench, process, path)


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], socket: Path
) -> Generator["subprocess.Popen[bytes]"]:
    """Runs a server until the block ends, which begins when it listens at `socket`.

    Raises:
        BenchError: it does not start or does not serve.
    """
    log_path = socket.with_name(f"{socket.name}.log")
    with log_path.open("wb") as log:
        try:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        except OSError as error:
            raise BenchError(f"{command[0]} does not start: {error.strerror}") from error
    try:
        _wait_until_served(process, socket, log_path)
        yield process
    finally:
        stop(process)


def _wait_until_served(process: "subprocess.Popen[bytes]", socket: Path, log: Path) -> None:
    wait_until(
        lambda: process.poll() is not None or accepts(socket),
        seconds=_START_SECONDS,
        what=f"{socket} is served",
    )
    if process.poll() is not None:
        raise BenchError(f"{socket.name}: {log.read_text(errors='replace')[-300:].strip()}")


def python_environment() -> dict[str, str]:
    """The environment for Python programs of this checkout that need no compositor."""
    return {**os.environ, "PYTHONPATH": str(_ROOT)}
