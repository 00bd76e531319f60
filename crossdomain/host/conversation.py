"""A few requests of our own to a compositor, and what it says to them: sans-IO, on the project's wire engine.

A library that waits inside its calls would let a compositor that hangs stop the daemon.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from crossdomain.errors import HostFault
from crossdomain.wire import load
from crossdomain.wire.codec import DISPLAY_ID, Value, decode_arguments, encode_message, split_messages, text
from crossdomain.wire.faults import WireFault

Handler: TypeAlias = Callable[[int, tuple[Value, ...]], None]
"""Gets the object's id and the event's arguments."""

REGISTRY_ID: Final = DISPLAY_ID + 1
LISTED_ID: Final = DISPLAY_ID + 2
FIRST_ID: Final = DISPLAY_ID + 3
"""The first that is its user's."""


class Conversation:
    """One connection's objects and events."""

    def __init__(
        self, interfaces: Mapping[int, str], handlers: Mapping[tuple[str, str], Handler], purpose: str
    ) -> None:
        """Begins with wl_display and its registry, which `first` asks for.

        Args:
            interfaces: of objects that `request` makes, from FIRST_ID on; events of others are left out.
            handlers: by interface and event; others are left out.
            purpose: what the compositor did not do where it ended the connection, for the error.
        """
        self._interfaces = {
            DISPLAY_ID: "wl_display",
            REGISTRY_ID: "wl_registry",
            LISTED_ID: "wl_callback",
            **interfaces,
        }
        self._handlers = handlers
        self._purpose = purpose
        self._received = b""

    def first(self) -> bytes:
        """The requests that list the globals; the callback's id is LISTED_ID."""
        return self.request(DISPLAY_ID, "get_registry", REGISTRY_ID) + self.request(
            DISPLAY_ID, "sync", LISTED_ID
        )

    def request(self, object_id: int, name: str, *values: Value) -> bytes:
        """A request of an object; its fds go beside it."""
        return request(self._interfaces[object_id], name, object_id, *values)

    def receive(self, data: bytes) -> None:
        """Takes what the compositor said.

        Raises:
            HostFault: it ended the connection, or it speaks no Wayland.
        """
        try:
            events, self._received = split_messages(self._received + data)
            for header, event in events:
                self._handle(header.object_id, header.opcode, event)
        except WireFault as fault:
            raise HostFault(f"the compositor's events: {fault}") from fault

    def _handle(self, object_id: int, opcode: int, event: bytes) -> None:
        name = self._interfaces.get(object_id)
        if name is None:
            return  # of what the compositor has made, or of what is gone by now
        events = load().interface(name).events
        if opcode >= len(events):
            raise HostFault(f"the compositor sent an unknown event of {name}")
        message = events[opcode]
        values = decode_arguments(message, event)
        if (name, message.name) == ("wl_display", "error"):
            raise HostFault(f"the compositor {self._purpose}: {text(values[2])!r:.200}")
        handler = self._handlers.get((name, message.name))
        if handler is not None:
            handler(object_id, values)


def request(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    """A request of an object of that interface."""
    messages = load().interface(interface).requests
    message = next(message for message in messages if message.name == name)
    return encode_message(message, object_id, *values)
