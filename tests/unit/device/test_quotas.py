"""Quotas of a VM and of its clients at the device: what is too much is refused, and the others go on."""

import asyncio
import socket
from dataclasses import replace

import pytest

from crossdomain.abi import virtio_gpu as abi
from crossdomain.context.pace import Allowance, Pace
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from tests.fakes.frontend import FakeFrontend
from tests.fakes.patience import in_time
from tests.fakes.stub_context import StubHost
from tests.fakes.stub_vm import CAPSET, WINDOW, Vm, running_vm
from tests.unit.device.machine import settle

OK, NO_MEMORY = abi.VIRTIO_GPU_RESP_OK_NODATA, abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
PAGE = 4096


async def create(vm: Vm, resource_id: int, ctx_id: int, size: int = PAGE) -> int:
    """Make a blob of host memory; returns the answer's type."""
    vm.host.contexts[ctx_id - 1].blobs[size] = b""
    return (await vm.driver.create_host_blob(resource_id, size, ctx_id=ctx_id, blob_id=size)).type


async def test_contexts_of_a_vm_are_counted() -> None:
    async with running_vm(allowance=Allowance(Quotas(replace(VmQuotas(), contexts=1)))) as vm:
        assert (await vm.driver.ctx_create(1)).type == OK
        assert (await vm.driver.ctx_create(2)).type == NO_MEMORY
        assert (await vm.driver.ctx_destroy(1)).type == OK
        assert (await vm.driver.ctx_create(2)).type == OK


async def test_resources_and_blobs_of_a_vm_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    quotas = Quotas(replace(VmQuotas(), resources=2, blob_bytes=3 * PAGE))
    async with running_vm(allowance=Allowance(quotas)) as vm:
        assert (await vm.driver.ctx_create(1)).type == OK
        assert await create(vm, 1, 1, 2 * PAGE) == OK
        assert await create(vm, 2, 1, 2 * PAGE) == NO_MEMORY
        assert await create(vm, 2, 1) == OK
        assert (await vm.driver.create_guest_blob(3, PAGE, vm.driver.pages(1))).type == NO_MEMORY
        assert (await vm.driver.resource_unref(1)).type == OK
        assert await create(vm, 3, 1, 2 * PAGE) == OK
    told = [record.message for record in caplog.records if "(quota" in record.message]
    assert ["(quota vm.blob_bytes)" in told[0], "(quota vm.resources)" in told[1]] == [True, True]
    assert all(line.startswith("vm: ") for line in told)


async def test_what_one_client_has_is_not_its_neighbours() -> None:
    quotas = Quotas(client=replace(ClientQuotas(), resources=2, blob_bytes=3 * PAGE))
    async with running_vm(allowance=Allowance(quotas)) as vm:
        for ctx_id in (1, 2):
            assert (await vm.driver.ctx_create(ctx_id)).type == OK
        assert await create(vm, 1, 1, 2 * PAGE) == OK
        assert (await vm.driver.ctx_attach_resource(1, 1)).type == OK
        assert await create(vm, 2, 1, 2 * PAGE) == NO_MEMORY
        assert await create(vm, 2, 2, 2 * PAGE) == OK
        assert (await vm.driver.ctx_attach_resource(1, 2)).type == NO_MEMORY
        assert (await vm.driver.ctx_detach_resource(1, 1)).type == OK
        assert (await vm.driver.ctx_attach_resource(1, 2)).type == OK


class Clock:
    """The event loop's and the quotas', which goes on when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", self)

    def __call__(self) -> float:
        return self.now


async def test_a_vm_that_rests_is_not_read_and_goes_on_where_it_was(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    allowance = Allowance(Quotas(replace(VmQuotas(), messages_per_second=100)))
    allowance.pace = Pace(allowance.quotas.vm, clock)
    async with running_vm(allowance=allowance) as vm:
        assert (await vm.driver.ctx_create(1)).type == OK
        allowance.pace.spend(550)  # five seconds' worth is free, and half a second is to wait for
        assert (await vm.driver.ctx_create(2)).type == OK
        third = asyncio.ensure_future(vm.driver.ctx_create(3))
        for _ in range(2):
            await settle()
            assert not third.done()
            clock.now += 0.3
        assert (await third).type == OK
    (record,) = [record for record in caplog.records if "slowed down" in record.message]
    assert record.message.startswith("vm: ")
    assert "(quota vm.messages_per_second)" in record.message


async def test_pages_are_found_while_their_device_rests() -> None:
    ours, theirs = socket.socketpair()
    allowance = Allowance(Quotas(replace(VmQuotas(), messages_per_second=100)))
    session = GpuSession(theirs, Offer(StubHost().new_context, CAPSET, WINDOW, "vm"), allowance=allowance)
    serving = asyncio.ensure_future(session.serve())
    async with FakeFrontend(ours) as vm:
        allowance.pace.spend(100_000)
        assert (await vm.driver.create_guest_blob(1, PAGE, vm.driver.pages(1))).type == OK
        imported = asyncio.ensure_future(vm.driver.create_guest_blob(2, PAGE, vm.driver.pages(1)))
        await asyncio.sleep(0)
        assert len(session.find_pages(2).read(0, PAGE)) == PAGE
        assert (await imported).type == OK
        # What nobody asks for waits.
        waiting = asyncio.ensure_future(vm.driver.create_guest_blob(3, PAGE, vm.driver.pages(1)))
        await settle()
        assert not waiting.done()
        waiting.cancel()
    await in_time(serving)
