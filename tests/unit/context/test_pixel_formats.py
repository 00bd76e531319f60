"""Formats of buffers that the host lets a VM have: what its clients hear of, and what they may make."""

from typing import Final

import pytest

from crossdomain.bridge.formats import ShmError, fourcc
from crossdomain.context.policy import ClientPolicy
from crossdomain.context.rules import Guest, Rules
from crossdomain.wire import WireFault, load, policy
from tests.unit.context.world import event, request

NV12: Final = fourcc("NV12")
XR30: Final = fourcc("XR30")
SHM: Final = 3
POOL: Final = 4


@pytest.fixture
def guest() -> Guest:
    """A VM that may have one format besides the usual two."""
    return Guest("test", Rules(formats=frozenset({NV12})))


@pytest.fixture
def client(guest: Guest) -> ClientPolicy:
    """A client of it with a pool."""
    made = ClientPolicy(load(), policy.load(), guest)
    made.to_host(request("wl_display", "get_registry", 1, 2))
    made.to_guest(event("wl_registry", "global", 2, 1, "wl_shm", 1))
    made.to_host(request("wl_registry", "bind", 2, 1, "wl_shm", 1, SHM))
    made.to_host(request("wl_shm", "create_pool", SHM, POOL, None, 4096))
    return made


def create_buffer(code: int) -> bytes:
    return request("wl_shm_pool", "create_buffer", POOL, 5, 0, 4, 4, 16, code)


def test_a_client_hears_of_what_it_may_have(client: ClientPolicy) -> None:
    offered = [event("wl_shm", "format", SHM, code) for code in (0, 1, NV12, XR30)]
    assert client.to_guest(b"".join(offered)).data == b"".join(offered[:3])


@pytest.mark.parametrize("code", [0, 1, NV12])
def test_an_allowed_buffer_passes(client: ClientPolicy, code: int) -> None:
    assert client.to_host(create_buffer(code)).data == create_buffer(code)


def test_a_denied_buffer_ends_the_client_as_an_unknown_format_does(client: ClientPolicy) -> None:
    with pytest.raises(WireFault, match="invalid format") as caught:
        client.to_host(create_buffer(XR30))
    assert (caught.value.object_id, caught.value.code) == (POOL, ShmError.INVALID_FORMAT)


def test_what_is_allowed_can_change_while_clients_run(client: ClientPolicy, guest: Guest) -> None:
    guest.rules = Rules()
    assert client.to_host(create_buffer(XR30)).data == create_buffer(XR30)
