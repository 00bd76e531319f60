"""Which objects belong to which surface."""

from collections.abc import Iterator
from typing import Final

from crossdomain.wire.tables import ArgumentKind, Message
from launcher.relay.families import EXTENDING
from tests.unit.launcher.fake_channel import TABLES

NO_EXTENSION: Final = {"wl_surface", "wl_buffer", "wp_image_description_v1"}
"""Objects with a life of their own."""


def extended(message: Message) -> Iterator[str]:
    """The interfaces with requests of the objects that a request makes."""
    for argument in message.arguments:
        interface = argument.interface
        made = argument.kind is ArgumentKind.NEW_ID and interface is not None
        if made and interface not in NO_EXTENSION and TABLES.interface(str(interface)).requests:
            yield str(interface)


def takes(message: Message, interfaces: set[str]) -> bool:
    """Whether a request names an object of one of these interfaces."""
    named = {a.interface for a in message.arguments if a.kind is ArgumentKind.OBJECT}
    return not named.isdisjoint(interfaces)


def find() -> set[tuple[str, str]]:
    """The requests that make an object of a surface, directly or of an object of one."""
    found: set[tuple[str, str]] = set()
    extensions = {"wl_surface"}
    size = 0
    while size != len(extensions):
        size = len(extensions)
        for name in TABLES.names():
            for message in TABLES.interface(name).requests:
                made = set(extended(message))
                if made and (name in extensions or takes(message, extensions)):
                    found.add((name, message.name))
                    extensions |= made
    return found


def test_every_request_that_extends_a_surface_is_known() -> None:
    assert sorted(EXTENDING) == sorted(find())
