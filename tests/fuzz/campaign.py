"""Runs one target in a process of its own, for a time or a number of executions, and reads what it says."""

import os
import re
import signal
import subprocess
import sys
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
_TAIL: Final = 60


class Bounds(NamedTuple):
    """How long a target runs: until the first of both, 0 for no bound."""

    seconds: int = 0
    runs: int = 0
    seed: int = 0
    """The same number is the same run; 0 chooses one."""
    brief: bool = False
    """Whether all inputs of a target in Python are to be short."""


class Result(NamedTuple):
    """What came of it."""

    name: str
    executed: int
    seconds: float
    report: str
    """Empty where nothing was found, else the end of what the fuzzer said."""


def run(name: str, bounds: Bounds, folder: Path) -> Result:
    """Runs a target; inputs that it finds, and its corpus, are kept in `folder`."""
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    process = subprocess.Popen(
        _command(name, bounds, corpus, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=bounds.seconds + _GRACE_SECONDS if bounds.seconds else None)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    found = _EXECUTED.findall(output)
    executed = int(found[-1]) if found else 0
    failed = process.returncode != 0 or not executed
    report = "\n".join(output.splitlines()[-_TAIL:]) if failed else ""
    return Result(name, executed, time.monotonic() - start, report)


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
