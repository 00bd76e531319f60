"""Bytes that nobody has to look at, in both directions: framing, limits, back-pressure."""

import os
import socket

import pytest

from crossdomain.abi.cross_domain import MAX_SEND_FOREIGN, Identifier, IdentifierType
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_UNREAD_EVENTS
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request


def syncs(first: int, count: int) -> bytes:
    """Requests of 12 bytes with new ids in a row."""
    return b"".join(request("wl_display", "sync", 1, first + n) for n in range(count))


def test_requests_pass_as_they_came(client: RelayedClient) -> None:
    data = syncs(2, 5)
    client.say(data)
    assert client.channel.sent == data


def test_events_pass_as_they_came(client: RelayedClient) -> None:
    client.say(syncs(2, 1))
    data = event("wl_callback", "done", 2, 7) + event("wl_display", "delete_id", 1, 2)
    client.channel.deliver(data)
    assert client.hear() == data


def test_a_request_in_single_bytes_arrives_whole(client: RelayedClient) -> None:
    data = syncs(2, 2)
    for position in range(len(data)):
        client.say(data[position : position + 1])
    assert client.channel.sent == data


def test_an_event_split_anywhere_arrives_whole(client: RelayedClient) -> None:
    client.say(syncs(2, 1))
    data = event("wl_callback", "done", 2, 7) + event("wl_display", "delete_id", 1, 2)
    for position in range(len(data)):
        client.channel.deliver(data[position : position + 1])
    assert client.hear() == data


def test_a_send_is_never_larger_than_the_host_takes() -> None:
    client = RelayedClient(FakeChannel(max_send=MAX_SEND_FOREIGN))
    data = syncs(2, 2000)
    client.say(data)
    assert client.channel.sent.startswith(data[:20000])
    assert max(len(sent) for sent, _ in client.channel.sends) <= MAX_SEND_FOREIGN
    client.close()


def test_a_full_channel_is_sent_the_rest_in_order(client: RelayedClient) -> None:
    data = syncs(2, 10)
    client.channel.fill()
    client.say(data[:60])
    client.say(data[60:])
    assert client.channel.sent == b""
    client.channel.make_room()
    client.serve()
    assert client.channel.sent == data


def bind_surface(client: RelayedClient) -> int:
    """The id of a new surface."""
    compositor = client.bind("wl_compositor", 5)
    surface = client.new_id()
    client.say(request("wl_compositor", "create_surface", compositor, surface))
    client.channel.sends.clear()
    return surface


def acknowledge(client: RelayedClient) -> bool:
    """Answer the proxy's own syncs, the only syncs there are; False where there was none."""
    sent, client.channel.sends = client.channel.sent, []
    ids = [
        int.from_bytes(sent[offset + 8 : offset + 12], "little")
        for offset in range(0, len(sent), 12)
        if sent[offset : offset + 4] == b"\x01\0\0\0"
    ]
    for own_id in ids:
        client.channel.deliver(
            event("wl_callback", "done", own_id, 0) + event("wl_display", "delete_id", 1, own_id)
        )
    client.serve()
    return bool(ids)


def push(client: RelayedClient, data: bytes) -> int:
    """Send until the relay takes no more; how many bytes it took."""
    sent = 0
    while sent < len(data):
        try:
            sent += client.socket.send(data[sent : sent + 65536])
        except BlockingIOError:
            break
        client.serve()
    return sent


def test_a_client_that_floods_a_slow_compositor_has_to_wait(client: RelayedClient) -> None:
    surface = bind_surface(client)
    flood = request("wl_surface", "set_buffer_scale", surface, 1) * 300_000
    taken = push(client, flood)
    assert taken < 2_000_000
    assert len(client.channel.sent) < 400_000
    assert not client.closed


def test_what_waited_goes_in_sends_as_large_as_the_host_takes(client: RelayedClient) -> None:
    compositor, region = client.bind("wl_compositor", 5), client.new_id()
    client.say(request("wl_compositor", "create_region", compositor, region))
    client.channel.sends.clear()
    client.channel.fill()
    push(client, request("wl_region", "add", region, 0, 0, 64, 64) * 20_000)
    client.channel.make_room()
    client.serve()
    sizes = [len(data) for data, _ in client.channel.sends]
    assert sum(sizes) > 200_000
    assert len(sizes) <= sum(sizes) // (client.channel.max_send - 24) + 1


