"""What a client of a VM may have besides objects, whether C carries its messages or Python does.

One above a quota ends this client: it is told why, a line of the log names it, and its neighbour goes on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_driver import Response
from tests.fakes.guest_ram import PAGE
from tests.unit.context.test_pipes import OFFER, read_pipe, receive_request
from tests.unit.context.world import CompositorEnd, event, request, sync
from tests.unit.device.test_passages import Machine, both_ways, hear_out, run
from tests.unit.host.test_passage import STEADY

_FIRST: Final = 6
"""The first object id that is free."""
_LEFT: Final = 30
"""Objects that one client may have besides what both begin with, of 40."""
Step = Callable[[], Awaitable[Response]]


Prepare = Callable[[GuestContext, CompositorEnd], Awaitable[tuple[Step, Step]]]
"""Makes two steps: one that is within the quota, and one that is too much."""


async def _ends_alone(quota: str, prepare: Prepare, machine: Machine) -> None:
    (greedy, its_compositor), (other, compositor) = await machine.open(), await machine.open(2)
    enough, too_much = await prepare(greedy, its_compositor)
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


async def pools(client: GuestContext, _compositor: CompositorEnd) -> tuple[Step, Step]:
    """One of a page, and one that is a pixel larger."""
    assert (await client.send(request("wl_registry", "bind", 2, 2, "wl_shm", 1, _FIRST))).ok
    memory = await _blob(client)
    sizes = ((_FIRST + 1, PAGE), (_FIRST + 2, PAGE + 4))
    small, large = (request("wl_shm", "create_pool", _FIRST, new_id, None, size) for new_id, size in sizes)
    return lambda: client.send(small, (memory,)), lambda: client.send(large, (memory,))


async def pipes(client: GuestContext, compositor: CompositorEnd) -> tuple[Step, Step]:
    """Two pastes."""
    binds = request("wl_registry", "bind", 2, 3, "wl_seat", 1, _FIRST)
    binds += request("wl_registry", "bind", 2, 4, "wl_data_device_manager", 1, _FIRST + 1)
    binds += request("wl_data_device_manager", "get_data_device", _FIRST + 1, _FIRST + 2, _FIRST)
    assert (await client.send(binds)).ok
    await compositor.receive(len(binds))
    compositor.send(event("wl_data_device", "data_offer", _FIRST + 2, OFFER))
    await client.next_event()

    def paste(number: int) -> Step:
        return lambda: client.send(receive_request(), (read_pipe(number),))

    return paste(1), paste(2)


async def descriptors(client: GuestContext, _compositor: CompositorEnd) -> tuple[Step, Step]:
    """Files that no request takes."""
    memory = await _blob(client)
    return lambda: client.send(b"", (memory,)), lambda: client.send(b"", (memory,))


async def objects_of_all(client: GuestContext, _compositor: CompositorEnd) -> tuple[Step, Step]:
    """As many as make 40 with what both clients have, and one more."""
    enough = b"".join(sync(_FIRST + number) for number in range(_LEFT))
    return lambda: client.send(enough), lambda: client.send(sync(_FIRST + _LEFT))


async def surfaces_of_all(client: GuestContext, _compositor: CompositorEnd) -> tuple[Step, Step]:
    """Both clients have one each."""
    first, second = (request("wl_compositor", "create_surface", 3, _FIRST + number) for number in range(2))
    return lambda: client.send(first), lambda: client.send(second)


@both_ways
@pytest.mark.parametrize(
    ("quota", "most", "prepare"),
    [
        ("pool_bytes", PAGE, pools),
        ("pipes", 1, pipes),
        ("fds", 1, descriptors),
        ("vm.objects", 40, objects_of_all),
        ("vm.surfaces", 3, surfaces_of_all),
    ],
    ids=["pool_bytes", "pipes", "fds", "vm.objects", "vm.surfaces"],
)
def test_who_takes_one_more_than_there_may_be_ends_alone(
    caplog: pytest.LogCaptureFixture,
    quota: str,
    most: int,
    prepare: Prepare,
    *,
    ports: bool,
) -> None:
    name = quota.removeprefix("vm.")
    if name == quota:
        quotas = Quotas(client=replace(ClientQuotas(), **{name: most}))
    else:
        quotas = Quotas(vm=replace(VmQuotas(), **{name: most}))
    run(partial(_ends_alone, quota, prepare), ports=ports, quotas=quotas)
    assert _line_about(caplog, quota).startswith("vm test, ctx 1, 'client': ")


async def another_context(client: GuestContext) -> Response:
    """CTX_CREATE."""
    return await client.vm.driver.ctx_create(2)


async def another_blob(client: GuestContext) -> Response:
    """RESOURCE_CREATE_BLOB of a page, where there is one of two pages."""
    await client.allocate(2 * PAGE)
    page = await client.image_requirements(PAGE, 1, int.from_bytes(b"R8  ", "little"))
    return await client.vm.driver.create_host_blob(100, page.size, ctx_id=1, blob_id=page.blob_id)


@both_ways
@pytest.mark.parametrize(
    ("quota", "most", "ask"),
    [
        ("contexts", 1, another_context),
        ("resources", 3, another_blob),
        ("blob_bytes", 2 * PAGE, another_blob),
    ],
    ids=["contexts", "resources", "blob_bytes"],
)
def test_what_is_too_much_for_a_vm_is_refused_and_its_clients_go_on(
    caplog: pytest.LogCaptureFixture,
    quota: str,
    most: int,
    ask: Callable[[GuestContext], Awaitable[Response]],
    *,
    ports: bool,
) -> None:
    async def story(machine: Machine) -> None:
        client, compositor = await machine.open()
        assert not (await ask(client)).ok
        assert (await client.send(STEADY)).ok
        assert await compositor.receive(len(STEADY)) == STEADY

    run(story, ports=ports, quotas=Quotas(vm=replace(VmQuotas(), **{quota: most})))
    assert _line_about(caplog, quota).startswith("vm: ")
