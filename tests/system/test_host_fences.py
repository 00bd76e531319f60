"""A compositor's fences in a guest: each is a fence of the guest's kernel, over when the compositor's is.

The compositor is the test, because no kernel that this runs on has fences of its own: it gives eventfds.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import closing

import pytest
import pytest_asyncio

from crossdomain.limits import FENCE_SECONDS
from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.fakes.endpoint import Endpoint
from tests.fakes.fence_taker import FIRST_RELEASE, OFFERED, ask_for_globals, ask_for_releases
from tests.fakes.played_compositor import PlayedCompositor, playing_compositor, receive
from tests.system.conftest import GUEST_TESTS, machine_config, until, within
from tests.unit.context.world import event

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

GIVEN_UP = f"a fence of the compositor's is not over after {FENCE_SECONDS} s"


@pytest.fixture(scope="module")
def stage() -> Generator[PlayedCompositor]:
    """A daemon whose compositor is the test."""
    with playing_compositor(settings='[default]\nsecurity_context = "off"\n') as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guest(vm_image: Image, stage: PlayedCompositor) -> AsyncGenerator[Machine]:
    """A machine on that daemon."""
    async with Machine(machine_config(vm_image, stage.daemon)) as running:
        yield running


class Taker:
    """The program in the guest, and the compositor's end of its connection."""

    def __init__(self, process: GuestProcess, host: Endpoint) -> None:
        self.process = process
        self.host = host

    async def told(self) -> list[str]:
        """What it says next."""
        line = await within(self.process.stdout.readline(), what="the guest's word")
        assert line, (await self.process.stderr.read()).decode()
        return line.decode().split()

    async def wait(self, number: int) -> list[str]:
        """What it knows of all fences when one of them is over."""
        await self.process.write(f"{number}\n".encode())
        return await self.told()


async def start_taker(guest: Machine, stage: PlayedCompositor, fences: list[int]) -> Taker:
    """A guest that gets these fences."""
    count = len(fences)
    process = await guest.spawn(["python3", "-m", "tests.fakes.fence_taker", str(count)], env=GUEST_TESTS)
    taker = Taker(process, await asyncio.to_thread(stage.accept))
    asked = ask_for_globals()
    assert await asyncio.to_thread(receive, taker.host, len(asked)) == asked
    taker.host.send_raw(b"".join(event("wl_registry", "global", 2, *offered) for offered in OFFERED))
    assert await taker.told() == ["asked"]
    asked = ask_for_releases(count)
    assert await asyncio.to_thread(receive, taker.host, len(asked)) == asked
    for number, fd in enumerate(fences, start=FIRST_RELEASE):
        given = event("zwp_linux_buffer_release_v1", "fenced_release", number, None)
        taker.host.send_raw(given, [fd])
    return taker


@pytest.fixture
def fences() -> Generator[list[int]]:
    """The compositor's: the third is over from the start, and nobody ends the fourth."""
    made = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(4)]
    os.eventfd_write(made[2], 1)
    yield made
    for fd in made:
        os.close(fd)


async def test_a_guests_fence_is_over_when_the_compositors_is(
    guest: Machine, stage: PlayedCompositor, fences: list[int]
) -> None:
    pending, over = "PENDING", "SIGNALLED"
    taker = await start_taker(guest, stage, fences)
    with closing(taker.host):
        await taker.told()
        assert await taker.wait(2) == [pending, pending, over, pending, pending]
        os.eventfd_write(fences[1], 1)
        assert await taker.wait(1) == [pending, over, over, pending, pending]
        os.eventfd_write(fences[0], 1)
        assert (await taker.wait(4))[:3] == [over, over, over]
        assert GIVEN_UP not in stage.daemon.log
        assert await taker.wait(3) == [over] * 5
        taker.process.close_input()
        done = await within(taker.process.communicate(), what="its end")
        assert (done.status, done.errors.decode()) == (0, "")
    assert stage.daemon.log.count(GIVEN_UP) == 1


async def test_a_guest_that_ends_with_fences_pending_costs_nobody_anything(
    guest: Machine, stage: PlayedCompositor, fences: list[int]
) -> None:
    taker = await start_taker(guest, stage, fences)
    with closing(taker.host):
        assert "PENDING" in await taker.told()
        taker.process.kill()
        await within(taker.process.wait(), what="its end")
        await until(lambda: not stage.daemon.status()["vms"][0]["clients"], what="its end on the host")
    again = await start_taker(guest, stage, fences[2:3])
    with closing(again.host):
        await again.told()
        assert await again.wait(1) == ["SIGNALLED", "SIGNALLED"]
        again.process.close_input()
        assert await within(again.process.wait(), what="its end") == 0
