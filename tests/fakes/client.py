"""A Wayland client that speaks the wire itself: no libwayland, no waiting without a deadline.

It runs wherever Python and this repository are, also in the guest, and starts fast: nothing
but the signature tables is imported.  What it draws is in `tests.fakes.windows`.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, Self, TypeAlias

from crossdomain.wire import tables as signatures
from crossdomain.wire.codec import decode_arguments, decode_header
from crossdomain.wire.tables import ArgumentKind, Interface, Message
from tests.fakes.endpoint import Endpoint, Plain, find_message
from tests.fakes.patience import PATIENCE, pieces

Value: TypeAlias = "int | str | bytes | Proxy | None"
"""An argument.  24.8 fixed numbers are plain integers (256 is 1.0); an fd is its number."""


class ProtocolError(Exception):
    """The compositor sent wl_display.error: this connection is over."""

    def __init__(self, interface: str, object_id: int, code: int, text: str) -> None:
        super().__init__(f"{interface}@{object_id} error {code}: {text}")
        self.interface = interface
        self.object_id = object_id
        self.code = code


class Event(NamedTuple):
    """One event as it was received."""

    name: str
    arguments: tuple[Value, ...]


def integer(value: Value) -> int:
    """An argument that is a number by its signature."""
    assert isinstance(value, int)
    return value


class Global(NamedTuple):
    """One advertised global."""

    name: int
    interface: str
    version: int


Handler: TypeAlias = Callable[[tuple[Value, ...]], None]


class Proxy:
    """One object of this connection.

    An event goes to its handler in `handlers`, or is appended to `events` where there is none.
    The fds in an event belong to whoever handles it.
    """

    __slots__ = ("alive", "client", "events", "handlers", "interface", "object_id", "version")

    def __init__(self, client: "FakeClient", object_id: int, interface: Interface, version: int) -> None:
        self.client = client
        self.object_id = object_id
        self.interface = interface
        self.version = version
        self.handlers: dict[str, Handler] = {}
        self.events: list[Event] = []
        self.alive = True

    def __repr__(self) -> str:
        return f"{self.interface.name}@{self.object_id}"

    def send(self, name: str, *values: Value) -> None:
        """Send a request that creates nothing.  An fd among `values` stays the caller's."""
        self.client.send(self, name, values)

    def create(self, name: str, *values: Value) -> "Proxy":
        """Send a request that creates an object; its new_id is left out of `values`."""
        message = find_message(self.interface.requests, self.interface, name)
        made = next(a.interface for a in message.arguments if a.kind is ArgumentKind.NEW_ID)
        assert made is not None, "wl_registry.bind is FakeClient.bind"
        new = self.client.allocate(made, self.version)
        self.client.send(self, name, values, new)
        return new

    def received(self, name: str) -> list[tuple[Value, ...]]:
        """The arguments of all recorded events called `name`."""
        return [event.arguments for event in self.events if event.name == name]


