"""A guest that sends garbage on any layer costs only the client that sent it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import RunningDaemon
from tests.system.conftest import GUEST_TESTS, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

# The names in tests.fakes.vandal, which can be imported in the guest alone.
CHANNEL_KINDS = ("noise", "headers", "inits", "polls", "identifiers", "images", "clocks", "messages")


@asynccontextmanager
async def bystander(machine: Machine) -> AsyncGenerator[GuestProcess]:
    """A well-behaved client beside the vandal."""
    command = ["crossdomain-run", "python3", "-m", "tests.fakes.flag", "bystander", "336699", "64", "64"]
    app = await machine.spawn(command, env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="the bystander") == b"shown\n"
    try:
        yield app
    finally:
        app.close_input()
        assert await within(app.wait(), what="the bystander's end") == 0


async def assert_served(app: GuestProcess) -> None:
    """Fail where the client is not answered any more."""
    await app.write(b"\n")
    assert await within(app.stdout.readline(), what="an answer") == b"here\n"


@pytest.mark.parametrize("kind", CHANNEL_KINDS)
async def test_garbage_in_a_channel_costs_only_that_channel(
    machine: Machine, daemon: RunningDaemon, kind: str
) -> None:
    async with bystander(machine) as app:
        served = len(daemon.status()["vms"][0]["clients"])
        fds = daemon.footprint.fds
        done = await machine.run(
            ["python3", "-m", "tests.fakes.vandal", kind, "1", "20"], env=GUEST_TESTS, timeout=300
        )
        assert (done.status, done.errors) == (0, b"")
        await assert_served(app)
        await until(
            lambda: len(daemon.status()["vms"][0]["clients"]) == served, what="the vandal's clients to go"
        )
        await until(lambda: daemon.footprint.fds <= fds, what="the vandal's fds to go")
    assert "Traceback" not in daemon.log


async def test_garbage_from_a_client_costs_only_that_client(
    machine: Machine, daemon: RunningDaemon, desktop: Desktop
) -> None:
    script = """
        exec 3<&0
        python3 -m tests.fakes.flag survivor 993366 64 64 <&3 & survivor=$!
        python3 -m tests.fakes.vandal clients 1 20 </dev/null || exit 1
        echo through; wait $survivor"""
    app = await machine.spawn(["crossdomain-run", "sh", "-c", script], env=GUEST_TESTS)
    lines = [await within(app.stdout.readline(), what="survivor and vandal", seconds=180) for _ in range(2)]
    assert sorted(lines) == [b"shown\n", b"through\n"]
    await assert_served(app)
    await desktop.window("survivor")
    app.close_input()
    assert await within(app.wait(), what="the end") == 0
    assert "Traceback" not in daemon.log
