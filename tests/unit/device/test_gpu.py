"""Every command of the control queue, well-formed and not, through a real ring."""

import asyncio
import struct

import pytest

from crossdomain.abi import virtio_gpu as abi
from crossdomain.errors import GuestFault, HostFault, LimitExceeded
from crossdomain.limits import MAX_BACKING_ENTRIES, MAX_COMMAND_SIZE, MAX_CONTEXTS
from tests.fakes.guest_driver import Response, encode_header, parse_response
from tests.fakes.patience import PATIENCE
from tests.fakes.stub_vm import CAPSET, PAGE, WINDOW, Vm

OK = abi.VIRTIO_GPU_RESP_OK_NODATA
UNSPEC = abi.VIRTIO_GPU_RESP_ERR_UNSPEC
NO_MEMORY = abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
BAD_SCANOUT = abi.VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID
BAD_RESOURCE = abi.VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
BAD_CONTEXT = abi.VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID
BAD_PARAMETER = abi.VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER

SHORTEST = {
    abi.VIRTIO_GPU_CMD_RESOURCE_UNREF: 8,
    abi.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING: 8,
    abi.VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING: 8,
    abi.VIRTIO_GPU_CMD_GET_CAPSET_INFO: 8,
    abi.VIRTIO_GPU_CMD_GET_CAPSET: 8,
    abi.VIRTIO_GPU_CMD_GET_EDID: 8,
    abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB: 32,
    abi.VIRTIO_GPU_CMD_CTX_CREATE: 72,
    abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE: 8,
    abi.VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE: 8,
    abi.VIRTIO_GPU_CMD_SUBMIT_3D: 8,
    abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB: 16,
    abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB: 8,
}
"""Bytes that each command must have after its header (virtio 1.3, 5.7.6)."""


async def is_alive(vm: Vm) -> bool:
    """Whether the device still answers."""
    return (await vm.driver.get_capset_info(0)).ok


# Capabilities, and what there is not.


async def test_capset_5_is_the_only_capset(vm: Vm) -> None:
    info = await vm.driver.get_capset_info(0)
    assert info.type == abi.VIRTIO_GPU_RESP_OK_CAPSET_INFO
    assert struct.unpack("<IIII", info.body) == (5, 0, len(CAPSET), 0)
    assert (await vm.driver.get_capset_info(1)).type == BAD_PARAMETER


async def test_the_capset_comes_in_the_room_that_the_guest_gives(vm: Vm) -> None:
    whole = await vm.driver.get_capset()
    short = await vm.driver.get_capset(room=24 + 16)
    assert (whole.type, whole.body) == (abi.VIRTIO_GPU_RESP_OK_CAPSET, CAPSET)
    assert (short.type, short.body) == (abi.VIRTIO_GPU_RESP_OK_CAPSET, CAPSET[:16])


@pytest.mark.parametrize(("capset_id", "version"), [(1, 0), (0, 0), (6, 0), (5, 1)])
async def test_another_capset_or_version_is_refused(vm: Vm, capset_id: int, version: int) -> None:
    assert (await vm.driver.get_capset(capset_id, version)).type == BAD_PARAMETER


async def test_there_are_no_screens(vm: Vm) -> None:
    info = await vm.driver.command(abi.VIRTIO_GPU_CMD_GET_DISPLAY_INFO, room=24 + 16 * 24)
    edid = await vm.driver.command(abi.VIRTIO_GPU_CMD_GET_EDID, bytes(8), room=24 + 1032)
    scanout = await vm.driver.command(abi.VIRTIO_GPU_CMD_SET_SCANOUT, bytes(24))
    blob_scanout = await vm.driver.command(abi.VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, bytes(72))
    assert (info.type, info.body) == (abi.VIRTIO_GPU_RESP_OK_DISPLAY_INFO, bytes(16 * 24))
    assert [edid.type, scanout.type, blob_scanout.type] == [BAD_SCANOUT] * 3


