"""What C takes out of a VM's control queue and puts into its rings is what Python would: bytes and order."""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from random import Random
from selectors import SelectorKey
from types import FrameType
from typing import Final, NamedTuple, TypeVar

import pytest

from crossdomain.abi import cross_domain as protocol
from crossdomain.context.context import Context
from crossdomain.context.pace import Allowance, Pace
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans
from crossdomain.context.ports import MemoryDevice, Resources
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from crossdomain.context.selector import PortSelector
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_driver import Descriptor, GuestQueue
from tests.fakes.guest_ram import PAGE
from tests.fakes.vhost_socket import PATIENCE
from tests.fuzz.contexts import GLOBALS
from tests.hostile.test_device_rings import MISTAKES
from tests.unit.context.world import CompositorEnd, delete_id, request, sync
from tests.unit.host.passing import surroundings_of
from tests.unit.host.test_passage import ANSWER, BINDS, OPENING, STEADY, Parties

_WINDOW: Final = 1 << 20
MAX_QUIET: Final = 16
"""Answers without an interrupt, and the one after the last of them with one: XD_MAX_QUIET."""
both_ways: Final = pytest.mark.parametrize("ports", [True, False], ids=["in C", "in Python"])
_Result = TypeVar("_Result")


class Machine:
    """A VM with one client, before a compositor that the test plays."""

    def __init__(self, ports: PortSelector | None, allowance: Allowance) -> None:
        ours, theirs = socket.socketpair()
        self.frontend = FakeFrontend(ours, ram_size=4 << 20, queue_size=64)
        self.contexts: list[Context] = []
        self.compositors: list[CompositorEnd] = []
        self._ports = ports
        self.memory: MemoryDevice | None = None
        """The VM's memory device, of contexts from now on."""
        self.allowance = allowance
        self._orphans = Orphans()
        offer = Offer(self._new_context, bytes(32), _WINDOW, "vm")
        session = GpuSession(theirs, offer, ports=ports, allowance=allowance)
        self._serving = asyncio.get_running_loop().create_task(session.serve())

    async def open(self, ctx_id: int = 1, *, ring_pages: int = 1) -> tuple[GuestContext, CompositorEnd]:
        """A client with a surface, and its compositor's end."""
        context = await GuestContext.open(self.frontend, ctx_id, ring_pages=ring_pages)
        compositor = self.compositors[-1]
        await context.send(OPENING)
        await compositor.receive(len(OPENING))
        compositor.send(GLOBALS)
        heard = b""
        while len(heard) < len(GLOBALS):
            event = await context.next_event()
            heard += bytes(event.data)
        await context.send(BINDS)
        await compositor.receive(len(BINDS))
        return context, compositor

    async def close(self) -> None:
        """Hangs up, and waits until the device has let go of everything."""
        await self.frontend.close()
        await asyncio.wait_for(self._serving, PATIENCE)
        self._orphans.close()
        for compositor in self.compositors:
            compositor.close()

    def _new_context(self, ctx_id: int, _name: bytes, resources: Resources) -> Context:
        surroundings = surroundings_of(self._connect, self._orphans, self.allowance, self._ports)
        surroundings = surroundings._replace(memory=self.memory)
        peer = Peer.of_gpu_client("vm test", ctx_id, "client")
        self.contexts.append(Context(peer, resources, surroundings))
        return self.contexts[-1]

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.compositors.append(CompositorEnd(theirs))
        return ours


def run(
    story: Callable[[Machine], Awaitable[_Result]],
    *,
    ports: bool = True,
    quotas: Quotas | None = None,
    selector: PortSelector | None = None,
) -> _Result:
    """Plays a story in a VM of its own."""
    selector = PortSelector() if selector is None else selector

    async def play() -> _Result:
        machine = Machine(selector if ports else None, Allowance(Quotas() if quotas is None else quotas))
        await asyncio.wait_for(machine.frontend.boot(), PATIENCE)
        try:
            return await story(machine)
        finally:
            await machine.close()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(play())


class Heard(NamedTuple):
    """What arrived at both ends, how each SEND was answered, and what was counted."""

    requests: bytes
    events: bytes
    answers: list[int]
    counted: tuple[int, ...]


async def settle() -> None:
    """Lets everything arrive."""
    for _ in range(40):
        await asyncio.sleep(0)


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


