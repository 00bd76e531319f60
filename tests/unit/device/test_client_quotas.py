"""Every quota of the settings, whether C carries a client's messages or Python does.

One above a quota of what there may be ends this client, or refuses its command; it is told why, a line of
the log names it, and its neighbour goes on.  Who is too fast waits.  The last test fails for a quota that no
other tries.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from functools import partial
from itertools import count
from typing import Final

import pytest

from crossdomain.abi.cross_domain import (
    Identifier,
    IdentifierType,
    SendReceive,
    encode_get_image_requirements,
)
from crossdomain.abi.virtio_gpu import VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_driver import Response
from tests.fakes.guest_ram import PAGE
from tests.unit.context.test_pipes import OFFER, read_pipe, receive_request
from tests.unit.context.world import CompositorEnd, event, request, sync
from tests.unit.device import test_passages as tests
from tests.unit.device.machine import Machine, both_ways, create_surface, hear_out, run
from tests.unit.host.test_passage import STEADY

_FIRST: Final = 6
"""The first object id that is free."""
_LEFT: Final = 30
"""Objects that one client may have besides what both begin with, of 40."""
Step = Callable[[], Awaitable[Response]]


Prepare = Callable[[Machine, GuestContext, CompositorEnd], Awaitable[tuple[Step, Step]]]
"""Makes two steps: one that is within the quota, and one that is too much."""


def _quotas(quota: str, most: int) -> Quotas:
    name = quota.removeprefix("vm.")
    if name == quota:
        return Quotas(client=replace(ClientQuotas(), **{name: most}))
    return Quotas(vm=replace(VmQuotas(), **{name: most}))


async def _ends_alone(quota: str, prepare: Prepare, machine: Machine) -> None:
    (greedy, its_compositor), (other, compositor) = await machine.open(), await machine.open(2)
    enough, too_much = await prepare(machine, greedy, its_compositor)
    assert (await enough()).ok
    assert not (await too_much()).ok
    assert f"(quota {quota})".encode() in await hear_out(greedy)
    await its_compositor.wait_until_gone()
    assert (await other.send(STEADY)).ok
    assert await compositor.receive(len(STEADY)) == STEADY


def _line_about(caplog: pytest.LogCaptureFixture, quota: str) -> str:
    return next(record.message for record in caplog.records if f"(quota {quota})" in record.message)


async def _blob(client: GuestContext) -> Identifier:
    blob = await client.allocate(2 * PAGE)
    return Identifier(blob.resource_id, IdentifierType.VIRTGPU_BLOB, 2 * PAGE)


def _free_fd() -> int:
    """The number of the descriptor that is opened next."""
    fd = os.dup(0)
    os.close(fd)
    return fd


async def pools(_machine: Machine, client: GuestContext, _compositor: CompositorEnd) -> tuple[Step, Step]:
    """One of a page, and one that is a pixel larger."""
    assert (await client.send(request("wl_registry", "bind", 2, 2, "wl_shm", 1, _FIRST))).ok
    memory = await _blob(client)
    sizes = ((_FIRST + 1, PAGE), (_FIRST + 2, PAGE + 4))
    small, large = (request("wl_shm", "create_pool", _FIRST, new_id, None, size) for new_id, size in sizes)
    return lambda: client.send(small, (memory,)), lambda: client.send(large, (memory,))


async def _bind_data_device(client: GuestContext, compositor: CompositorEnd) -> None:
    """A data device of the id _FIRST + 2, and a source of the next."""
    binds = request("wl_registry", "bind", 2, 3, "wl_seat", 1, _FIRST)
    binds += request("wl_registry", "bind", 2, 4, "wl_data_device_manager", 1, _FIRST + 1)
    binds += request("wl_data_device_manager", "get_data_device", _FIRST + 1, _FIRST + 2, _FIRST)
    binds += request("wl_data_device_manager", "create_data_source", _FIRST + 1, _FIRST + 3)
    assert (await client.send(binds)).ok
    await compositor.receive(len(binds))


async def pipes(_machine: Machine, client: GuestContext, compositor: CompositorEnd) -> tuple[Step, Step]:
    """Two pastes."""
    await _bind_data_device(client, compositor)
    compositor.send(event("wl_data_device", "data_offer", _FIRST + 2, OFFER))
    await client.next_event()

    def paste(number: int) -> Step:
        return lambda: client.send(receive_request(), (read_pipe(number),))

    return paste(1), paste(2)


async def piped(_machine: Machine, client: GuestContext, compositor: CompositorEnd) -> tuple[Step, Step]:
    """A page for a reader that takes none, and a byte more."""
    await _bind_data_device(client, compositor)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    compositor.fds.append(reader)
    while True:
        try:
            os.write(writer, bytes(PAGE))
        except BlockingIOError:
            break
    compositor.send(event("wl_data_source", "send", _FIRST + 3, "text/plain", None), [writer])
    os.close(writer)
    heard = await client.next_event()
    assert isinstance(heard, SendReceive)
    (pipe,) = (entry.identifier for entry in heard.identifiers)
    return lambda: client.write_pipe(pipe, bytes(PAGE)), lambda: client.write_pipe(pipe, b"!")


async def descriptors(
    _machine: Machine, client: GuestContext, _compositor: CompositorEnd
) -> tuple[Step, Step]:
    """Files that no request takes."""
    memory = await _blob(client)
    return lambda: client.send(b"", (memory,)), lambda: client.send(b"", (memory,))


async def descriptors_of_all(
    machine: Machine, client: GuestContext, compositor: CompositorEnd
) -> tuple[Step, Step]:
    """The same, where the process may have one more."""
    enough, too_much = await descriptors(machine, client, compositor)
    machine.allowance.set(Quotas(vm=replace(VmQuotas(), fds=_free_fd() + 1)))
    return enough, too_much


async def objects_of_all(
    _machine: Machine, client: GuestContext, _compositor: CompositorEnd
) -> tuple[Step, Step]:
    """As many as make 40 with what both clients have, and one more."""
    enough = b"".join(sync(_FIRST + number) for number in range(_LEFT))
    return lambda: client.send(enough), lambda: client.send(sync(_FIRST + _LEFT))


async def surfaces_of_all(
    _machine: Machine, client: GuestContext, _compositor: CompositorEnd
) -> tuple[Step, Step]:
    """Both clients have one each."""
    first, second = (create_surface(_FIRST + number) for number in range(2))
    return lambda: client.send(first), lambda: client.send(second)


ONE_MORE: Final[tuple[tuple[str, int, Prepare], ...]] = (
    ("pool_bytes", PAGE, pools),
    ("pipes", 1, pipes),
    ("piped_bytes", PAGE, piped),
    ("fds", 1, descriptors),
    ("vm.fds", 1 << 16, descriptors_of_all),
    ("vm.objects", 40, objects_of_all),
    ("vm.surfaces", 3, surfaces_of_all),
)


@both_ways
@pytest.mark.parametrize(("quota", "most", "prepare"), ONE_MORE, ids=[row[0] for row in ONE_MORE])
def test_who_takes_one_more_than_there_may_be_ends_alone(
    caplog: pytest.LogCaptureFixture,
    quota: str,
    most: int,
    prepare: Prepare,
    *,
    ports: bool,
) -> None:
    run(partial(_ends_alone, quota, prepare), ports=ports, quotas=_quotas(quota, most))
    assert _line_about(caplog, quota).startswith("vm test, ctx 1, 'client': ")


FLOODS: Final[tuple[tuple[str, int, Callable[[int], bytes], int], ...]] = (
    ("objects", 40, sync, 1),
    ("surfaces", 4, create_surface, 1),
    ("queued_bytes", 4096, sync, 1000),  # its compositor reads nothing
)


@both_ways
@pytest.mark.parametrize(("quota", "most", "make", "at_once"), FLOODS, ids=[row[0] for row in FLOODS])
def test_who_wants_more_and_more_ends_alone(
    caplog: pytest.LogCaptureFixture,
    quota: str,
    most: int,
    make: Callable[[int], bytes],
    at_once: int,
    *,
    ports: bool,
) -> None:
    async def story(machine: Machine) -> None:
        (greedy, its_compositor), (other, compositor) = await machine.open(), await machine.open(2)
        ids = count(_FIRST)
        while (await greedy.send(b"".join(make(next(ids)) for _ in range(at_once)))).ok:
            pass
        assert f"(quota {quota})".encode() in await hear_out(greedy)
        await its_compositor.wait_until_gone()
        assert (await other.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY

    run(story, ports=ports, quotas=_quotas(quota, most))
    assert _line_about(caplog, quota).startswith("vm test, ctx 1, 'client': ")


Ask = Callable[[Machine, GuestContext], Awaitable[Response]]


async def another_context(_machine: Machine, client: GuestContext) -> Response:
    """CTX_CREATE."""
    return await client.vm.driver.ctx_create(2)


async def another_blob(_machine: Machine, client: GuestContext) -> Response:
    """RESOURCE_CREATE_BLOB of a page, where there is one of two pages."""
    await client.allocate(2 * PAGE)
    page = await client.image_requirements(PAGE, 1, int.from_bytes(b"R8  ", "little"))
    return await client.vm.driver.create_host_blob(
        _REFUSED, page.size, ctx_id=client.ctx_id, blob_id=page.blob_id
    )


async def another_descriptor(machine: Machine, client: GuestContext) -> Response:
    """A blob, which is one."""
    machine.allowance.set(Quotas(vm=replace(VmQuotas(), fds=_free_fd())))
    page = await client.image_requirements(PAGE, 1, int.from_bytes(b"R8  ", "little"))
    return await client.vm.driver.create_host_blob(
        _REFUSED, page.size, ctx_id=client.ctx_id, blob_id=page.blob_id
    )


_REFUSED: Final = 100
"""The resource that there is not."""
REFUSED: Final[tuple[tuple[str, int, Ask], ...]] = (
    ("vm.contexts", 1, another_context),
    ("vm.resources", 3, another_blob),
    ("vm.blob_bytes", 2 * PAGE, another_blob),
    ("vm.fds", 1 << 16, another_descriptor),
    ("resources", 3, another_blob),
    ("blob_bytes", 2 * PAGE, another_blob),
)


@both_ways
@pytest.mark.parametrize(("quota", "most", "ask"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_command_for_too_much_is_refused_and_the_client_goes_on(
    caplog: pytest.LogCaptureFixture, quota: str, most: int, ask: Ask, *, ports: bool
) -> None:
    async def story(machine: Machine) -> None:
        client, compositor = await machine.open()
        assert (await ask(machine, client)).type == VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
        assert (await client.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY

    run(story, ports=ports, quotas=_quotas(quota, most))
    assert _line_about(caplog, quota).startswith("vm: context ")


@both_ways
@pytest.mark.parametrize(("quota", "most", "ask"), REFUSED[1:], ids=[row[0] for row in REFUSED[1:]])
def test_who_sends_what_was_refused_is_told_by_which_quota(
    quota: str, most: int, ask: Ask, *, ports: bool
) -> None:
    async def story(machine: Machine) -> None:
        client, _compositor = await machine.open()
        assert not (await ask(machine, client)).ok
        refused = Identifier(_REFUSED, IdentifierType.VIRTGPU_BLOB, PAGE)
        assert not (await client.send(b"", (refused,))).ok
        assert f"(quota {quota})".encode() in await hear_out(client)

    run(story, ports=ports, quotas=_quotas(quota, most))


def test_commands_that_are_no_requests_are_messages_too(caplog: pytest.LogCaptureFixture) -> None:
    questions = encode_get_image_requirements(PAGE, 1, int.from_bytes(b"R8  ", "little")) * 100

    async def story(machine: Machine) -> None:
        client, _compositor = await machine.open()
        for _ in range(3):
            assert (await client.submit(questions)).ok
        assert machine.contexts[0].is_held

    run(story, quotas=_quotas("messages_per_second", 50))
    assert _line_about(caplog, "messages_per_second").startswith("vm test, ctx 1, 'client': slowed down")


SLOWED: Final = {
    "messages_per_second": tests.test_a_client_that_is_too_fast_waits_though_no_python_runs,
    "vm.messages_per_second": tests.test_a_vm_that_is_too_fast_rests_though_no_python_runs_and_goes_on,
    "vm.cpu_percent": tests.test_a_vm_has_its_share_of_the_processor_though_no_python_runs,
}
"""Who waits, and what shows it."""


def test_every_quota_of_the_settings_is_tried() -> None:
    known = {field.name for field in fields(ClientQuotas)} | {
        f"vm.{field.name}" for field in fields(VmQuotas)
    }
    tried = {row[0] for rows in (ONE_MORE, FLOODS, REFUSED) for row in rows}
    assert tried | set(SLOWED) == known
