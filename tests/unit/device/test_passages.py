"""What C takes out of a VM's control queue and puts into its rings is what Python would: bytes and order."""

import asyncio
import os
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from random import Random
from selectors import SelectorKey
from types import FrameType
from typing import NamedTuple

import pytest

from crossdomain.abi import cross_domain as protocol
from crossdomain.context.pace import Pace
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from crossdomain.context.selector import PortSelector
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_driver import Descriptor, GuestQueue
from tests.fakes.guest_ram import PAGE
from tests.fakes.patience import PATIENCE
from tests.hostile.test_device_rings import MISTAKES
from tests.unit.context.world import CompositorEnd, delete_id, sync
from tests.unit.device.machine import Machine, both_ways, create_surface, hear_out, run, settle
from tests.unit.host.test_passage import ANSWER, STEADY, Parties


class Heard(NamedTuple):
    """What arrived at both ends, how each SEND was answered, and what was counted."""

    requests: bytes
    events: bytes
    answers: list[int]
    counted: tuple[int, ...]


async def converse(machine: Machine, random: Random) -> Heard:
    """A random conversation in pieces that end anywhere; each third POLL waits for a SEND to go with."""
    context, compositor = await machine.open(ring_pages=random.choice((1, 3)))
    parties = Parties(random)
    await context.send(STEADY)
    answers: list[int] = []
    events = bytearray()
    polled = asyncio.Event()

    async def listen() -> None:
        for heard in count():
            events.extend((await context.next_event(polls=False)).data)
            if heard % 3:
                context.poll()
            else:
                polled.clear()
                await polled.wait()

    polled.set()
    listening = asyncio.ensure_future(listen())
    requests = said = b""
    for _ in range(40):
        if random.randrange(2):
            requests += b"".join(parties.request() for _ in range(random.randrange(4)))
            cut = len(requests) if random.randrange(3) else random.randrange(len(requests) + 1)
            ring = random.choice((None, None, protocol.QUERY_RING))
            command = protocol.encode_send(requests[:cut])
            if polled.is_set():
                answers.append((await context.submit(command, ring_idx=ring)).type)
            else:
                context.poll(command)
                polled.set()
            requests = requests[cut:]
        else:
            said += b"".join(parties.event() for _ in range(random.randrange(4)))
            cut = len(said) if random.randrange(3) else random.randrange(len(said) + 1)
            with suppress(BrokenPipeError):
                compositor.send(said[:cut])
            said = said[cut:]
        await settle()
    listening.cancel()
    counters = machine.contexts[0].counters
    with suppress(BlockingIOError, ConnectionResetError):
        compositor.received += compositor.connection.recv(1 << 20)
    return Heard(
        bytes(compositor.received),
        bytes(events),
        answers,
        (counters.sends, counters.bytes_to_host, counters.events, counters.bytes_to_guest),
    )


@pytest.mark.parametrize("seed", range(30))
def test_a_conversation_is_heard_the_same_with_and_without_python(seed: int) -> None:
    with_ports = run(lambda machine: converse(machine, Random(seed)))
    without = run(lambda machine: converse(machine, Random(seed)), ports=False)
    assert with_ports == without
    assert with_ports.requests.startswith(STEADY)


async def frame_with_a_poll_at_once(context: GuestContext, compositor: CompositorEnd) -> bytes:
    """A frame and its answer, which is returned."""
    await context.send(STEADY)
    assert await compositor.receive(len(STEADY)) == STEADY
    compositor.send(ANSWER)
    return bytes((await context.next_event()).data)


async def frame_with_a_poll_that_goes_along(context: GuestContext, compositor: CompositorEnd) -> bytes:
    """The same, where the answer to the frame before came with it."""
    compositor.send(ANSWER)
    event = await context.next_event(polls=False)
    context.poll(protocol.encode_send(STEADY))
    assert await compositor.receive(len(STEADY)) == STEADY
    return bytes(event.data)


