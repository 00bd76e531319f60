"""What C carries without Python arrives as what Python carries: the same bytes in the same order."""

import asyncio
import os
import sys
from dataclasses import replace
from random import Random
from types import FrameType
from typing import Final, NamedTuple

import pytest

from crossdomain.abi import local
from crossdomain.abi.cross_domain import encode_get_image_requirements, encode_send
from crossdomain.abi.local import ToDaemon
from crossdomain.context.quotas import ClientQuotas, Quotas
from crossdomain.context.selector import PortSelector
from tests.fuzz.contexts import GLOBALS
from tests.unit.context.world import delete_id, event, request, sync
from tests.unit.host.passing import House, run

SURFACE: Final = 4
BUFFER: Final = 5
OPENING: Final = request("wl_display", "get_registry", 1, 2)
BINDS: Final = (
    request("wl_registry", "bind", 2, 1, "wl_compositor", 1, 3)
    + request("wl_compositor", "create_surface", 3, SURFACE)
    + sync(BUFFER)
)
"""An object is as good as a buffer for what follows."""
STEADY: Final = b"".join(
    (
        request("wl_surface", "attach", SURFACE, 0, 0, 0),
        request("wl_surface", "damage", SURFACE, 0, 0, 64, 64),
        request("wl_surface", "frame", SURFACE, 6),
        request("wl_surface", "commit", SURFACE),
    )
)
ANSWER: Final = event("wl_callback", "done", 6, 16) + delete_id(6)


class Heard(NamedTuple):
    """What arrived at both ends."""

    requests: bytes
    events: bytes
    identifiers: int
    errors: list[bytes]
    hung_up: bool
    counted: tuple[int, ...]


async def open_surface(house: House) -> None:
    """A client with a surface, whose opening has arrived."""
    await house.settle()
    house.send(OPENING)
    await house.settle()
    house.tell(GLOBALS)
    await house.settle()
    house.send(BINDS)
    await house.settle()


