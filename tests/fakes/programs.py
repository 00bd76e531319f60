"""Programs of this repository run as a person would run them."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

PYTHON = (sys.executable, "-m")

CROSSDOMAIN_RUN = str(Path(sys.executable).with_name("crossdomain-run"))
"""The command as `pip install` has put it beside the interpreter."""

PATTERNS = (*PYTHON, "tests.fakes.patterns")


class LocalSteps:
    """The patterns program as a process of this machine; see `tests.fakes.pictures.Steps`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def read_line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def write_line(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()


@asynccontextmanager
async def running_steps(command: Sequence[str], environment: Mapping[str, str]) -> AsyncGenerator[LocalSteps]:
    """Run a command that is, or ends in, the patterns program; it is killed where it still runs."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield LocalSteps(process)
        await asyncio.wait_for(process.wait(), 30)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def environment_for(socket_path: Path) -> dict[str, str]:
    """The environment of this process with WAYLAND_DISPLAY leading to `socket_path`."""
    return {**os.environ, "WAYLAND_DISPLAY": str(socket_path)}
