"""The channel over virtio-gpu, on a driver in the test's hands."""

import os
import select
from collections.abc import Generator

import pytest

from crossdomain.abi import clock, cross_domain, sync
from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import Command, Feature, Identifier, IdentifierType
from crossdomain.errors import HostFault, LocalError
from launcher.channel import virtgpu
from launcher.channel.virtgpu import VirtgpuChannel
from tests.unit.launcher.fake_drm import NODE, FakeDriver

FOREIGN = cross_domain.parse_capset(cross_domain.encode_capset(2, features=0)[:16])
OURS = cross_domain.parse_capset(
    cross_domain.encode_capset(
        2, features=Feature.MAX_SEND | Feature.PIPE_CREDIT | Feature.CLOCK, max_send=50_000
    )
)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeDriver]:
    made = FakeDriver()
    made.install(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def channel(driver: FakeDriver) -> Generator[VirtgpuChannel]:
    made = VirtgpuChannel(NODE, OURS, "foot[1]")
    driver.executions.clear()
    yield made
    made.close()


def test_a_channel_begins_as_every_host_expects_it(driver: FakeDriver) -> None:
    channel = VirtgpuChannel(NODE, FOREIGN, "foot[1]")
    assert driver.contexts == [(5, 2, 1 << 1, "foot[1]")]
    init, poll = driver.executions
    assert init.commands == cross_domain.encode_init(101, 102)
    assert (init.ring_idx, init.handle) == (None, 0)
    assert (poll.commands, poll.ring_idx) == (cross_domain.encode_poll(), 1)
    assert {len(blob) for blob in driver.blobs.values()} == {4096}
    assert channel.max_send == 3744
    assert not channel.has_pipe_credit
    assert not channel.has_clock
    channel.close()


def test_our_own_host_gets_a_larger_ring_and_is_asked_for_credit(driver: FakeDriver) -> None:
    channel = VirtgpuChannel(NODE, OURS, "foot[1]")
    (_init, poll) = driver.executions
    assert poll.commands == cross_domain.encode_write(0, b"") + cross_domain.encode_poll()
    assert len(driver.ring(2)) > 4096
    assert channel.max_send == 50_000
    assert channel.has_pipe_credit
    assert channel.has_clock
    channel.close()


def test_a_send_is_one_execution_without_a_fence(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    identifiers = (Identifier(7, IdentifierType.VIRTGPU_BLOB, 4096),)
    assert channel.send(b"hello", identifiers)
    (execution,) = driver.executions
    assert execution.commands == cross_domain.encode_send(b"hello", identifiers)
    assert execution.ring_idx is None


def test_an_event_is_copied_before_the_next_poll(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    driver.event(cross_domain.encode_receive(b"first", (Identifier(2, 1, 10),)))
    (first,) = channel.receive()
    assert driver.polls == 1
    driver.event(cross_domain.encode_receive(b"other"))
    (second,) = channel.receive()
    driver.event(cross_domain.encode_read(9, b"third", hang_up=True))
    (third,) = channel.receive()
    assert [bytes(event.data) for event in (first, second, third)] == [b"first", b"other", b"third"]


@pytest.fixture
def shared(driver: FakeDriver) -> Generator[VirtgpuChannel]:
    """One whose ring has slots."""
    assert not driver.executions
    made = VirtgpuChannel(NODE, OURS._replace(features=OURS.features | Feature.SHARED_RING), "foot[1]")
    yield made
    made.close()


def test_a_ring_is_shared_before_the_first_poll(driver: FakeDriver, shared: VirtgpuChannel) -> None:
    assert shared.way.ring is not None
    (_init, poll) = driver.executions
    assert poll.commands.endswith(cross_domain.encode_share_ring() + cross_domain.encode_poll())
    assert driver.polls == 1


def test_a_poll_goes_with_the_next_send_as_long_as_there_is_another(
    driver: FakeDriver, shared: VirtgpuChannel
) -> None:
    driver.executions.clear()
    shared.send(b"one")
    shared.send(b"two")
    driver.event(cross_domain.encode_receive(b"first"))
    (first,) = shared.receive()
    shared.send(b"three")
    sent = [cross_domain.encode_send(data) for data in (b"one", b"two", b"three")]
    poll = cross_domain.encode_poll()
    assert bytes(first.data) == b"first"
    assert [tuple(execution[:2]) for execution in driver.executions] == [
        (poll + sent[0], cross_domain.CHANNEL_RING),
        (sent[1], None),
        (poll + sent[2], cross_domain.CHANNEL_RING),
    ]


def test_two_events_are_received_at_once(driver: FakeDriver, shared: VirtgpuChannel) -> None:
    for first in range(0, 10, 2):
        shared.send(b"frame")
        for number in (first, first + 1):
            driver.event(cross_domain.encode_receive(bytes([number])))
        assert [bytes(event.data) for event in shared.receive()] == [bytes([first]), bytes([first + 1])]
        assert driver.polls == 1


def test_who_has_no_poll_left_polls_at_once(driver: FakeDriver, shared: VirtgpuChannel) -> None:
    driver.event(cross_domain.encode_receive(b"first"))
    shared.receive()
    assert driver.polls == 1
    shared.send(b"frame")
    driver.give_back_poll()
    assert list(shared.receive()) == []
    assert driver.polls == 1
    driver.give_back_poll()
    assert list(shared.receive()) == []
    assert driver.polls == 1
    driver.event(cross_domain.encode_receive(b"second"))
    (second,) = shared.receive()
    assert bytes(second.data) == b"second"


def test_what_is_no_event_is_the_hosts_fault_and_the_channel_closes(driver: FakeDriver) -> None:
    channel = VirtgpuChannel(NODE, OURS, "foot[1]")
    driver.event(b"\0" + bytes(range(1, 24)))
    with pytest.raises(HostFault, match="neither RECEIVE nor READ") as caught:
        channel.receive()
    channel.close()
    assert caught.tb is not None
    assert len(driver.closed) == 2


def test_nothing_is_received_where_nothing_came(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    assert channel.receive() == ()
    driver.other_event()
    assert channel.receive() == ()


def test_after_the_hang_up_there_is_no_poll(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    driver.event(cross_domain.encode_receive(b""))
    (event,) = channel.receive()
    assert bytes(event.data) == b""
    assert driver.polls == 0


def test_requirements_are_asked_for_once_per_size(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    first, second, third = (channel.create_memory(size) for size in (10_000, 10_001, 20_000))
    asked = [e for e in driver.executions if e.commands[0] == Command.GET_IMAGE_REQUIREMENTS]
    assert [(execution.ring_idx, execution.handle) for execution in asked] == [(0, 1), (0, 1)]
    assert (first.size, second.size, third.size) == (12_288, 12_288, 20_480)
    assert first.identifier.identifier != second.identifier.identifier
    for memory in (first, second, third):
        memory.close()


def test_memory_is_closed_once(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    memory = channel.create_memory(4096)
    memory.close()
    memory.close()
    assert driver.closed == [3]


def test_a_host_that_refuses_memory_is_at_fault(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    driver.refuses_memory = True
    with pytest.raises(HostFault, match="refused"):
        channel.create_memory(4096)
    assert driver.closed == [3]


def test_the_hosts_time_is_asked_for_on_the_query_ring(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    driver.time = 1 << 60
    assert channel.read_clock(ClockId.TAI) == 1 << 60
    (execution,) = driver.executions
    assert execution == (clock.encode_get_clock(ClockId.TAI), cross_domain.QUERY_RING, 1)


def test_an_answer_to_an_earlier_question_is_none(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    driver.time = 7
    channel.read_clock(ClockId.MONOTONIC)
    driver.time = None
    with pytest.raises(HostFault, match="did not tell"):
        channel.read_clock(ClockId.MONOTONIC)


def test_a_blob_is_read_and_dropped(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    assert channel.read_blob(Identifier(5, IdentifierType.VIRTGPU_BLOB, 10)) == bytes(10)
    assert driver.closed == [3]


def test_everything_is_dropped_with_the_channel(driver: FakeDriver) -> None:
    channel = VirtgpuChannel(NODE, OURS, "foot[1]")
    channel.close()
    channel.close()
    assert driver.closed == [1, 2]


def test_fences_of_the_compositors_take_turns_on_rings_of_their_own(driver: FakeDriver) -> None:
    ours = OURS._replace(features=OURS.features | Feature.SYNC)
    channel = VirtgpuChannel(NODE, ours, "foot[1]")
    ((_capset, rings, polled, _name),) = driver.contexts
    driver.executions.clear()
    for number in range(40):
        os.close(channel.open_fence(Identifier(number, IdentifierType.VIRTGPU_SYNC, 0)))
    used = [execution.ring_idx for execution in driver.executions]
    assert polled == 1 << cross_domain.CHANNEL_RING
    assert used[: rings - 2] == list(range(sync.FIRST_SYNC_RING, rings))
    assert [execution.commands for execution in driver.executions] == [
        sync.encode_await_sync(number, ring_idx or 0) for number, ring_idx in enumerate(used)
    ]
    channel.close()


def test_a_fence_of_the_guests_kernel_is_not_for_another_machine(channel: VirtgpuChannel) -> None:
    assert not channel.shares_fences
    with pytest.raises(LocalError):
        channel.share_fence(0)


def test_a_host_that_lives_proves_it(channel: VirtgpuChannel) -> None:
    proof = channel.prove()
    assert select.select([proof], [], [], 0)[0]
    os.close(proof)


def test_a_host_that_has_just_answered_is_not_asked(driver: FakeDriver, channel: VirtgpuChannel) -> None:
    channel.create_memory(4096).close()
    asked = len(driver.executions)
    channel.create_memory(4096).close()
    assert len(driver.executions) == asked


@pytest.mark.usefixtures("driver")
def test_a_foreign_host_need_not_prove_anything() -> None:
    channel = VirtgpuChannel(NODE, FOREIGN, "foot[1]")
    assert channel.prove() == -1
    channel.close()


def test_memory_of_a_dead_host_is_not_waited_for(
    driver: FakeDriver, channel: VirtgpuChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.create_memory(4096).close()
    blobs = len(driver.blobs)
    driver.is_dead = True
    monkeypatch.setattr(virtgpu, "_ANSWER_TIMEOUT_MS", 0)
    monkeypatch.setattr(virtgpu, "_FRESH_SECONDS", 0)
    with pytest.raises(HostFault, match="does not answer"):
        channel.create_memory(4096)
    assert len(driver.blobs) == blobs
