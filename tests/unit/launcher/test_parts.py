"""Nothing that the policy lets through is forgotten by the relay: no fd, and no use of a buffer."""

from collections.abc import Generator, Iterator
from typing import Final

import pytest

from crossdomain.wire.policy import Carriage, Policy, Treatment, load
from crossdomain.wire.tables import ArgumentKind, Message
from tests.unit.launcher.fake_channel import TABLES, RelayedClient
from tests.unit.launcher.fake_timelines import FakeSyncDevice

Found = tuple[str, str, Message]
"""Interface, "request" or "event", message."""


def reachable(policy: Policy) -> set[str]:
    """The interfaces of all objects that a client can have."""
    waiting = ["wl_display", "wl_registry", *(name for name, rule in policy.rules.items() if rule.version)]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        interface = TABLES.interface(name)
        for message in (*interface.requests, *interface.events):
            waiting += [
                argument.interface
                for argument in message.arguments
                if argument.kind is ArgumentKind.NEW_ID and argument.interface is not None
            ]
    return found


def emulated(policy: Policy) -> set[str]:
    """The interfaces of all objects that live in the launcher alone."""
    made = {"wl_buffer", "wl_surface"}
    waiting = [name for name, rule in policy.rules.items() if rule.treatment is Treatment.EMULATE]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        for message in TABLES.interface(name).requests:
            new = {a.interface for a in message.arguments if a.kind is ArgumentKind.NEW_ID and a.interface}
            waiting += new - made - found
    return found


def messages() -> Iterator[Found]:
    """All messages of all objects that a client can have."""
    for name in sorted(reachable(load())):
        interface = TABLES.interface(name)
        yield from ((name, "request", message) for message in interface.requests)
        yield from ((name, "event", message) for message in interface.events)


WITH_FDS: Final = [
    found
    for found in messages()
    if any(a.kind is ArgumentKind.FD for a in found[2].arguments)
    if not (found[1] == "event" and load().descriptors.get((found[0], found[2].name)) is Carriage.OWN)
]
SERVED_HERE: Final = [
    (name, "request", message)
    for name in sorted(emulated(load()))
    for message in TABLES.interface(name).requests
    if message.since <= 5
]
NAMING_BUFFERS: Final = [
    found
    for found in messages()
    if found[1] == "request" and any(a.interface == "wl_buffer" for a in found[2].arguments)
    if not any(a.kind is ArgumentKind.NEW_ID for a in found[2].arguments)
]


@pytest.fixture
def client() -> Generator[RelayedClient]:
    """One that may have all that there is."""
    device = FakeSyncDevice()
    made = RelayedClient(sync_device=device)
    yield made
    made.close()
    device.close()


def is_handled(client: RelayedClient, found: Found) -> bool:
    name, direction, message = found
    key = TABLES.index(name) << 16 | message.opcode
    parts = client.connection.parts
    return key in (parts.request_handlers if direction == "request" else parts.event_handlers)


def test_there_is_something_to_check() -> None:
    assert len(WITH_FDS) > 3
    assert len(NAMING_BUFFERS) > 1


@pytest.mark.parametrize("found", WITH_FDS, ids=lambda found: f"{found[0]}.{found[2].name}")
def test_every_message_with_an_fd_is_handled(client: RelayedClient, found: Found) -> None:
    assert is_handled(client, found)


@pytest.mark.parametrize("found", SERVED_HERE, ids=lambda found: f"{found[0]}.{found[2].name}")
def test_no_request_of_what_lives_here_reaches_the_host(client: RelayedClient, found: Found) -> None:
    assert is_handled(client, found)


@pytest.mark.parametrize("found", NAMING_BUFFERS, ids=lambda found: f"{found[0]}.{found[2].name}")
def test_every_request_that_names_a_buffer_makes_it_current(client: RelayedClient, found: Found) -> None:
    assert is_handled(client, found)
