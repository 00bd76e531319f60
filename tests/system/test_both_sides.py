"""Both sides inside one virtual machine, whose kernel has udmabuf: clients' pages are read in place.

There is no VM in the VM: the launcher's kernel, and a guest with scattered memory, are `tests.fakes`'.  The
daemon, udmabuf, and a Weston that draws with GL and imports dmabufs, are real.
"""

import json
import signal
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

import pytest
import pytest_asyncio

from crossdomain.vm.guest import Completed
from crossdomain.vm.machine import Machine
from tests.system.conftest import GUEST_TESTS, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

FOLDER: Final = "/tmp/both-sides"
GPU: Final = f"{FOLDER}/gpu.sock"
DISPLAY: Final = f"{FOLDER}/wayland"
STATS: Final = f"{FOLDER}/stats.json"
ENVIRONMENT: Final = {**GUEST_TESTS, "XDG_RUNTIME_DIR": FOLDER, "WAYLAND_DISPLAY": "wayland"}
CONFIGURATION: Final = "[core]\nidle-time=0\nshell=kiosk-shell.so\n"
"""A shell that gives each window the middle of the screen: where others put one is their secret."""


class BothSides(NamedTuple):
    """The machine, with a daemon and a compositor in it."""

    machine: Machine

    async def run(self, *command: str, seconds: float = 180) -> Completed:
        """Run one of our programs in it, to a good end."""
        done = await self.machine.run(["python3", "-m", *command], env=ENVIRONMENT, timeout=seconds)
        assert done.status == 0, done.errors.decode()
        return done

    async def run_in_guest(self, *program: str, options: tuple[str, ...] = ()) -> str:
        """Run one of our programs through the launcher; what it prints."""
        launcher = ("tests.fakes.guest_kernel", GPU, f"--stats={STATS}", *options, "--")
        done = await self.run(*launcher, "python3", "-m", *program)
        return done.output.decode()

    async def buffers(self) -> dict[str, int]:
        """How many buffers of the last program went which way."""
        found: dict[str, int] = json.loads(await self.machine.pull(STATS))["buffers"]
        return found

    async def copied(self) -> int:
        """Bytes that were copied in the guest for the last program."""
        counted: int = json.loads(await self.machine.pull(STATS))["bytes_copied"]
        return counted


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both_sides(machine: Machine) -> AsyncGenerator[BothSides]:
    await machine.run(["mkdir", "-m", "700", FOLDER])
    await machine.push(f"{FOLDER}/weston.ini", CONFIGURATION.encode())
    options = f"--config={FOLDER}/weston.ini --backend=headless --renderer=gl --socket=wayland --debug"
    weston = await machine.spawn(
        ["sh", "-c", f"exec weston {options} --width=1024 --height=640 >{FOLDER}/weston.log 2>&1"],
        env=ENVIRONMENT,
    )
    serves = ["sh", "-c", "until wayland-info >/dev/null 2>&1; do sleep 0.2; done"]
    await machine.run(serves, env=ENVIRONMENT, timeout=120)
    host = ["host", f"--socket={GPU}", f"--local-socket={FOLDER}/local.sock", f"--wayland-display={DISPLAY}"]
    daemon = await machine.spawn(["python3", "-m", "crossdomain.cli", *host], env=ENVIRONMENT)
    assert (await within(daemon.stdout.readline(), what="the daemon")).startswith(b"ready")
    yield BothSides(machine)
    for process in (daemon, weston):
        process.send_signal(signal.SIGTERM)
        assert await within(process.wait(), what="a good end") == 0
    await machine.run(["rm", "-r", FOLDER])


SCENARIOS: Final = ("damage_of_both_kinds", "one_buffer_on_two_surfaces")


async def test_pictures_read_in_place_are_those_without_proxy(both_sides: BothSides) -> None:
    patterns = ("tests.fakes.patterns", f"--on={DISPLAY}", *SCENARIOS)
    direct = (await both_sides.run(*patterns)).output.decode().splitlines()
    proxied = (await both_sides.run_in_guest(*patterns)).splitlines()
    assert [line for line in proxied if line not in direct] == []
    assert len(proxied) == len(direct) > 7
    buffers = await both_sides.buffers()
    assert buffers["shm-dmabuf"] >= 3
    assert await both_sides.copied() == 0


@pytest.mark.parametrize("rows", [1, 1024])
async def test_scattered_pages_are_read_in_place(both_sides: BothSides, rows: int) -> None:
    done = await both_sides.run("tests.fakes.scattered", GPU, DISPLAY, str(rows))
    assert done.output == b"YES whole\n"


async def test_more_runs_than_udmabuf_takes_are_copied(both_sides: BothSides) -> None:
    done = await both_sides.run("tests.fakes.scattered", GPU, DISPLAY, "1025")
    assert done.output == b"NO whole\n"
