"""The real host daemon as a process of its own, and what it says and holds."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import stop, wait_until

START_SECONDS = 30.0
SETTINGS = "host.toml"
_RUNNING_ON = ("messages", "messages_per_second", "cpu_ms", "cpu_percent")
"""Numbers of a VM, and of all local sockets, that only tell what was done so far."""


class Footprint(NamedTuple):
    """What a process holds: descriptors, mappings, and bytes of memory of its own."""

    fds: int
    mappings: int
    anonymous: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """As it is now."""
        directory = Path(f"/proc/{pid}")
        (memory,) = [
            line.split()[1]
            for line in (directory / "status").read_text().splitlines()
            # Not VmRSS: that counts what was touched of the guests' memory, which is mapped.
            if line.startswith("RssAnon:")
        ]
        return cls(
            fds=len(os.listdir(directory / "fd")),
            mappings=len((directory / "maps").read_text().splitlines()),
            anonymous=int(memory) * 1024,
        )


class RunningDaemon:
    """A `crossdomain host`; obtained from `running_daemon`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.gpu_socket = folder / "gpu.sock"
        self.local_socket = folder / "local.sock"
        self.log_path = folder / "daemon.log"
        self.settings_path = folder / SETTINGS
        self._received = b""

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return self.log_path.read_text(errors="replace")

    def read_line(self, *, seconds: float = START_SECONDS) -> str:
        """The next line of its standard output.

        Raises:
            TimeoutError: none came.
            EOFError: it ended.
        """
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError(f"the daemon said nothing:\n{self.log}")
            data = os.read(fd, 65536)
            if not data:
                raise EOFError(f"the daemon ended:\n{self.log}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def status(self) -> dict[str, Any]:
        """What it is serving; the names are those of `crossdomain.host.status.Status`."""
        self.process.send_signal(signal.SIGUSR1)
        status: dict[str, Any] = json.loads(self.read_line())
        return status

    def holdings(self) -> dict[str, Any]:
        """What it is serving and what that holds: `status` without what goes up as long as anybody speaks."""
        status = self.status()
        for name in _RUNNING_ON:
            status.pop(f"local_{name}", None)
            for vm in status["vms"]:
                del vm[name]
        return status

    def reload(self, settings: str) -> None:
        """Give it new settings; returns when it has taken or refused them."""
        before = self.log
        self.settings_path.write_text(settings)
        self.process.send_signal(signal.SIGHUP)
        said = ("new settings", "settings stay as they were")
        wait_until(
            lambda: any(words in self.log[len(before) :] for words in said),
            seconds=START_SECONDS,
            what="new settings",
        )

    @property
    def workers(self) -> list[int]:
        """The pids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    @property
    def footprint(self) -> Footprint:
        """What it and its workers hold now."""
        parts = [Footprint.of(self.process.pid)]
        for pid in self.workers:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):  # it has ended since
                parts.append(Footprint.of(pid))
        return Footprint(*map(sum, zip(*parts, strict=True)))

    def assert_alive(self) -> None:
        """Fail with its log where it has ended."""
        assert self.process.poll() is None, f"the daemon ended:\n{self.log}"


@contextlib.contextmanager
def running_daemon(
    folder: Path, compositor: Path, *options: str, settings: str = ""
) -> Generator[RunningDaemon]:
    """Run the daemon until the block ends; it must not have met an error that it does not know.

    Args:
        folder: existing and empty, with a short path; gets its sockets and its log.
        compositor: socket of the compositor to show windows on.
        *options: of `crossdomain host`, besides.
        settings: what its configuration file says; see docs/host.toml.
    """
    (folder / SETTINGS).write_text(settings)
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "crossdomain.cli",
                "host",
                f"--socket={folder / 'gpu.sock'}",
                f"--local-socket={folder / 'local.sock'}",
                f"--wayland-display={compositor}",
                f"--config={folder / SETTINGS}",
                *options,
            ],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    daemon = RunningDaemon(process, folder)
    try:
        ready = daemon.read_line()
        assert ready.startswith("ready"), ready
        yield daemon
    finally:
        stop(process)
        assert process.stdout is not None
        process.stdout.close()
    assert "Traceback" not in daemon.log, daemon.log