@pytest.mark.parametrize("ports", [True, False])
def test_a_poll_and_a_send_go_in_one_command(ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        compositor.send(ANSWER)
        for _ in range(5):
            assert bytes((await context.next_event(polls=False)).data) == ANSWER
            context.poll(protocol.encode_send(STEADY))
            assert await compositor.receive(len(STEADY)) == STEADY
            compositor.send(ANSWER)

    run(story, ports=ports)


async def open_shared(machine: Machine, ctx_id: int = 1) -> tuple[GuestContext, CompositorEnd]:
    """A client whose ring has two slots, and its compositor's end."""
    context, compositor = await machine.open(ctx_id, ring_pages=2)
    await context.share_ring()
    return context, compositor


def test_a_guest_that_looks_into_its_ring_is_not_interrupted() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await open_shared(machine)
        context.poll()
        context.look(looks=True)
        compositor.send(ANSWER)
        event, answered = await context.see()
        assert bytes(event.data) == ANSWER
        await settle()
        assert not answered.done()
        # Any other answer brings an interrupt, and all answers are seen then.
        assert (await context.send(b"")).ok
        assert answered.done()

    run(story)


def test_a_guest_that_looks_no_more_is_interrupted() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await open_shared(machine)
        context.poll()
        context.look(looks=True)
        context.look(looks=False)
        compositor.send(ANSWER)
        assert bytes((await context.next_event()).data) == ANSWER

    run(story)


def test_a_guest_whose_last_poll_is_answered_is_interrupted_though_it_looks() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await open_shared(machine)
        context.look(looks=True)
        compositor.send(ANSWER)
        assert bytes((await context.next_event()).data) == ANSWER

    run(story)


def test_a_guest_that_always_looks_is_interrupted_now_and_then() -> None:
    async def story(machine: Machine) -> int:
        context, compositor = await open_shared(machine)
        context.poll()
        quiet = 0
        for _ in range(4 * MAX_QUIET):
            context.look(looks=True)
            compositor.send(ANSWER)
            _event, answered = await context.see()
            await settle()
            quiet += not answered.done()
            context.poll()
        return quiet

    assert run(story) == 4 * (MAX_QUIET - 1)


@pytest.mark.parametrize("ports", [True, False])
def test_the_poll_that_a_refused_send_went_with_is_answered_with_what_becomes_of_it(ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await machine.open()
        compositor.send(ANSWER)
        await context.next_event(polls=False)
        context.poll(protocol.encode_send(struct.pack("<III", 99, 12 << 16, 0)))
        wl_display = struct.pack("<I", 1)
        assert bytes((await context.next_event()).data)[:4] == wl_display  # its error
        assert bytes((await context.next_event(polls=False)).data) == b""

    run(story, ports=ports)


@both_ways
def test_events_take_turns_in_the_slots_of_a_ring_and_each_poll_goes_with_a_send(*, ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await open_shared(machine)
        for number in range(5):
            context.poll(protocol.encode_send(STEADY))
            assert await compositor.receive(len(STEADY)) == STEADY
            compositor.send(ANSWER + delete_id(number))
            event = await context.next_event(polls=False)
            assert bytes(event.data) == ANSWER + delete_id(number)
        # Two in a row find room before any of them is taken, and no third.
        context.poll()
        for number in (1001, 1002, 1003):
            compositor.send(delete_id(number))
            await settle()
        for number in (1001, 1002, 1003):
            event = await context.next_event()
            assert bytes(event.data) == delete_id(number)

    run(story, ports=ports)


@both_ways
def test_events_of_a_ring_with_slots_have_a_slots_room(*, ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await open_shared(machine)
        context.poll()
        said = b"".join(delete_id(number) for number in range(1000, 3000))
        compositor.send(said)
        heard = b""
        while len(heard) < len(said):
            data = bytes((await context.next_event()).data)
            assert len(data) <= PAGE - protocol.SEND_RECEIVE_SIZE
            heard += data
        assert heard == said

    run(story, ports=ports)


@both_ways
def test_a_refused_send_leaves_both_polls_of_a_ring_with_slots(*, ports: bool) -> None:
    async def story(machine: Machine) -> None:
        context, _compositor = await open_shared(machine)
        context.poll(protocol.encode_send(struct.pack("<III", 99, 12 << 16, 0)))
        assert b"invalid object 99" in bytes((await context.next_event(polls=False)).data)
        assert bytes((await context.next_event(polls=False)).data) == b""

    run(story, ports=ports)


def test_a_guest_looks_into_the_slot_that_is_next() -> None:
    async def story(machine: Machine) -> None:
        context, compositor = await open_shared(machine)
        context.poll()
        for number in range(4):
            context.look(looks=True)
            compositor.send(delete_id(number))
            event, answered = await context.see()
            assert bytes(event.data) == delete_id(number)
            await settle()
            assert not answered.done()
            context.poll(protocol.encode_send(STEADY))
            # Nobody looks into the other one.
            compositor.send(ANSWER)
            assert bytes((await context.next_event()).data) == ANSWER

    run(story)


def test_second_polls_leave_half_of_the_queue_to_others() -> None:
    async def story(machine: Machine) -> None:
        opened = [await open_shared(machine, ctx_id) for ctx_id in range(1, 24)]
        queue = machine.frontend.driver.control
        for context, compositor in opened:
            context.poll(protocol.encode_send(STEADY))
            await compositor.receive(len(STEADY))
        assert queue.under_way <= queue.size // 2 + 1
        context, compositor = opened[-1]
        await context.poll_given_back()
        compositor.send(ANSWER)
        assert bytes((await context.next_event()).data) == ANSWER

    run(story)


def test_a_ring_is_shared_after_init_alone() -> None:
    async def story(machine: Machine) -> None:
        driver = machine.frontend.driver
        assert (await driver.ctx_create(1)).ok
        assert not (await driver.submit_3d(1, protocol.encode_share_ring())).ok

    run(story)


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
    stream = [sync(6 + number) for number in range(120)]

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
    assert 50 < run(story, quotas=Quotas(client=replace(ClientQuotas(), messages_per_second=20))) < 120


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


def create_surface(new_id: int) -> bytes:
    return request("wl_compositor", "create_surface", 3, new_id)


async def hear_out(context: GuestContext) -> bytes:
    """All events until the host hangs up."""
    heard = b""
    while data := bytes((await context.next_event()).data):
        heard += data
    return heard


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
