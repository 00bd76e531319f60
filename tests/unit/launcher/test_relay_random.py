"""Whatever a client or a compositor says, the relay answers with an error at most."""

import os
from collections.abc import Callable
from unittest.mock import patch

import pytest
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
    st.one_of(st.integers(1, 24), st.just(0xFF000000)),
    st.integers(0, 8),
    st.lists(st.one_of(st.integers(0, 26), st.integers(0, 0xFFFFFFFF)), max_size=8),
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


def prepared_for_capture() -> RelayedClient:
    """A client with what captures and carried files are about, up to id 24."""
    client = RelayedClient()
    output, shm = client.bind("wl_output", 4), client.bind("wl_shm", 1)
    screencopy = client.bind("zwlr_screencopy_manager_v1", 3)
    sources = client.bind("ext_output_image_capture_source_manager_v1", 1)
    sessions, weston = (
        client.bind("ext_image_copy_capture_manager_v1", 1),
        client.bind("weston_capture_v1", 1),
    )
    gammas, colours = client.bind("zwlr_gamma_control_manager_v1", 1), client.bind("wp_color_manager_v1", 1)
    frame, source, session, image = (client.new_id() for _ in range(4))
    capture, gamma, profile, pool, buffer = (client.new_id() for _ in range(5))
    client.say(
        request("zwlr_screencopy_manager_v1", "capture_output", screencopy, frame, 0, output),
        request("ext_output_image_capture_source_manager_v1", "create_source", sources, source, output),
        request("ext_image_copy_capture_manager_v1", "create_session", sessions, session, source, 0),
        request("ext_image_copy_capture_session_v1", "create_frame", session, image),
        request("weston_capture_v1", "create", weston, output, 0, capture),
        request("zwlr_gamma_control_manager_v1", "get_gamma_control", gammas, gamma, output),
        request("wp_color_manager_v1", "create_icc_creator", colours, profile),
    )
    fd = os.memfd_create("pool")
    os.ftruncate(fd, 4096)
    client.say(
        request("wl_shm", "create_pool", shm, pool, None, 4096),
        request("wl_shm_pool", "create_buffer", pool, buffer, 0, 8, 8, 32, 0),
        fds=[fd],
    )
    assert not client.closed
    return client


every_client = pytest.mark.parametrize("prepare", [prepared, prepared_for_capture])


@every_client
@given(said=stream)
@settings(max_examples=200, deadline=None)
def test_random_requests(prepare: Callable[[], RelayedClient], said: list[bytes]) -> None:
    client = prepare()
    with patch.object(log, "bug", side_effect=AssertionError("a bug")) as bug:
        for data in said:
            if data and not client.closed:
                client.say(data, fds=[os.open("/dev/null", os.O_RDWR)])
        bug.assert_not_called()
    client.close()


@every_client
@given(said=st.lists(st.tuples(st.one_of(header, st.binary(max_size=24)), identifiers), max_size=30))
@settings(max_examples=200, deadline=None)
def test_random_events(
    prepare: Callable[[], RelayedClient], said: list[tuple[bytes, list[Identifier]]]
) -> None:
    client = prepare()
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
