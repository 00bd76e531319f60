"""Rows about what is there without traffic: memory, wake-ups, start-up."""

import asyncio
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench import client_run, processes
from tests.bench.client_run import BenchError, Way
from tests.bench.host_ways import PYTHON, Local, Waypipe, python_environment, start_process
from tests.bench.rows import Row, against, median
from tests.bench.traffic import Effort
from tests.fakes.programs import CROSSDOMAIN_RUN

MANY: Final = 50

_ANNOUNCE: Final = "print('begin', flush=True); input()"


async def measure_memory(local: Local, waypipe: Waypipe | None) -> list[Row]:
    """Private memory of launcher and daemon with one client and with many, and per further client."""
    python = Row("rss_python", await _python_memory(), "KiB")
    one, many = await _memory(local, 1), await _memory(local, MANY)
    rows = [python]
    for role in ("launcher", "daemon"):
        rows.append(against(Row(f"rss_{role}", one[role], "KiB"), python))
        rows.append(against(Row(f"rss_{role}_{MANY}", many[role], "KiB"), python))
    per_client = Row("rss_per_client", _per_client(one, many, ("launcher", "daemon")), "KiB")
    if waypipe is None:
        return [*rows, per_client]
    theirs = _per_client(await _memory(waypipe, 1), await _memory(waypipe, MANY), ("proxy",))
    baseline = Row("rss_per_client_waypipe", theirs, "KiB")
    return [*rows, baseline, against(per_client, baseline)]


async def _python_memory() -> float:
    process = await start_process([PYTHON, "-c", _ANNOUNCE], python_environment())
    await process.read_line()
    private = processes.private_bytes([process.pid]) / 1024
    await process.write(b"\n")
    await process.wait()
    return private


async def _memory(way: Way, clients: int) -> dict[str, float]:
    async with client_run.holding(way, clients) as process:
        return {role: processes.private_bytes(pids) / 1024 for role, pids in way.servers(process).items()}


def _per_client(one: Mapping[str, float], many: Mapping[str, float], roles: Iterable[str]) -> float:
    return sum(many[role] - one[role] for role in roles) / (MANY - 1)


async def measure_idle(ways: Sequence[Way], effort: Effort) -> list[Row]:
    """How often per second anything of the proxy runs while all its clients are idle."""
    rows: list[Row] = []
    for way in ways:
        suffix = "" if way.name == "local" else f"_{way.name}"
        rows.append(Row(f"idle_wakeups{suffix}", await _wakeups(way, effort.idle_seconds), "1/s"))
    return rows


async def _wakeups(way: Way, seconds: float) -> float:
    async with client_run.holding(way, MANY) as process:
        pids = [pid for role, found in way.servers(process).items() if role != "compositor" for pid in found]
        await _settle(pids)
        before = processes.switches(pids)
        await asyncio.sleep(seconds)  # the stretch that is measured
        return (processes.switches(pids) - before) / seconds


async def _settle(pids: Sequence[int], *, quiet_s: float = 0.3, limit_s: float = 5.0) -> None:
    """Waits until the processes have not run for a moment: the last events of the start went through."""
    deadline = time.monotonic() + limit_s
    before = -1
    while (now := processes.switches(pids)) != before and time.monotonic() < deadline:
        before = now
        await asyncio.sleep(quiet_s)


async def measure_start(local: Local, waypipe: Waypipe | None, effort: Effort) -> list[Row]:
    """Milliseconds until `true` has run: Python alone, a launcher, one that joins a service, waypipe."""
    commands: dict[str, Sequence[str | Path]] = {
        "start_python": [PYTHON, "-c", "pass"],
        "start_cold": local.bare_command("true"),
        "start_warm": [CROSSDOMAIN_RUN, "true"],
    }
    if waypipe is not None:
        commands["start_waypipe"] = waypipe.command("true")
    took: dict[str, list[float]] = {name: [] for name in commands}
    with local.service() as session:
        environments = {"start_warm": session}
        for number in range(effort.starts + 1):
            for name, command in commands.items():
                took_ms = _run_ms(command, environments.get(name, local.environment))
                if number:  # the first compiles what was not yet
                    took[name].append(took_ms)
    baseline, *others = [Row(name, median(samples), "ms") for name, samples in took.items()]
    return [baseline, *(against(row, baseline) for row in others)]


def _run_ms(command: Sequence[str | Path], environment: Mapping[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
    )
    took_ms = (time.perf_counter() - start) * 1000
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with status {done.returncode}")
    return took_ms
