"""Pipes outlive the connection to the compositor, whoever ends it."""

import asyncio
import os

import pytest

from crossdomain.abi.cross_domain import FIRST_READ_PIPE, NO_IDENTIFIER, ReadWrite, encode_write
from tests.unit.context.test_pipes import bind_data_device, copy, noise, paste, write, write_all
from tests.unit.context.world import World, request, sync, until, wait_for_end_of

MIB = 1 << 20
OFFER_TEXT = request("wl_data_source", "offer", 6, "text/plain;charset=utf-8")


@pytest.fixture
async def offered(client: World) -> World:
    """A client that counts, with a data offer and a data source."""
    client.context.submit(encode_write(NO_IDENTIFIER, b""))
    await bind_data_device(client)
    return client


def leave(client: World) -> None:
    """The guest says that its client has left."""
    client.context.submit(encode_write(NO_IDENTIFIER, b"", hang_up=True))


async def read_to_the_end(client: World) -> bytes:
    """What the only read pipe brings until it hangs up."""
    received = bytearray()
    while not (read := await client.read()).hang_up:
        received += read.data
        client.context.submit(encode_write(read.identifier, b"", credit=len(read.data)))
    return bytes(received)


class TestTheClientLeaves:
    async def test_the_compositor_gets_its_last_requests_and_the_end(self, offered: World) -> None:
        offered.send(sync(7))
        leave(offered)
        assert await offered.host.receive(12) == sync(7)
        await offered.host.wait_until_gone()
        assert not offered.context.alive

    async def test_a_slow_compositor_gets_all_of_them(self, offered: World) -> None:
        requests = OFFER_TEXT * 1000
        for _ in range(100):
            offered.send(requests)
        leave(offered)
        assert await offered.host.receive(100 * len(requests)) == requests * 100
        await offered.host.wait_until_gone()

    async def test_what_it_offered_arrives(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        leave(offered)
        await offered.host.wait_until_gone()
        write(offered, identifier, b"hello", hang_up=True)
        assert await wait_for_end_of(fd) == b"hello"
        os.close(fd)

    async def test_what_it_asked_for_arrives(self, offered: World) -> None:
        fd = await paste(offered)
        leave(offered)
        content = noise(MIB)
        writing = asyncio.create_task(write_all(fd, content))
        assert await read_to_the_end(offered) == content
        await writing

    async def test_the_guest_hears_of_nothing_but_pipes(self, offered: World) -> None:
        fd = await paste(offered)
        leave(offered)
        await offered.host.wait_until_gone()
        os.close(fd)
        assert await offered.read() == ReadWrite(FIRST_READ_PIPE, True, memoryview(b""), 0)
        silent = offered.poll()
        assert not silent.done()

    async def test_what_is_sent_afterwards_is_dropped(self, offered: World) -> None:
        leave(offered)
        leave(offered)
        offered.send(sync(7))
        await offered.host.wait_until_gone()
        assert offered.host.received == b""

    async def test_a_compositor_that_ends_meanwhile_is_no_fault(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        for _ in range(100):
            offered.send(OFFER_TEXT * 1000)
        leave(offered)
        offered.host.close()
        write(offered, identifier, b"hello", hang_up=True)
        assert await wait_for_end_of(fd) == b"hello"
        os.close(fd)


class TestTheCompositorHangsUp:
    async def test_the_guest_is_told_once(self, offered: World) -> None:
        offered.host.close()
        assert await offered.receive_data() == b""
        silent = offered.poll()
        assert not silent.done()

    async def test_both_directions_go_on(self, offered: World) -> None:
        identifier, reading = await copy(offered)
        writing = await paste(offered)
        offered.host.close()
        assert await offered.receive_data() == b""
        write(offered, identifier, b"to the host", hang_up=True)
        assert await wait_for_end_of(reading) == b"to the host"
        os.write(writing, b"to the guest")
        os.close(writing)
        assert await read_to_the_end(offered) == b"to the guest"
        await until(lambda: offered.context.usage.pipes == 0)
        os.close(reading)

    async def test_the_end_of_the_context_is_the_end_of_the_pipes(self, offered: World) -> None:
        fd = await paste(offered)
        offered.host.close()
        assert await offered.receive_data() == b""
        offered.context.close()
        with pytest.raises(BrokenPipeError):
            os.write(fd, b"x")
        os.close(fd)
