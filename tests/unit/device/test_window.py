"""The host-visible window: blobs mapped by a VMM that answers late, refuses, announces, or does not."""

import asyncio
import os
import socket
import struct

import pytest

from crossdomain.abi import virtio_gpu as abi
from crossdomain.abi.vhost_user import VHOST_USER_BACKEND_SHMEM_MAP as MAP
from crossdomain.abi.vhost_user import VHOST_USER_BACKEND_SHMEM_UNMAP as UNMAP
from crossdomain.context.memory import HostMemory
from crossdomain.context.ports import Storage
from crossdomain.device.backend_channel import BackendChannel
from crossdomain.device.window import HostVisibleWindow
from crossdomain.errors import CrossDomainError, LocalError
from crossdomain.limits import MAX_MAPPED_BLOBS
from tests.fakes.guest_driver import parse_response
from tests.fakes.patience import PATIENCE
from tests.fakes.stub_vm import PAGE, WINDOW, Vm, running_vm

OK = abi.VIRTIO_GPU_RESP_OK_NODATA
MAPPED = abi.VIRTIO_GPU_RESP_OK_MAP_INFO
NO_MEMORY = abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
BAD_RESOURCE = abi.VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
BAD_PARAMETER = abi.VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER


async def make_blob(vm: Vm, resource_id: int, *, pages: int = 1, mappable: bool = True) -> Storage:
    """A blob of host memory attached to context 1, which is made where there is none."""
    if not vm.host.contexts:
        assert (await vm.driver.ctx_create(1)).ok
    vm.host.contexts[0].blobs[resource_id] = b"host memory"
    made = await vm.driver.create_host_blob(
        resource_id, pages * PAGE, ctx_id=1, blob_id=resource_id, flags=int(mappable)
    )
    assert made.ok
    assert (await vm.driver.ctx_attach_resource(1, resource_id)).ok
    return vm.host.contexts[0].resources.lookup(resource_id)


def post_map(vm: Vm, resource_id: int, offset: int) -> "asyncio.Future[bytes]":
    """MAP_BLOB, not waited for."""
    return vm.driver.post(
        abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, struct.pack("<IIQ", resource_id, 0, offset), room=32
    )


def post_unmap(vm: Vm, resource_id: int) -> "asyncio.Future[bytes]":
    """UNMAP_BLOB, not waited for."""
    return vm.driver.post(abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, struct.pack("<II", resource_id, 0))


async def type_of(answer: "asyncio.Future[bytes]") -> int:
    """The type of a response that is waited for."""
    return parse_response(await asyncio.wait_for(answer, PATIENCE)).type


async def test_a_mapped_blob_is_the_same_memory_on_both_sides(any_vm: Vm) -> None:
    storage = await make_blob(any_vm, 5, pages=4)
    response = await any_vm.driver.map_blob(5, 16 * PAGE)
    assert (response.type, struct.unpack("<II", response.body)) == (MAPPED, (1, 0))
    seen = any_vm.frontend.window.view(16 * PAGE)
    assert len(seen) == 4 * PAGE
    assert seen[:11] == b"host memory"
    seen[-3:] = b"end"
    assert storage.read(4 * PAGE - 3, 3) == b"end"


async def test_an_unmapped_range_is_free_for_the_next(any_vm: Vm) -> None:
    await make_blob(any_vm, 5)
    await make_blob(any_vm, 6)
    for resource_id in (5, 6, 5):
        assert (await any_vm.driver.map_blob(resource_id, 0)).type == MAPPED
        assert (await any_vm.driver.unmap_blob(resource_id)).type == OK
    assert any_vm.frontend.window.mappings == {}
    assert any_vm.frontend.backend_requests == [MAP, UNMAP] * 3


async def test_more_blobs_than_a_memory_table_has_places_are_mapped(any_vm: Vm) -> None:
    for resource_id in range(1, 21):
        await make_blob(any_vm, resource_id)
        assert (await any_vm.driver.map_blob(resource_id, resource_id * PAGE)).type == MAPPED
    assert len(any_vm.frontend.window.mappings) == 20


@pytest.mark.parametrize(
    ("offset", "response"),
    [
        (8 * PAGE, BAD_PARAMETER),
        (7 * PAGE, BAD_PARAMETER),
        (9 * PAGE, BAD_PARAMETER),
        (6 * PAGE, MAPPED),
        (10 * PAGE, MAPPED),
        (1, BAD_PARAMETER),
        (WINDOW - 2 * PAGE, MAPPED),
        (WINDOW - PAGE, BAD_PARAMETER),
        (WINDOW, BAD_PARAMETER),
        ((1 << 64) - PAGE, BAD_PARAMETER),
    ],
)
async def test_a_blob_is_mapped_only_into_a_free_range(vm: Vm, offset: int, response: int) -> None:
    await make_blob(vm, 5, pages=2)
    await make_blob(vm, 6, pages=2)
    assert (await vm.driver.map_blob(5, 8 * PAGE)).type == MAPPED
    assert (await vm.driver.map_blob(6, offset)).type == response


