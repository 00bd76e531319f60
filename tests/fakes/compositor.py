"""A compositor in the test's hands: it records requests and does only what the test says.

It speaks the wire itself, so it can do what no libwayland server would: send garbage, fds that
nobody asked for, bursts, nothing at all, or vanish.  It handles requests only inside
`FakeCompositor.wait` and its kin: a test that does not call them has a compositor that is
stuck.  What must be answered for a client to get anywhere is answered: wl_display.sync and
get_registry, wl_registry.bind, wl_shm's formats, delete_id for what clients destroy.
"""

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from crossdomain.wire import tables as signatures
from crossdomain.wire.codec import SERVER_ID_START, decode_arguments, decode_header
from crossdomain.wire.tables import ArgumentKind, Interface, Message
from tests.fakes.endpoint import Disconnected, Endpoint, Plain, find_message
from tests.fakes.patience import PATIENCE

USUAL_GLOBALS: Final[Mapping[str, int]] = {
    "wl_compositor": 5,
    "wl_subcompositor": 1,
    "wl_shm": 1,
    "wl_output": 4,
    "wl_seat": 8,
    "wl_data_device_manager": 3,
    "wp_viewporter": 1,
    "xdg_wm_base": 5,
}
"""Interface and version of what an ordinary compositor offers."""

SHM_FORMATS: Final = (0, 1)
"""ARGB8888 and XRGB8888, which wl_shm promises everywhere."""

Value: TypeAlias = "int | str | bytes | Resource | None"
"""An argument.  An fd is its number, owned by whoever finds it; fixed numbers are raw."""


class Request(NamedTuple):
    """One request as it was received."""

    resource: "Resource"
    name: str
    arguments: tuple[Value, ...]


class Resource:
    """An object of one client, as the compositor sees it."""

    __slots__ = ("alive", "interface", "object_id", "peer", "version")

    def __init__(self, peer: "Peer", object_id: int, interface: Interface, version: int) -> None:
        self.peer = peer
        self.object_id = object_id
        self.interface = interface
        self.version = version
        self.alive = True

    def __repr__(self) -> str:
        return f"{self.interface.name}@{self.object_id}"

    def send(self, name: str, *values: Value) -> None:
        """Send an event at once; an fd among `values` stays the caller's."""
        message = find_message(self.interface.events, self.interface, name)
        plain: list[Plain] = [v.object_id if isinstance(v, Resource) else v for v in values]
        self.peer.endpoint.queue(message, self.object_id, plain)
        if self.peer.immediate:
            self.peer.endpoint.flush()

    def create(self, name: str, *values: Value) -> "Resource":
        """Send an event that brings a new object; the place of its new_id in `values` is left out."""
        message = find_message(self.interface.events, self.interface, name)
        kinds = [argument.kind for argument in message.arguments]
        position = kinds.index(ArgumentKind.NEW_ID)
        made = message.arguments[position].interface
        assert made is not None
        new = self.peer.new_server_object(made, self.version)
        self.send(name, *values[:position], new, *values[position:])
        return new

    def post_error(self, code: int, text: str) -> None:
        """wl_display.error about this object, and the end of the connection."""
        self.peer.objects[1].send("error", self, code, text)
        self.peer.disconnect()


