"""Pipes outlive the client, the compositor's connection and the launcher: what was written arrives."""

import os

import pytest

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    NO_IDENTIFIER,
    PIPE_WINDOW,
    Identifier,
    IdentifierType,
    ReadWrite,
)
from tests.unit.launcher.fake_channel import event, request
from tests.unit.launcher.pasting import Pasting, drain

LEFT = ReadWrite(NO_IDENTIFIER, True, memoryview(b""), 0)
"""How the host is told that the client has left."""


def hang_up(pasting: Pasting) -> None:
    """The compositor closes the connection."""
    pasting.client.channel.deliver(b"")
    pasting.client.serve()


def test_offered_data_is_sent_to_its_end_after_the_client_left(pasting: Pasting) -> None:
    writing = pasting.ask()
    os.write(writing, b"last words")
    pasting.client.socket.close()
    pasting.client.serve()
    assert pasting.written == b"last words"
    assert not pasting.client.closed
    os.write(writing, b", really")
    os.close(writing)
    pasting.client.serve()
    assert pasting.written == b"last words, really"
    assert pasting.hang_ups == [NO_IDENTIFIER, 5]
    assert pasting.client.closed


def test_a_client_with_a_window_is_gone_at_once_and_its_data_arrives(pasting: Pasting) -> None:
    pasting.show_window()
    writing = pasting.ask()
    pasting.client.socket.close()
    pasting.client.serve()
    assert pasting.client.channel.writes == [LEFT]
    assert all(memory.closed for memory in pasting.client.channel.memories)
    os.write(writing, b"hello")
    os.close(writing)
    pasting.client.serve()
    assert pasting.written == b"hello"
    assert pasting.client.closed


def test_a_paste_goes_on_after_the_client_left(pasting: Pasting) -> None:
    reading = pasting.paste()
    pasting.client.socket.close()
    pasting.client.serve()
    assert pasting.client.channel.writes == [LEFT]
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"hello")
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, hang_up=True)
    pasting.client.serve()
    assert drain(reading) == b"hello"
    assert pasting.client.closed
    os.close(reading)


def test_a_client_that_left_without_pipes_is_gone_at_once(pasting: Pasting) -> None:
    pasting.client.socket.close()
    pasting.client.serve()
    assert pasting.client.closed
    assert pasting.client.channel.writes == []


def test_word_of_the_end_waits_for_the_last_requests(pasting: Pasting) -> None:
    writing = pasting.ask()
    pasting.client.channel.fill()
    pasting.client.say(request("wl_display", "sync", 1, pasting.client.new_id()))
    pasting.client.socket.close()
    pasting.client.serve()
    assert pasting.client.channel.writes == []
    pasting.client.channel.make_room()
    pasting.client.serve()
    assert len(pasting.client.channel.sends) == 1
    assert pasting.client.channel.writes == [LEFT]
    os.close(writing)


def test_a_reader_that_left_with_its_client_is_not_waited_for(pasting: Pasting) -> None:
    os.close(pasting.paste())
    pasting.client.socket.close()
    pasting.client.serve()
    assert FIRST_READ_PIPE in pasting.hang_ups
    assert pasting.client.closed


def test_pipes_go_on_after_the_compositor_hung_up(pasting: Pasting) -> None:
    reading, writing = pasting.paste(), pasting.ask()
    hang_up(pasting)
    assert pasting.client.socket.recv(1) == b""
    assert not pasting.client.closed
    os.write(writing, b"to the host")
    os.close(writing)
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"to the guest", hang_up=True)
    pasting.client.serve()
    assert pasting.written == b"to the host"
    assert pasting.hang_ups == [5]
    assert drain(reading) == b"to the guest"
    os.close(reading)
    assert pasting.client.closed


def test_data_behind_the_hang_up_arrives(pasting: Pasting) -> None:
    reading = pasting.paste()
    pasting.client.channel.deliver(b"")
    pasting.client.channel.deliver_read(FIRST_READ_PIPE, b"hello", hang_up=True)
    pasting.client.serve()
    assert drain(reading) == b"hello"
    os.close(reading)