@pytest.mark.parametrize(
    "kind",
    [
        0,
        0x99,
        abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
        abi.VIRTIO_GPU_CMD_RESOURCE_FLUSH,
        abi.VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
        abi.VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID,
        abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
        abi.VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D,
        abi.VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D,
        0x020A,
        abi.VIRTIO_GPU_CMD_UPDATE_CURSOR,
        abi.VIRTIO_GPU_RESP_OK_NODATA,
        0xFFFFFFFF,
    ],
)
async def test_what_is_not_offered_is_refused_with_the_fence_echoed(vm: Vm, kind: int) -> None:
    response = await vm.driver.command(kind, bytes(64), fence_id=77, ctx_id=3)
    assert response == (UNSPEC, abi.VIRTIO_GPU_FLAG_FENCE, 77, 3, 0, b"")


@pytest.mark.parametrize("kind", sorted(SHORTEST))
async def test_a_command_cut_anywhere_is_refused(vm: Vm, kind: int) -> None:
    await vm.driver.ctx_create(1)
    for length in range(SHORTEST[kind]):
        body = bytes(length)
        assert (await vm.driver.command(kind, body, ctx_id=1)).type == UNSPEC
    for length in range(1, 24):
        assert (await vm.driver.command_raw(encode_header(kind)[:length])).type == UNSPEC


async def test_a_command_without_room_for_an_answer_is_carried_out(vm: Vm) -> None:
    body = struct.pack("<II64s", 4, 5, b"mute")
    answer = vm.driver.post(abi.VIRTIO_GPU_CMD_CTX_CREATE, body, ctx_id=1, room=0)
    assert await asyncio.wait_for(answer, PATIENCE) == b""
    assert vm.host.last.name == b"mute"


async def test_cursor_commands_are_taken_and_have_no_effect(vm: Vm) -> None:
    for kind in (abi.VIRTIO_GPU_CMD_UPDATE_CURSOR, abi.VIRTIO_GPU_CMD_MOVE_CURSOR):
        answer = vm.driver.cursor.post([encode_header(kind) + bytes(32)], 0)
        assert await asyncio.wait_for(answer, PATIENCE) == b""
    assert await is_alive(vm)


async def test_a_command_in_many_buffers_is_one_command(vm: Vm) -> None:
    request = encode_header(abi.VIRTIO_GPU_CMD_GET_CAPSET_INFO) + bytes(8)
    pieces = [request[n : n + 1] for n in range(len(request))]
    answer = await asyncio.wait_for(vm.driver.control.post(pieces, 40), PATIENCE)
    assert parse_response(answer).type == abi.VIRTIO_GPU_RESP_OK_CAPSET_INFO


async def test_chains_need_not_be_indirect(vm: Vm) -> None:
    vm.driver.control.indirect = False
    assert await is_alive(vm)
    assert (await vm.driver.ctx_create(1)).ok


