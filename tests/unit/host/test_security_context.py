"""What is said to a compositor about a VM, and what its answers mean."""

import pytest

from crossdomain.errors import HostFault
from crossdomain.host.security_context import MANAGER, Identity, Request
from tests.unit.context.world import event, request

LISTED = event("wl_callback", "done", 3, 0)
IDENTITY = Identity("work", "work-2")


def offer(interface: str, name: int, version: int = 1) -> bytes:
    return event("wl_registry", "global", 2, name, interface, version)


def test_it_lists_the_globals_first() -> None:
    assert Request().first() == request("wl_display", "get_registry", 1, 2) + request(
        "wl_display", "sync", 1, 3
    )


def test_a_compositor_without_the_global_offers_none() -> None:
    asked = Request()
    asked.receive(offer("wl_compositor", 1, 6) + LISTED)
    assert (asked.listed, asked.offers) == (True, False)


def test_the_context_carries_the_vms_names() -> None:
    asked = Request()
    asked.receive(offer("wl_compositor", 1, 6) + offer(MANAGER, 7) + LISTED)
    assert asked.offers
    context = "wp_security_context_v1"
    assert asked.create(IDENTITY) == b"".join(
        (
            request("wl_registry", "bind", 2, 7, MANAGER, 1, 4),
            request(MANAGER, "create_listener", 4, 5, None, None),
            request(context, "set_sandbox_engine", 5, "crossdomain"),
            request(context, "set_app_id", 5, "work"),
            request(context, "set_instance_id", 5, "work-2"),
            request(context, "commit", 5),
            request("wl_display", "sync", 1, 6),
        )
    )
    asked.receive(event("wl_display", "delete_id", 1, 3) + event("wl_callback", "done", 6, 0))
    assert asked.made


def test_answers_may_come_byte_by_byte() -> None:
    asked = Request()
    for byte in offer(MANAGER, 7) + LISTED:
        asked.receive(bytes([byte]))
    assert (asked.listed, asked.offers) == (True, True)


def test_a_refusal_is_the_hosts_fault() -> None:
    asked = Request()
    with pytest.raises(HostFault, match="no security context: 'nested'"):
        asked.receive(event("wl_display", "error", 1, 5, 2, "nested"))


@pytest.mark.parametrize(
    "data",
    [b"\0" * 8, b"\1\0\0\0\x09\0\x08\0", b"\1\0\0\0\1\0\x10\0" + bytes(8)],
    ids=["size", "opcode", "arguments"],
)
def test_what_is_no_wayland_is_the_hosts_fault(data: bytes) -> None:
    with pytest.raises(HostFault):
        Request().receive(data)
