"""Globals that the relay serves itself: how a client finds and binds them, and where their ids go."""

from typing import Final

import pytest

from crossdomain.wire import Record, WireFault
from crossdomain.wire.policy import Policy, Rule, Treatment
from launcher.relay.messages import DROP_EVENT, Anchor, ToClient, ToHost
from launcher.relay.registry import Registry
from launcher.relay.stand_ins import StandIns
from tests.unit.launcher.fake_channel import TABLES, RelayedClient, event, request

REGISTRY: Final = 2
EMULATED: Final = "wp_viewporter"
NAME: Final = 0xFD000000
POLICY: Final = Policy(
    {
        "wl_shm": Rule(1, Treatment.TRANSLATE, "-"),
        "wl_output": Rule(4, Treatment.PASS, "-"),
        EMULATED: Rule(1, Treatment.EMULATE, "-"),
        "wl_drm": Rule(0, Treatment.HIDE, "-"),
    },
    {},
)


class Served:
    """An emulated global that remembers who bound it."""

    def __init__(self, interface: str = EMULATED) -> None:
        self.interface = interface
        self.behind = "wl_shm"
        self.version = 3
        self.bound: list[tuple[int, int, Anchor]] = []

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """See `EmulatedGlobal`."""
        self.bound.append((object_id, version, anchor))
        return ToHost(b"instead")


def announce(registry: Registry, name: int, interface: str, *, registry_id: int = REGISTRY) -> ToClient:
    """What the client gets of a wl_registry.global."""
    return tell(registry, "global", event("wl_registry", "global", registry_id, name, interface, 1))


def tell(registry: Registry, name: str, data: bytes) -> ToClient:
    handle = registry.event_routes()["wl_registry", name]
    answer = handle(whole(data), memoryview(data), [])
    assert answer is not None
    return answer


def bind(registry: Registry, name: int, interface: str, version: int = 1) -> ToHost | None:
    data = request("wl_registry", "bind", REGISTRY, name, interface, version, 9)
    return registry.request_routes()["wl_registry", "bind"](whole(data), memoryview(data), [])


def whole(data: bytes) -> Record:
    return Record(0, len(data), int.from_bytes(data[:4], "little"), TABLES.index("wl_registry"), 0, 0, 0)


def global_event(name: int, interface: str, registry_id: int = REGISTRY) -> bytes:
    return event("wl_registry", "global", registry_id, name, interface, 1)


def test_it_is_announced_to_every_registry_behind_the_global_that_it_needs() -> None:
    registry = Registry(POLICY, [Served()])
    assert announce(registry, 1, "wl_output") == (global_event(1, "wl_output"), ())
    for registry_id in (REGISTRY, 7):
        shown = announce(registry, 5, "wl_shm", registry_id=registry_id)
        assert shown.data == global_event(5, "wl_shm", registry_id) + global_event(
            NAME, EMULATED, registry_id
        )


def test_it_is_announced_once_where_the_global_that_it_needs_comes_again() -> None:
    registry = Registry(POLICY, [Served()])
    announce(registry, 5, "wl_shm")
    assert announce(registry, 6, "wl_shm").data == global_event(6, "wl_shm")


def test_a_bind_is_served_here_and_told_what_to_lean_on() -> None:
    served = Served()
    registry = Registry(POLICY, [served])
    announce(registry, 5, "wl_shm")
    assert bind(registry, NAME, EMULATED) == ToHost(b"instead")
    assert served.bound == [(9, 1, Anchor(REGISTRY, 5, 1))]


@pytest.mark.parametrize(
    ("interface", "version", "text"),
    [("wl_output", 1, "invalid interface for global"), (EMULATED, 2, "invalid version for global")],
)
def test_a_wrong_bind_is_answered_as_by_libwayland(interface: str, version: int, text: str) -> None:
    registry = Registry(POLICY, [Served()])
    announce(registry, 5, "wl_shm")
    with pytest.raises(WireFault, match=text):
        bind(registry, NAME, interface, version)


def test_what_was_not_announced_can_not_be_bound() -> None:
    with pytest.raises(WireFault, match="invalid global"):
        bind(Registry(POLICY, [Served()]), NAME, EMULATED)


def test_the_compositors_own_is_hidden() -> None:
    registry = Registry(POLICY, [Served()])
    assert announce(registry, 3, EMULATED) == DROP_EVENT


def test_a_global_with_a_name_of_ours_is_hidden() -> None:
    registry = Registry(POLICY, [Served()])
    assert announce(registry, NAME, "wl_output") == DROP_EVENT
    announce(registry, 5, "wl_shm")
    assert (
        tell(registry, "global_remove", event("wl_registry", "global_remove", REGISTRY, NAME)) == DROP_EVENT
    )
    assert bind(registry, NAME, EMULATED) == ToHost(b"instead")


def test_what_the_policy_does_not_let_the_relay_serve_is_not_announced() -> None:
    registry = Registry(POLICY, [Served("wl_drm")])
    assert announce(registry, 5, "wl_shm").data == global_event(5, "wl_shm")


def test_events_of_an_own_object_go_to_whoever_made_it(client: RelayedClient) -> None:
    heard: list[bytes] = []
    released = event("wl_buffer", "release", 3)

    def handle(record: Record, data: memoryview, _identifiers: object) -> ToClient | None:
        heard.append(bytes(data[record.offset : record.offset + record.size]))
        return ToClient(event("wl_callback", "done", 2, 0)) if len(heard) == 2 else None

    client.say(request("wl_display", "sync", 1, 2))
    client.connection.own(3, lambda: heard.append(b"deleted"), handle)
    client.channel.deliver(released + event("wl_callback", "done", 2, 7) + released)
    client.channel.deliver(event("wl_display", "delete_id", 1, 3) + event("wl_display", "delete_id", 1, 2))
    assert client.hear() == b"".join(
        (
            event("wl_callback", "done", 2, 7),
            event("wl_callback", "done", 2, 0),
            event("wl_display", "delete_id", 1, 2),
        )
    )
    assert heard == [released, released, b"deleted"]


def test_an_event_of_ours_comes_behind_what_came_before_it(client: RelayedClient) -> None:
    ours = event("wl_display", "delete_id", 1, 77)
    client.say(request("wl_display", "sync", 1, 2))
    client.connection.own(3, lambda: client.connection.send_event(ours))
    first, second = event("wl_callback", "done", 2, 7), event("wl_display", "delete_id", 1, 2)
    client.channel.deliver(first + event("wl_display", "delete_id", 1, 3) + second)
    assert client.hear() == first + ours + second


def test_a_stand_ins_id_is_free_when_the_host_has_nothing_there(client: RelayedClient) -> None:
    stand_ins = StandIns(client.connection)
    client.say(request("wl_display", "sync", 1, 2))
    assert stand_ins.create(2) == request("wl_display", "sync", 1, 2)
    stand_ins.own(2)
    stand_ins.leave(2)
    deleted = event("wl_display", "delete_id", 1, 2)
    client.channel.deliver(deleted)
    assert client.hear() == b""
    client.channel.deliver(deleted)
    assert client.hear() == deleted
