"""Runs one target in a process of its own, for a time or a number of executions, and reads what it says."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz import compiled, targets, tracer

SESSIONS: Final = "sessions"
NAMES: Final = (*compiled.NAMES, *targets.NAMES, SESSIONS)

_HANG_SECONDS: Final = 60
"""One execution takes milliseconds; the machine may be busy."""
_MEMORY_MIB: Final = 1024
_LARGEST: Final = 2048
"""Bytes of an input for C."""
_BRIEF: Final = 48
"""And for Python where lives are to be short: three steps or four, and half as long."""
_EXECUTED: Final = re.compile(r"stat::number_of_executed_units: *(\d+)")
_GRACE_SECONDS: Final = 300
_STOP: Final = signal.SIGUSR1
"""Whoever fuzzes ends after the execution that is under way, and tells how many there were."""
_TAIL: Final = 60


class Bounds(NamedTuple):
    """How long a target runs: until the first of both, 0 for no bound."""

    seconds: int = 0
    runs: int = 0
    seed: int = 0
    """The same number is the same run; 0 chooses one."""
    brief: bool = False
    """Whether all inputs of a target in Python are to be short, and made without a look at comparisons."""


class Result(NamedTuple):
    """What came of it."""

    name: str
    executed: int
    seconds: float
    report: str
    """Empty where nothing was found, else the end of what the fuzzer said."""


class Runner:
    """Runs targets; inputs that they find, and corpora, are kept in `folder`.  Safe in several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def stop(self) -> None:
        """Everything ends, soon and in order: what has been executed until then counts."""
        with self._lock:
            self.stopped = True
            for process in self._running:
                process.send_signal(_STOP)

    def run(self, name: str, bounds: Bounds) -> Result:
        """One target in one process."""
        corpus = self._folder / name
        corpus.mkdir(parents=True, exist_ok=True)
        command = _command(name, bounds, corpus, self._folder)
        start = time.monotonic()
        with self._lock:
            if self.stopped:
                return Result(name, 0, 0.0, "")
            process = _start(command)
            self._running.add(process)
        try:
            output, _ = process.communicate(
                timeout=bounds.seconds + _GRACE_SECONDS if bounds.seconds else None
            )
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        finally:
            with self._lock:
                self._running.remove(process)
        return self._read(name, output, process.returncode, time.monotonic() - start)

    def _read(self, name: str, output: str, status: int, seconds: float) -> Result:
        found = _EXECUTED.findall(output)
        executed = int(found[-1]) if found else 0
        failed = status != 0 or not executed
        if self.stopped and status == -_STOP:
            failed = False  # it had not begun
        words = [*output.splitlines()[-_TAIL:], f"exit status {status}"]
        report = "\n".join(words) if failed else ""
        return Result(name, executed, seconds, report)


def run(name: str, bounds: Bounds, folder: Path) -> Result:
    """One target alone."""
    return Runner(folder).run(name, bounds)


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _command(name: str, bounds: Bounds, corpus: Path, folder: Path) -> Sequence[str]:
    if name == SESSIONS:
        limits = ["--seconds", str(bounds.seconds), "--runs", str(bounds.runs), "--seed", str(bounds.seed)]
        return [sys.executable, "-m", "tests.fuzz.sessions", *limits]
    flags = [
        f"-artifact_prefix={folder / name}-",
        f"-max_len={_largest(name, brief=bounds.brief)}",
        f"-timeout={_HANG_SECONDS}",
        f"-rss_limit_mb={_MEMORY_MIB}",
        f"-seed={bounds.seed}",
        "-print_final_stats=1",
        *([f"-max_total_time={bounds.seconds}"] if bounds.seconds else []),
        *([f"-runs={bounds.runs}"] if bounds.runs else []),
    ]
    if name in targets.NAMES:
        if bounds.brief:
            flags.append("-use_cmp=0")
        return [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            str(tracer.build(folder)),
            str(corpus),
            *flags,
        ]
    for number, seed in enumerate(compiled.seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    return [str(compiled.build(name, folder)), str(corpus), *flags]


def _largest(name: str, *, brief: bool) -> int:
    if name not in targets.NAMES:
        return _LARGEST
    return _BRIEF if brief else targets.LARGEST
