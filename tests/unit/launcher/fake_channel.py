"""A channel in the test's hands, and one relayed client on it without a launcher's process."""

import contextlib
import mmap
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import (
    MAX_SEND,
    Buffer,
    Identifier,
    IdentifierType,
    ReadWrite,
    SendReceive,
)
from crossdomain.wire import load as load_tables
from crossdomain.wire import policy
from crossdomain.wire.codec import Value, encode_message
from launcher.channel.seam import Device, Event, HostCopies, SharedMemory, Way
from launcher.loop import Loop
from launcher.relay.client_socket import ClientSocket
from launcher.relay.connection import Connection
from launcher.relay.sync.timelines import SyncDevice
from launcher.services import Services
from launcher.stats import Stats
from tests.fakes.endpoint import find_message

TABLES: Final = load_tables()


def request(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    """One request as bytes; fds are given as None."""
    found = TABLES.interface(interface)
    return encode_message(find_message(found.requests, found, name), object_id, *values)


def event(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    """One event as bytes; fds are given as None."""
    found = TABLES.interface(interface)
    return encode_message(find_message(found.events, found, name), object_id, *values)


_FIRST_FILE: Final = 1000
"""The resource id of the first file that is shared."""
_FIRST_FENCE: Final = 1 << 30
"""The number of the first fence that is shared."""


class FakeMemory:
    """Anonymous memory with a number."""

    def __init__(self, channel: "FakeChannel", resource_id: int, size: int) -> None:
        self.buffer = mmap.mmap(-1, size)
        self.size = size
        self.identifier = Identifier(resource_id, IdentifierType.VIRTGPU_BLOB, size)
        self.closed = False
        self.contents = b""
        """What was in it when it was closed."""
        self._channel = channel

    def close(self) -> None:
        """See `SharedMemory`."""
        self.contents = self.buffer[:]
        self.buffer.close()
        self.closed = True


class FakeFile:
    """A file that the host has got."""

    def __init__(self, fd: int, resource_id: int, size: int) -> None:
        status = os.fstat(fd)
        self.inode = status.st_ino
        self.identifier = Identifier(resource_id, IdentifierType.VIRTGPU_BLOB, size)
        self.closed = False

    def close(self) -> None:
        """See `SharedFile`."""
        self.closed = True


class FakeChannel:
    """Records what is sent; the test says what is received, and whether there is room."""

    def __init__(
        self,
        *,
        max_send: int = MAX_SEND,
        has_pipe_credit: bool = True,
        has_policy: bool = True,
        has_clock: bool = True,
    ) -> None:
        self.max_send = max_send
        self.has_policy = has_policy
        self.has_pipe_credit = self.has_lasting_pipes = has_pipe_credit
        self.has_ended = False
        self.way: Way | None = None
        self.is_quiet = True
        self.device: Device | None = None
        self.has_clock = has_clock
        self.has_fences = True
        self.proves = False
        self.shares_fences = self.has_points = False
        self.fences: dict[int, int] = {}
        """Fds of the host's fences by identifier, which the relay takes."""
        self.shared_fences: list[int] = []
        """Fds of the client's fences that the host has got, in order."""
        self.clock_ahead = 0
        """Nanoseconds that the host's clocks are ahead of ours."""
        self.clocks_read: list[ClockId] = []
        self.sends: list[tuple[bytes, tuple[Identifier, ...]]] = []
        self.writes: list[ReadWrite] = []
        self.memories: list[FakeMemory] = []
        self.files: list[FakeFile] = []
        self.shares_files = False
        self.shares_dmabufs = False
        self.host_copies: HostCopies | None = None
        self.blobs: dict[int, bytes] = {}
        self.full = False
        self.closed = False
        self.failure: Exception | None = None
        self._events: list[Event] = []
        self._socket, self._other = socket.socketpair()
        self._socket.setblocking(False)

    @property
    def sent(self) -> bytes:
        """All bytes of the Wayland connection."""
        return b"".join(data for data, _ in self.sends)

    @property
    def identifiers(self) -> list[Identifier]:
        """All identifiers that were sent."""
        return [identifier for _, identifiers in self.sends for identifier in identifiers]

    @property
    def waiting(self) -> int:
        """Events that were not received yet."""
        return len(self._events)

    def deliver(self, data: bytes, identifiers: tuple[Identifier, ...] = ()) -> None:
        """Let the host send a RECEIVE."""
        self._deliver(SendReceive(identifiers, memoryview(data)))

    def deliver_read(
        self, identifier: int, data: bytes = b"", *, hang_up: bool = False, credit: int = 0
    ) -> None:
        """Let the host send a READ."""
        self._deliver(ReadWrite(identifier, hang_up, memoryview(data), credit))

    def fill(self) -> None:
        """The host takes nothing any more; the fd is not writable either."""
        self.full = True
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.send(bytes(65536))

    def make_room(self) -> None:
        """The host has taken something from a channel that was full."""
        self.full = False
        self._other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._other.recv(1 << 20)

    @property
    def has_events(self) -> bool:
        """See `Channel`."""
        return False

    def fileno(self) -> int:
        """See `Channel`."""
        return self._socket.fileno()

    def send(self, data: Buffer, identifiers: Sequence[Identifier] = ()) -> bool:
        """See `Channel`."""
        if self.failure is not None:
            raise self.failure
        assert len(data) <= self.max_send
        if self.full:
            return False
        named = [entry.identifier for entry in identifiers if entry.type == IdentifierType.VIRTGPU_BLOB]
        gone = [number for number in named if self._resource(number).closed]
        assert not gone, f"the resources {gone} were closed before the host was told of them"
        self.sends.append((bytes(data), tuple(identifiers)))
        return True

    def write_pipe(self, identifier: int, data: Buffer, *, hang_up: bool = False, credit: int = 0) -> bool:
        """See `Channel`."""
        if self.full:
            return False
        self.writes.append(ReadWrite(identifier, hang_up, memoryview(bytes(data)), credit))
        return True

    def receive(self) -> Sequence[Event]:
        """See `Channel`."""
        if not self._events:
            return ()
        self._socket.recv(1)
        return (self._events.pop(0),)

    def share_file(self, fd: int, size: int, /) -> FakeFile | None:
        """See `Channel`."""
        if not self.shares_files:
            return None
        shared = FakeFile(fd, len(self.files) + _FIRST_FILE, size)
        self.files.append(shared)
        return shared

    def share_dmabuf(self, fd: int, size: int, /) -> FakeFile | None:
        """See `Channel`."""
        if not self.shares_dmabufs:
            return None
        shared = FakeFile(fd, len(self.files) + _FIRST_FILE, size)
        self.files.append(shared)
        return shared

    def create_memory(self, size: int) -> SharedMemory:
        """See `Channel`."""
        return self.new_memory(size)

    def new_memory(self, size: int) -> FakeMemory:
        """One more memory of the host."""
        memory = FakeMemory(self, len(self.memories) + 1, size)
        self.memories.append(memory)
        return memory

    def read_blob(self, identifier: Identifier) -> bytes:
        """See `Channel`."""
        return self.blobs.pop(identifier.identifier)

    def share_fence(self, fd: int, /) -> Identifier:
        """See `Channel`."""
        self.shared_fences.append(os.dup(fd))
        number = _FIRST_FENCE + len(self.shared_fences) - 1
        return Identifier(number, IdentifierType.VIRTGPU_SYNC, 0)

    def open_fence(self, identifier: Identifier, /) -> int:
        """See `Channel`."""
        return self.fences.pop(identifier.identifier)

    def prove(self) -> int:
        """See `Channel`."""
        return -1

    def read_clock(self, clock_id: ClockId) -> int:
        """See `Channel`."""
        self.clocks_read.append(clock_id)
        return time.clock_gettime_ns(clock_id) + self.clock_ahead

    def close(self) -> None:
        """See `Channel`."""
        self.closed = True
        self._socket.close()
        self._other.close()
        while self.shared_fences:
            os.close(self.shared_fences.pop())

    def _resource(self, resource_id: int) -> "FakeMemory | FakeFile":
        if resource_id >= _FIRST_FILE:
            return self.files[resource_id - _FIRST_FILE]
        return self.memories[resource_id - 1]

    def _deliver(self, event_: Event) -> None:
        self._events.append(event_)
        self._other.send(b"!")


def read_all(client: socket.socket, serve: Callable[[], object]) -> bytes:
    """All that a client can read while the relay is served; also where it has been hung up on."""
    heard = bytearray()
    while True:
        try:
            data = client.recv(1 << 20)
        except (BlockingIOError, ConnectionResetError):
            return bytes(heard)
        if not data:
            return bytes(heard)
        heard += data
        serve()


class RelayedClient:
    """A client of the relay: `socket` is its end, `channel` the relay's way to the host."""

    def __init__(self, channel: FakeChannel | None = None, sync_device: SyncDevice | None = None) -> None:
        self.channel = channel or FakeChannel()
        self.loop = Loop()
        self.stats = Stats(None)
        self.closed = False
        services = Services(
            loop=self.loop,
            tables=TABLES,
            policy=policy.load(),
            stats=self.stats,
            open_channel=self._open,
            trace=False,
            open_sandbox=self._open_sandbox,
            sync_device=sync_device,
        )
        self.sandboxes: list[tuple[socket.socket, int, str]] = []
        """Listening sockets that the client gave away, what closes them, and their app ids."""
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.connection = Connection(
            services, ClientSocket(theirs), self.channel, "test[1]", self._handle_closed
        )
        self._next_id = 2

    def _open(self, _client: str) -> FakeChannel:
        return self.channel

    def _open_sandbox(self, listening: socket.socket, close_fd: int, app_id: str) -> None:
        self.sandboxes.append((listening, close_fd, app_id))

    def _handle_closed(self) -> None:
        self.closed = True

    def new_id(self) -> int:
        """The id of the client's next object."""
        self._next_id += 1
        return self._next_id - 1

    def say(self, *messages: bytes, fds: Sequence[int] = ()) -> None:
        """Send requests, and let the relay handle them; the fds are given away."""
        socket.send_fds(self.socket, [b"".join(messages)], list(fds))
        for fd in fds:
            os.close(fd)
        self.serve()

    def serve(self, busy: Callable[[], bool] = lambda: False) -> None:
        """Let the relay handle all that is ready."""
        self.loop.drain(busy, 20)

    def hear(self) -> bytes:
        """All that the client got since the last time; b"" also where the relay has closed the connection."""
        self.serve()
        return read_all(self.socket, self.serve)

    def hear_fds(self) -> tuple[bytes, list[int]]:
        """One read with its fds, which are the caller's."""
        self.serve()
        data, fds, _, _ = socket.recv_fds(self.socket, 65536, 64)
        return data, fds

    def close(self) -> None:
        """Give everything up."""
        self.connection.close()
        self.socket.close()
        self.loop.close()

    # What most tests begin with.

    def bind(self, interface: str, version: int) -> int:
        """Bind a global that the host offers; the id of the new object."""
        registry = self.new_id()
        self.say(request("wl_display", "get_registry", 1, registry))
        self.channel.deliver(event("wl_registry", "global", registry, 1, interface, version))
        self.serve()
        bound = self.new_id()
        self.say(request("wl_registry", "bind", registry, 1, interface, version, bound))
        return bound
