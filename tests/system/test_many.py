"""Many clients at once, and many one after the other."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from crossdomain.vm.machine import Machine
from tests.bench import client_run
from tests.fakes.daemon import Footprint, RunningDaemon
from tests.system.conftest import GUEST_TESTS, PROCESSES, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

CROWD = 20


def colour_of(number: int) -> tuple[int, int, int]:
    """A colour of its own for each number below 64."""
    return 64 + number * 3, 255 - number * 4, number * 12 % 256


@asynccontextmanager
async def crowd(machine: Machine) -> AsyncGenerator[None]:
    """CROWD clients of one crossdomain-run, each a process with a window of its own colour."""
    command = ["crossdomain-run", "python3", "-m", "tests.fakes.flag"]
    for number in range(CROWD):
        command += [f"flag-{number}.", bytes(colour_of(number)).hex(), "120", "90"]
    app = await machine.spawn(command, env=GUEST_TESTS)
    for _ in range(CROWD):
        assert await within(app.stdout.readline(), what="a window", seconds=180) == b"shown\n"
    try:
        yield
    finally:
        app.close_input()
        assert await within(app.wait(), what="the end of all") == 0


async def test_twenty_clients_at_once_each_show_their_own_picture(machine: Machine, desktop: Desktop) -> None:
    places = {number: (10 + number % 5 * 150, 10 + number // 5 * 120) for number in range(CROWD)}
    async with crowd(machine):
        for number, (x, y) in places.items():
            await desktop.put(await desktop.window(f" flag-{number}.'"), x, y)
        await desktop.keep("crowd")
        picture = await desktop.screenshot()
    wrong = [
        number
        for number, (x, y) in places.items()
        if (picture[y : y + 90, x : x + 120] != colour_of(number)).any()
    ]
    assert wrong == []
    await desktop.no_window("flag-")


CLIENT = "/tmp/client"
ALLOCATIONS = 20
"""Mappings that an allocator may have made meanwhile; one forgotten at every start would be sixty or more."""


def starts(count: int) -> list[str]:
    """The command that starts and ends so many launchers, each with a client that shows a window.

    xargs fails where one of them does, and gives them no input: a client says that it begins, and ends.
    """
    return ["sh", "-c", f"seq {count} | xargs -P 3 -I {{}} crossdomain-run {CLIENT} hold 1"]


async def test_many_starts_and_ends_leave_nothing_behind(
    machine: Machine, daemon: RunningDaemon, desktop: Desktop, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    count = cast("int", pytestconfig.getoption("starts"))
    # A small one in C: starting Python so often would take minutes under emulation.
    await machine.push(CLIENT, client_run.build(tmp_path).read_bytes(), mode=0o755)

    async def guest_state() -> str:
        look = f"ls -A $XDG_RUNTIME_DIR /dev/shm /tmp; {PROCESSES}"
        return (await machine.run(["sh", "-c", look])).output.decode()

    def host_is_idle() -> bool:
        return [vm["clients"] for vm in daemon.status()["vms"]] == [[]]

    assert (await machine.run(starts(6))).status == 0
    await until(host_is_idle, what="an idle daemon")
    before, guest_before = daemon.footprint, await guest_state()
    qemu_before, held_before = Footprint.of(machine.pid), daemon.holdings()

    done = await machine.run(starts(count), timeout=800)
    assert done.status == 0, done.errors.decode()
    assert done.output.count(b"begin") == count

    await until(host_is_idle, what="an idle daemon")
    assert desktop.seat.find_view("top-level") is None
    after, qemu_after = daemon.footprint, Footprint.of(machine.pid)
    assert daemon.holdings() == held_before
    assert after.fds == before.fds
    assert after.mappings < before.mappings + ALLOCATIONS
    assert after.anonymous < before.anonymous + (4 << 20)
    # A blob that the daemon forgot would still be mapped into the guest's window.
    assert qemu_after.fds == qemu_before.fds
    assert qemu_after.mappings < qemu_before.mappings + ALLOCATIONS
    assert await guest_state() == guest_before