async def test_only_a_mappable_blob_of_the_host_is_mapped_and_only_once(vm: Vm) -> None:
    await make_blob(vm, 5)
    await make_blob(vm, 6, mappable=False)
    await vm.driver.create_guest_blob(7, PAGE, vm.driver.pages(1))
    assert (await vm.driver.map_blob(8, 0)).type == BAD_RESOURCE
    assert (await vm.driver.map_blob(6, 0)).type == BAD_PARAMETER
    assert (await vm.driver.map_blob(7, 0)).type == BAD_PARAMETER
    assert (await vm.driver.unmap_blob(5)).type == BAD_PARAMETER
    assert (await vm.driver.unmap_blob(8)).type == BAD_RESOURCE
    assert (await vm.driver.map_blob(5, 0)).type == MAPPED
    assert (await vm.driver.map_blob(5, PAGE)).type == BAD_PARAMETER
    assert (await vm.driver.unmap_blob(5)).type == OK
    assert (await vm.driver.unmap_blob(5)).type == BAD_PARAMETER


async def test_a_refused_mapping_costs_only_itself(vm: Vm) -> None:
    await make_blob(vm, 5)
    vm.frontend.refuse_maps = True
    assert (await vm.driver.map_blob(5, 0)).type == NO_MEMORY
    vm.frontend.refuse_maps = False
    assert (await vm.driver.map_blob(5, 0)).type == MAPPED


async def test_other_commands_are_served_while_the_vmm_takes_its_time(vm: Vm) -> None:
    await make_blob(vm, 5)
    vm.frontend.may_answer.clear()
    mapping = post_map(vm, 5, 0)
    assert (await vm.driver.ctx_create(2)).ok
    assert (await vm.driver.submit_3d(1, b"same context")).ok
    assert not mapping.done()
    vm.frontend.may_answer.set()
    assert await type_of(mapping) == MAPPED


async def test_requests_that_need_not_wait_for_each_other_keep_their_order(vm: Vm) -> None:
    await make_blob(vm, 5)
    await make_blob(vm, 6)
    vm.frontend.may_answer.clear()
    answers = [
        post_map(vm, 5, 0),
        post_unmap(vm, 5),
        post_map(vm, 6, 0),
        post_unmap(vm, 6),
        post_map(vm, 5, 0),
    ]
    vm.frontend.may_answer.set()
    assert [await type_of(answer) for answer in answers] == [MAPPED, OK, MAPPED, OK, MAPPED]
    assert list(vm.frontend.window.mappings) == [0]


async def test_a_blob_unreferenced_while_it_is_being_mapped_is_let_go(vm: Vm) -> None:
    await make_blob(vm, 5)
    vm.frontend.may_answer.clear()
    mapping = post_map(vm, 5, 0)
    assert (await vm.driver.resource_unref(5)).ok
    vm.frontend.may_answer.set()
    assert await type_of(mapping) == MAPPED
    await make_blob(vm, 6)
    assert (await vm.driver.map_blob(6, 0)).type == MAPPED
    assert vm.frontend.window.view(0)[:4] == b"host"


async def test_a_blob_unmapped_before_the_vmm_refused_it_can_be_mapped_again(vm: Vm) -> None:
    await make_blob(vm, 5)
    vm.frontend.may_answer.clear()
    vm.frontend.refuse_maps = True
    refused, unmapped = post_map(vm, 5, 0), post_unmap(vm, 5)
    vm.frontend.may_answer.set()
    assert await type_of(refused) == NO_MEMORY
    assert await type_of(unmapped) == OK
    vm.frontend.refuse_maps = False
    assert (await vm.driver.map_blob(5, 0)).type == MAPPED
    assert (await vm.driver.unmap_blob(5)).type == OK


async def test_an_unreferenced_blob_is_unmapped_without_being_asked(vm: Vm) -> None:
    await make_blob(vm, 5)
    assert (await vm.driver.map_blob(5, 0)).type == MAPPED
    assert (await vm.driver.resource_unref(5)).ok
    await make_blob(vm, 6)
    assert (await vm.driver.map_blob(6, 0)).type == MAPPED
    assert vm.frontend.backend_requests == [MAP, UNMAP, MAP]


async def test_a_vmm_that_announces_nothing_is_waited_for_only_once() -> None:
    async with running_vm(announces=False) as vm:
        loop = asyncio.get_running_loop()
        await make_blob(vm, 5)
        await make_blob(vm, 6)
        assert (await vm.driver.map_blob(5, 0)).type == MAPPED
        assert (await vm.driver.unmap_blob(5)).type == OK
        assert (await vm.driver.map_blob(6, 0)).type == MAPPED
        before = loop.time()
        for _ in range(10):
            assert (await vm.driver.unmap_blob(6)).type == OK
            assert (await vm.driver.map_blob(6, 0)).type == MAPPED
        assert loop.time() - before < 1.0


