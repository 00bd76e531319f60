"""Objects of our own on the compositor's side of the connection."""

import os
from collections.abc import Callable
from typing import Protocol, TypeAlias

from crossdomain.errors import LocalError
from crossdomain.wire.codec import Value, encode_message
from crossdomain.wire.tables import ArgumentKind, Interface, Message
from launcher.xwayland.wayland.entries import Entry

Argument: TypeAlias = "int | str | bytes | Proxy | Entry | None"
"""An argument of a request: an object as its `Proxy`, or as Xwayland's `Entry`; an fd as its number."""

EventHandler: TypeAlias = Callable[[tuple[Value, ...], list[int]], None]
"""Called with an event's arguments and its fds, which are the handler's from then on."""


class Sender(Protocol):
    """What a proxy needs of its connection; `mediator.Mediator` is it."""

    def create_own(self, interface: Interface, version: int) -> "Proxy":
        """Makes an object of our own, which the request that is sent next has to create."""
        ...

    def describe(self, interface: str) -> Interface:
        """Returns an interface's messages."""
        ...

    def scale_request(self, interface: str, name: str, values: list[Value]) -> None:
        """Converts the lengths in a request's arguments to the compositor's."""
        ...

    def send_own(self, data: bytes, fds: list[int]) -> None:
        """Sends a request of our own; its fds are given away."""
        ...


class Proxy:
    """One object of our own.

    Events go to the handlers in `handlers`, by name; those without one are ignored, their fds closed.
    """

    __slots__ = ("_sender", "alive", "entry", "handlers", "interface")

    def __init__(self, sender: Sender, interface: Interface, entry: Entry) -> None:
        self._sender = sender
        self.interface = interface
        self.entry = entry
        self.handlers: dict[str, EventHandler] = {}
        self.alive = True
        """Whether requests may be sent."""

    def __repr__(self) -> str:
        return repr(self.entry)

    @property
    def version(self) -> int:
        """The version that it was bound with."""
        return self.entry.version

    def send(self, name: str, *values: Argument) -> None:
        """Sends a request that creates nothing; fds among `values` are given away."""
        self._send(self._find(name), values, None)

    def create(self, name: str, *values: Argument) -> "Proxy":
        """Sends a request that creates an object; its new_id is left out of `values`."""
        message = self._find(name)
        created = next((a.interface for a in message.arguments if a.kind is ArgumentKind.NEW_ID), None)
        if created is None:
            raise LocalError(f"{self.interface.name}.{name} creates nothing that is known")
        new = self._sender.create_own(self._sender.describe(created), self.version)
        self._send(message, values, new)
        return new

    def bind(self, name: int, interface: str, version: int) -> "Proxy":
        """wl_registry.bind."""
        new = self._sender.create_own(self._sender.describe(interface), version)
        data = encode_message(
            self._find("bind"), self.entry.host_id, name, interface, version, new.entry.host_id
        )
        self._sender.send_own(data, [])
        return new

    def handle(self, message: Message, values: tuple[Value, ...], fds: list[int]) -> None:
        """Takes an event."""
        handler = self.handlers.get(message.name)
        if handler is not None and self.alive:
            handler(values, fds)
            return
        for fd in fds:
            os.close(fd)

    def _find(self, name: str) -> Message:
        for message in self.interface.requests:
            if message.name == name:
                return message
        raise LocalError(f"{self.interface.name} has no request {name}")

    def _send(self, message: Message, values: tuple[Argument, ...], created: "Proxy | None") -> None:
        if not self.alive:
            raise LocalError(f"{self!r}.{message.name} after its destruction")
        fds: list[int] = []
        plain: list[Value] = []
        remaining = iter(values)
        for argument in message.arguments:
            if argument.kind is ArgumentKind.NEW_ID and created is not None:
                plain.append(created.entry.host_id)
                continue
            value = next(remaining)
            if argument.kind is ArgumentKind.FD:
                if not isinstance(value, int):
                    raise LocalError("an fd is a number")
                fds.append(value)
                value = None
            plain.append(0 if value is None and argument.kind is ArgumentKind.OBJECT else _plain(value))
        self._sender.scale_request(self.interface.name, message.name, plain)
        if message.destructor:
            self.alive = False
            self.entry.zombie = True
        self._sender.send_own(encode_message(message, self.entry.host_id, *plain), fds)


def _plain(value: Argument) -> Value:
    """Returns an argument as it stands on the wire."""
    if isinstance(value, Proxy):
        return value.entry.host_id
    if isinstance(value, Entry):
        return value.host_id
    return value
