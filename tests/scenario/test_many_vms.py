"""Many VMs on one daemon: all are served, a client costs what it costs alone, and nothing is left behind."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from tests.bench import processes
from tests.fakes.daemon import RunningDaemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import wait_until

VMS, CLIENTS = 32, 8
FEW = 4
TRIPS = 20
FIRST_CALLBACK = 4
PATIENCE = 60.0
MOST_MEMORY = 16 << 20
"""Bytes of a VM's worker that it shares with no other, clients included."""


@asynccontextmanager
async def clients(daemon: RunningDaemon, vms: int, each: int) -> AsyncGenerator[list[WaylandGuest]]:
    """So many VMs with so many clients each, all of which know the globals."""
    async with AsyncExitStack() as stack:
        guests: list[WaylandGuest] = []
        for _ in range(vms):
            vm = await stack.enter_async_context(FakeFrontend(connected(daemon.gpu_socket), queue_size=256))
            guests += [WaylandGuest(await GuestContext.open(vm, number)) for number in range(1, each + 1)]
        await asyncio.gather(*(guest.list_globals() for guest in guests))
        yield guests


def counts(daemon: RunningDaemon) -> list[int]:
    """How many clients each VM has, as the daemon sees it."""
    return [len(vm["clients"]) for vm in daemon.status()["vms"]]


async def trips(guests: list[WaylandGuest]) -> None:
    """Round trips of all clients at once."""

    async def run(guest: WaylandGuest) -> None:
        for number in range(TRIPS):
            # The callback's id is free again once it is done.
            await guest.round_trip(FIRST_CALLBACK + number % 2)

    await asyncio.gather(*(run(guest) for guest in guests))


async def cost(daemon: RunningDaemon, guests: list[WaylandGuest]) -> float:
    """The daemon's CPU time of one round trip, ns."""
    before = processes.cpu_ns(processes.tree(daemon.process.pid))
    await trips(guests)
    used = processes.cpu_ns(processes.tree(daemon.process.pid)) - before
    return used / (len(guests) * TRIPS)


async def settle(daemon: RunningDaemon) -> int:
    """Return how often the daemon ran so far, once it has not run for a while."""
    quiet_s = 0.5
    deadline = time.monotonic() + PATIENCE
    before = -1
    while (now := processes.switches(processes.tree(daemon.process.pid))) != before:
        assert time.monotonic() < deadline, "the daemon does not come to rest"
        before = now
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), quiet_s)  # the stretch that has to be quiet
    return now


async def test_32_vms_with_8_clients_each_are_served_alike_and_leave_nothing(daemon: RunningDaemon) -> None:
    async with clients(daemon, 1, CLIENTS):
        pass  # loads what the first VM loads
    wait_until(lambda: counts(daemon) == [], seconds=PATIENCE, what="the first VM gone")
    before = daemon.footprint
    async with clients(daemon, VMS, CLIENTS) as guests:
        assert counts(daemon) == [CLIENTS] * VMS
        assert all("wl_shm" in guest.globals for guest in guests)
        # 256 idle clients: the daemon is not woken.
        await settle(daemon)
        each = processes.private_bytes(daemon.workers) // VMS
        print(f"{each >> 10} KiB of memory of its own for each VM with {CLIENTS} clients")
        assert each < MOST_MEMORY
    wait_until(lambda: counts(daemon) == [], seconds=PATIENCE, what="all VMs gone")
    after = daemon.footprint
    assert after.fds == before.fds
    assert after.anonymous <= before.anonymous + (16 << 20)


async def test_a_message_costs_as_much_among_32_vms_as_among_4(daemon: RunningDaemon) -> None:
    async with clients(daemon, FEW, CLIENTS) as guests:
        await trips(guests)
        few = await cost(daemon, guests)
    async with clients(daemon, VMS, CLIENTS) as guests:
        many = await cost(daemon, guests)
    print(f"{few / 1000:.0f} us of CPU per round trip among {FEW} VMs, {many / 1000:.0f} us among {VMS}")
    # Twice would be more than linear; machines are noisy.
    assert many <= 1.6 * few


async def test_200_clients_of_one_vm_are_served(daemon: RunningDaemon) -> None:
    async with FakeFrontend(connected(daemon.gpu_socket), ram_size=16 << 20, queue_size=1024) as vm:
        guests = [WaylandGuest(await GuestContext.open(vm, number)) for number in range(1, 201)]
        await asyncio.gather(*(guest.list_globals() for guest in guests))
        assert all("wl_shm" in guest.globals for guest in guests)
        assert counts(daemon) == [200]
