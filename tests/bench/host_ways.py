"""The ways to a compositor on this machine: direct, through us over the local channel, through waypipe, and
through two processes that only pass bytes on.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from launcher.announcement import find
from tests.bench import client_run, processes
from tests.bench.client_run import BenchError, ClientProcess
from tests.fakes.weston import Weston, accepts, running_weston, stop, wait_until

_ROOT: Final = Path(__file__).parents[2]

_START_SECONDS: Final = 30.0

PYTHON: Final = getattr(sys, "_base_executable", sys.executable)
"""The interpreter without the virtual environment around it, whose .pth files cost start-up time."""

_PYTHON_ENVIRONMENT: Final = {
    "PYTHONPATH": f"{_ROOT}:{sysconfig.get_path('platlib')}",
    # Modules are compiled beforehand, as an installed package's are, whatever this session's settings say.
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(_ROOT / "build" / "bench" / "pycache"),
}
"""Leads that interpreter to this checkout and to what it needs."""


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
        """Leads to the compositor, and Python to this checkout and what it needs."""
        return {**self.weston.environment, **_PYTHON_ENVIRONMENT}


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
        """Makes it end if it has not, and returns when nobody below it has its pipes any more."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        assert self._process.stdin is not None  # PIPE was asked for
        self._process.stdin.close()
        await self._process.communicate()


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
    """No proxy at all: to a compositor of this machine."""

    def __init__(self, name: str, client: Path, environment: Mapping[str, str], compositor: int) -> None:
        """`environment` leads to the compositor, whose process is `compositor`."""
        self.name = name
        self._client = client
        self._environment = environment
        self._compositor = compositor

    async def start(self, arguments: Sequence[str]) -> HostProcess:
        """Starts the client on the compositor."""
        return await start_process([self._client, *arguments], self._environment)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Only the compositor."""
        del process
        return {"compositor": [self._compositor]}


class Local:
    """Through crossdomain-run and the daemon, over the local channel."""

    def __init__(self, bench: Bench, daemon: Daemon, *, copies: bool = False) -> None:
        """With `copies`, buffers take the way that those of a VM take."""
        self.name = "local_copy" if copies else "local"
        self.bench = bench
        self.buffers = "copy" if copies else "auto"
        self._daemon = daemon
        self.stats_path = bench.folder / f"stats-{self.name}.json"
        """What a launcher that has ended has counted."""

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs."""
        return self.bench.environment

    def command(self, *app: str | Path) -> list[str | Path]:
        """Returns the command that runs `app` through the launcher."""
        channel = f"local:{self._daemon.local_socket}"
        options = ("--channel", channel, "--buffers", self.buffers, "--stats", self.stats_path)
        return run_program("launcher.run", *options, "--", *app)

    def bare_command(self, *app: str | Path) -> list[str | Path]:
        """The same with no option but the channel, which nothing else can tell."""
        return run_program("launcher.run", "--channel", f"local:{self._daemon.local_socket}", *app)

    @contextmanager
    def service(self) -> Generator[dict[str, str]]:
        """Serves a session until the block ends; gives the environment in which a launcher finds it."""
        directory = self.bench.folder / "session"
        directory.mkdir(mode=0o700)
        environment = {**self.environment, "XDG_RUNTIME_DIR": str(directory)}
        command = run_program("launcher.run", "--channel", f"local:{self._daemon.local_socket}", "--service")
        with running_server(command, environment, directory / "log", lambda: bool(find(str(directory)))):
            yield environment
        shutil.rmtree(directory)

    async def start(self, arguments: Sequence[str]) -> HostProcess:
        """Starts the client below a launcher of its own."""
        self.stats_path.unlink(missing_ok=True)
        return await start_process(self.command(self.bench.client, *arguments), self.bench.environment)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """The launcher, the daemon and the compositor."""
        return {
            "launcher": processes.proxies_of(_pid(process), client_run.NAME),
            "daemon": processes.tree(self._daemon.pid),
            "compositor": [self.bench.weston.process.pid],
        }

    def stats(self) -> dict[str, object]:
        """Returns what the last launcher counted."""
        counted: dict[str, object] = json.loads(self.stats_path.read_text())
        return counted


