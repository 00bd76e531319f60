"""Each quota of a client: at the number all is well, one above costs this client, and it is told why."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from crossdomain.context.compositor import close_all
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from crossdomain.errors import GuestFault
from crossdomain.wire import load
from crossdomain.wire.codec import decode_arguments
from tests.unit.context.test_pipes import bind_data_device, copy, read_pipe, receive_request, write
from tests.unit.context.test_requests import announce, bind_shm, create_pool
from tests.unit.context.world import World, delete_id, request, sync, until


def grant(client: World, **numbers: int) -> None:
    """Give the client other quotas, as new settings do."""
    client.allowance.set(Quotas(client=replace(ClientQuotas(), **numbers)))
    client.context.apply(client.allowance.quotas.client)


async def told(client: World) -> str:
    """Return the text of the wl_display.error that is the last that the guest gets."""
    stream = b""
    while data := await client.receive_data():
        stream += data
    message = b""
    while stream:
        size = int.from_bytes(stream[6:8], "little")
        message, stream = stream[:size], stream[size:]
    _object_id, _code, text = decode_arguments(load().interface("wl_display").events[0], memoryview(message))
    return str(text)


async def ends(client: World, quota: str, act: Callable[[], None]) -> None:
    """Act, and see the client end for that quota, and be told."""
    with pytest.raises(GuestFault, match=rf"\(quota {quota}\)"):
        act()
    assert f"(quota {quota})" in await told(client)
    await client.host.wait_until_gone()
    assert not client.context.alive


async def bind_compositor(client: World) -> None:
    """Make object 3 the wl_compositor."""
    await announce(client, (1, "wl_compositor", 5))
    bind = request("wl_registry", "bind", 2, 1, "wl_compositor", 5, 3)
    client.send(bind)
    await client.host.receive(len(bind))


def create_surface(new_id: int) -> bytes:
    return request("wl_compositor", "create_surface", 3, new_id)


async def test_surfaces_are_counted_until_they_are_destroyed(client: World) -> None:
    await bind_compositor(client)
    grant(client, surfaces=2)
    client.send(create_surface(4) + create_surface(5))
    client.send(request("wl_surface", "destroy", 4) + create_surface(6))
    assert client.context.usage.surfaces == 2
    await ends(client, "surfaces", lambda: client.send(create_surface(7)))


async def test_surfaces_of_a_vm_are_counted_together(client: World) -> None:
    await bind_compositor(client)
    client.allowance.set(Quotas(vm=replace(VmQuotas(), surfaces=2)))
    client.send(create_surface(4) + create_surface(5))
    client.send(request("wl_surface", "destroy", 4) + create_surface(6))
    assert client.allowance.totals.surfaces == 2
    await ends(client, "vm.surfaces", lambda: client.send(create_surface(7)))
    assert client.allowance.totals.surfaces == 0


async def test_objects_of_a_vm_are_counted_together(client: World) -> None:
    client.allowance.set(Quotas(vm=replace(VmQuotas(), objects=4)))
    client.send(sync(2) + sync(3) + sync(4))
    assert client.allowance.totals.objects == 4
    await ends(client, "vm.objects", lambda: client.send(sync(5)))
    assert client.allowance.totals.objects == 0


async def test_objects_are_counted_until_their_ids_are_free(client: World) -> None:
    grant(client, objects=4)
    client.send(sync(2) + sync(3) + sync(4))
    assert client.context.usage.objects == 4
    client.host.send(delete_id(3))
    await client.receive_bytes(len(delete_id(3)))
    client.send(sync(3))
    await ends(client, "objects", lambda: client.send(sync(5)))


async def test_a_pool_has_a_size(client: World) -> None:
    await bind_shm(client)
    grant(client, pool_bytes=4096)
    _memory, identifier = client.share(100, 8192)
    client.send(create_pool(4, 4096), identifier)
    await ends(client, "pool_bytes", lambda: client.send(create_pool(5, 4100), identifier))


async def test_a_pool_grows_to_its_size(client: World) -> None:
    await bind_shm(client)
    grant(client, pool_bytes=4096)
    _memory, identifier = client.share(100, 8192)
    client.send(create_pool(4, 4092), identifier)
    client.send(request("wl_shm_pool", "resize", 4, 4096))
    await ends(client, "pool_bytes", lambda: client.send(request("wl_shm_pool", "resize", 4, 4100)))


async def test_pipes_to_read_are_counted(client: World) -> None:
    await bind_data_device(client)
    grant(client, pipes=2)
    client.send(receive_request() * 2, read_pipe(1), read_pipe(2))
    assert client.context.usage.pipes == 2
    await ends(client, "pipes", lambda: client.send(receive_request(), read_pipe(3)))


async def test_bytes_that_wait_for_readers_are_counted(client: World) -> None:
    await bind_data_device(client)
    grant(client, piped_bytes=1 << 20)
    identifier, read_fd = await copy(client)
    write(client, identifier, bytes(1 << 20))
    assert client.context.usage.piped_bytes > 1 << 19
    await ends(client, "piped_bytes", lambda: write(client, identifier, bytes(1 << 20)))
    os.close(read_fd)


async def test_bytes_that_wait_for_the_compositor_are_counted(client: World) -> None:
    grant(client, queued_bytes=1 << 20)
    batch = b"".join(sync(2 + number) for number in range(5000))

    def flood() -> None:
        for _ in range(100):  # 6 MB: a socket holds less than one
            client.send(batch)

    await ends(client, "queued_bytes", flood)


async def test_descriptors_that_wait_are_counted(client: World) -> None:
    await bind_shm(client)
    grant(client, fds=3)
    _memory, identifier = client.share(100)
    client.send(b"", identifier, identifier, identifier)
    assert client.context.usage.fds == 3
    await ends(client, "fds", lambda: client.send(b"", identifier))


async def test_descriptors_that_wait_for_their_turn_are_counted(client: World) -> None:
    await bind_shm(client)
    _memory, identifier = client.share(100)
    grant(client, fds=3, messages_per_second=10)
    client.send(b"".join(sync(4 + number) for number in range(60)))
    assert client.context.is_held
    for new_id in (64, 65, 66):
        client.send(create_pool(new_id, 4096), identifier)
    assert client.context.usage.fds == 3
    await ends(client, "fds", lambda: client.send(create_pool(67, 4096), identifier))


async def test_descriptors_that_waited_are_counted_no_more(client: World) -> None:
    await bind_shm(client)
    _memory, identifier = client.share(100)
    grant(client, fds=3, messages_per_second=10)
    burst = b"".join(sync(4 + number) for number in range(60))
    client.send(burst)
    assert client.context.is_held
    for new_id in (64, 65, 66):
        client.send(create_pool(new_id, 4096), identifier)
    await client.host.receive(len(burst) + 3 * len(create_pool(64, 4096)))
    assert client.context.usage.fds == 0
    close_all(client.host.take_fds())


async def test_a_vm_that_has_too_many_descriptors_gets_no_more(client: World) -> None:
    await bind_shm(client)
    newest = os.dup(0)
    os.close(newest)
    client.allowance.set(Quotas(vm=replace(VmQuotas(), fds=newest + 2)))
    _memory, identifier = client.share(100)  # takes the first
    client.send(b"", identifier)  # takes the second
    await ends(client, "vm.fds", lambda: client.send(b"", identifier))


async def test_who_is_too_fast_waits_and_loses_nothing(
    client: World, caplog: pytest.LogCaptureFixture
) -> None:
    grant(client, messages_per_second=10)
    start = asyncio.get_running_loop().time()
    stream = b"".join(sync(2 + number) for number in range(70))
    with caplog.at_level(logging.WARNING, "crossdomain.context"):
        client.send(stream[: 65 * 12])
        client.send(stream[65 * 12 :])
    assert client.context.is_held
    assert client.context.alive
    assert await client.host.receive(len(stream)) == stream
    # Five seconds' worth is free; what came after the rest waited for its turn.
    assert asyncio.get_running_loop().time() - start > 0.5
    (record,) = [record for record in caplog.records if "slowed down" in record.message]
    assert record.message.startswith("vm test, ctx 1, 'client': ")
    assert "(quota messages_per_second)" in record.message
    assert client.context.counters.held == 1
    await until(lambda: not client.context.is_held)


async def test_who_is_held_and_floods_on_ends_at_its_queue(client: World) -> None:
    grant(client, messages_per_second=10, queued_bytes=4096)
    client.send(b"".join(sync(2 + number) for number in range(60)))
    assert client.context.is_held

    def flood() -> None:
        for _ in range(10):
            client.send(b"".join(sync(2 + number) for number in range(60)))

    await ends(client, "queued_bytes", flood)
