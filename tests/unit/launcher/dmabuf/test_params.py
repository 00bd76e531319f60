"""zwp_linux_buffer_params_v1: the protocol's errors, and bounds."""

import os

import pytest

from crossdomain.bridge.dmabuf import ParamsError
from crossdomain.bridge.formats import fourcc
from crossdomain.limits import MAX_BUFFER_PARAMS
from tests.unit.launcher.dmabuf.allocating import (
    INVALID,
    NV12,
    SIZE,
    STRIDE,
    XR24,
    Allocating,
    error_of,
)
from tests.unit.launcher.fake_channel import RelayedClient
from tests.unit.launcher.test_relay_shm import error_code


def test_params_make_one_buffer(client: RelayedClient, allocating: Allocating) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.create_immed(params)
    allocating.create_immed(params)
    assert error_of(client) == ParamsError.ALREADY_USED


def test_nothing_is_added_to_used_params(client: RelayedClient, allocating: Allocating) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.create_immed(params)
    allocating.add(params, allocating.file(), index=1)
    assert error_of(client) == ParamsError.ALREADY_USED


@pytest.mark.parametrize(
    ("indices", "expected"), [((4,), ParamsError.PLANE_IDX), ((0, 0), ParamsError.PLANE_SET)]
)
def test_a_plane_is_added_once_at_a_place_that_there_is(
    client: RelayedClient, allocating: Allocating, indices: tuple[int, ...], expected: ParamsError
) -> None:
    params = allocating.create_params()
    for index in indices:
        allocating.add(params, allocating.file(), index=index)
    assert error_of(client) == expected


@pytest.mark.parametrize(
    ("indices", "code"), [((), XR24), ((1,), XR24), ((0, 1), XR24), ((0,), NV12), ((0, 1, 2), NV12)]
)
def test_all_planes_of_a_format_and_no_others_are_there(
    client: RelayedClient, allocating: Allocating, indices: tuple[int, ...], code: int
) -> None:
    params = allocating.create_params()
    for index in indices:
        allocating.add(params, allocating.file(), index=index)
    allocating.create_immed(params, code=code)
    assert error_of(client) == ParamsError.INCOMPLETE


def test_a_format_was_offered(client: RelayedClient, allocating: Allocating) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.create_immed(params, code=fourcc("AB24"))
    assert error_of(client) == ParamsError.INVALID_FORMAT


@pytest.mark.parametrize(
    ("version", "expected"), [(3, ParamsError.INVALID_WL_BUFFER), (4, ParamsError.INVALID_FORMAT)]
)
def test_a_modifier_was_offered(client: RelayedClient, version: int, expected: ParamsError) -> None:
    allocating = Allocating(client, version)
    params = allocating.create_params()
    allocating.add(params, allocating.file(), modifier=1 << 56 | 1)
    allocating.create_immed(params)
    client_error = client.hear()
    assert error_code(client_error) == expected
    client.connection.close()
    allocating.close()


def test_all_planes_have_one_modifier(client: RelayedClient, allocating: Allocating) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.add(params, allocating.file(), index=1, modifier=INVALID)
    allocating.create_immed(params, code=NV12)
    assert error_of(client) == ParamsError.INVALID_FORMAT


@pytest.mark.parametrize(("width", "height"), [(0, 8), (16, 0), (-1, 8), (16, -2147483648)])
def test_an_image_has_pixels(client: RelayedClient, allocating: Allocating, width: int, height: int) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.create_immed(params, width=width, height=height)
    assert error_of(client) == ParamsError.INVALID_DIMENSIONS


@pytest.mark.parametrize(
    ("offset", "stride"), [(1, STRIDE), (0, STRIDE + 4), (0xFFFFFFFF, STRIDE), (SIZE, 0), (0, 0xFFFFFFFF)]
)
def test_a_plane_lies_in_its_dmabuf(
    client: RelayedClient, allocating: Allocating, offset: int, stride: int
) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file(), offset=offset, stride=stride)
    allocating.create_immed(params)
    assert error_of(client) in (ParamsError.OUT_OF_BOUNDS, ParamsError.INVALID_WL_BUFFER)


def test_a_pipe_is_no_dmabuf(client: RelayedClient, allocating: Allocating) -> None:
    reading, writing = os.pipe()
    params = allocating.create_params()
    allocating.add(params, reading)
    os.close(reading)
    os.close(writing)
    allocating.create_immed(params)
    assert error_of(client) == ParamsError.OUT_OF_BOUNDS


def test_params_are_bounded(client: RelayedClient, allocating: Allocating) -> None:
    for _ in range(MAX_BUFFER_PARAMS):
        allocating.create_params()
    assert client.hear() == b""
    allocating.create_params()
    assert b"zwp_linux_buffer_params_v1" in client.hear()


def test_dmabufs_are_bounded(
    client: RelayedClient, allocating: Allocating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.relay.dmabuf.sources.MAX_DMABUFS", 5)
    fd = allocating.file()
    for _ in range(5):
        allocating.buffer(fd)
    client.hear()
    params = allocating.create_params()
    allocating.add(params, fd)
    allocating.create_immed(params)
    assert b"dmabufs" in client.hear()
