"""Quotas on the real daemon and Weston: a VM that takes too much, or is too fast, costs nobody else."""

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.abi.cross_domain import encode_get_image_requirements
from crossdomain.context.pace import LOOK_SECONDS
from tests.bench import processes
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import Weston, wait_until
from tests.unit.context.world import request, sync

PATIENCE: Final = 60.0
SETTINGS: Final = """
[vm.small]
socket = "{folder}/small.sock"
[vm.small.quotas.vm]
contexts = 2
messages_per_second = 100
[vm.small.quotas.client]
surfaces = 2
[vm.slow]
socket = "{folder}/slow.sock"
[vm.slow.quotas.vm]
cpu_percent = 10
"""
FLOOD: Final = 6
"""Seconds' worth of messages: five are free."""


@pytest.fixture
def daemon(folder: Path, weston: Weston) -> Generator[RunningDaemon]:
    with running_daemon(folder, weston.socket_path, settings=SETTINGS.format(folder=folder)) as running:
        yield running
        running.assert_alive()


def vm_at(path: Path) -> FakeFrontend:
    """A VM at that socket."""
    return FakeFrontend(connected(path))


async def client_of(vm: FakeFrontend, ctx_id: int) -> WaylandGuest:
    """A client that knows the globals."""
    guest = WaylandGuest(await GuestContext.open(vm, ctx_id))
    await guest.list_globals()
    return guest


def lines_about(daemon: RunningDaemon, *words: str) -> list[str]:
    """Lines of the log with all of these; a worker's pass the supervisor, and may take a while."""
    return [line for line in daemon.log.splitlines() if all(word in line for word in words)]


async def test_a_client_with_too_many_surfaces_ends_alone_and_the_log_names_it(daemon: RunningDaemon) -> None:
    async with vm_at(daemon.gpu_socket.with_name("small.sock")) as vm, vm_at(daemon.gpu_socket) as other:
        greedy, neighbour = await client_of(vm, 1), await client_of(vm, 2)
        stranger = await client_of(other, 1)
        await greedy.send(greedy.bind("wl_compositor", 4, 4))
        surfaces = [request("wl_compositor", "create_surface", 4, 5 + number) for number in range(3)]
        assert (await greedy.context.send(b"".join(surfaces[:2]))).ok
        assert not (await greedy.context.send(surfaces[2])).ok
        assert b"(quota surfaces)" in await greedy.wait_for(1, 0)
        await neighbour.round_trip(4)
        await stranger.round_trip(4)
    wait_until(
        lambda: bool(lines_about(daemon, "crossdomain.context: ", "(quota surfaces)")),
        seconds=PATIENCE,
        what="the line",
    )
    (line,) = lines_about(daemon, "crossdomain.context: ", "(quota surfaces)")
    assert "WARNING crossdomain.context: vm small, ctx 1, 'fake': " in line


async def test_a_vm_has_so_many_clients_and_more_after_a_reload(daemon: RunningDaemon) -> None:
    async with vm_at(daemon.gpu_socket.with_name("small.sock")) as vm:
        first = await client_of(vm, 1)
        await client_of(vm, 2)
        assert not (await vm.driver.ctx_create(3)).ok
        folder = daemon.gpu_socket.parent
        daemon.reload(SETTINGS.format(folder=folder).replace("contexts = 2", "contexts = 3"))
        await client_of(vm, 3)
        await first.round_trip(4)
    told = "vm small: context 3, command 0x200: more than 2 contexts of one VM (quota vm.contexts)"
    wait_until(lambda: told in daemon.log, seconds=PATIENCE, what="the line")


async def test_a_vm_that_floods_is_slowed_down_and_its_neighbour_is_not(daemon: RunningDaemon) -> None:
    async with vm_at(daemon.gpu_socket.with_name("small.sock")) as vm, vm_at(daemon.gpu_socket) as other:
        fast, neighbour = await client_of(vm, 1), await client_of(other, 1)
        start = time.monotonic()
        ids = iter(range(4, 100_000))
        for _ in range(FLOOD):
            await fast.send(b"".join(sync(next(ids)) for _ in range(110)))
        # What is sent now waits, for about a second; the neighbour goes on meanwhile.
        late = asyncio.create_task(fast.round_trip(next(ids)))
        await asyncio.wait_for(neighbour.round_trip(4), PATIENCE)
        assert not late.done()
        await asyncio.wait_for(late, PATIENCE)
        assert time.monotonic() - start > 0.5
    wait_until(lambda: bool(lines_about(daemon, "slowed down")), seconds=PATIENCE, what="the line")
    line = lines_about(daemon, "slowed down")[0]
    assert "vm small: slowed down" in line
    assert "(quota vm.messages_per_second)" in line


async def test_a_vm_has_its_share_of_the_processor(daemon: RunningDaemon) -> None:
    questions = encode_get_image_requirements(64, 64, int.from_bytes(b"R8  ", "little")) * 10_000
    async with vm_at(daemon.gpu_socket.with_name("slow.sock")) as vm:
        busy = await client_of(vm, 1)
        (pid,) = daemon.workers[1:]
        begun = time.monotonic()
        while "vm slow: slowed down" not in daemon.log or time.monotonic() - begun < LOOK_SECONDS:
            assert time.monotonic() - begun < PATIENCE
            assert (await busy.context.submit(questions)).ok
        daemon.status()  # what it tells next is since now
        start, before = time.monotonic(), processes.cpu_ns([pid])
        while time.monotonic() - start < 2.0:
            assert (await busy.context.submit(questions)).ok
        share = (processes.cpu_ns([pid]) - before) / 1e9 / (time.monotonic() - start)
        (told,) = daemon.status()["vms"]
    print(f"{share:.0%} of a processor")
    assert share < 0.2
    assert 0 < told["cpu_percent"] < 20
    wait_until(lambda: "(quota vm.cpu_percent)" in daemon.log, seconds=PATIENCE, what="the line")