class FakeClient:
    """One connection to a compositor.

    Args:
        display: a socket's path, or a name inside XDG_RUNTIME_DIR; WAYLAND_DISPLAY where None.
        reuse_ids: whether freed object ids are used again, the last first, as libwayland does.
        private: interfaces that the tables do not know.
    """

    def __init__(
        self, display: str | None = None, *, reuse_ids: bool = True, private: tuple[Interface, ...] = ()
    ) -> None:
        self._private = {interface.name: interface for interface in private}
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(_socket_path(display))
        self.endpoint = Endpoint(connection)
        self.objects: dict[int, Proxy] = {}
        self.globals: list[Global] = []
        self._reuse_ids = reuse_ids
        self._free: list[int] = []
        self._next_id = 1
        self.display = self.allocate("wl_display", 1)
        self.display.handlers = {"error": self._handle_error, "delete_id": self._handle_delete_id}
        self.registry = self.display.create("get_registry")
        self.registry.handlers = {
            "global": self._handle_global,
            "global_remove": self._handle_global_remove,
        }
        try:
            self.round_trip()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave without a word, as a client that ends does."""
        self.endpoint.close()

    def offers(self, interface: str) -> int:
        """The highest advertised version of `interface`, 0 where it is not offered."""
        return max((g.version for g in self.globals if g.interface == interface), default=0)

    def interface(self, name: str) -> Interface:
        """The signatures of an interface; raises KeyError where it is unknown."""
        return self._private.get(name) or signatures.load().interface(name)

    def bind(self, interface: str, version: int | None = None) -> Proxy:
        """Bind the first global of that interface, at the newest version both sides know by default.

        Raises:
            LookupError: it is not advertised.
        """
        for entry in self.globals:
            if entry.interface == interface:
                known = self.interface(interface).version
                chosen = min(entry.version, known) if version is None else version
                return self.bind_name(entry.name, interface, chosen)
        raise LookupError(f"{interface} is not advertised")

    def bind_name(self, name: int, interface: str, version: int) -> Proxy:
        """wl_registry.bind exactly as asked, advertised or not."""
        new = self.allocate(interface, version)
        self.send(self.registry, "bind", (name, interface, version), new)
        return new

    def allocate(self, interface: str, version: int) -> Proxy:
        """A new object with the next free id; nothing is sent."""
        if self._reuse_ids and self._free:
            object_id = self._free.pop()
        else:
            object_id = self._next_id
            self._next_id += 1
        new = Proxy(self, object_id, self.interface(interface), version)
        self.objects[object_id] = new
        return new

    def send(self, sender: Proxy, name: str, values: tuple[Value, ...], created: Proxy | None = None) -> None:
        """Queue one request; with an fd everything queued is sent at once.

        `created` is the object that the request's new_id names; it is not among `values`.
        """
        message = find_message(sender.interface.requests, sender.interface, name)
        plain: list[Plain] = []
        remaining = iter(values)
        for argument in message.arguments:
            made = argument.kind is ArgumentKind.NEW_ID and created is not None
            value = created if made else next(remaining)
            plain.append(value.object_id if isinstance(value, Proxy) else value)
        if message.destructor:
            sender.alive = False
        self.endpoint.queue(message, sender.object_id, plain)

    def flush(self) -> None:
        """Send what is queued."""
        self.endpoint.flush()

    def send_raw(self, data: bytes, fds: list[int] | None = None) -> None:
        """Send any bytes, well-formed or not; the fds stay the caller's."""
        self.endpoint.send_raw(data, fds)

    def round_trip(self, *, seconds: float = PATIENCE) -> None:
        """Return when the compositor has handled everything sent so far."""
        callback = self.display.create("sync")
        self.wait(lambda: bool(callback.events), seconds=seconds, what="wl_display.sync")

    def wait(self, condition: Callable[[], bool], *, what: str, seconds: float = PATIENCE) -> None:
        """Handle events until `condition` holds.

        Raises:
            TimeoutError: it did not in time.
            ProtocolError: the compositor refused something.
            Disconnected: the compositor went away.
        """
        begun = time.monotonic()
        self.flush()
        for longest in pieces(seconds):
            if condition():
                return
            if self.endpoint.receive(longest):
                for message in self.endpoint.messages():
                    self._handle(message)
                self.flush()
        if not condition():
            passed = time.monotonic() - begun
            raise TimeoutError(f"no {what} within {seconds} s ({passed:.1f} s by the clock)")

    def _handle(self, data: bytes) -> None:
        """Handle one whole event."""
        header = decode_header(data)
        assert header is not None
        target = self.objects[header.object_id]
        message = target.interface.events[header.opcode]
        values: list[Value] = []
        for argument, value in zip(message.arguments, decode_arguments(message, data), strict=True):
            if argument.kind is ArgumentKind.FD:
                values.append(self.endpoint.take_fd())
            elif argument.kind is ArgumentKind.NEW_ID:
                assert isinstance(value, int)
                assert argument.interface is not None
                new = Proxy(self, value, self.interface(argument.interface), target.version)
                self.objects[value] = new
                values.append(new)
            elif argument.kind is ArgumentKind.OBJECT:
                assert isinstance(value, int)
                values.append(self.objects.get(value))
            else:
                values.append(value)
        self.hear(target, message, tuple(values))

    def hear(self, target: Proxy, message: Message, values: tuple[Value, ...]) -> None:
        """Give one event to its handler, or keep it where there is none."""
        handler = target.handlers.get(message.name)
        if handler is None:
            target.events.append(Event(message.name, values))
        else:
            handler(values)

    def _handle_global(self, values: tuple[Value, ...]) -> None:
        name, interface, version = values
        assert isinstance(name, int)
        assert isinstance(interface, str)
        assert isinstance(version, int)
        self.globals.append(Global(name, interface, version))

    def _handle_global_remove(self, values: tuple[Value, ...]) -> None:
        self.globals = [entry for entry in self.globals if entry.name != values[0]]

    def _handle_delete_id(self, values: tuple[Value, ...]) -> None:
        (object_id,) = values
        assert isinstance(object_id, int)
        del self.objects[object_id]
        self._free.append(object_id)

    def _handle_error(self, values: tuple[Value, ...]) -> None:
        target, code, text = values
        assert isinstance(code, int)
        assert isinstance(text, str)
        name = target.interface.name if isinstance(target, Proxy) else "unknown object"
        raise ProtocolError(name, target.object_id if isinstance(target, Proxy) else 0, code, text)


def _socket_path(display: str | None) -> str:
    """Where a display of that name listens, as wl_display_connect finds it."""
    chosen = display or os.environ["WAYLAND_DISPLAY"]
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), chosen)
