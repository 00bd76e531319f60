"""Ids of our own X resources: a session may last for any number of them."""

import pytest

from crossdomain.errors import HostFault
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.setup import Setup

BASE, MASK = 0x400000, 0x7


@pytest.fixture
def client() -> XClient:
    """One whose X server gives each client seven ids."""
    return XClient(Connection(lambda _event: None), Setup(BASE, MASK, 1, 1, 24, 1024, 768))


def test_an_id_in_use_is_nobody_elses(client: XClient) -> None:
    kept = client.new_id()
    for _ in range(100):
        resource = client.new_id()
        assert resource != kept
        assert client.owns(resource)
        client.free_id(resource)


def test_the_id_that_was_freed_last_is_used_last(client: XClient) -> None:
    first = [client.new_id() for _ in range(5)]
    for resource in first:
        client.free_id(resource)
    others = [client.new_id() for _ in range(MASK)]
    assert others[:2] == [BASE | 6, BASE | 7]
    assert others[2:] == first


def test_a_server_without_ids_is_of_no_use(client: XClient) -> None:
    for _ in range(MASK):
        client.new_id()
    with pytest.raises(HostFault, match="no resource ids"):
        client.new_id()