def messages_of(data: bytes) -> list[bytes]:
    """What whole messages are in it."""
    found: list[bytes] = []
    while data:
        size = int.from_bytes(data[6:8], "little")
        found.append(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("before", [0, 1, 3000, 4990])
def test_the_largest_message_crosses_wherever_it_stands(client: RelayedClient, before: int) -> None:
    manager, source = client.bind("wl_data_device_manager", 3), client.new_id()
    client.say(request("wl_data_device_manager", "create_data_source", manager, source))
    client.channel.sends.clear()
    small = request("wl_data_source", "offer", source, "x")
    large = request("wl_data_source", "offer", source, "x" * 65_500)
    assert len(large) > client.channel.max_send
    said = [small] * before + [large] + [small] * 5
    push(client, b"".join(said))
    client.serve()
    # The proxy's own syncs stand between them.
    assert [sent for sent in messages_of(client.channel.sent) if sent[:4] != b"\x01\0\0\0"] == said


def test_a_flood_arrives_whole_as_the_compositor_takes_it(client: RelayedClient) -> None:
    surface = bind_surface(client)
    flood = request("wl_surface", "set_buffer_scale", surface, 1) * 200_000
    taken, arrived = 0, 0
    while arrived < len(flood):
        taken += push(client, flood[taken:])
        arrived += len(client.channel.sent)
        arrived -= 12 * client.channel.sent.count(b"\x01\0\0\0\0\0\x0c\0")
        acknowledge(client)
    assert arrived == len(flood)
    assert not client.closed


def test_the_client_never_hears_of_the_proxys_own_syncs(client: RelayedClient) -> None:
    surface = bind_surface(client)
    client.hear()
    push(client, request("wl_surface", "set_buffer_scale", surface, 1) * 20_000)
    assert acknowledge(client)
    assert client.hear() == b""


def test_an_id_that_the_proxy_used_for_a_sync_is_the_clients_again(client: RelayedClient) -> None:
    surface = bind_surface(client)
    push(client, request("wl_surface", "set_buffer_scale", surface, 1) * 6_000)
    callback = client.new_id()
    client.say(request("wl_surface", "frame", surface, callback))
    assert acknowledge(client)
    client.hear()
    data = event("wl_callback", "done", callback, 5) + event("wl_display", "delete_id", 1, callback)
    client.channel.deliver(data)
    assert client.hear() == data


def test_a_client_that_does_not_read_stops_only_its_own_channel(client: RelayedClient) -> None:
    client.say(syncs(2, 1))
    chunk = event("wl_callback", "done", 2, 0) * 4000
    delivered = 0
    while delivered < 4 * MAX_UNREAD_EVENTS:
        client.channel.deliver(chunk)
        delivered += len(chunk)
    client.serve()
    assert client.channel.waiting > 0
    heard = client.hear()
    assert heard == chunk * (delivered // len(chunk))


def test_the_compositors_end_reaches_the_client_behind_the_last_event(client: RelayedClient) -> None:
    client.say(syncs(2, 1))
    data = event("wl_callback", "done", 2, 0)
    client.channel.deliver(data)
    client.channel.deliver(b"")
    assert client.hear() == data
    assert client.closed
    assert client.channel.closed


def test_what_a_client_said_last_still_reaches_the_host(client: RelayedClient) -> None:
    data = syncs(2, 100)
    client.socket.send(data)
    client.socket.close()
    client.serve()
    assert client.channel.sent == data
    assert client.closed


def test_last_requests_beyond_the_window_wait_for_the_compositor(client: RelayedClient) -> None:
    surface = bind_surface(client)
    flood = request("wl_surface", "set_buffer_scale", surface, 1) * 40_000
    assert push(client, flood) == len(flood)
    client.socket.close()
    client.serve()
    assert not client.channel.closed
    arrived = 0
    while not client.closed:
        arrived += client.channel.sent.count(request("wl_surface", "set_buffer_scale", surface, 1))
        acknowledge(client)
    arrived += client.channel.sent.count(request("wl_surface", "set_buffer_scale", surface, 1))
    assert arrived == 40_000


def test_last_requests_wait_for_room_in_the_channel(client: RelayedClient) -> None:
    data = syncs(2, 100)
    client.channel.fill()
    client.socket.send(data)
    client.socket.close()
    client.serve()
    assert not client.closed
    client.channel.make_room()
    client.serve()
    assert client.channel.sent == data
    assert client.closed


def test_half_a_request_of_a_client_that_left_keeps_nobody(client: RelayedClient) -> None:
    client.socket.send(syncs(2, 1)[:7])
    client.socket.close()
    client.serve()
    assert client.closed


def test_a_broken_host_ends_the_client_with_an_error(client: RelayedClient) -> None:
    client.channel.failure = HostFault("it is on fire")
    client.say(syncs(2, 1))
    assert b"it is on fire" in client.hear()
    assert client.closed


def test_a_bug_costs_the_client_and_nobody_else(
    client: RelayedClient, capfd: pytest.CaptureFixture[str]
) -> None:
    client.channel.failure = ZeroDivisionError("oops")
    client.say(syncs(2, 1))
    assert b"a bug in the proxy" in client.hear()
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert client.closed


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\0\0\0\0\0\x07\0",  # a size below the header's
        b"\x09\0\0\0\0\0\x08\0",  # an object that does not exist
        request("wl_display", "sync", 1, 5),  # an id that leaves a hole
        request("wl_display", "sync", 1, 1),  # an id in use
    ],
)
def test_a_broken_request_is_told_and_ends_the_client(client: RelayedClient, data: bytes) -> None:
    client.say(data)
    heard = client.hear()
    assert heard[:6] == event("wl_display", "error", 1, 1, 0, "")[:6]
    assert client.closed


def test_a_request_with_an_fd_that_can_not_cross_says_so(client: RelayedClient) -> None:
    seat = client.bind("wl_data_device_manager", 3)
    source = client.new_id()
    client.say(request("wl_data_device_manager", "create_data_source", seat, source))
    client.channel.deliver(
        event("wl_data_source", "send", source, "text/plain", None),
        (Identifier(2, IdentifierType.READ_PIPE, 0),),
    )
    assert b"can't cross" in client.hear()
    assert client.closed


def test_a_request_without_its_fd_is_refused(client: RelayedClient) -> None:
    shm = client.bind("wl_shm", 1)
    client.say(request("wl_shm", "create_pool", shm, client.new_id(), None, 4096))
    assert b"file descriptor expected" in client.hear()


def test_fds_that_nobody_wanted_are_closed_with_the_client(client: RelayedClient) -> None:
    reading, writing = os.pipe()
    client.say(syncs(2, 1), fds=[writing])
    client.connection.close()
    assert os.read(reading, 1) == b""  # nobody has the other end any more
    os.close(reading)


def test_a_client_is_named_after_its_process() -> None:
    ours, theirs = socket.socketpair()
    from launcher.relay.client_socket import ClientSocket  # noqa: PLC0415

    made = ClientSocket(theirs)
    assert made.peer_process() == os.getpid()
    made.close()
    ours.close()
