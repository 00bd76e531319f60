"""What a client is told of zwp_linux_dmabuf_v1: formats, feedback, and the host's wl_shm behind it."""

import os
import struct

import pytest

from crossdomain.bridge.formats import fourcc
from launcher.channel.seam import Device
from tests.unit.launcher.dmabuf.allocating import (
    DEVICE,
    DMABUF,
    INVALID,
    LINEAR,
    NV12,
    XR24,
    Allocating,
)
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request


def test_a_bind_makes_a_wl_shm_on_the_host(client: RelayedClient) -> None:
    allocating = Allocating(client)
    values = (9, "wl_shm", 2, allocating.dmabuf)
    assert client.channel.sent == request("wl_registry", "bind", allocating.registry, *values)


@pytest.mark.parametrize("version", [1, 2])
def test_the_first_versions_hear_of_formats(client: RelayedClient, version: int) -> None:
    allocating = Allocating(client, version)
    expected = [fourcc("AR24"), XR24, NV12]
    assert allocating.tell_formats() == b"".join(
        event("zwp_linux_dmabuf_v1", "format", allocating.dmabuf, code) for code in expected
    )


def test_version_3_hears_of_linear_memory_alone(client: RelayedClient) -> None:
    allocating = Allocating(client, 3)
    assert allocating.tell_formats() == b"".join(
        event(
            "zwp_linux_dmabuf_v1", "modifier", allocating.dmabuf, code, modifier >> 32, modifier & 0xFFFFFFFF
        )
        for code in (fourcc("AR24"), XR24, NV12)
        for modifier in (LINEAR, INVALID)
    )


def test_a_format_that_can_not_be_copied_is_not_offered(client: RelayedClient) -> None:
    allocating = Allocating(client, 1)
    client.channel.deliver(event("wl_shm", "format", allocating.dmabuf, fourcc("YU08")))
    assert client.hear() == b""


@pytest.mark.parametrize("device", [None, DEVICE])
def test_feedback_is_there_where_the_guest_has_a_device(device: Device | None) -> None:
    channel = FakeChannel()
    channel.device = device
    client = RelayedClient(channel)
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    offered = event("wl_registry", "global", registry, 9, "wl_shm", 1)
    channel.deliver(offered)
    version = 3 if device is None else 5
    ours = event("wl_registry", "global", registry, DMABUF, "zwp_linux_dmabuf_v1", version)
    drm = event("wl_registry", "global", registry, DMABUF + 1, "wl_drm", 2)
    assert client.hear() == offered + ours + drm * (device is not None)
    client.close()


@pytest.mark.parametrize("surface", [False, True])
def test_feedback_names_the_guests_device_and_what_can_be_shown(
    client: RelayedClient, allocating: Allocating, surface: bool
) -> None:
    feedback = client.new_id()
    name, values = (
        ("get_surface_feedback", (feedback, allocating.surface))
        if surface
        else (
            "get_default_feedback",
            (feedback,),
        )
    )
    client.say(request("zwp_linux_dmabuf_v1", name, allocating.dmabuf, *values))
    assert client.channel.sent == request("wl_display", "sync", 1, feedback)
    assert client.hear() == b""
    client.channel.deliver(event("wl_display", "delete_id", 1, feedback))
    heard, fds = client.hear_fds()
    table = os.pread(fds[0], 4096, 0)
    pairs = [(code, modifier) for code in (fourcc("AR24"), XR24, NV12) for modifier in (LINEAR, INVALID)]
    device = struct.pack("=Q", DEVICE.number)
    interface = "zwp_linux_dmabuf_feedback_v1"
    assert list(struct.iter_unpack("=IxxxxQ", table)) == pairs
    assert heard == b"".join(
        (
            event(interface, "format_table", feedback, None, len(table)),
            event(interface, "main_device", feedback, device),
            event(interface, "tranche_target_device", feedback, device),
            event(interface, "tranche_flags", feedback, 0),
            event(interface, "tranche_formats", feedback, struct.pack("=6H", *range(6))),
            event(interface, "tranche_done", feedback),
            event(interface, "done", feedback),
        )
    )
    with pytest.raises(OSError, match="Operation not permitted"):
        os.pwrite(fds[0], b"x", 0)
    os.close(fds[0])


def test_feedback_that_is_gone_before_it_comes_is_not_sent(
    client: RelayedClient, allocating: Allocating
) -> None:
    feedback = client.new_id()
    client.say(
        request("zwp_linux_dmabuf_v1", "get_default_feedback", allocating.dmabuf, feedback),
        request("zwp_linux_dmabuf_feedback_v1", "destroy", feedback),
    )
    client.channel.deliver(event("wl_display", "delete_id", 1, feedback))
    assert client.hear() == event("wl_display", "delete_id", 1, feedback)


def test_the_hosts_wl_shm_stays_as_long_as_params_need_it(
    client: RelayedClient, allocating: Allocating
) -> None:
    params = allocating.create_params()
    allocating.delete_id(params)
    client.channel.sends.clear()
    client.say(request("zwp_linux_dmabuf_v1", "destroy", allocating.dmabuf))
    assert client.channel.sent == b""
    client.say(request("zwp_linux_buffer_params_v1", "destroy", params))
    assert client.channel.sent == request("wl_shm", "release", allocating.dmabuf)
    assert client.hear() == event("wl_display", "delete_id", 1, params)
    client.channel.deliver(event("wl_display", "delete_id", 1, allocating.dmabuf))
    assert client.hear() == event("wl_display", "delete_id", 1, allocating.dmabuf)