async def test_a_command_longer_than_the_limit_costs_only_itself(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    room = MAX_COMMAND_SIZE - 24 - 8
    largest = await vm.driver.submit_3d(1, bytes(room), fence_id=8)
    longer = await vm.driver.submit_3d(1, bytes(room + 1), fence_id=9)
    assert largest.ok
    assert longer == (NO_MEMORY, abi.VIRTIO_GPU_FLAG_FENCE, 9, 1, 0, b"")
    assert [len(commands) for commands in vm.host.last.submitted] == [room]


# Contexts.


async def test_a_context_is_made_and_destroyed(vm: Vm) -> None:
    assert (await vm.driver.ctx_create(3, name=b"foot")).type == OK
    context = vm.host.last
    assert (context.ctx_id, context.name, context.closed) == (3, b"foot", False)
    assert (await vm.driver.ctx_destroy(3)).type == OK
    assert context.closed
    assert (await vm.driver.ctx_destroy(3)).type == BAD_CONTEXT


@pytest.mark.parametrize("context_init", [0, 1, 4, 6, 0x105, 0xFFFFFFFF])
async def test_a_context_of_another_capset_is_refused(vm: Vm, context_init: int) -> None:
    assert (await vm.driver.ctx_create(1, context_init=context_init)).type == BAD_PARAMETER
    assert vm.host.contexts == []


async def test_context_ids_are_used_once(vm: Vm) -> None:
    assert (await vm.driver.ctx_create(0)).type == BAD_CONTEXT
    assert (await vm.driver.ctx_create(1)).type == OK
    assert (await vm.driver.ctx_create(1)).type == BAD_CONTEXT
    assert (await vm.driver.ctx_destroy(1)).type == OK
    assert (await vm.driver.ctx_create(1)).type == OK
    assert (await vm.driver.ctx_create(0xFFFFFFFF)).type == OK


async def test_a_name_that_says_more_than_it_has_is_refused(vm: Vm) -> None:
    longest = struct.pack("<II64s", 64, 5, b"n" * 64)
    assert (await vm.driver.command(abi.VIRTIO_GPU_CMD_CTX_CREATE, longest, ctx_id=1)).type == OK
    assert vm.host.last.name == b"n" * 64
    longer = struct.pack("<II64s", 65, 5, b"n" * 64)
    assert (await vm.driver.command(abi.VIRTIO_GPU_CMD_CTX_CREATE, longer, ctx_id=2)).type == BAD_PARAMETER


async def test_contexts_are_limited(vm: Vm) -> None:
    for ctx_id in range(1, MAX_CONTEXTS + 1):
        assert (await vm.driver.ctx_create(ctx_id)).type == OK
    assert (await vm.driver.ctx_create(MAX_CONTEXTS + 1)).type == NO_MEMORY
    assert (await vm.driver.ctx_destroy(1)).type == OK
    assert (await vm.driver.ctx_create(MAX_CONTEXTS + 1)).type == OK


@pytest.mark.parametrize(
    ("fault", "response"),
    [
        (HostFault("the compositor is gone"), UNSPEC),
        (LimitExceeded("too many clients"), NO_MEMORY),
        (GuestFault("no"), UNSPEC),
    ],
)
async def test_a_context_that_cannot_be_made_leaves_its_id_free(
    vm: Vm, fault: GuestFault | HostFault, response: int
) -> None:
    vm.host.fault = fault
    assert (await vm.driver.ctx_create(1)).type == response
    assert (await vm.driver.ctx_create(1)).type == OK


# SUBMIT_3D and fences.


async def test_commands_reach_the_context_byte_for_byte(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    assert (await vm.driver.submit_3d(1, b"commands")).type == OK
    assert (await vm.driver.submit_3d(1, b"")).type == OK
    assert vm.host.last.submitted == [b"commands"]


async def test_what_stands_behind_the_commands_is_left_out(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    body = struct.pack("<II", 4, 0) + b"command"
    assert (await vm.driver.command(abi.VIRTIO_GPU_CMD_SUBMIT_3D, body, ctx_id=1)).type == OK
    assert vm.host.last.submitted == [b"comm"]


@pytest.mark.parametrize("size", [9, 10, 1 << 20, 0xFFFFFFFF])
async def test_commands_shorter_than_they_say_are_refused(vm: Vm, size: int) -> None:
    await vm.driver.ctx_create(1)
    body = struct.pack("<II", size, 0) + bytes(8)
    response = await vm.driver.command(abi.VIRTIO_GPU_CMD_SUBMIT_3D, body, ctx_id=1)
    assert response.type == BAD_PARAMETER
    assert vm.host.last.submitted == []


async def test_commands_for_no_context_are_refused(vm: Vm) -> None:
    assert (await vm.driver.submit_3d(1, b"x", fence_id=5)).type == BAD_CONTEXT


@pytest.mark.parametrize(
    ("fault", "response"),
    [(GuestFault("bad"), UNSPEC), (LimitExceeded("much"), NO_MEMORY), (HostFault("gone"), UNSPEC)],
)
async def test_what_the_context_refuses_is_an_error_with_its_fence(
    vm: Vm, fault: GuestFault | HostFault, response: int
) -> None:
    await vm.driver.ctx_create(1)
    vm.host.last.fault = fault
    answer = await vm.driver.submit_3d(1, b"x", fence_id=5, ring_idx=1)
    flags = abi.VIRTIO_GPU_FLAG_FENCE | abi.VIRTIO_GPU_FLAG_INFO_RING_IDX
    assert answer == (response, flags, 5, 1, 1, b"")
    assert vm.host.last.held == []
    assert (await vm.driver.submit_3d(1, b"good")).ok


async def test_a_response_without_a_fence_says_nothing_of_fences(vm: Vm) -> None:
    await vm.driver.ctx_create(7)
    assert await vm.driver.submit_3d(7, b"x") == (OK, 0, 0, 0, 0, b"")


async def test_a_fence_without_a_ring_signals_at_once(vm: Vm) -> None:
    await vm.driver.ctx_create(7)
    response = await vm.driver.submit_3d(7, b"x", fence_id=1 << 40)
    assert response == (OK, abi.VIRTIO_GPU_FLAG_FENCE, 1 << 40, 7, 0, b"")


async def test_a_fence_on_the_query_ring_signals_at_once(vm: Vm) -> None:
    await vm.driver.ctx_create(7)
    response = await vm.driver.submit_3d(7, b"x", fence_id=9, ring_idx=0)
    assert response == (OK, abi.VIRTIO_GPU_FLAG_FENCE | abi.VIRTIO_GPU_FLAG_INFO_RING_IDX, 9, 7, 0, b"")


async def test_a_fence_on_the_channel_ring_waits_and_blocks_nobody(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    await vm.driver.ctx_create(2)
    polls = [vm.driver.post_submit_3d(1, b"poll", ring_idx=1) for _ in range(2)]
    assert (await vm.driver.submit_3d(2, b"other context")).ok
    assert (await vm.driver.submit_3d(1, b"same context")).ok
    assert not any(poll.done() for poll in polls)
    vm.host.contexts[0].complete_oldest()
    first = parse_response(await asyncio.wait_for(polls[0], PATIENCE))
    assert first == (OK, 3, 1, 1, 1, b"")
    assert not polls[1].done()
    vm.host.contexts[0].complete_oldest()
    assert parse_response(await asyncio.wait_for(polls[1], PATIENCE)).fence_id == 2


async def test_a_fence_on_a_ring_that_is_not_there_is_refused(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    response = await vm.driver.submit_3d(1, b"x", fence_id=4, ring_idx=63)
    assert (response.type, response.fence_id, response.ring_idx) == (UNSPEC, 4, 63)


async def test_the_fences_of_a_destroyed_context_signal(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    poll = vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
    assert (await vm.driver.ctx_destroy(1)).ok
    assert parse_response(await asyncio.wait_for(poll, PATIENCE)).ok


async def test_held_fences_of_all_entries_break_no_ring(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    polls = [vm.driver.post_submit_3d(1, b"poll", ring_idx=1) for _ in range(vm.driver.control.size)]
    while len(vm.host.last.held) < len(polls):
        await asyncio.sleep(0)
    while vm.host.last.held:
        vm.host.last.complete_oldest()
    await asyncio.wait_for(asyncio.gather(*polls), PATIENCE)
    assert await is_alive(vm)


# Resources.


async def test_a_guest_blob_is_what_the_context_writes_into(vm: Vm) -> None:
    runs = vm.driver.pages(3, scattered=True)
    await vm.driver.ctx_create(1)
    assert (await vm.driver.create_guest_blob(5, 3 * PAGE, runs)).type == OK
    assert (await vm.driver.ctx_attach_resource(1, 5)).type == OK
    storage = vm.host.last.resources.lookup(5)
    storage.write(PAGE - 2, b"abcd")
    assert storage.size == 3 * PAGE
    assert vm.frontend.ram.read(runs[0][0] + PAGE - 2, 2) == b"ab"
    assert vm.frontend.ram.read(runs[1][0], 2) == b"cd"
    assert vm.frontend.ram.read(runs[2][0], 2) == b"\0\0"


async def test_host3d_guest_blobs_are_the_guests_pages_too(vm: Vm) -> None:
    runs = vm.driver.pages(1)
    await vm.driver.ctx_create(1)
    made = await vm.driver.create_guest_blob(5, PAGE, runs, mem=abi.VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST)
    assert made.type == OK
    await vm.driver.ctx_attach_resource(1, 5)
    vm.host.last.resources.lookup(5).write(0, b"x")
    assert vm.frontend.ram.read(runs[0][0], 1) == b"x"


async def create_blob(vm: Vm, *fields: int, entries: bytes = b"", ctx_id: int = 0) -> Response:
    """RESOURCE_CREATE_BLOB of any fields: resource_id, blob_mem, blob_flags, nr_entries, blob_id, size."""
    body = struct.pack("<IIIIQQ", *fields) + entries
    return await vm.driver.command(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, body, ctx_id=ctx_id)


GOOD_ENTRY = struct.pack("<QII", 0x100000, PAGE, 0)


@pytest.mark.parametrize(
    ("fields", "entries", "response"),
    [
        ((0, 1, 1, 1, 0, PAGE), GOOD_ENTRY, BAD_RESOURCE),
        ((5, 0, 1, 1, 0, PAGE), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 4, 1, 1, 0, PAGE), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 8, 1, 0, PAGE), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 1 << 31, 1, 0, PAGE), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 1, 1, 0, 0), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 1, 1, 0, 100), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 1, 1, 0, 2 * PAGE), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 1, 0, 0, PAGE), b"", BAD_PARAMETER),
        ((5, 1, 1, 2, 0, PAGE), GOOD_ENTRY, BAD_PARAMETER),
        ((5, 1, 1, 0xFFFFFFFF, 0, PAGE), GOOD_ENTRY, NO_MEMORY),
        ((5, 1, 1, 1, 0, PAGE), struct.pack("<QII", 1 << 40, PAGE, 0), BAD_PARAMETER),
        ((5, 1, 1, 1, 0, PAGE), struct.pack("<QII", (1 << 64) - PAGE, PAGE, 0), BAD_PARAMETER),
        ((5, 1, 1, 1, 0, PAGE), struct.pack("<QII", 0x1FF000, 2 * PAGE, 0), BAD_PARAMETER),
    ],
)
async def test_a_malformed_guest_blob_is_refused(
    vm: Vm, fields: tuple[int, ...], entries: bytes, response: int
) -> None:
    assert (await create_blob(vm, *fields, entries=entries)).type == response
    assert (await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)).type == OK


