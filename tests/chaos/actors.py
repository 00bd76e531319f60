"""The processes of a chaos: each can be started, killed and started again."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from tests.bench import processes
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import wait_until

PATIENCE: Final = 30.0
"""Seconds for what takes a part of one, on a loaded machine."""


class Actor(Protocol):
    """A process that is killed."""

    @property
    def name(self) -> str:
        """What it is called where it does something wrong."""
        ...

    @property
    def pid(self) -> int:
        """Its process; 0 while it has none."""
        ...

    def start(self) -> None:
        """Starts it, unless it runs; returns when it serves or shows."""
        ...

    def end(self) -> None:
        """Kills it, where it still runs, and gives up what is left of it."""
        ...


class Running(Protocol):
    """What a context manager of `tests.fakes` gives."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        ...


R = TypeVar("R", bound=Running)


class Server(Generic[R]):
    """A process that a context manager of `tests.fakes` runs."""

    def __init__(self, name: str, run: Callable[[], AbstractContextManager[R]]) -> None:
        self.name = name
        self._run = run
        self._stack = ExitStack()
        self._running: R | None = None

    @property
    def running(self) -> R:
        """What is served with."""
        assert self._running is not None
        return self._running

    @property
    def pid(self) -> int:
        return 0 if self._running is None else self._running.process.pid

    def start(self) -> None:
        if self._running is None:
            self._running = self._stack.enter_context(self._run())

    def end(self) -> None:
        self._running = None
        self._stack.close()


class Client:
    """A client that does the same thing until it is left or killed."""

    def __init__(
        self,
        name: str,
        log: Path,
        command: Callable[[], Sequence[str]],
        environment: Callable[[], Mapping[str, str]] = lambda: dict(os.environ),
    ) -> None:
        """What it writes to standard error goes to the end of `log`."""
        self.name = name
        self._log = log
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(),
                    env=self._environment(),
                    cwd=REPOSITORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )

    def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE)
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()

    def write(self, text: str) -> None:
        """Gives it a line."""
        assert self._process is not None
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), f"{text}\n".encode())

    def wait_for_line(self, text: str) -> None:
        """Returns when it has said that; what it says besides is passed over.

        Raises:
            TimeoutError: it does not.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE
        said = b""
        while f"{text}\n".encode() not in said:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError(f"{text!r} was not said")
            data = os.read(fd, 65536)
            if not data:
                raise TimeoutError(f"{text!r} was not said: {self._command()} has ended")
            said += data


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def named(root: int, name: str) -> int:
    """The process called `name` among `root` and its descendants; 0 where there is none."""
    return next((pid for pid in processes.tree(root) if processes.name_of(pid) == name), 0)


def parent_of(pid: int) -> int:
    """The process that a process is a child of; 0 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def has_ended(pid: int) -> bool:
    """Whether a process has gone; one that only waits to be reaped has, too."""
    return state_of(pid) in ("", "Z")


def state_of(pid: int) -> str:
    """The state of a process (proc(5)); empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def wait_for_end(pid: int, what: str) -> None:
    """Returns when a process has ended."""
    wait_until(lambda: has_ended(pid), seconds=PATIENCE, what=f"the end of {what}")
