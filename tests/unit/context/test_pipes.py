"""Pipes between guest and host: everything arrives, nobody waits for anybody else, ends are exact."""

import asyncio
import contextlib
import os
import random
from dataclasses import replace

import pytest

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    NO_IDENTIFIER,
    PIPE_WINDOW,
    Identifier,
    IdentifierType,
    ReadWrite,
    encode_write,
)
from crossdomain.context.quotas import ClientQuotas
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import MAX_ORPHANED_BYTES, MAX_ORPHANED_PIPES, MAX_PIPE_BYTES, MAX_PIPES
from tests.unit.context.world import (
    World,
    delete_id,
    event,
    request,
    sync,
    until,
    wait_for_end_of,
    wait_writable,
)

OFFER = 0xFF000000
MIB = 1 << 20


def noise(size: int) -> bytes:
    """Bytes that show it when some are lost or change places."""
    return random.Random(size).randbytes(size)


@pytest.fixture
async def offered(client: World) -> World:
    """A client that was given a data offer, from which it may ask pipes."""
    await bind_data_device(client)
    return client


async def bind_data_device(client: World) -> None:
    """Seat 3, data device manager 4, data device 5, data source 6, and the compositor's offer."""
    client.send(request("wl_display", "get_registry", 1, 2))
    globals_ = event("wl_registry", "global", 2, 1, "wl_seat", 5)
    globals_ += event("wl_registry", "global", 2, 2, "wl_data_device_manager", 3)
    client.host.send(globals_)
    await client.receive_bytes(len(globals_))
    requests = request("wl_registry", "bind", 2, 1, "wl_seat", 5, 3)
    requests += request("wl_registry", "bind", 2, 2, "wl_data_device_manager", 3, 4)
    requests += request("wl_data_device_manager", "get_data_device", 4, 5, 3)
    requests += request("wl_data_device_manager", "create_data_source", 4, 6)
    client.send(requests)
    await client.host.receive(12 + len(requests))
    offer = event("wl_data_device", "data_offer", 5, OFFER)
    client.host.send(offer)
    await client.receive_bytes(len(offer))


def receive_request() -> bytes:
    """wl_data_offer.receive, which owns the write end of a pipe."""
    return request("wl_data_offer", "receive", OFFER, "text/plain", None)


def read_pipe(number: int = 1) -> Identifier:
    """The guest's guess of the n-th read pipe."""
    return Identifier(FIRST_READ_PIPE + number - 1, IdentifierType.READ_PIPE, 0)


async def paste(client: World, number: int = 1) -> int:
    """The client asks for a paste; the write end that the compositor gets, which does not block."""
    client.send(receive_request(), read_pipe(number))
    await client.host.receive(len(receive_request()))
    (fd,) = client.host.take_fds()
    os.set_blocking(fd, False)
    return fd