def test_a_client_that_breaks_the_protocol_is_told_and_its_pipes_go_on(pasting: Pasting) -> None:
    writing = pasting.ask()
    pasting.client.say(b"\xff\0\0\0\0\0\x08\0")
    assert pasting.client.hear() == event("wl_display", "error", 1, 1, 0, "invalid object 255")
    assert pasting.client.channel.writes == [LEFT]
    os.write(writing, b"hello")
    os.close(writing)
    pasting.client.serve()
    assert pasting.written == b"hello"
    assert pasting.client.closed


def test_a_client_that_does_not_read_its_last_events_does_not_stop_its_pipes(pasting: Pasting) -> None:
    writing = pasting.ask()
    flood = event("wl_display", "delete_id", 1, 100) * 5000
    for _ in range(20):
        pasting.client.channel.deliver(flood)
    pasting.client.serve()
    hang_up(pasting)
    os.write(writing, b"hello")
    os.close(writing)
    pasting.client.serve()
    assert pasting.written == b"hello"
    assert not pasting.client.closed
    pasting.client.socket.close()
    pasting.client.serve()
    assert pasting.client.closed


def test_data_asked_for_too_late_is_refused(pasting: Pasting) -> None:
    writing = pasting.ask(identifier=5)
    pasting.client.socket.close()
    pasting.client.serve()
    late = event("wl_data_source", "send", pasting.source, "text/plain", None)
    pasting.client.channel.deliver(late, (Identifier(6, IdentifierType.WRITE_PIPE, 0),))
    pasting.client.serve()
    assert pasting.hang_ups == [NO_IDENTIFIER, 6]
    os.close(writing)


def test_a_host_that_ends_takes_the_pipes_with_it(pasting: Pasting) -> None:
    writing = pasting.ask()
    pasting.client.socket.close()
    pasting.client.serve()
    pasting.client.channel.has_ended = True
    hang_up(pasting)
    assert pasting.client.closed
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)


def test_a_broken_channel_takes_the_pipes_with_it(pasting: Pasting) -> None:
    writing = pasting.ask()
    pasting.client.channel.failure = OSError(5, "broken")
    pasting.client.say(request("wl_display", "sync", 1, pasting.client.new_id()))
    assert b"broken" in pasting.client.hear()
    assert pasting.client.closed
    os.close(writing)


def hidden(surface: int) -> bytes:
    """What makes a surface vanish."""
    return request("wl_surface", "attach", surface, 0, 0, 0) + request("wl_surface", "commit", surface)


def test_on_another_host_a_window_vanishes_and_the_connection_waits_for_the_data(foreign: Pasting) -> None:
    surface = foreign.show_window()
    writing = foreign.ask()
    foreign.client.socket.close()
    foreign.client.serve()
    assert foreign.client.channel.sent == hidden(surface)
    os.write(writing, b"hello")
    os.close(writing)
    foreign.client.serve()
    assert foreign.written == b"hello"
    assert foreign.hang_ups == [5]
    assert foreign.client.closed


def test_on_another_host_a_window_of_one_pixel_vanishes_once(foreign: Pasting) -> None:
    surface = foreign.show_pixel()
    writing = foreign.ask()
    foreign.client.socket.close()
    foreign.client.serve()
    assert foreign.client.channel.sent == hidden(surface)
    assert not foreign.client.connection.parts.shows_anything
    os.write(writing, b"hello")
    foreign.client.serve()
    assert foreign.client.channel.sent == hidden(surface)
    os.close(writing)
    foreign.client.serve()
    assert foreign.written == b"hello"
    assert foreign.client.closed


def test_on_another_host_the_hang_up_is_the_end(foreign: Pasting) -> None:
    writing = foreign.ask()
    hang_up(foreign)
    assert foreign.client.closed
    os.close(writing)


def test_a_launcher_that_ends_sends_what_stands_in_its_pipes(pasting: Pasting) -> None:
    writing = pasting.ask()
    os.write(writing, bytes(PIPE_WINDOW))
    pasting.client.serve()
    os.write(writing, b"x" * PIPE_WINDOW)
    os.close(writing)
    pasting.client.serve()
    assert len(pasting.written) == PIPE_WINDOW
    pasting.client.connection.finish()
    assert pasting.written == bytes(PIPE_WINDOW) + b"x" * PIPE_WINDOW
    assert pasting.client.closed
