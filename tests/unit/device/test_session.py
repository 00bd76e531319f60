"""A VM's life as the device sees it: boot, pause, reset, end."""

import asyncio
import socket
import struct

import pytest

from crossdomain.abi import vhost_user as abi
from crossdomain.abi.vhost_user import VHOST_USER_BACKEND_SHMEM_MAP as MAP
from crossdomain.abi.vhost_user import VHOST_USER_BACKEND_SHMEM_UNMAP as UNMAP
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from crossdomain.device.virtqueue import SplitQueue
from crossdomain.errors import HostFault
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_driver import parse_response
from tests.fakes.patience import PATIENCE
from tests.fakes.stub_context import StubHost
from tests.fakes.stub_vm import CAPSET, PAGE, WINDOW, Vm, running_vm, serve
from tests.unit.device.test_window import make_blob, post_map, type_of


async def test_the_features_that_linux_needs_are_offered(vm: Vm) -> None:
    # VERSION_1, INDIRECT_DESC, CONTEXT_INIT, RESOURCE_BLOB, VIRGL, and vhost-user's own; not bit 5, whose
    # meaning is contested, and not EVENT_IDX.
    assert vm.frontend.offered_features == 1 << 32 | 1 << 30 | 1 << 28 | 1 << 4 | 1 << 3 | 1 << 0
    assert vm.frontend.offered_protocol_features == 0x40A629


async def test_one_daemon_serves_one_vm_after_another() -> None:
    for _ in range(3):
        async with running_vm() as vm:
            assert (await vm.driver.ctx_create(1)).ok
            await make_blob(vm, 5)
            assert (await vm.driver.map_blob(5, 0)).ok


async def test_two_vms_at_once_have_nothing_in_common() -> None:
    async with running_vm() as one, running_vm() as other:
        assert (await one.driver.ctx_create(1)).ok
        assert (await other.driver.ctx_create(1)).ok
        assert (await other.driver.ctx_destroy(1)).ok
        assert not one.host.last.closed
        assert (await one.driver.submit_3d(1, b"still here")).ok


async def test_a_pause_keeps_contexts_and_held_fences(any_vm: Vm) -> None:
    await any_vm.driver.ctx_create(1)
    poll = any_vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
    await any_vm.driver.submit_3d(1, b"x")
    await any_vm.frontend.stop_rings()
    await any_vm.frontend.start_driver()
    assert (await any_vm.driver.submit_3d(1, b"y")).ok
    assert not poll.done()
    any_vm.host.last.complete_oldest()
    assert parse_response(await asyncio.wait_for(poll, PATIENCE)).ok
    assert not any_vm.host.last.closed