@pytest.mark.parametrize("show", [frame_with_a_poll_at_once, frame_with_a_poll_that_goes_along])
def test_a_steady_frame_and_its_answer_run_no_python_of_the_hosts(
    show: Callable[[GuestContext, CompositorEnd], Awaitable[bytes]],
) -> None:
    modules: set[str] = set()

    def note(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            modules.add(frame.f_code.co_filename.rpartition("crossdomain/")[2])

    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        assert await frame_with_a_poll_at_once(context, compositor) == ANSWER
        for _ in range(3):
            sys.setprofile(note)
            try:
                answer = await show(context, compositor)
                # The POLL that followed has arrived when another command has.
                assert (await context.send(b"")).ok
            finally:
                sys.setprofile(None)
            assert answer == ANSWER

    run(story)
    ours = {name for name in modules if name.startswith(("device/", "context/"))}
    assert ours == {"context/selector.py"}


@both_ways
def test_a_poll_and_a_send_go_in_one_command(*, ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        compositor.send(ANSWER)
        for _ in range(5):
            assert bytes((await context.next_event(polls=False)).data) == ANSWER
            context.poll(protocol.encode_send(STEADY))
            assert await compositor.receive(len(STEADY)) == STEADY
            compositor.send(ANSWER)

    run(story, ports=ports)


@both_ways
def test_the_poll_that_a_refused_send_went_with_is_answered_with_what_becomes_of_it(*, ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        compositor.send(ANSWER)
        await context.next_event(polls=False)
        context.poll(protocol.encode_send(struct.pack("<III", 99, 12 << 16, 0)))
        wl_display = struct.pack("<I", 1)
        assert bytes((await context.next_event()).data)[:4] == wl_display  # its error
        assert bytes((await context.next_event(polls=False)).data) == b""

    run(story, ports=ports)


def test_more_events_than_a_ring_has_room_for_arrive_in_order() -> None:
    async def story(machine: Machine) -> bytes:
        context, compositor = await machine.open()
        said = b"".join(delete_id(number) for number in range(1000, 3000))
        compositor.send(said)
        heard = b""
        while len(heard) < len(said):
            heard += bytes((await context.next_event()).data)
        compositor.send(ANSWER)
        assert bytes((await context.next_event()).data) == ANSWER
        assert heard == said
        return heard

    assert run(story) == run(story, ports=False)


def test_events_that_a_ring_has_no_room_for_are_timed_until_the_last_is_there() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        host = machine.contexts[-1]
        assert host.passage is not None
        host.passage.pointer.times_to_guest.walks = 0  # so that this one is timed
        before = host.counters.to_guest.samples
        said = b"".join(delete_id(number) for number in range(1000, 3000))
        compositor.send(said)
        heard = bytes((await context.next_event()).data)
        assert host.counters.to_guest.samples == before
        while len(heard) < len(said):
            heard += bytes((await context.next_event()).data)
        assert host.counters.to_guest.samples == before + 1

    run(story)


def test_requests_wait_in_order_for_a_compositor_that_does_not_read() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        sent = STEADY * 50
        for _ in range(200):
            assert (await context.send(sent)).ok
        assert await compositor.receive(200 * len(sent)) == sent * 200
        assert (await context.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY

    run(story)


def test_a_pause_keeps_a_poll_that_is_held() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        assert (await context.send(STEADY)).ok
        await machine.frontend.stop_rings()
        compositor.send(ANSWER)
        await settle()
        await machine.frontend.start_driver()
        assert bytes((await context.next_event()).data) == ANSWER
        assert (await context.send(STEADY)).ok
        assert await compositor.receive(2 * len(STEADY)) == STEADY * 2
        compositor.send(ANSWER)
        assert bytes((await context.next_event()).data) == ANSWER

    run(story)


def test_a_context_that_ends_completes_its_poll_and_takes_its_ring_away() -> None:
    async def story(machine: Machine) -> None:
        context, _compositor = await machine.open()
        other, compositor = await machine.open(2)
        await context.close()
        assert (await other.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY
        assert not (await machine.frontend.driver.submit_3d(1, protocol.encode_send(STEADY))).ok

    run(story)


def test_memory_that_comes_and_goes_is_known_before_the_next_command() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        fd = os.memfd_create("hotplug")
        os.ftruncate(fd, 1 << 16)
        for _ in range(3):
            await machine.frontend.plug(1 << 34, 1 << 16, fd)
            assert (await context.send(STEADY)).ok
            assert await compositor.receive(len(STEADY)) == STEADY
            await machine.frontend.unplug(1 << 34, 1 << 16)
            compositor.send(ANSWER)
            assert bytes((await context.next_event()).data) == ANSWER
        os.close(fd)

    run(story)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_ring_stops_the_device_until_it_is_reset(mistake: Callable[[GuestQueue], None]) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        assert (await context.send(STEADY)).ok
        await compositor.receive(len(STEADY))
        mistake(machine.frontend.driver.control)
        await compositor.wait_until_gone()
        await machine.frontend.reset()
        again, compositor = await machine.open(2)
        assert (await again.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY

    run(story)


@pytest.mark.parametrize("seed", range(20))
def test_random_chains_cost_nobody_but_their_guest(seed: int) -> None:
    async def story(machine: Machine) -> None:
        random = Random(seed)
        context, _compositor = await machine.open()
        await context.send(STEADY)
        ram, queue = machine.frontend.ram, machine.frontend.driver.control
        command = struct.pack("<IIQIIII", 0x0207, random.choice((0, 3)), 1, 1, 1, 416, 0)
        request = command + protocol.encode_send(STEADY)
        at = ram.allocate(len(request))
        ram.write(at, request)
        places = (at, at + 1, PAGE, 0, (4 << 20) - 8, (1 << 64) - 8, 1 << 60)
        for _ in range(30):
            for index in range(8):
                length = random.choice((len(request), 24, 0, 1, 16, 64, (1 << 32) - 1))
                flags = random.choice((0, 1, 1, 2, 3, 4, 5, 7, 0xFFFF))
                following = random.choice((index + 1, index + 1, 0, 63, 64, 0xFFFF))
                queue.write_descriptor(index, Descriptor(random.choice(places), length, flags, following))
            queue.expose(random.randrange(8))
            await settle()
        await machine.frontend.reset()
        again, compositor = await machine.open(2)
        assert (await again.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY

    run(story)


class Counting(PortSelector):
    """Counts how often the loop goes round."""

    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        self.turns += 1
        return super().select(timeout)


def test_a_client_that_is_too_fast_waits_though_no_python_runs() -> None:
    stream = [sync(6 + number) for number in range(160)]

    async def story(machine: Machine) -> int:
        context, compositor = await machine.open()
        for message in stream:
            assert (await context.send(message)).ok
        await settle()
        assert machine.contexts[0].is_held
        with suppress(BlockingIOError):
            compositor.received += compositor.connection.recv(1 << 20)
        at_once = len(compositor.received)
        assert await compositor.receive(12 * len(stream)) == b"".join(stream)
        assert machine.contexts[0].counters.held
        return at_once // 12

    # A hundred at once, the opening's among them, and some where this takes its time.
    assert 50 < run(story, quotas=Quotas(client=replace(ClientQuotas(), messages_per_second=20))) < 160


def test_a_vm_that_is_too_fast_rests_though_no_python_runs_and_goes_on() -> None:
    selector = Counting()

    async def story(machine: Machine) -> None:
        loop = asyncio.get_running_loop()
        context, compositor = await machine.open()
        other, further = await machine.open(2)
        start = loop.time()
        sent = [sync(6 + number) for number in range(120)]
        for message in sent:
            assert (await context.send(message)).ok
        turns = selector.turns
        assert (await other.send(STEADY)).ok
        assert loop.time() - start > 0.5
        assert selector.turns - turns < 100
        assert await further.receive(len(STEADY)) == STEADY
        assert await compositor.receive(12 * len(sent)) == b"".join(sent)
        compositor.send(ANSWER)
        assert bytes((await context.next_event()).data) == ANSWER

    run(story, quotas=Quotas(vm=replace(VmQuotas(), messages_per_second=20)), selector=selector)


def test_a_vm_has_its_share_of_the_processor_though_no_python_runs(caplog: pytest.LogCaptureFixture) -> None:
    quotas = Quotas(vm=replace(VmQuotas(), cpu_percent=50))
    used = [0.0]

    async def story(machine: Machine) -> int:
        machine.allowance.pace = Pace(quotas.vm, clock=lambda: 0.0, cpu_clock=lambda: used[0])
        context, compositor = await machine.open()
        assert (await context.send(STEADY)).ok
        await compositor.receive(len(STEADY))
        await settle()
        used[0] = 0.6
        sent = 0
        while sent < 8192 and "(quota vm.cpu_percent)" not in caplog.text:
            assert (await context.send(b"")).ok
            sent += 1
        # It has had a tenth of a second too much, half of the time is its own.
        start = asyncio.get_running_loop().time()
        assert (await context.send(b"")).ok
        assert asyncio.get_running_loop().time() - start > 0.1
        return sent

    assert 1000 < run(story, quotas=quotas) < 8000


@both_ways
def test_events_are_part_of_a_vms_share_of_the_processor(
    caplog: pytest.LogCaptureFixture, *, ports: bool
) -> None:
    quotas = Quotas(vm=replace(VmQuotas(), cpu_percent=50))
    used, said = [0.0], delete_id(4000)

    async def story(machine: Machine) -> int:
        machine.allowance.pace = Pace(quotas.vm, clock=lambda: 0.0, cpu_clock=lambda: used[0])
        context, compositor = await machine.open()
        used[0] = 0.6
        heard = 0
        while "(quota vm.cpu_percent)" not in caplog.text:
            compositor.send(said)
            assert bytes((await context.next_event()).data) == said
            heard += 1
        start = asyncio.get_running_loop().time()
        compositor.send(said)
        assert bytes((await context.next_event()).data) == said
        assert asyncio.get_running_loop().time() - start > 0.1
        assert machine.contexts[0].counters.held
        return heard

    assert run(story, quotas=quotas, ports=ports) <= 65
    line = next(record.message for record in caplog.records if "(quota vm.cpu_percent)" in record.message)
    assert line.startswith("vm test, ctx 1, 'client': slowed down for 0.2 s: events")


@both_ways
def test_surfaces_of_all_clients_of_a_vm_have_a_number(
    caplog: pytest.LogCaptureFixture, *, ports: bool
) -> None:
    async def story(machine: Machine) -> None:
        (first, one), (second, other) = await machine.open(), await machine.open(2)
        before = machine.allowance.totals.surfaces
        machine.allowance.set(Quotas(vm=replace(VmQuotas(), surfaces=before + 2)))
        for new_id in (6, 7):
            assert (await first.send(create_surface(new_id))).ok
        assert not (await second.send(create_surface(6))).ok
        assert b"(quota vm.surfaces)" in await hear_out(second)
        await other.wait_until_gone()
        # What the one had, others may have.
        assert machine.allowance.totals.surfaces < before + 2
        assert (await first.send(create_surface(8))).ok
        assert await one.receive(3 * len(create_surface(6))) == create_surface(6) + create_surface(
            7
        ) + create_surface(8)

    run(story, ports=ports)
    line = next(record.message for record in caplog.records if "(quota vm.surfaces)" in record.message)
    assert line.startswith("vm test, ctx 2, 'client': ")


@both_ways
def test_a_ring_may_be_as_large_as_the_guest_likes(*, ports: bool) -> None:
    """Nobody writes more than an event of it, and no other client is concerned."""

    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        vm, ring, size = machine.frontend, machine.frontend.new_resource_id(), 1 << 32
        half = vm.ram.regions[0].size
        assert (await vm.driver.ctx_create(2)).ok
        assert (await vm.driver.create_guest_blob(ring, size, [(0, half)] * (size // half))).ok
        assert (await vm.driver.ctx_attach_resource(2, ring)).ok
        assert (await vm.driver.submit_3d(2, protocol.encode_init(ring, ring))).ok
        answered = vm.driver.post_submit_3d(2, protocol.encode_poll(), ring_idx=protocol.CHANNEL_RING)
        machine.compositors[1].send(delete_id(2))
        await asyncio.wait_for(answered, PATIENCE)
        event = protocol.parse_event(vm.ram.read(0, PAGE))
        assert bytes(event.data) == delete_id(2)
        assert await frame_with_a_poll_at_once(context, compositor) == ANSWER

    run(story, ports=ports)
