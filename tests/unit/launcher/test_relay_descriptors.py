"""Keymaps, and the pipes of clipboard and selection, in both directions."""

import fcntl
import os
from pathlib import Path

import pytest

from crossdomain.abi.cross_domain import FIRST_READ_PIPE, PIPE_WINDOW, Identifier, IdentifierType
from tests.unit.launcher.fake_channel import RelayedClient, event, request
from tests.unit.launcher.pasting import OFFER, Pasting, drain


def test_a_keymap_reaches_the_client_as_a_file_of_its_own(client: RelayedClient) -> None:
    seat = client.bind("wl_seat", 8)
    keyboard = client.new_id()
    client.say(request("wl_seat", "get_keyboard", seat, keyboard))
    client.hear()
    keymap = b"xkb_keymap {};\0"
    client.channel.blobs[9] = keymap
    data = event("wl_keyboard", "keymap", keyboard, 1, None, len(keymap))
    client.channel.deliver(data, (Identifier(9, IdentifierType.VIRTGPU_BLOB, len(keymap)),))
    heard, (fd,) = client.hear_fds()
    assert heard == data
    assert os.pread(fd, 100, 0) == keymap
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
    os.close(fd)


def test_a_paste_names_the_pipe_that_the_host_will_make(pasting: Pasting) -> None:
    first, second = pasting.paste(), pasting.paste()
    channel = pasting.client.channel
    assert channel.sent == 2 * request("wl_data_offer", "receive", OFFER, "text/plain", None)
    assert [entry.identifier for entry in channel.identifiers] == [FIRST_READ_PIPE, FIRST_READ_PIPE + 1]
    assert {entry.type for entry in channel.identifiers} == {IdentifierType.READ_PIPE}
    os.close(first)
    os.close(second)


def test_pasted_data_arrives_with_its_end(pasting: Pasting) -> None:
    reading = pasting.paste()
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"hello ")
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"world", hang_up=True)
    pasting.client.serve()
    assert drain(reading) == b"hello world"
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_paste_that_ends_with_its_last_data_waits_for_a_slow_reader(pasting: Pasting) -> None:
    reading = pasting.paste()
    data = os.urandom(300_000)
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, data, hang_up=True)
    arrived = bytearray()
    while len(arrived) < len(data):
        pasting.client.serve()
        arrived += drain(reading)
    pasting.client.serve()
    assert arrived == data
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_the_host_is_granted_what_the_reader_took(pasting: Pasting) -> None:
    reading = pasting.paste()
    granted, taken = 0, 0
    for _ in range(8):
        pasting.client.channel.deliver_read(FIRST_READ_PIPE, bytes(40_000))
        pasting.client.serve()
        taken += len(drain(reading))
        pasting.client.serve()
        granted = sum(write.credit for write in pasting.client.channel.writes)
        assert granted <= 40_000 * 8
    taken += len(drain(reading))
    assert granted == taken == 320_000
    os.close(reading)


def test_a_reader_that_never_reads_is_granted_nothing_more(pasting: Pasting) -> None:
    reading = pasting.paste()
    for _ in range(10):
        pasting.client.channel.deliver_read(FIRST_READ_PIPE, bytes(PIPE_WINDOW))
    pasting.client.serve()
    granted = sum(write.credit for write in pasting.client.channel.writes)
    assert granted <= PIPE_WINDOW
    os.close(reading)


def test_a_reader_that_leaves_tells_the_host_to_stop(pasting: Pasting) -> None:
    reading = pasting.paste()
    os.close(reading)
    pasting.client.serve()
    assert pasting.hang_ups == [FIRST_READ_PIPE]
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"too late", hang_up=True)
    pasting.client.serve()
    assert not pasting.client.closed


def test_a_host_without_credit_is_not_received_from_while_a_reader_is_stuck(foreign: Pasting) -> None:
    reading = foreign.paste()
    for _ in range(100):
        foreign.client.channel.deliver_read(FIRST_READ_PIPE, bytes(65_536))
    foreign.client.serve()
    assert foreign.client.channel.waiting > 50
    taken = 0
    while taken < 100 * 65_536:
        taken += len(drain(reading))
        foreign.client.serve()
    assert foreign.client.channel.waiting == 0
    assert foreign.client.channel.writes == []
    os.close(reading)


