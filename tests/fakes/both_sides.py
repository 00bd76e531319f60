"""Both sides inside one virtual machine: a Weston that draws with GL, the daemon, and launchers.

The machine's kernel has udmabuf, so that what needs that on the host can be seen there.  A guest of that
host is `tests.fakes.guest_kernel`'s; over the local channel the launcher is as it is.
"""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from crossdomain.vm.guest import Completed
from crossdomain.vm.machine import Machine

FOLDER: Final = "/tmp/both-sides"
GPU: Final = f"{FOLDER}/gpu.sock"
LOCAL: Final = f"{FOLDER}/local.sock"
DISPLAY: Final = f"{FOLDER}/wayland"
STATS: Final = f"{FOLDER}/stats.json"
ENVIRONMENT: Final = {
    "PYTHONPATH": "/opt/crossdomain:/mnt/share",
    "XDG_RUNTIME_DIR": FOLDER,
    "WAYLAND_DISPLAY": "wayland",
}
"""Our packages, these tests, and the machine's own compositor."""
THROUGH_GUEST: Final = ("python3", "-m", "tests.fakes.guest_kernel", GPU, f"--stats={STATS}")
"""What a command stands behind that is to run in a guest of that host; after options and "--"."""
THROUGH_LOCAL: Final = ("python3", "-m", "launcher.start", f"--channel=local:{LOCAL}", f"--stats={STATS}")
"""The same over the local channel."""
_CONFIGURATION: Final = "[core]\nidle-time=0\nshell=kiosk-shell.so\n"
"""A shell that gives each window the middle of the screen: where others put one is their secret."""
_START_SECONDS: Final = 120.0


class BothSides(NamedTuple):
    """The machine, with a daemon and a compositor in it."""

    machine: Machine

    async def run(self, *command: str, seconds: float = 180) -> Completed:
        """Run a command in it, to a good end."""
        done = await self.machine.run(command, env=ENVIRONMENT, timeout=seconds)
        assert done.status == 0, done.errors.decode()
        return done

    async def run_module(self, *module: str, through: Sequence[str] = (), seconds: float = 180) -> str:
        """Run one of our programs, straight on the compositor or through a launcher; what it prints."""
        launcher = (*through, "--") if through else ()
        return (await self.run(*launcher, "python3", "-m", *module, seconds=seconds)).output.decode()

    async def stats(self) -> dict[str, object]:
        """What the last launcher counted."""
        found: dict[str, object] = json.loads(await self.machine.pull(STATS))
        return found

    async def buffers(self) -> dict[str, int]:
        """How many buffers of the last program went which way."""
        found: dict[str, int] = json.loads(await self.machine.pull(STATS))["buffers"]
        return found

    async def buffers_per_client(self) -> list[dict[str, int]]:
        """As `buffers`, of each client of the last program, in order."""
        clients: list[dict[str, dict[str, int]]] = json.loads(await self.machine.pull(STATS))["per_client"]
        return [client["buffers"] for client in clients]


@asynccontextmanager
async def running_both_sides(
    machine: Machine, *, width: int = 1024, height: int = 640
) -> AsyncGenerator[BothSides]:
    """Start them, on a screen of so many px, and end them well."""
    await machine.run(["mkdir", "-m", "700", FOLDER])
    await machine.push(f"{FOLDER}/weston.ini", _CONFIGURATION.encode())
    options = f"--config={FOLDER}/weston.ini --backend=headless --renderer=gl --socket=wayland --debug"
    weston = await machine.spawn(
        ["sh", "-c", f"exec weston {options} --width={width} --height={height} >{FOLDER}/weston.log 2>&1"],
        env=ENVIRONMENT,
    )
    serves = ["sh", "-c", "until wayland-info >/dev/null 2>&1; do sleep 0.2; done"]
    await machine.run(serves, env=ENVIRONMENT, timeout=_START_SECONDS)
    host = ["host", f"--socket={GPU}", f"--local-socket={LOCAL}", f"--wayland-display={DISPLAY}"]
    daemon = await machine.spawn(["python3", "-m", "crossdomain.cli", *host], env=ENVIRONMENT)
    line = await asyncio.wait_for(daemon.stdout.readline(), _START_SECONDS)
    assert line.startswith(b"ready"), line
    yield BothSides(machine)
    for process in (daemon, weston):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), _START_SECONDS) == 0
    await machine.run(["rm", "-r", FOLDER])
