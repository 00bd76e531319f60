"""The real crossdomain-run as a process of its own, over the local channel."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from tests.fakes.programs import CROSSDOMAIN_RUN, REPOSITORY

RUN = (sys.executable, "-m", "launcher.run")

ENTRIES: Final = {
    "script": (CROSSDOMAIN_RUN,),
    "script of bash": ("bash", CROSSDOMAIN_RUN),
    "launcher": (sys.executable, "-m", "launcher.start"),
}
"""What a person may start crossdomain-run by, where a service may be there: what holds for one holds for all.

The script's own shell is what /bin/sh is here."""

Entry: TypeAlias = tuple[str, ...]

PATIENCE = 30.0
"""Seconds for what should take milliseconds, on a loaded machine."""


class Finished(NamedTuple):
    """What a launcher that has ended left: exit status (negative: killed), output, its own lines."""

    status: int
    output: str
    errors: str


def environment(runtime_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process for a launcher whose sockets go to `runtime_dir`."""
    made = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir), "PYTHONPATH": str(REPOSITORY)}
    made.pop("WAYLAND_DISPLAY", None)
    return {**made, **(extra or {})}


def run_launcher(
    runtime_dir: Path,
    *arguments: str,
    extra: Mapping[str, str] | None = None,
    seconds: float = PATIENCE,
    entry: Sequence[str] = RUN,
) -> Finished:
    """Run crossdomain-run until it ends.

    Raises:
        subprocess.TimeoutExpired: it did not.
    """
    done = subprocess.run(
        [*entry, *arguments],
        env=environment(runtime_dir, extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return Finished(done.returncode, os.fsdecode(done.stdout), done.stderr.decode(errors="replace"))


class RunningLauncher:
    """A crossdomain-run whose application runs until it reads the end of its input."""

    def __init__(self, process: subprocess.Popen[bytes], runtime_dir: Path) -> None:
        self.process = process
        self.runtime_dir = runtime_dir
        self.log_path = runtime_dir / "launcher.log"
        self._received = b""
        self.display = self.read_line()

    @property
    def socket(self) -> str:
        """Where clients connect: an absolute path."""
        return str(self.runtime_dir / self.display)

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def fds(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def mappings(self) -> int:
        """How many memory mappings it has."""
        return len(Path(f"/proc/{self.process.pid}/maps").read_text().splitlines())

    @property
    def resident(self) -> int:
        """Bytes of memory that it has touched."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def read_line(self) -> str:
        """The next line of the application's output.

        Raises:
            TimeoutError: none came.
            EOFError: it ended.
        """
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError(f"the application said nothing:\n{self.log}")
            data = os.read(fd, 65536)
            if not data:
                raise EOFError(f"the launcher ended:\n{self.log}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def end_application(self) -> int:
        """Let the application end; the launcher's exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def assert_alive(self) -> None:
        """Fail with its log where it has ended."""
        assert self.process.poll() is None, f"the launcher ended:\n{self.log}"


@contextlib.contextmanager
def running_launcher(
    runtime_dir: Path,
    local_socket: Path,
    *options: str,
    command: Sequence[str] = ("sh", "-c", 'echo "$WAYLAND_DISPLAY"; exec cat >/dev/null'),
    wrapper: Sequence[str] = (),
) -> Generator[RunningLauncher]:
    """Run crossdomain-run until the block ends.

    Args:
        runtime_dir: existing, with a short path; gets its socket and its log.
        local_socket: the host daemon's.
        *options: of crossdomain-run.
        command: has to print its WAYLAND_DISPLAY first, and to end with its input.
        wrapper: a command that becomes the one that follows it: unshare(1).
    """
    with (runtime_dir / "launcher.log").open("wb") as log:
        process = subprocess.Popen(
            [*wrapper, *RUN, f"--channel=local:{local_socket}", "--log-level=info", *options, *command],
            env=environment(runtime_dir),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield RunningLauncher(process, runtime_dir)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