async def test_a_fence_that_signals_during_a_pause_is_seen_after_it(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    poll = vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
    await vm.driver.submit_3d(1, b"x")
    await vm.frontend.stop_rings()
    before = vm.driver.control.used_index()
    vm.host.last.complete_oldest()
    assert vm.driver.control.used_index() == before
    await vm.frontend.start_driver()
    assert parse_response(await asyncio.wait_for(poll, PATIENCE)).ok


async def test_a_pause_before_the_first_command_is_no_reset(vm: Vm) -> None:
    await vm.frontend.stop_rings()
    await vm.frontend.start_driver()
    assert (await vm.driver.ctx_create(1)).ok
    await vm.frontend.stop_rings()
    await vm.frontend.start_driver()
    assert not vm.host.last.closed


async def test_commands_of_a_paused_vm_wait(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    await vm.frontend.stop_rings()
    submitted = vm.driver.post(0x0207, struct.pack("<II", 1, 0) + b"x", ctx_id=1)
    await vm.frontend.barrier()
    assert vm.host.last.submitted == []
    await vm.frontend.start_driver()
    assert await type_of(submitted) == 0x1100


async def test_the_vmm_is_asked_nothing_while_the_vm_is_paused(vm: Vm) -> None:
    await make_blob(vm, 5)
    await make_blob(vm, 6)
    vm.frontend.may_answer.clear()
    first, second = post_map(vm, 5, 0), post_map(vm, 6, PAGE)
    await vm.driver.submit_3d(1, b"both have been taken")
    await vm.frontend.stop_rings()
    vm.frontend.may_answer.set()
    for _ in range(10):
        await vm.frontend.barrier()
    assert vm.frontend.backend_requests == [MAP]
    await vm.frontend.start_driver()
    assert [await type_of(first), await type_of(second)] == [0x1106, 0x1106]


@pytest.mark.parametrize("resets_device", [True, False])
@pytest.mark.parametrize("memory_slots", [True, False])
async def test_a_driver_that_starts_anew_finds_an_empty_device(
    resets_device: bool, memory_slots: bool
) -> None:
    async with running_vm(resets_device=resets_device, memory_slots=memory_slots) as vm:
        await make_blob(vm, 5)
        assert (await vm.driver.map_blob(5, 0)).ok
        poll = vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
        await vm.driver.submit_3d(1, b"x")
        await vm.frontend.reset()
        assert poll.cancelled()
        assert vm.host.last.closed
        assert (await vm.driver.resource_unref(5)).type == 0x1203
        vm.host.contexts.clear()
        await make_blob(vm, 5)
        assert (await vm.driver.map_blob(5, 0)).ok


async def test_a_mapping_that_the_vmm_makes_after_a_reset_is_undone(vm: Vm) -> None:
    await make_blob(vm, 5)
    vm.frontend.may_answer.clear()
    post_map(vm, 5, 0)
    await vm.driver.submit_3d(1, b"the mapping is under way")
    await vm.frontend.reset()
    vm.frontend.may_answer.set()
    vm.host.contexts.clear()
    await make_blob(vm, 5)
    assert (await vm.driver.map_blob(5, 0)).ok
    assert vm.frontend.backend_requests == [MAP, UNMAP, MAP]
    assert list(vm.frontend.window.mappings) == [0]


async def test_many_commands_at_once_are_all_answered() -> None:
    async with running_vm(queue_size=256, ram_size=16 << 20) as vm:
        await vm.driver.ctx_create(1)
        answers = [
            vm.driver.post(0x0207, struct.pack("<II", 4, 0) + struct.pack("<I", n), ctx_id=1)
            for n in range(250)
        ]
        while not vm.host.last.submitted:
            await asyncio.sleep(0)
        # Others have their turn in between, and kicks are off meanwhile.
        assert len(vm.host.last.submitted) < 250
        assert vm.driver.control.kicks_suppressed()
        await asyncio.wait_for(asyncio.gather(*answers), PATIENCE)
        assert vm.host.last.submitted == [struct.pack("<I", n) for n in range(250)]
        assert not vm.driver.control.kicks_suppressed()


async def test_a_driver_that_wants_no_interrupts_gets_none(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.driver.control.suppress_interrupts(True)
    answer = vm.driver.post(0x0207, struct.pack("<II", 0, 0), ctx_id=1)
    while vm.driver.control.used_index() != 2:
        await asyncio.sleep(0)
    with pytest.raises(BlockingIOError):
        vm.driver.control.read_call()
    assert not answer.done()
    vm.driver.control.collect()
    assert await type_of(answer) == 0x1100


@pytest.mark.parametrize("when", ["idle", "fence held", "mapping under way", "mapped", "command posted"])
async def test_a_vmm_that_dies_leaves_nothing_behind(when: str) -> None:
    async with running_vm() as vm:
        await make_blob(vm, 5)
        if when == "fence held":
            vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
            await vm.driver.submit_3d(1, b"x")
        if when == "mapping under way":
            vm.frontend.may_answer.clear()
            post_map(vm, 5, 0)
            await vm.driver.submit_3d(1, b"x")
        if when == "mapped":
            assert (await vm.driver.map_blob(5, 0)).ok
        if when == "command posted":
            vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
        await vm.frontend.hang_up()
        await asyncio.wait_for(vm.serving, PATIENCE)
        assert vm.host.last.closed


async def test_cancelling_a_session_ends_it() -> None:
    ours, theirs = socket.socketpair()
    host = StubHost()
    serving = serve(theirs, host)
    async with FakeFrontend(ours) as frontend:
        assert (await frontend.driver.ctx_create(1)).ok
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert host.last.closed


async def test_a_vmm_that_only_closes_the_back_end_channel_gets_no_more_mappings(vm: Vm) -> None:
    await make_blob(vm, 5)
    vm.frontend.close_backend_channel()
    assert (await vm.driver.map_blob(5, 0)).type in (0x1200, 0x1201)
    assert (await vm.driver.map_blob(5, 0)).type == 0x1200
    assert (await vm.driver.submit_3d(1, b"the rest works")).ok


async def test_an_answer_that_nobody_asked_for_ends_the_vm() -> None:
    ours, theirs = socket.socketpair()
    serving = serve(theirs, StubHost())
    async with FakeFrontend(ours) as frontend:
        await frontend.answer_unasked(MAP)
        with pytest.raises(HostFault, match="not asked"):
            await asyncio.wait_for(serving, PATIENCE)


async def test_a_mistake_of_ours_ends_the_vm_instead_of_hanging_it(caplog: pytest.LogCaptureFixture) -> None:
    async with running_vm() as vm:
        await vm.driver.ctx_create(1)

        def fail(_commands: bytes | memoryview, /) -> None:
            raise ZeroDivisionError

        vm.host.last.submit = fail  # type: ignore[method-assign]
        vm.driver.post(0x0207, struct.pack("<II", 1, 0) + b"x", ctx_id=1)
        async with asyncio.timeout(PATIENCE):
            while not vm.host.last.closed:
                await asyncio.sleep(0)
        assert "ZeroDivisionError" in caplog.text
        await vm.frontend.reset()
        assert (await vm.driver.ctx_create(1)).ok


async def test_a_session_counts_what_its_guest_holds() -> None:
    ours, theirs = socket.socketpair()
    host = StubHost()
    session = GpuSession(theirs, Offer(host.new_context, CAPSET, WINDOW, "vm"))
    assert (session.resources, session.host_bytes) == (0, 0)
    serving = asyncio.get_running_loop().create_task(session.serve())
    async with FakeFrontend(ours) as frontend:
        vm = Vm(frontend, host, serving)
        await make_blob(vm, 5, pages=3)
        await frontend.driver.create_guest_blob(6, PAGE, frontend.driver.pages(1))
        assert (session.resources, session.host_bytes) == (2, 3 * PAGE)
        await frontend.driver.resource_unref(5)
        assert (session.resources, session.host_bytes) == (1, 0)
    await asyncio.wait_for(serving, PATIENCE)


async def test_a_command_that_was_made_available_before_the_ring_started_needs_no_kick(vm: Vm) -> None:
    await vm.frontend.stop_rings()
    queue = vm.driver.control
    queue.kicks_wanted = False
    answer = vm.driver.post(0x0108, bytes(8), room=40)
    queue.kicks_wanted = True
    await vm.frontend.start_driver()
    assert await type_of(answer) == 0x1102


async def test_a_command_added_just_before_kicks_are_wanted_again_is_seen(
    vm: Vm, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[asyncio.Future[bytes]] = []
    want_kicks = SplitQueue.want_kicks

    def add_one_and_want_kicks(queue: SplitQueue, wanted: bool) -> None:
        # The driver's other processor adds a command, and still reads that no kick is wanted.
        if wanted and queue.size == vm.driver.control.size and not late:
            late.append(vm.driver.post(0x0108, bytes(8), room=40))
        want_kicks(queue, wanted)

    monkeypatch.setattr(SplitQueue, "want_kicks", add_one_and_want_kicks)
    kicks = vm.driver.control.kicks_sent
    assert (await vm.driver.get_capset_info()).ok
    assert await type_of(late[0]) == 0x1102
    assert vm.driver.control.kicks_sent == kicks + 1


async def test_a_fence_that_signals_between_pause_and_reset_is_not_answered_in_the_new_ring(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
    await vm.driver.submit_3d(1, b"x")
    await vm.frontend.stop_rings()
    vm.host.last.complete_oldest()
    await vm.frontend.reset()
    assert vm.driver.control.used_index() == 0
    assert (await vm.driver.ctx_create(1)).ok


async def test_what_was_under_way_before_a_reset_does_not_count_after_it() -> None:
    async with running_vm(queue_size=4) as vm:
        for _ in range(3):
            await vm.driver.ctx_create(1)
            for _ in range(3):
                vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
            await vm.driver.submit_3d(1, b"x")
            await vm.frontend.reset()
        assert (await vm.driver.ctx_create(1)).ok


async def test_a_late_answer_interrupts_only_a_driver_that_wants_it(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    for _ in range(2):
        vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
    await vm.driver.submit_3d(1, b"x")
    queue = vm.driver.control
    queue.suppress_interrupts(True)
    vm.host.last.complete_oldest()
    with pytest.raises(BlockingIOError):
        queue.read_call()
    queue.suppress_interrupts(False)
    vm.host.last.complete_oldest()
    assert queue.read_call() == 1
    queue.collect()
    assert queue.under_way == 0


async def test_a_ring_that_stayed_enabled_needs_no_kick_to_go_on(vm: Vm) -> None:
    queue = vm.driver.control
    main = vm.frontend.main
    base = await main.ask(abi.VHOST_USER_GET_VRING_BASE, struct.pack("<II", 0, 0))
    queue.kicks_wanted = False
    answer = vm.driver.post(0x0108, bytes(8), room=40)
    assert struct.unpack("<II", base) == (0, 0)
    await main.ask_for_success(abi.VHOST_USER_SET_VRING_KICK, struct.pack("<Q", 0), [queue.kick])
    assert await type_of(answer) == 0x1102


async def test_a_fence_that_signals_after_a_reset_is_not_answered_in_the_new_ring(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
    await vm.driver.submit_3d(1, b"x")
    late = vm.host.last.held.pop()
    await vm.frontend.reset()
    late()
    assert vm.driver.control.used_index() == 0
    assert (await vm.driver.ctx_create(1)).ok