@contextmanager
def gl_way(local: Local) -> Generator[Local]:
    """The same way to a Weston that draws with GL, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="bench-gl-") as name:
        folder = Path(name)
        with running_weston(folder, width=1920, height=1080, renderer="gl") as weston:
            bench = local.bench._replace(weston=weston, folder=folder)
            with running_daemon(bench.environment, folder) as daemon:
                yield Local(bench, daemon, copies=True)


class Relay:
    """Through two processes that wait, read and write, and look at nothing: the least that ours can cost."""

    name = "relay"

    def __init__(self, bench: Bench, program: Path) -> None:
        self._bench = bench
        self._program = program

    async def start(self, arguments: Sequence[str]) -> HostProcess:
        """Starts the client below a relay of its own."""
        own = self._bench.folder / "relay"
        own.unlink(missing_ok=True)
        halves: list[str | Path] = [self._program, self._bench.weston.socket_path, own]
        return await start_process([*halves, self._bench.client, *arguments], self._bench.environment)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Each half as whom it stands for, and the compositor."""
        near, *far = processes.proxies_of(_pid(process), client_run.NAME)
        return {"launcher": [near], "daemon": far, "compositor": [self._bench.weston.process.pid]}


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


def run_program(module: str, *arguments: str | Path) -> list[str | Path]:
    """Returns the command that calls `main` of a module of this checkout, as its installed script does."""
    script = f"import sys; from {module} import main; sys.exit(main())"
    return [PYTHON, "-c", script, *arguments]


@contextmanager
def running_daemon(environment: Mapping[str, str], folder: Path) -> Generator[Daemon]:
    """Runs the host daemon with its sockets in `folder` until the block ends."""
    gpu, local, log = folder / "gpu", folder / "local", folder / "daemon.log"
    sockets: list[str | Path] = ["--socket", gpu, "--local-socket", local]
    command = run_program("crossdomain.cli", "host", *sockets, "--log-level", "warning")

    def ready() -> bool:
        return "ready:" in log.read_text(errors="replace")

    with running_server(command, {**environment, **_PYTHON_ENVIRONMENT}, log, ready) as process:
        yield Daemon(process.pid, gpu, local)


@contextmanager
def running_waypipe(bench: Bench) -> Generator[Waypipe]:
    """Runs waypipe's half at the compositor until the block ends.

    Raises:
        BenchError: it is not installed.
    """
    path, log = bench.folder / "waypipe", bench.folder / "waypipe.log"
    command: list[str | Path] = ["waypipe", "-c", "none", "-s", path, "client"]
    with running_server(command, bench.environment, log, lambda: accepts(path)) as process:
        yield Waypipe(bench, process, path)


@contextmanager
def running_server(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    log: Path,
    ready: Callable[[], bool],
    *,
    seconds: float = _START_SECONDS,
) -> Generator["subprocess.Popen[bytes]"]:
    """Runs a server until the block ends, which begins when it is ready.

    Raises:
        BenchError: it does not start or ends at once.
    """
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            raise BenchError(f"{command[0]} does not start: {error.strerror}") from error
    try:
        wait_until(
            lambda: process.poll() is not None or ready(), seconds=seconds, what=f"{log.stem} is ready"
        )
        if process.poll() is not None:
            raise BenchError(f"{log.stem}: {log.read_text(errors='replace')[-300:].strip()}")
        yield process
    finally:
        stop(process)


def python_environment() -> dict[str, str]:
    """The environment for Python programs of this checkout that need no compositor."""
    return {**os.environ, **_PYTHON_ENVIRONMENT}