async def test_the_runs_of_a_blob_are_limited(vm: Vm) -> None:
    entries = GOOD_ENTRY * MAX_BACKING_ENTRIES
    size = MAX_BACKING_ENTRIES * PAGE
    assert (await create_blob(vm, 5, 1, 1, MAX_BACKING_ENTRIES, 0, size, entries=entries)).type == OK
    more = await create_blob(vm, 6, 1, 1, MAX_BACKING_ENTRIES + 1, 0, size, entries=entries + GOOD_ENTRY)
    assert more.type == NO_MEMORY


async def test_a_resource_id_in_use_is_refused(vm: Vm) -> None:
    assert (await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)).type == OK
    assert (await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)).type == BAD_RESOURCE
    assert (await vm.driver.resource_unref(5)).type == OK
    assert (await vm.driver.resource_unref(5)).type == BAD_RESOURCE
    assert (await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)).type == OK


async def test_a_host_blob_is_the_contexts_memory(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.host.last.blobs[9] = b"from the host"
    assert (await vm.driver.create_host_blob(5, PAGE, ctx_id=1, blob_id=9)).type == OK
    assert (await vm.driver.ctx_attach_resource(1, 5)).type == OK
    assert vm.host.last.resources.lookup(5).read(0, 13) == b"from the host"


async def test_a_host_blob_needs_a_context_that_has_it(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.host.last.blobs[9] = b""
    assert (await vm.driver.create_host_blob(5, PAGE, ctx_id=2, blob_id=9)).type == BAD_CONTEXT
    assert (await vm.driver.create_host_blob(5, PAGE, ctx_id=1, blob_id=8)).type == UNSPEC
    with_pages = await create_blob(vm, 5, 2, 1, 1, 9, PAGE, entries=GOOD_ENTRY, ctx_id=1)
    assert with_pages.type == BAD_PARAMETER
    assert (await vm.driver.create_host_blob(5, PAGE, ctx_id=1, blob_id=9)).type == OK


async def test_host_memory_is_limited_to_the_windows_size(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.host.last.blobs[9] = b""
    assert (await vm.driver.create_host_blob(5, WINDOW - PAGE, ctx_id=1, blob_id=9)).type == OK
    assert (await vm.driver.create_host_blob(6, 2 * PAGE, ctx_id=1, blob_id=9)).type == NO_MEMORY
    assert (await vm.driver.create_host_blob(6, PAGE, ctx_id=1, blob_id=9)).type == OK


async def test_attaching_needs_both_a_context_and_a_resource(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)
    assert (await vm.driver.ctx_attach_resource(2, 5)).type == BAD_CONTEXT
    assert (await vm.driver.ctx_attach_resource(1, 6)).type == BAD_RESOURCE
    assert (await vm.driver.ctx_detach_resource(1, 5)).type == BAD_RESOURCE
    assert (await vm.driver.ctx_attach_resource(1, 5)).type == OK
    assert (await vm.driver.ctx_attach_resource(1, 5)).type == OK
    assert (await vm.driver.ctx_detach_resource(2, 5)).type == BAD_CONTEXT
    assert (await vm.driver.ctx_detach_resource(1, 5)).type == OK
    with pytest.raises(GuestFault):
        vm.host.last.resources.lookup(5)


async def test_a_context_never_sees_what_is_anothers(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    await vm.driver.ctx_create(2)
    await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)
    await vm.driver.ctx_attach_resource(1, 5)
    vm.host.contexts[0].resources.lookup(5)
    with pytest.raises(GuestFault):
        vm.host.contexts[1].resources.lookup(5)


async def test_an_unreferenced_resource_is_gone_from_its_contexts(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)
    await vm.driver.ctx_attach_resource(1, 5)
    kept = vm.host.last.resources.lookup(5)
    assert (await vm.driver.resource_unref(5)).type == OK
    with pytest.raises(GuestFault):
        vm.host.last.resources.lookup(5)
    with pytest.raises(GuestFault):
        kept.write(0, b"x")


async def test_a_resource_outlives_the_context_that_it_is_attached_to(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)
    await vm.driver.ctx_attach_resource(1, 5)
    assert (await vm.driver.ctx_destroy(1)).type == OK
    assert (await vm.driver.resource_unref(5)).type == OK


async def test_backing_pages_are_detached_and_attached(vm: Vm) -> None:
    runs = vm.driver.pages(1)
    await vm.driver.ctx_create(1)
    await create_blob(vm, 5, 1, 1, 1, 0, PAGE, entries=GOOD_ENTRY)
    await vm.driver.ctx_attach_resource(1, 5)
    assert (await vm.driver.attach_backing(5, runs)).type == BAD_PARAMETER
    assert (await vm.driver.detach_backing(5)).type == OK
    with pytest.raises(GuestFault):
        vm.host.last.resources.lookup(5).write(0, b"x")
    assert (await vm.driver.detach_backing(5)).type == BAD_PARAMETER
    assert (await vm.driver.attach_backing(5, [(runs[0][0], PAGE - 1)])).type == BAD_PARAMETER
    assert (await vm.driver.attach_backing(5, runs)).type == OK
    vm.host.last.resources.lookup(5).write(0, b"x")
    assert vm.frontend.ram.read(runs[0][0], 1) == b"x"


async def test_pages_cannot_be_put_behind_host_memory_or_nothing(vm: Vm) -> None:
    await vm.driver.ctx_create(1)
    vm.host.last.blobs[9] = b""
    await vm.driver.create_host_blob(5, PAGE, ctx_id=1, blob_id=9)
    assert (await vm.driver.attach_backing(5, vm.driver.pages(1))).type == BAD_PARAMETER
    assert (await vm.driver.detach_backing(5)).type == BAD_PARAMETER
    assert (await vm.driver.attach_backing(6, vm.driver.pages(1))).type == BAD_RESOURCE
    assert (await vm.driver.detach_backing(6)).type == BAD_RESOURCE
