"""Rows about X11: start-up, and x11perf, against an Xwayland that is the compositor's client itself."""

import json
import os
import re
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from tests.bench.client_run import BenchError
from tests.bench.host_ways import Local
from tests.bench.rows import Row, against, median
from tests.bench.traffic import Effort
from tests.fakes.weston import stop

OPERATIONS: Final = {"rect": "-rect100", "shmput": "-shmput100", "property": "-prop", "popup": "-popup"}
"""x11perf's: drawing, the pixels of an image, round trips, and windows that come and go."""

_TERMINAL: Final = ("xterm", "-e", "true")
_SEEN: Final = ("xterm", "-e", "sleep", "1")
"""The other one may be gone before its first frame."""
_RESULT: Final = re.compile(r"\(\s*([0-9.]+)/sec\)")
_SECONDS: Final = 60.0


async def measure_start(local: Local, effort: Effort) -> list[Row]:
    """Milliseconds until a terminal has come and gone, and until it is seen, from the launcher on."""
    direct: list[float] = []
    proxied: list[float] = []
    frames: list[float] = []
    for number in range(max(3, effort.starts // 3)):
        begin = time.perf_counter()
        with _xwayland(local.environment) as environment:
            _run(_TERMINAL, environment)
            direct.append((time.perf_counter() - begin) * 1000)
        begin = time.perf_counter()
        _run(local.command(*_TERMINAL), local.environment)
        if number:  # the first compiles what was not yet
            proxied.append((time.perf_counter() - begin) * 1000)
            _run(local.command(*_SEEN), local.environment)
            frames.append(json.loads(local.stats_path.read_text())["first_frame_s"] * 1000)
    baseline = Row("x11_start_direct", median(direct), "ms")
    others = [
        Row("x11_start_local", median(proxied), "ms"),
        Row("x11_first_frame_local", median(frames), "ms"),
    ]
    return [baseline, *(against(row, baseline) for row in others)]


async def measure_operations(local: Local, effort: Effort) -> list[Row]:
    """Operations per second of x11perf."""
    found: dict[str, list[float]] = {}
    for _ in range(min(effort.rounds, 3)):
        with _xwayland(local.environment) as environment:
            _take(found, "direct", _run(_perf(), environment))
        _take(found, "local", _run(local.command(*_perf()), local.environment))
    rows: list[Row] = []
    for name in OPERATIONS:
        baseline = Row(f"x11perf_{name}_direct", median(found[f"{name}_direct"]), "requests/s")
        ours = Row(f"x11perf_{name}_local", median(found[f"{name}_local"]), "requests/s")
        rows += [baseline, against(ours, baseline)]
    return rows


def _perf() -> Sequence[str]:
    return ("x11perf", "-time", "1", "-repeat", "1", "-subs", "25", *OPERATIONS.values())


def _take(found: dict[str, list[float]], way: str, output: str) -> None:
    rates = _RESULT.findall(output)
    if len(rates) != len(OPERATIONS):
        raise BenchError(f"x11perf says {output[-300:]!r}")
    for name, rate in zip(OPERATIONS, rates, strict=True):
        found.setdefault(f"{name}_{way}", []).append(float(rate))


def _run(command: Sequence[object], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with status {done.returncode}")
    return done.stdout


@contextmanager
def _xwayland(environment: Mapping[str, str]) -> Generator[dict[str, str]]:
    """Runs an Xwayland with one window for all, and no window manager; gives what leads X clients to it."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        ["Xwayland", "-displayfd", str(writing)],
        env=dict(environment),
        pass_fds=(writing,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as lines:
            number = lines.readline().strip().decode()
        if not number:
            raise BenchError("Xwayland does not start")
        yield {**environment, "DISPLAY": f":{number}"}
    finally:
        stop(process)