async def copy(client: World) -> tuple[int, int]:
    """The compositor asks the client for its selection: the identifier, and the read end."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    client.host.send(event("wl_data_source", "send", 6, "text/plain", None), [write_fd])
    os.close(write_fd)
    (identifier,) = (await client.receive()).identifiers
    assert identifier.type == IdentifierType.WRITE_PIPE
    return identifier.identifier, read_fd


def write(client: World, identifier: int, data: bytes, *, hang_up: bool = False, credit: int = 0) -> None:
    """WRITEs of at most 48 KiB, the last of which may hang up."""
    for start in range(0, max(1, len(data)), 49152):
        last = start + 49152 >= len(data)
        part = data[start : start + 49152]
        client.context.submit(encode_write(identifier, part, hang_up=hang_up and last, credit=credit))


async def write_all(fd: int, data: bytes) -> None:
    """Writes into a pipe as it drains, then closes it."""
    rest = memoryview(data)
    while rest:
        await wait_writable(fd)
        rest = rest[os.write(fd, rest[:PIPE_WINDOW]) :]
    os.close(fd)


def fill(fd: int) -> int:
    """Writes until the pipe is full; the bytes that went in."""
    written = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            written += os.write(fd, bytes(65536))
    return written


class TestFromHostToGuest:
    async def test_a_paste_arrives_and_ends_with_one_hang_up(self, offered: World) -> None:
        fd = await paste(offered)
        os.write(fd, b"hello")
        assert await offered.read() == ReadWrite(FIRST_READ_PIPE, False, memoryview(b"hello"), 0)
        os.close(fd)
        assert await offered.read() == ReadWrite(FIRST_READ_PIPE, True, memoryview(b""), 0)
        assert offered.context.usage.pipes == 0

    async def test_an_empty_paste_is_one_hang_up(self, offered: World) -> None:
        os.close(await paste(offered))
        assert (await offered.read()).hang_up

    async def test_several_mib_arrive_intact(self, offered: World) -> None:
        content = noise(4 * MIB)
        writing = asyncio.create_task(write_all(await paste(offered), content))
        received = bytearray()
        while not (read := await offered.read()).hang_up:
            assert 0 < len(read.data) <= 4096 - 24
            received += read.data
        await writing
        assert received == content

    async def test_a_slow_writer_is_not_cut(self, offered: World) -> None:
        fd = await paste(offered)
        for number in range(20):
            polled = offered.poll()
            os.write(fd, b"%d" % (number % 10))
            await polled
            assert offered.channel_ring.data[24:25] == b"%d" % (number % 10)
        os.close(fd)
        assert (await offered.read()).hang_up

    async def test_several_pipes_in_one_message_each_get_theirs(self, offered: World) -> None:
        offered.send(receive_request() * 3, read_pipe(1), read_pipe(2), read_pipe(3))
        await offered.host.receive(3 * len(receive_request()))
        for number, fd in enumerate(offered.host.take_fds()):
            os.write(fd, b"%d" % number)
            os.close(fd)
        reads = [await offered.read() for _ in range(6)]
        assert {(r.identifier, bytes(r.data)) for r in reads if not r.hang_up} == {
            (FIRST_READ_PIPE + number, b"%d" % number) for number in range(3)
        }
        assert {r.identifier for r in reads if r.hang_up} == {FIRST_READ_PIPE + n for n in range(3)}

    async def test_a_paste_does_not_hold_up_events_nor_another_paste(self, offered: World) -> None:
        endless, short = await paste(offered, 1), await paste(offered, 2)
        os.write(endless, bytes(PIPE_WINDOW))
        os.write(short, b"short")
        offered.host.send(delete_id(2))
        events = [await offered.next_event() for _ in range(6)]
        assert any(isinstance(e, ReadWrite) and bytes(e.data) == b"short" for e in events)
        assert any(e.data == delete_id(2) for e in events)
        os.close(endless)
        os.close(short)

    async def test_a_guest_that_does_not_poll_stops_the_writer_not_the_host(self, offered: World) -> None:
        fd = await paste(offered)
        assert fill(fd) <= PIPE_WINDOW
        os.close(fd)

    @pytest.mark.parametrize("guess", [FIRST_READ_PIPE - 1, FIRST_READ_PIPE + 1, 2, 0])
    async def test_a_wrong_guess_is_refused(self, offered: World, guess: int) -> None:
        with pytest.raises(GuestFault, match="the next one is 0x80000001"):
            offered.send(receive_request(), Identifier(guess, IdentifierType.READ_PIPE, 0))
        await offered.host.wait_until_gone()

    async def test_guesses_go_on_counting(self, offered: World) -> None:
        for number in (1, 2, 3):
            os.close(await paste(offered, number))
            assert (await offered.read()).identifier == FIRST_READ_PIPE + number - 1

    async def test_read_pipes_are_bounded(self, offered: World) -> None:
        fds = [await paste(offered, number) for number in range(1, MAX_PIPES + 1)]
        with pytest.raises(LimitExceeded, match=f"more than {MAX_PIPES} pipes"):
            offered.send(receive_request(), read_pipe(MAX_PIPES + 1))
        for fd in fds:
            os.close(fd)

    async def test_the_end_of_the_client_ends_the_writer(self, offered: World) -> None:
        fd = await paste(offered)
        offered.context.close()
        with pytest.raises(BrokenPipeError):
            os.write(fd, b"x")
        os.close(fd)

    async def test_a_guest_that_counts_gets_a_window_and_then_what_it_grants(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        content = noise(3 * PIPE_WINDOW)
        writing = asyncio.create_task(write_all(await paste(offered), content))
        received = bytearray()
        while len(received) < PIPE_WINDOW:
            received += (await offered.read()).data
        stalled = offered.poll()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not stalled.done()
        offered.context.submit(encode_write(FIRST_READ_PIPE, b"", credit=100))
        await stalled
        assert int.from_bytes(offered.channel_ring.data[16:20], "little") == 100
        received += offered.channel_ring.data[24:124]
        offered.context.submit(encode_write(FIRST_READ_PIPE, b"", credit=PIPE_WINDOW - 100))
        while not (read := await offered.read()).hang_up:
            received += read.data
            offered.context.submit(encode_write(FIRST_READ_PIPE, b"", credit=len(read.data)))
        await writing
        assert received == content

    async def test_a_stalled_paste_does_not_stall_events(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        fd = await paste(offered)
        os.write(fd, bytes(PIPE_WINDOW))
        received = 0
        while received < PIPE_WINDOW:
            received += len((await offered.read()).data)
        os.write(fd, b"more")
        offered.host.send(delete_id(2))
        assert await offered.receive_data() == delete_id(2)
        os.close(fd)

    async def test_the_guest_hangs_up_a_paste_that_nobody_reads(self, offered: World) -> None:
        fd = await paste(offered)
        offered.context.submit(encode_write(FIRST_READ_PIPE, b"", hang_up=True))
        with pytest.raises(BrokenPipeError):
            os.write(fd, b"x")
        os.close(fd)
        assert offered.context.usage.pipes == 0

    async def test_credit_for_a_pipe_that_has_just_ended_is_harmless(self, offered: World) -> None:
        os.close(await paste(offered))
        assert (await offered.read()).hang_up
        offered.context.submit(encode_write(FIRST_READ_PIPE, b"", credit=5))
        offered.context.submit(encode_write(FIRST_READ_PIPE, b"", hang_up=True))

    async def test_credit_is_never_more_than_the_window(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        fd = await paste(offered)
        offered.context.submit(encode_write(FIRST_READ_PIPE, b"", credit=2**32 - 1))
        os.write(fd, bytes(PIPE_WINDOW))
        received = 0
        while received < PIPE_WINDOW:
            received += len((await offered.read()).data)
        os.write(fd, b"more")
        stalled = offered.poll()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not stalled.done()
        os.close(fd)

    async def test_data_for_a_read_pipe_is_refused(self, offered: World) -> None:
        fd = await paste(offered)
        with pytest.raises(GuestFault, match="WRITE of 1 bytes"):
            offered.context.submit(encode_write(FIRST_READ_PIPE, b"x"))
        os.close(fd)


class TestFromGuestToHost:
    async def test_a_copy_arrives_and_ends(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        write(offered, identifier, b"hello", hang_up=True)
        assert await wait_for_end_of(fd) == b"hello"
        os.close(fd)
        assert offered.context.usage.pipes == 0

    async def test_several_mib_arrive_intact(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        content = noise(4 * MIB)
        write(offered, identifier, content, hang_up=True)
        assert await wait_for_end_of(fd) == content
        os.close(fd)

    async def test_a_reader_that_never_reads_holds_up_nobody(self, offered: World) -> None:
        stuck, stuck_fd = await copy(offered)
        quick, quick_fd = await copy(offered)
        write(offered, stuck, bytes(MIB))
        write(offered, quick, b"quick", hang_up=True)
        assert await wait_for_end_of(quick_fd) == b"quick"
        offered.send(sync(7))
        assert await offered.host.receive(12) == sync(7)
        os.close(stuck_fd)
        os.close(quick_fd)

    async def test_what_waits_for_readers_is_bounded_and_one_more_byte_ends_the_client(
        self, offered: World
    ) -> None:
        identifier, fd = await copy(offered)
        write(offered, identifier, bytes(PIPE_WINDOW))  # what the pipe itself takes
        write(offered, identifier, bytes(MAX_PIPE_BYTES))
        assert offered.context.alive
        with pytest.raises(LimitExceeded, match="wait for readers"):
            write(offered, identifier, b"x")
        await offered.host.wait_until_gone()
        os.close(fd)

    async def test_nothing_revives_a_pipe_that_the_guest_hung_up(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        write(offered, identifier, bytes(2 * PIPE_WINDOW), hang_up=True)
        write(offered, identifier, b"more")
        assert len(await wait_for_end_of(fd)) == 2 * PIPE_WINDOW
        os.close(fd)

    async def test_a_reader_that_leaves_costs_only_its_pipe(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        os.close(fd)
        write(offered, identifier, b"x")
        write(offered, identifier, b"y", hang_up=True)
        assert offered.context.usage.pipes == 0
        assert offered.context.alive

    async def test_a_reader_that_leaves_late_costs_only_its_pipe(self, offered: World) -> None:
        identifier, fd = await copy(offered)
        write(offered, identifier, bytes(MIB))
        os.close(fd)
        await until(lambda: offered.context.usage.pipes == 0)
        write(offered, identifier, b"y")
        assert offered.context.alive

    async def test_what_was_written_outlives_the_client(self, offered: World) -> None:
        """wl-copy --paste-once ends as soon as it has written."""
        identifier, fd = await copy(offered)
        content = noise(MIB)
        write(offered, identifier, content, hang_up=True)
        offered.context.close()
        assert len(offered.orphans) == 1
        assert await wait_for_end_of(fd) == content
        assert len(offered.orphans) == 0
        os.close(fd)

    async def test_pipes_that_outlive_their_client_are_bounded(self, offered: World) -> None:
        fds: list[int] = []
        for _ in range(MAX_ORPHANED_PIPES + 1):
            identifier, fd = await copy(offered)
            write(offered, identifier, bytes(2 * PIPE_WINDOW), hang_up=True)
            fds.append(fd)
        offered.context.close()
        assert len(offered.orphans) == MAX_ORPHANED_PIPES
        lengths = [len(await wait_for_end_of(fd)) for fd in fds]
        assert lengths == [PIPE_WINDOW] + [2 * PIPE_WINDOW] * MAX_ORPHANED_PIPES
        for fd in fds:
            os.close(fd)

    async def test_bytes_that_outlive_their_client_are_bounded(self, offered: World) -> None:
        offered.context.apply(replace(ClientQuotas(), piped_bytes=2 * MAX_ORPHANED_BYTES))
        fds: list[int] = []
        for _ in range(3):
            identifier, fd = await copy(offered)
            write(offered, identifier, bytes(MAX_ORPHANED_BYTES // 2), hang_up=True)
            fds.append(fd)
        offered.context.close()
        assert len(offered.orphans) == 2
        assert MAX_ORPHANED_BYTES - 4 * PIPE_WINDOW < offered.orphans.pending <= MAX_ORPHANED_BYTES
        assert len(await wait_for_end_of(fds[0])) == PIPE_WINDOW
        for fd in fds:
            os.close(fd)

    async def test_write_pipes_are_bounded(self, offered: World) -> None:
        fds = [(await copy(offered))[1] for _ in range(MAX_PIPES)]
        read_fd, write_fd = os.pipe()
        offered.host.send(event("wl_data_source", "send", 6, "text/plain", None), [write_fd])
        os.close(write_fd)
        await offered.host.wait_until_gone()
        for fd in (*fds, read_fd):
            os.close(fd)

    async def test_a_guest_that_counts_is_told_what_the_reader_took(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        identifier, fd = await copy(offered)
        write(offered, identifier, bytes(1000))
        assert await offered.read() == ReadWrite(identifier, False, memoryview(b""), 1000)
        write(offered, identifier, bytes(PIPE_WINDOW))
        credit = (await offered.read()).credit
        assert 0 < credit < PIPE_WINDOW
        while credit < PIPE_WINDOW:
            os.read(fd, 8192)
            credit += (await offered.read()).credit
        assert credit == PIPE_WINDOW
        os.close(fd)

    async def test_a_guest_that_counts_is_told_that_the_reader_left(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        identifier, fd = await copy(offered)
        os.close(fd)
        write(offered, identifier, b"x")
        assert await offered.read() == ReadWrite(identifier, True, memoryview(b""), 0)
        silent = offered.poll()
        write(offered, identifier, b"on its way", hang_up=True)
        assert not silent.done()

    async def test_a_guest_that_counts_is_told_though_it_writes_nothing(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        identifier, fd = await copy(offered)
        os.close(fd)
        assert await offered.read() == ReadWrite(identifier, True, memoryview(b""), 0)
        assert offered.context.usage.pipes == 0

    async def test_a_guest_that_hangs_up_hears_no_more_of_the_pipe(self, offered: World) -> None:
        offered.context.submit(encode_write(NO_IDENTIFIER, b""))
        identifier, fd = await copy(offered)
        silent = offered.poll()
        write(offered, identifier, b"x", hang_up=True)
        assert await wait_for_end_of(fd) == b"x"
        assert not silent.done()
        os.close(fd)

    async def test_a_paste_into_a_file_goes_into_the_file(self, offered: World) -> None:
        """Some programs hand their standard output to the compositor, whatever it is."""
        fd = os.memfd_create("output")
        os.write(fd, b"before, ")
        offered.host.send(event("wl_data_source", "send", 6, "text/plain", None), [fd])
        (identifier,) = (await offered.receive()).identifiers
        write(offered, identifier.identifier, b"hello ")
        write(offered, identifier.identifier, b"file", hang_up=True)
        assert os.pread(fd, 100, 0) == b"before, hello file"
        os.close(fd)

    async def test_a_shared_write_end_stays_blocking_for_the_others(self, offered: World) -> None:
        read_fd, write_fd = os.pipe()
        offered.host.send(event("wl_data_source", "send", 6, "text/plain", None), [write_fd])
        await offered.receive()
        assert os.get_blocking(write_fd)
        os.close(write_fd)
        os.close(read_fd)

    async def test_an_fd_that_can_not_be_written_ends_the_client(self, offered: World) -> None:
        read_fd, write_fd = os.pipe()
        offered.host.send(event("wl_data_source", "send", 6, "text/plain", None), [read_fd])
        os.close(read_fd)
        os.close(write_fd)
        assert b"can't cross" in await offered.receive_data()