class Parties:
    """A client and a compositor: they say much that passes, some that is looked at, and rarely nonsense."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._next_id = 7
        self._surfaces = [SURFACE]

    def request(self) -> bytes:
        """What the client says next."""
        random = self._random
        match random.randrange(12):
            case 0:
                self._surfaces.append(self._take_id())
                return request("wl_compositor", "create_surface", 3, self._surfaces[-1])
            case 1:
                return sync(self._take_id())
            case 2 if len(self._surfaces) > 1:
                return request("wl_surface", "destroy", self._surfaces.pop())
            case 3:
                return request("wl_registry", "bind", 2, 5, "xdg_wm_base", 1, self._take_id())
            case 4 if random.randrange(20) == 0:
                return random.randbytes(8)
            case _:
                return STEADY if random.randrange(2) else request("wl_surface", "commit", SURFACE)

    def event(self) -> bytes:
        """What the compositor says next."""
        random = self._random
        match random.randrange(6):
            case 0:
                return event("wl_registry", "global", 2, 30 + random.randrange(3), "wp_viewporter", 1)
            case 1:
                return event("wl_registry", "global_remove", 2, 30 + random.randrange(3))
            case 2:
                return delete_id(random.randrange(SURFACE, self._next_id + 2))
            case 3 if random.randrange(20) == 0:
                return event("wl_display", "error", 1, 1, 0, "no")
            case _:
                return event("wl_callback", "done", random.randrange(SURFACE, self._next_id + 1), 7)

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


async def converse(house: House, random: Random) -> Heard:
    """A random conversation in pieces that end anywhere, with a descriptor that nobody asked for."""
    await open_surface(house)
    house.send(STEADY)
    parties = Parties(random)
    requests = events = b""
    for _ in range(60):
        if random.randrange(2):
            requests += b"".join(parties.request() for _ in range(random.randrange(4)))
            cut = len(requests) if random.randrange(3) else random.randrange(len(requests) + 1)
            house.submit(encode_send(requests[:cut]) * (1 if cut else 2))
            requests = requests[cut:]
        else:
            events += b"".join(parties.event() for _ in range(random.randrange(4)))
            cut = len(events) if random.randrange(3) else random.randrange(len(events) + 1)
            fd = os.memfd_create("surprise")
            house.tell(events[:cut], [fd] if cut and random.randrange(60) == 0 else [])
            os.close(fd)
            events = events[cut:]
        await house.settle()
    counters = house.context.counters
    return Heard(
        bytes(house.requests),
        bytes(house.events),
        house.identifiers,
        house.errors,
        house.hung_up,
        (counters.sends, counters.bytes_to_host, counters.events, counters.bytes_to_guest),
    )


@pytest.mark.parametrize("seed", range(60))
def test_a_conversation_is_heard_the_same_with_and_without_python(seed: int) -> None:
    with_ports = run(lambda house: converse(house, Random(seed)))
    without = run(lambda house: converse(house, Random(seed)), ports=False)
    assert with_ports == without
    assert with_ports.requests.startswith(OPENING + BINDS)


def called(selector: PortSelector) -> set[str]:
    """The modules of ours whose Python runs while everything that is ready is served once."""
    modules: set[str] = set()

    def note(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            modules.add(frame.f_code.co_filename.rpartition("crossdomain/")[2])

    sys.setprofile(note)
    try:
        assert selector.select(0) == []
    finally:
        sys.setprofile(None)
    return modules - {"context/selector.py"}


def test_a_steady_frame_and_its_answer_run_no_python() -> None:
    async def story(house: House, selector: PortSelector) -> None:
        await open_surface(house)
        before = len(house.requests), len(house.events)
        for _ in range(3):
            house.send(STEADY)
            assert called(selector) == set()
            house.take_requests()
            house.tell(ANSWER)
            assert called(selector) == set()
            house.take_events()
        assert house.requests[before[0] :] == STEADY * 3
        assert house.events[before[1] :] == ANSWER * 3

    selector = PortSelector()

    async def play() -> None:
        house = House(selector)
        try:
            await story(house, selector)
        finally:
            house.close()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(play())


def test_requests_wait_in_order_for_a_compositor_that_does_not_read() -> None:
    async def story(house: House) -> bytes:
        await open_surface(house)
        expected = bytes(house.requests)
        for number in range(400):
            batch = STEADY * 40 + sync(7 + number)
            house.send(batch)
            expected += batch
            for _ in range(3):
                await asyncio.sleep(0)
            # There is room again just before the next comes.
            house.take_requests(most=3000 if number % 5 == 0 else 0)
        for _ in range(400):
            await house.settle()
        assert len(house.requests) == len(expected)
        assert house.requests == expected
        house.send(STEADY)
        await house.settle()
        assert house.requests == expected + STEADY
        return expected

    assert run(story) == run(story, ports=False)


def test_events_wait_in_order_for_a_launcher_that_does_not_read() -> None:
    async def story(house: House) -> bytes:
        await open_surface(house)
        expected = bytes(house.events)
        for number in range(3000):
            said = event("wl_callback", "done", BUFFER, number) * 30
            house.tell(said)
            expected += said
            for _ in range(3):
                await asyncio.sleep(0)
            # There is room again just before the next comes.
            house.take_events(most=0 if house.connection.room() else 1)
        for _ in range(60):
            await house.settle()
        assert house.events == expected
        house.tell(ANSWER)
        await house.settle()
        assert house.events == expected + ANSWER
        return expected

    assert run(story) == run(story, ports=False)


def test_of_what_passes_one_in_sixteen_is_timed_each_way() -> None:
    async def story(house: House) -> None:
        await open_surface(house)
        before = house.context.counters
        samples = before.to_host.samples, before.to_guest.samples
        for _ in range(32):
            house.send(STEADY)
            await house.settle()
            house.tell(ANSWER)
            await house.settle()
        counters = house.context.counters
        assert (counters.to_host.samples - samples[0], counters.to_guest.samples - samples[1]) == (2, 2)
        # Counted once, and plausible.
        assert house.context.counters.to_host.samples == samples[0] + 2
        assert 0 < counters.to_host.percentile(99) < 60_000_000

    run(story)


def test_a_packet_with_too_many_descriptors_costs_none() -> None:
    async def story(house: House) -> list[bytes]:
        await open_surface(house)
        fds = [os.memfd_create("extra") for _ in range(5)]
        packet = local.encode_packet(ToDaemon.SUBMIT, encode_send(STEADY))
        house.say(packet, fds)
        house.say(packet, fds[:1])
        await house.settle()
        for fd in fds:
            os.close(fd)
        return house.errors

    assert run(story) == run(story, ports=False)


def test_a_question_between_two_sends_is_answered_and_keeps_its_place() -> None:
    async def story(house: House) -> bytes:
        await open_surface(house)
        house.send(STEADY)
        house.submit(encode_get_image_requirements(64, 1, int.from_bytes(b"R8  ", "little")))
        house.submit(encode_send(STEADY) + encode_send(sync(7)))
        house.send(STEADY)
        await house.settle()
        assert not house.errors
        return bytes(house.requests)

    assert run(story) == OPENING + BINDS + STEADY * 2 + sync(7) + STEADY


def test_the_compositors_end_is_told_after_what_it_said() -> None:
    async def story(house: House) -> bytes:
        await open_surface(house)
        before = len(house.events)
        house.tell(ANSWER)
        house.host.close()
        house.compositor = None
        await house.settle()
        assert house.hung_up
        return bytes(house.events[before:])

    assert run(story) == ANSWER


def test_what_a_launcher_said_last_arrives_though_it_has_ended() -> None:
    async def story(house: House) -> bytes:
        await open_surface(house)
        house.tell(ANSWER)
        await asyncio.sleep(0)
        house.send(STEADY)
        house.launcher.shutdown(2)
        for _ in range(12):
            await asyncio.sleep(0)
        house.take_requests()
        return bytes(house.requests)

    assert run(story) == OPENING + BINDS + STEADY


def test_a_client_that_sends_for_ever_leaves_others_their_turn() -> None:
    selector = PortSelector()

    async def play() -> None:
        busy, other = House(selector), House(selector)
        try:
            await open_surface(busy)
            await open_surface(other)
            for _ in range(100):
                busy.send(STEADY)
            other.send(STEADY)
            selector.select(0)
            other.take_requests()
            busy.take_requests()
            assert other.requests.endswith(STEADY)
            assert 0 < len(busy.requests) - len(OPENING + BINDS) < 100 * len(STEADY)
            await busy.settle()
            assert busy.requests == OPENING + BINDS + STEADY * 100
        finally:
            busy.close()
            other.close()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(play())


def test_a_client_that_needs_python_for_ever_leaves_others_their_turn() -> None:
    selector = PortSelector()

    async def play() -> None:
        busy, other = House(selector), House(selector)
        try:
            await open_surface(busy)
            await open_surface(other)
            for number in range(30):
                busy.send(request("wl_registry", "bind", 2, 1, "wl_compositor", 1, 6 + number))
            other.send(STEADY)
            for _ in range(3):
                selector.select(0)
            other.take_requests()
            busy.take_requests()
            assert other.requests.endswith(STEADY)
            assert len(busy.requests) < len(OPENING + BINDS) + 5 * 44
        finally:
            busy.close()
            other.close()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(play())


def test_who_is_too_fast_for_his_quota_waits_though_no_python_runs() -> None:
    stream = [sync(2 + number) for number in range(70)]

    async def story(house: House) -> tuple[bool, bytes]:
        await house.settle()
        for message in stream:
            house.send(message)
        await house.settle()
        held, at_once = house.context.is_held, bytes(house.requests)
        while len(house.requests) < 12 * len(stream):
            await house.settle()
        assert house.requests == b"".join(stream)
        assert house.context.counters.requests == len(stream)
        return held, at_once

    quotas = Quotas(client=replace(ClientQuotas(), messages_per_second=10))
    held, at_once = run(story, quotas=quotas)
    assert held
    assert len(at_once) < 60 * 12


def test_what_a_client_has_said_counts_for_its_vm_when_it_has_left() -> None:
    async def story(house: House) -> None:
        await open_surface(house)
        for _ in range(5):
            house.send(STEADY)
            await house.settle()
        unsettled = house.context.unsettled
        assert unsettled
        together = house.allowance.pace.spent + unsettled
        house.connection.close()
        assert house.allowance.pace.spent == together

    run(story)
