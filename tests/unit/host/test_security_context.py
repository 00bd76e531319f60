"""What is said to a compositor about a VM, and what its answers mean."""

import pytest

from crossdomain.errors import HostFault
from crossdomain.host.security_context import MANAGER, Conversation, Identity
from tests.unit.context.world import event, request

LISTED = event("wl_callback", "done", 3, 0)
IDENTITY = Identity("work", "work-2")


def offer(interface: str, name: int, version: int = 1) -> bytes:
    return event("wl_registry", "global", 2, name, interface, version)


def test_it_lists_the_globals_first() -> None:
    assert Conversation().first() == request("wl_display", "get_registry", 1, 2) + request(
        "wl_display", "sync", 1, 3
    )


def test_a_compositor_without_the_global_offers_none() -> None:
    conversation = Conversation()
    conversation.receive(offer("wl_compositor", 1, 6) + LISTED)
    assert (conversation.listed, conversation.offers) == (True, False)


def test_the_context_carries_the_vms_names() -> None:
    conversation = Conversation()
    conversation.receive(offer("wl_compositor", 1, 6) + offer(MANAGER, 7) + LISTED)
    assert conversation.offers
    context = "wp_security_context_v1"
    assert conversation.create(IDENTITY) == b"".join(
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
    conversation.receive(event("wl_display", "delete_id", 1, 3) + event("wl_callback", "done", 6, 0))
    assert conversation.made


def test_answers_may_come_byte_by_byte() -> None:
    conversation = Conversation()
    for byte in offer(MANAGER, 7) + LISTED:
        conversation.receive(bytes([byte]))
    assert (conversation.listed, conversation.offers) == (True, True)


def test_a_refusal_is_the_hosts_fault() -> None:
    conversation = Conversation()
    with pytest.raises(HostFault, match="no security context: 'nested'"):
        conversation.receive(event("wl_display", "error", 1, 5, 2, "nested"))


@pytest.mark.parametrize(
    "data",
    [b"\0" * 8, b"\1\0\0\0\x09\0\x08\0", b"\1\0\0\0\1\0\x10\0" + bytes(8)],
    ids=["size", "opcode", "arguments"],
)
def test_what_is_no_wayland_is_the_hosts_fault(data: bytes) -> None:
    with pytest.raises(HostFault):
        Conversation().receive(data)
