"""Whatever a client or a compositor says, the relay answers with an error at most."""

import os
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from crossdomain.abi.cross_domain import Identifier
from launcher import log
from tests.unit.launcher.fake_channel import RelayedClient, event, request


def message(object_id: int, opcode: int, words: list[int]) -> bytes:
    """A message of whole words."""
    body = b"".join(word.to_bytes(4, "little") for word in words)
    return b"".join(
        (
            object_id.to_bytes(4, "little"),
            opcode.to_bytes(2, "little"),
            (8 + len(body)).to_bytes(2, "little"),
            body,
        )
    )


header = st.builds(
    message,
    st.one_of(st.integers(1, 12), st.just(0xFF000000)),
    st.integers(0, 8),
    st.lists(st.one_of(st.integers(0, 14), st.integers(0, 0xFFFFFFFF)), max_size=8),
)
stream = st.lists(st.one_of(header, st.binary(max_size=24)), max_size=30)
identifiers = st.lists(
    st.builds(Identifier, st.integers(0, 0xFFFFFFFF), st.integers(0, 8), st.integers(0, 1 << 20)), max_size=4
)


def prepared() -> RelayedClient:
    """A client with an object of each kind that the relay looks at, ids 2 to 12."""
    client = RelayedClient()
    shm, compositor = client.bind("wl_shm", 2), client.bind("wl_compositor", 6)
    manager, seat = client.bind("wl_data_device_manager", 3), client.bind("wl_seat", 8)
    surface, pool, source = client.new_id(), client.new_id(), client.new_id()
    fd = os.memfd_create("pool")
    os.ftruncate(fd, 4096)
    client.say(
        request("wl_compositor", "create_surface", compositor, surface),
        request("wl_shm", "create_pool", shm, pool, None, 4096),
        request("wl_data_device_manager", "create_data_source", manager, source),
        fds=[fd],
    )
    client.say(request("wl_seat", "get_keyboard", seat, client.new_id()))
    assert not client.closed
    return client


@given(stream)
@settings(max_examples=200, deadline=None)
def test_random_requests(said: list[bytes]) -> None:
    client = prepared()
    with patch.object(log, "bug", side_effect=AssertionError("a bug")) as bug:
        for data in said:
            if data and not client.closed:
                client.say(data, fds=[os.open("/dev/null", os.O_RDWR)])
        bug.assert_not_called()
    client.close()


@given(st.lists(st.tuples(st.one_of(header, st.binary(max_size=24)), identifiers), max_size=30))
@settings(max_examples=200, deadline=None)
def test_random_events(said: list[tuple[bytes, list[Identifier]]]) -> None:
    client = prepared()
    client.channel.blobs = dict.fromkeys(range(64), b"x" * 16)
    with patch.object(log, "bug", side_effect=AssertionError("a bug")) as bug:
        for data, brought in said:
            if not client.closed:
                client.channel.deliver(data, tuple(brought))
                client.serve()
        bug.assert_not_called()
    client.close()


def test_events_that_look_like_the_proxys_own_are_the_clients(client: RelayedClient) -> None:
    callback = client.new_id()
    client.say(request("wl_display", "sync", 1, callback))
    data = event("wl_callback", "done", callback, 1) + event("wl_display", "delete_id", 1, callback)
    client.channel.deliver(data)
    assert client.hear() == data
