"""Channel rings of two slots, and guests that look into them: who is interrupted, which POLL a SEND takes."""

import struct
from typing import Final

from crossdomain.abi import cross_domain as protocol
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_ram import PAGE
from tests.unit.context.world import CompositorEnd, delete_id
from tests.unit.device.machine import Machine, both_ways, run, settle
from tests.unit.host.test_passage import ANSWER, STEADY

MAX_QUIET: Final = 16
"""Answers without an interrupt, and the one after the last of them with one: XD_MAX_QUIET."""


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