def test_a_host_without_credit_may_go_on_after_the_reader_left(foreign: Pasting) -> None:
    os.close(foreign.paste())
    foreign.client.channel.deliver_read(FIRST_READ_PIPE, b"nobody wants it")
    foreign.client.channel.deliver_read(FIRST_READ_PIPE, b"", hang_up=True)
    foreign.client.serve()
    assert not foreign.client.closed
    assert foreign.client.channel.writes == []


def test_a_paste_into_a_regular_file_is_written(pasting: Pasting, tmp_path: Path) -> None:
    path = tmp_path / "pasted"
    path.write_bytes(b"before ")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    pasting.client.say(request("wl_data_offer", "receive", OFFER, "text/plain", None), fds=[fd])
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"after", hang_up=True)
    pasting.client.serve()
    assert path.read_bytes() == b"before after"


def test_a_pipe_stays_blocking_for_the_client(pasting: Pasting) -> None:
    reading, writing = os.pipe()
    kept = os.dup(writing)
    pasting.client.say(request("wl_data_offer", "receive", OFFER, "text/plain", None), fds=[writing])
    assert os.get_blocking(kept)
    os.close(kept)
    os.close(reading)


def test_a_paste_into_an_fd_that_is_not_for_writing_is_refused(pasting: Pasting) -> None:
    reading, writing = os.pipe()
    pasting.client.say(request("wl_data_offer", "receive", OFFER, "text/plain", None), fds=[reading])
    assert b"open for writing" in pasting.client.hear()
    os.close(writing)


def test_offered_data_goes_to_the_host_with_its_end(pasting: Pasting) -> None:
    writing = pasting.ask(identifier=5)
    os.write(writing, b"hello")
    pasting.client.serve()
    assert pasting.written == b"hello"
    os.close(writing)
    pasting.client.serve()
    assert pasting.hang_ups == [5]


def test_a_host_that_does_not_take_it_stops_the_writer_only(pasting: Pasting) -> None:
    writing = pasting.ask()
    os.set_blocking(writing, False)
    sent = 0
    for _ in range(100):
        pasting.client.serve()
        try:
            sent += os.write(writing, bytes(65_536))
        except BlockingIOError:
            break
    assert len(pasting.written) == PIPE_WINDOW
    assert sent < 3 * PIPE_WINDOW
    pasting.client.channel.deliver_read(5, credit=1000)
    pasting.client.serve()
    assert len(pasting.written) == PIPE_WINDOW + 1000
    os.close(writing)


def test_a_host_whose_reader_left_ends_the_writer(pasting: Pasting) -> None:
    writing = pasting.ask()
    pasting.client.channel.deliver_read(5, hang_up=True)
    pasting.client.serve()
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"nobody reads")
    assert pasting.hang_ups == []
    os.close(writing)


def test_data_waits_while_the_channel_is_full(pasting: Pasting) -> None:
    writing = pasting.ask()
    pasting.client.channel.fill()
    os.write(writing, b"first ")
    pasting.client.serve()
    os.write(writing, b"second")
    os.close(writing)
    pasting.client.serve()
    assert pasting.written == b""
    pasting.client.channel.make_room()
    pasting.client.serve()
    assert pasting.written == b"first second"
    assert pasting.hang_ups == [5]


def test_several_pipes_in_one_event_burst_keep_their_order(pasting: Pasting) -> None:
    data = event("wl_data_source", "send", pasting.source, "text/plain", None)
    pasting.client.channel.deliver(
        data * 2,
        (Identifier(5, IdentifierType.WRITE_PIPE, 0), Identifier(6, IdentifierType.WRITE_PIPE, 0)),
    )
    heard, fds = pasting.client.hear_fds()
    assert heard == data * 2
    os.write(fds[1], b"six")
    pasting.client.serve()
    assert pasting.client.channel.writes[0].identifier == 6
    for fd in fds:
        os.close(fd)


def test_all_ends_are_closed_with_the_client(pasting: Pasting) -> None:
    reading, writing = pasting.paste(), pasting.ask()
    pasting.client.connection.close()
    assert os.read(reading, 1) == b""
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(reading)
    os.close(writing)
