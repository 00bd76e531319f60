"""Builds the benchmark's programs and runs its client through one of the ways to a compositor."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from tests.bench import processes

NAME: Final = "bench-client"

_SOURCES: Final = Path(__file__).parent / "client"

RELAY: Final = "bench-relay"
_RELAY_SOURCES: Final = Path(__file__).parent / "relay"

_RUN_SECONDS: Final = 180.0
"""Longer than any single run takes, in a VM without KVM too."""


class BenchError(Exception):
    """A measurement did not come about."""


class ClientProcess(Protocol):
    """A started client, wherever it runs."""

    async def read_line(self) -> str:
        """Returns the next line of its output without the newline; empty at its end."""
        ...

    async def write(self, data: bytes) -> None:
        """Gives it input."""
        ...

    async def wait(self) -> int:
        """Returns its exit status when it has ended."""
        ...

    async def kill(self) -> None:
        """Makes it end."""
        ...


class Way(Protocol):
    """One way from a client to a compositor."""

    @property
    def name(self) -> str:
        """As it stands in the rows' names."""
        ...

    async def start(self, arguments: Sequence[str]) -> ClientProcess:
        """Starts the client with `arguments`."""
        ...

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Returns who works for this client on this machine: process ids by role."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What one run said and what its servers used meanwhile."""

    wall_ns: int
    cpu_ns: int
    """The client's own."""
    runs: int = 0
    """How often it got a CPU."""
    watched_cpu_ns: int = 0
    """Its parent's, where that was asked for."""
    watched_runs: int = 0
    took_ns: list[int] = field(default_factory=list[int])
    heard_ns: list[int] = field(default_factory=list[int])
    """When it heard of each key, by its CLOCK_MONOTONIC."""
    requests: int = 0
    frames: int = 0
    bytes_damaged: int = 0
    bytes_damaged_warm: int = 0
    clients: int = 0
    servers_cpu_ns: dict[str, int] = field(default_factory=dict[str, int])
    servers_waited_ns: dict[str, int] = field(default_factory=dict[str, int])
    """How long they waited for a CPU, ready to run."""


def build(folder: Path) -> Path:
    """Compiles the client into `folder`, statically, so that it runs in any guest.

    Raises:
        BenchError: there is no compiler or it failed.
    """
    return _compile(_SOURCES, folder / NAME)


def build_relay(folder: Path) -> Path:
    """Compiles the relay that looks at nothing into `folder`.

    Raises:
        BenchError: there is no compiler or it failed.
    """
    return _compile(_RELAY_SOURCES, folder / RELAY)


def _compile(sources: Path, program: Path) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-static"]
    try:
        subprocess.run(["cc", *flags, "-o", program, *sorted(sources.glob("*.c"))], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"{program.name} does not build: {error}") from error
    return program


async def _nothing() -> None:
    """What happens beside most commands."""


async def run(way: Way, *arguments: str, meanwhile: Callable[[], Awaitable[None]] = _nothing) -> Result:
    """Runs one measured command of the client through `way`.

    Args:
        way: to the compositor.
        arguments: the command and its own.
        meanwhile: what somebody else does for the client to have something to do.

    Raises:
        BenchError: it failed or took too long.
    """
    process = await way.start(["--gate", *arguments])
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            return await _measure(way, process, meanwhile)
    except TimeoutError as error:
        raise BenchError(f"{way.name}: {' '.join(arguments)} took more than {_RUN_SECONDS:.0f} s") from error
    finally:
        await process.kill()


async def _measure(way: Way, process: ClientProcess, meanwhile: Callable[[], Awaitable[None]]) -> Result:
    await _expect(way, process, "begin")
    servers = way.servers(process)
    before = {role: _times_ns(pids) for role, pids in servers.items()}
    await process.write(b"\n")
    await meanwhile()
    await _expect(way, process, "end")
    after = {role: _times_ns(pids) for role, pids in servers.items()}
    await process.write(b"\n")
    result = parse_result(await process.read_line())
    await _expect_success(way, process)
    used, waited = ({role: after[role][each] - before[role][each] for role in servers} for each in (0, 1))
    return replace(result, servers_cpu_ns=used, servers_waited_ns=waited)


def _times_ns(pids: Sequence[int]) -> tuple[int, int]:
    return processes.cpu_ns(pids), processes.waited_ns(pids)


@asynccontextmanager
async def holding(way: Way, clients: int) -> AsyncGenerator[ClientProcess]:
    """Keeps that many idle clients with a small window connected until the block ends.

    Raises:
        BenchError: they could not connect.
    """
    process = await way.start(["hold", str(clients)])
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            await _expect(way, process, "begin")
        yield process
        async with asyncio.timeout(_RUN_SECONDS):
            await process.write(b"\n")
            await process.read_line()
            await _expect_success(way, process)
    finally:
        await process.kill()


def parse_result(line: str) -> Result:
    """Returns the result that the client's line of JSON holds, without its servers'.

    Raises:
        BenchError: it is not one.
    """
    try:
        return Result(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise BenchError(f"the client said {line[:80]!r}") from error


async def _expect(way: Way, process: ClientProcess, word: str) -> None:
    line = await process.read_line()
    if line != word:
        raise BenchError(f"{way.name}: the client said {line[-200:]!r} instead of {word!r}")


async def _expect_success(way: Way, process: ClientProcess) -> None:
    status = await process.wait()
    if status != 0:
        raise BenchError(f"{way.name}: the client ended with status {status}")