class Peer:
    """One client's connection.

    `requests` is everything it said apart from sync, get_registry and bind; `bound` its newest
    object per bound global; `received` counts every message, `received_bytes` is not kept.
    While `immediate` is false events are queued, to be sent together with `flush`.
    """

    def __init__(self, compositor: "FakeCompositor", connection: socket.socket) -> None:
        self.compositor = compositor
        self.endpoint = Endpoint(connection)
        self.objects: dict[int, Resource] = {}
        self.requests: list[Request] = []
        self.bound: dict[str, Resource] = {}
        self.immediate = True
        self.gone = False
        self._next_server_id = SERVER_ID_START
        self._add(1, "wl_display", 1)

    def __repr__(self) -> str:
        return f"Peer({len(self.requests)} requests{', gone' if self.gone else ''})"

    def disconnect(self) -> None:
        """Close the connection, as for a client that broke the protocol."""
        self.gone = True
        self.endpoint.close()

    def flush(self) -> None:
        """Send queued events."""
        self.endpoint.flush()

    def named(self, name: str) -> list[Request]:
        """All received requests called `name`."""
        return [request for request in self.requests if request.name == name]

    def objects_of(self, interface: str) -> list[Resource]:
        """The living objects of an interface, the oldest first."""
        return [o for o in self.objects.values() if o.alive and o.interface.name == interface]

    def new_server_object(self, interface: str, version: int) -> Resource:
        """A new object with an id of the compositor's; nothing is sent."""
        new = self._add(self._next_server_id, interface, version)
        self._next_server_id += 1
        return new

    def handle_input(self) -> None:
        """Read once and handle every whole request."""
        try:
            self.endpoint.receive(0)
            for data in self.endpoint.messages():
                self._handle(data)
                if self.gone:
                    return
            self.endpoint.flush()
        except Disconnected:
            self.disconnect()

    def _add(self, object_id: int, interface: str, version: int) -> Resource:
        new = Resource(self, object_id, self.compositor.tables.interface(interface), version)
        self.objects[object_id] = new
        return new

    def _handle(self, data: bytes) -> None:
        header = decode_header(data)
        assert header is not None
        target = self.objects[header.object_id]
        message = target.interface.requests[header.opcode]
        request = Request(target, message.name, self._arguments(target, message, data))
        if not self._answer(request):
            self.requests.append(request)
        if message.destructor:
            target.alive = False
            if target.object_id < SERVER_ID_START:
                self.objects[1].send("delete_id", target.object_id)

    def _arguments(self, target: Resource, message: Message, data: bytes) -> tuple[Value, ...]:
        values: list[Value] = []
        for argument, value in zip(message.arguments, decode_arguments(message, data), strict=True):
            if argument.kind is ArgumentKind.FD:
                values.append(self.endpoint.take_fd())
            elif argument.kind is ArgumentKind.NEW_ID:
                values.append(self._created(target, argument.interface, values, value))
            elif argument.kind is ArgumentKind.OBJECT:
                assert isinstance(value, int)
                values.append(self.objects[value] if value else None)
            else:
                values.append(value)
        return tuple(values)

    def _created(
        self, target: Resource, interface: str | None, before: list[Value], value: Plain
    ) -> Resource:
        """The object of a new_id; wl_registry.bind names interface and version itself."""
        assert isinstance(value, int)
        if interface is not None:
            return self._add(value, interface, target.version)
        name, version = before[-2], before[-1]
        assert isinstance(name, str)
        assert isinstance(version, int)
        return self._add(value, name, version)

    def _answer(self, request: Request) -> bool:
        """Do what every compositor does; False for requests that are the test's to see."""
        match (request.resource.interface.name, request.name):
            case ("wl_display", "sync"):
                callback = request.arguments[0]
                assert isinstance(callback, Resource)
                callback.send("done", 0)
                callback.alive = False
                request.resource.send("delete_id", callback.object_id)
            case ("wl_display", "get_registry"):
                registry = request.arguments[0]
                assert isinstance(registry, Resource)
                for name, (interface, version) in self.compositor.globals.items():
                    registry.send("global", name, interface, version)
            case ("wl_registry", "bind"):
                self._bind(request)
            case _:
                return False
        return True

    def _bind(self, request: Request) -> None:
        name, interface, version, new = request.arguments
        assert isinstance(name, int)
        assert isinstance(version, int)
        assert isinstance(new, Resource)
        offered = self.compositor.globals.get(name)
        if offered is None or offered[0] != interface or not 1 <= version <= offered[1]:
            request.resource.post_error(0, f"invalid global {new.interface.name} ({name}), version {version}")
            return
        self.bound[new.interface.name] = new
        if interface == "wl_shm":
            for code in self.compositor.shm_formats:
                new.send("format", code)


class FakeCompositor:
    """Listens at `path` until `close`.

    Args:
        path: of the socket; at most 107 bytes.
        globals_: interface to version of what is advertised, in this order, under the names 1, 2, ...
    """

    def __init__(self, path: Path, globals_: Mapping[str, int] = USUAL_GLOBALS) -> None:
        self.tables = signatures.load()
        self.path = path
        self.globals = dict(enumerate(globals_.items(), start=1))
        self.shm_formats = SHM_FORMATS
        self.peers: list[Peer] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)

    def __enter__(self) -> "FakeCompositor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Die: every connection and the socket are gone, without a word."""
        for peer in self.peers:
            if not peer.gone:
                peer.disconnect()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def add_global(self, interface: str, version: int) -> int:
        """Advertise one more global to everybody; its name."""
        name = max(self.globals, default=0) + 1
        self.globals[name] = (interface, version)
        for registry in self._registries():
            registry.send("global", name, interface, version)
        return name

    def remove_global(self, name: int) -> None:
        """Withdraw a global."""
        del self.globals[name]
        for registry in self._registries():
            registry.send("global_remove", name)

    def wait_for_peer(self, *, seconds: float = PATIENCE) -> Peer:
        """Serve until one more client than now has connected."""
        before = len(self.peers)
        self.wait(lambda: len(self.peers) > before, what="client", seconds=seconds)
        return self.peers[before]

    def wait(self, condition: Callable[[], bool], *, what: str, seconds: float = PATIENCE) -> None:
        """Serve all clients until `condition` holds.

        Raises:
            TimeoutError: it did not in time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the compositor saw no {what} within {seconds} s")
            self.serve_once(left)

    async def until(self, condition: Callable[[], bool], *, what: str, seconds: float = PATIENCE) -> None:
        """`wait` for tests on an event loop, in a thread: send nothing else meanwhile."""
        await asyncio.to_thread(self.wait, condition, what=what, seconds=seconds)

    def serve_once(self, seconds: float) -> None:
        """Handle what is there, or what comes first within `seconds`."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        peers = {peer.endpoint.fileno(): peer for peer in self.peers if not peer.gone}
        for fd in peers:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(seconds * 1000):
            peer = peers.get(fd)
            if peer is not None:
                peer.handle_input()
            else:
                connection, _ = self._listener.accept()
                self.peers.append(Peer(self, connection))

    def _registries(self) -> list[Resource]:
        return [o for peer in self.peers if not peer.gone for o in peer.objects_of("wl_registry")]


@contextmanager
def served(compositor: FakeCompositor) -> Generator[None]:
    """Serve all clients in a thread; outside of the block they are the test's alone."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            compositor.serve_once(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def keymap_fd(text: bytes = b"xkb_keymap {};\0") -> int:
    """A sealed memfd with a keymap, as compositors send it; the caller closes it."""
    fd = os.memfd_create("keymap", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, text)
    return fd