async def test_mapped_blobs_are_limited(vm: Vm) -> None:
    for resource_id in range(1, MAX_MAPPED_BLOBS + 2):
        await make_blob(vm, resource_id)
    for resource_id in range(1, MAX_MAPPED_BLOBS + 1):
        assert (await vm.driver.map_blob(resource_id, resource_id * PAGE)).type == MAPPED
    assert (await vm.driver.map_blob(MAX_MAPPED_BLOBS + 1, 0)).type == NO_MEMORY
    assert (await vm.driver.unmap_blob(1)).type == OK
    assert (await vm.driver.map_blob(MAX_MAPPED_BLOBS + 1, 0)).type == MAPPED


async def test_the_guest_cannot_name_the_window_as_its_memory(vm: Vm) -> None:
    await make_blob(vm, 5)
    assert (await vm.driver.map_blob(5, 0)).type == MAPPED
    made = await vm.driver.create_guest_blob(6, PAGE, [(vm.frontend.window_address, PAGE)])
    assert made.type == BAD_PARAMETER


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, 3 << 30, (1 << 28) + PAGE])
async def test_a_window_that_is_no_power_of_two_is_our_own_mistake(size: int) -> None:
    with pytest.raises(LocalError):
        HostVisibleWindow(size, asyncio.get_running_loop())


class Channel:
    """The VMM's end of a back-end channel, and a window at the other end of it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self.vmm = ours
        self.faults: list[CrossDomainError] = []
        self.window = HostVisibleWindow(WINDOW, loop)
        self.window.connect(BackendChannel(theirs, loop, self.faults.append))
        self.memory = HostMemory.create(PAGE)

    def map(self, offset: int) -> list[bool]:
        """Maps a page; how that was answered, once it was."""
        answers: list[bool] = []
        self.window.map(offset, self.memory, answers.append)
        return answers

    def asked(self) -> tuple[int, int]:
        """What the VMM is asked next, and at which offset."""
        data, fds, _flags, _address = socket.recv_fds(self.vmm, 12 + 40, 8)
        for fd in fds:
            os.close(fd)
        return struct.unpack_from("<I", data)[0], struct.unpack_from("<B7xQQ", data, 12)[2]

    def say_yes(self, request: int) -> None:
        """Answers the request that waits."""
        self.vmm.send(struct.pack("<IIIQ", request, 1 | 4, 8, 0))

    async def settle(self) -> None:
        """Lets the window read what has been said."""
        for _ in range(3):
            await asyncio.sleep(0)

    def close(self) -> None:
        """Hangs up."""
        self.window.close()
        self.vmm.close()
        self.memory.close()


async def test_a_mapping_made_before_a_reset_is_left_to_the_vmm() -> None:
    channel = Channel()
    channel.map(0)
    assert channel.asked() == (MAP, 0)
    channel.say_yes(MAP)
    channel.window.reset()
    channel.map(PAGE)
    await channel.settle()
    assert channel.asked() == (MAP, PAGE)
    channel.close()


async def test_what_was_not_asked_before_a_reset_is_never_asked() -> None:
    channel = Channel()
    channel.map(0)
    answers = channel.map(PAGE)
    channel.window.reset()
    channel.map(2 * PAGE)
    assert channel.asked() == (MAP, 0)
    channel.say_yes(MAP)
    await channel.settle()
    # The one that came too late is undone first.
    assert channel.asked() == (UNMAP, 0)
    channel.say_yes(UNMAP)
    await channel.settle()
    assert channel.asked() == (MAP, 2 * PAGE)
    assert answers == []
    channel.close()


async def test_what_waits_when_the_vmm_hangs_up_is_refused() -> None:
    channel = Channel()
    answers = [channel.map(0), channel.map(PAGE)]
    channel.vmm.close()
    await channel.settle()
    assert answers == [[False], [False]]
    assert channel.faults == []
    channel.close()


async def test_a_vmm_that_breaks_the_protocol_is_reported() -> None:
    channel = Channel()
    answers = channel.map(0)
    channel.say_yes(UNMAP)
    await channel.settle()
    assert answers == [False]
    assert ["not asked" in str(fault) for fault in channel.faults] == [True]
    channel.close()


async def test_a_mapping_counts_when_the_vmm_has_announced_it() -> None:
    channel = Channel()
    answers = channel.map(0)
    channel.say_yes(MAP)
    await channel.settle()
    assert answers == []
    status = os.fstat(channel.memory.fd)
    channel.window.note_announced((status.st_dev, status.st_ino + 1))
    assert answers == []
    channel.window.note_announced((status.st_dev, status.st_ino))
    assert answers == [True]
    channel.close()


async def test_a_mapping_may_be_announced_before_the_vmm_says_yes() -> None:
    channel = Channel()
    answers = channel.map(0)
    status = os.fstat(channel.memory.fd)
    channel.window.note_announced((status.st_dev, status.st_ino))
    assert answers == []
    channel.say_yes(MAP)
    await channel.settle()
    assert answers == [True]
    channel.close()
