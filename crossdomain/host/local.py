"""Clients without a VM: the local channel's server.

Each connection is one context, whose resources are memfds that the launcher sent or that we
made.  The context, its policy and its limits are those of a VM's clients.
"""

import asyncio
import errno
import logging
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

from crossdomain.abi import local as abi
from crossdomain.abi.cross_domain import Buffer
from crossdomain.abi.local import ToDaemon, ToLauncher
from crossdomain.abi.pages import CopyPages
from crossdomain.bridge.copy import Pixels
from crossdomain.bridge.memory_file import is_memory_file
from crossdomain.bridge.udmabuf import Span
from crossdomain.context.blobs import size_of
from crossdomain.context.context import Context
from crossdomain.context.crowding import Room
from crossdomain.context.memory import HostMemory
from crossdomain.context.pace import Allowance
from crossdomain.context.ports import Pages, Storage
from crossdomain.context.quotas import check_descriptor, exceeded
from crossdomain.errors import CrossDomainError, GuestFault, LimitExceeded
from crossdomain.limits import MAX_EVENT_SIZE

_log = logging.getLogger("crossdomain.host")

_PACKETS_AT_ONCE: Final = 16
"""Packets that one client is served before the others get their turn."""
_HELD_SECONDS: Final = 0.02
"""How often a client that is held for being too fast is looked at."""
_EVENTS_AT_ONCE: Final = 16
"""Events that one client gets before the others get their turn: pipes can give more for ever."""

_TRUNCATED: Final = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_RECEIVE_FLAGS: Final = int(socket.MSG_CMSG_CLOEXEC)
_SEND_FLAGS: Final = int(socket.MSG_NOSIGNAL)

_FD_SIZE: Final = array("i").itemsize
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(_FD_SIZE)

_scratch = memoryview(bytearray(abi.MAX_PACKET))
"""Where packets are received before their bytes are copied out: allocating this much costs more."""

ContextFactory = Callable[[str, "LocalResources", "LocalConnection"], Context]
"""Makes the context of a client's name, its resources and its event sink."""


class ClientMemory:
    """A memfd or dmabuf of the launcher's.

    Read and written with system calls, so that truncating it hurts nobody.  Also `context.ports.Pages`.
    """

    __slots__ = ("_fd", "_size", "owner")

    place = None
    """See `context.ports.Pages`."""

    def __init__(self, fd: int, size: int) -> None:
        """Takes ownership of `fd`, on errors too.

        Where the file is shorter than `size` bytes, so is the memory.  A client may truncate what it shows at
        any time: the compositor, which gets the file, is who tells it that, sooner or later.

        Raises:
            GuestFault: `size` is 0, or `fd` is no file.
        """
        held = size_of(fd)
        if held is None or size < 1:
            os.close(fd)
            raise GuestFault(f"a resource of {size} bytes needs a file")
        self._fd = fd
        self._size = min(size, held)
        self.owner: object = None
        """See `context.ports.Pages`."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def spans(self, offset: int, length: int, /) -> list[Span]:
        """See `context.ports.Pages`."""
        self._check(offset, length)
        return [Span(self._fd, offset, length)]

    def copy_out(self, _destination: Pixels, _copy: CopyPages, /) -> NoReturn:
        """Never: who shares our kernel copies for itself.

        Raises:
            GuestFault: always.
        """
        raise GuestFault("a file of the launcher's is not copied here")

    def export(self) -> int:
        """A new fd of the same file.

        Raises:
            GuestFault: it is none that a compositor can map without waiting for anybody.
        """
        if not is_memory_file(self._fd):
            raise GuestFault("only memory files can be given to the compositor")
        return os.dup(self._fd)

    def pixels(self) -> NoReturn:
        """Never: the launcher may truncate it.

        Raises:
            GuestFault: always.
        """
        raise GuestFault("a file of the launcher's is no memory of the host")

    def write(self, offset: int, data: Buffer, /) -> None:
        """Copies `data` to `offset`."""
        self._check_access(offset, len(data))
        try:
            os.pwrite(self._fd, data, offset)
        except OSError as error:
            raise GuestFault(f"the file can't be written: {error.strerror}") from error

    def read(self, offset: int, length: int, /) -> bytes:
        """A copy of what is at `offset`."""
        self._check_access(offset, length)
        data = os.pread(self._fd, length, offset)
        if len(data) != length:
            raise GuestFault("the file was truncated")
        return data

    def close(self) -> None:
        """Gives the fd up."""
        os.close(self._fd)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise GuestFault(f"{length} bytes at {offset} of {self._size}")

    def _check_access(self, offset: int, length: int) -> None:
        self._check(offset, length)
        if not is_memory_file(self._fd):  # a file system of the launcher's own would let us wait
            raise GuestFault("only memory files are read and written")


class LocalResources:
    """The resources of one connection; all are attached to its context.

    Also a `context.ports.MemoryDevice`, whose pages are the launcher's files.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._resources: dict[int, HostMemory | ClientMemory] = {}
        self._expecting: object = None
        self.host_bytes = 0
        """Bytes of memory that we made and that is not destroyed."""

    def __len__(self) -> int:
        return len(self._resources)

    def lookup(self, resource_id: int, /) -> Storage:
        """See `Resources`."""
        found = self._resources.get(resource_id)
        if found is None:
            raise GuestFault(f"there is no resource {resource_id}")
        return found

    def find(self, resource_id: int, /) -> Pages:
        """See `MemoryDevice`."""
        found = self._resources.get(resource_id)
        if not isinstance(found, ClientMemory):
            raise GuestFault(f"resource {resource_id} is no file of the launcher's")
        return found

    def expect(self, owner: object, /) -> None:
        """See `MemoryDevice`."""
        self._expecting = owner

    def forget(self, owner: object, /) -> None:
        """See `MemoryDevice`; there is one owner at most."""
        if owner is self._expecting:
            self._expecting = None

    def check(self, resource_id: int, host_bytes: int = 0) -> None:
        """Whether one more may be added.

        Raises:
            GuestFault: the number is 0 or in use.
            LimitExceeded: too many, or too much memory.
        """
        if resource_id == 0 or resource_id in self._resources:
            raise GuestFault(f"resource id {resource_id} is in use")
        allowance, quotas = self._allowance, self._allowance.quotas
        for whose, may, resources, bytes_ in (
            ("", quotas.client, len(self._resources), self.host_bytes),
            ("vm.", quotas.vm, allowance.resources, allowance.blob_bytes),
        ):
            if resources >= may.resources:
                raise exceeded(f"{whose}resources", f"more than {may.resources} resources")
            if bytes_ + host_bytes > may.blob_bytes:
                raise exceeded(f"{whose}blob_bytes", f"more than {may.blob_bytes} bytes of host memory")

    def check_descriptor(self, fd: int) -> None:
        """Whether this process may have `fd`, its newest descriptor, for a client.

        Raises:
            LimitExceeded: all clients of the socket together have too many.
        """
        check_descriptor(fd, self._allowance.quotas.vm.fds)

    def add(self, resource_id: int, storage: HostMemory | ClientMemory) -> None:
        """Adds what `check` allowed; takes ownership."""
        self._resources[resource_id] = storage
        self._allowance.resources += 1
        if isinstance(storage, HostMemory):
            self._hold(storage.size)
        else:
            storage.owner = self._expecting

    def destroy(self, resource_id: int) -> None:
        """Gives one up.

        Raises:
            GuestFault: there is none.
        """
        storage = self._resources.pop(resource_id, None)
        if storage is None:
            raise GuestFault(f"there is no resource {resource_id}")
        self._allowance.resources -= 1
        if isinstance(storage, HostMemory):
            self._hold(-storage.size)
        storage.close()

    def close(self) -> None:
        """Gives all up."""
        for resource_id in list(self._resources):
            self.destroy(resource_id)

    def _hold(self, host_bytes: int) -> None:
        self.host_bytes += host_bytes
        self._allowance.blob_bytes += host_bytes


class LocalConnection:
    """One launcher's connection, and its context's event sink.

    While the launcher does not read, nothing more is read from it, and its context delivers
    nothing: the socket's buffer is all that waits for it.
    """

    def __init__(
        self,
        connection: socket.socket,
        new_context: ContextFactory,
        on_end: Callable[["LocalConnection"], None],
        welcome: bytes,
        allowance: Allowance,
    ) -> None:
        """Takes ownership of `connection` and begins to serve it.  `on_end` is called once.

        `welcome` is the capset that the launcher gets.
        """
        self.context: Context | None = None
        self.resources = LocalResources(allowance)
        self._allowance = allowance
        self._resting: asyncio.TimerHandle | None = None
        self._connection = connection
        self._new_context = new_context
        self._on_end = on_end
        self._welcome = welcome
        self._loop = asyncio.get_running_loop()
        self._replies: deque[tuple[bytes, int]] = deque()
        self._events_left = _EVENTS_AT_ONCE
        self._closed = False
        self._room = Room(self._loop, connection.fileno(), self._writable)
        self._handlers: dict[int, Callable[[abi.Packet, list[int]], None]] = {
            ToDaemon.SUBMIT: self._handle_submit,
            ToDaemon.CREATE_GUEST_BLOB: self._handle_create_guest_blob,
            ToDaemon.CREATE_HOST_BLOB: self._handle_create_host_blob,
            ToDaemon.DESTROY: self._handle_destroy,
            ToDaemon.CREATE_SYNC: self._handle_create_sync,
            ToDaemon.TAKE_SYNC: self._handle_take_sync,
        }
        connection.setblocking(False)
        self._loop.add_reader(connection.fileno(), self._readable)

    def room(self) -> int:
        """See `EventSink`."""
        return 0 if self._replies or self._closed or not self._events_left else MAX_EVENT_SIZE

    def write(self, event: bytes, /) -> None:
        """See `EventSink`."""
        self._reply(abi.encode_packet(ToLauncher.EVENT, event))
        self._events_left -= 1
        if not self._events_left:
            self._loop.call_soon(self._take_turn)

    def answer(self, data: bytes, /) -> None:
        """See `EventSink`."""
        self._reply(abi.encode_packet(ToLauncher.QUERY, data))

    def close(self) -> None:
        """Ends the connection and frees all that belongs to it.  May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._connection.fileno())
        self._room.stop()
        if self.context is not None and self.context.passage is not None:
            self.context.passage.detach_client()
        self._connection.close()
        for _packet, fd in self._replies:
            _close(fd)
        self._replies.clear()
        if self.context is not None:
            self.context.close()
        self.resources.close()
        self._on_end(self)

    def _take_turn(self) -> None:
        self._events_left = _EVENTS_AT_ONCE
        if self.context is not None and not self._closed:
            self.context.pump()

    def _readable(self) -> None:
        for _ in range(_PACKETS_AT_ONCE):
            try:
                size, ancillary, flags, _address = self._connection.recvmsg_into(
                    [_scratch], _ANCILLARY_SIZE, _RECEIVE_FLAGS
                )
            except (BlockingIOError, ConnectionResetError):
                # A reset is told once, before what the launcher had sent until then.
                return
            except OSError:
                size, ancillary, flags = 0, [], 0
            fds = _received_fds(ancillary) if ancillary else []
            self._handle_received(bytes(_scratch[:size]), fds, flags)
            if self._closed or self._replies or self._resting is not None:
                return

    def _handle_received(self, data: bytes, fds: list[int], flags: int) -> None:
        handled = False
        try:
            self._handle_packet(data, fds, flags)
            handled = True
        finally:
            for fd in fds:
                os.close(fd)
            if not handled:  # a mistake of ours: the loop logs it, this client pays
                self.close()
        if not self._closed:
            self._rest_where_too_fast()

    def _rest_where_too_fast(self) -> None:
        """Reads nothing for a while where this client, or all of its socket together, must go slower."""
        seconds, quota = self._allowance.pace.rest()
        context = self.context
        if context is None:
            return
        if seconds:
            _log.warning("%s: slowed down for %.1f s (quota %s)", context.name, seconds, quota)
        elif context.is_held:
            seconds = _HELD_SECONDS
        if seconds:
            self._loop.remove_reader(self._connection.fileno())
            self._resting = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        if not self._replies:
            self._loop.add_reader(self._connection.fileno(), self._readable)

    def _handle_packet(self, data: bytes, fds: list[int], flags: int) -> None:
        if not data:
            self.close()
            return
        try:
            # The space for one fd is aligned, so that a second one may fit.
            if flags & _TRUNCATED or len(fds) > 1:
                raise LimitExceeded(f"a packet of more than {abi.MAX_PACKET} bytes or one fd")
            self._dispatch(data, fds)
        except CrossDomainError as fault:
            resource_id = abi.HEADER.unpack_from(data)[1] if len(data) >= abi.HEADER.size else 0
            self._reply(abi.encode_packet(ToLauncher.ERROR, str(fault).encode(), resource_id=resource_id))
            if self.context is None:
                self.close()

    def _dispatch(self, data: bytes, fds: list[int]) -> None:
        try:
            packet = abi.parse_packet(data)
        except ValueError as error:
            raise GuestFault(str(error)) from None
        if self.context is None:
            self._handle_hello(packet)
            return
        handler = self._handlers.get(packet.type)
        if handler is None:
            raise GuestFault(f"packets of type {packet.type:#x} are not known")
        handler(packet, fds)

    def _handle_hello(self, packet: abi.Packet) -> None:
        if packet.type != ToDaemon.HELLO or len(packet.payload) < abi.HELLO.size:
            raise GuestFault("the first packet is no HELLO")
        (version,) = abi.HELLO.unpack_from(packet.payload)
        if version != abi.VERSION:
            raise GuestFault(f"local channel version {version}; this daemon has {abi.VERSION}")
        name = bytes(packet.payload[abi.HELLO.size :][:64]).decode(errors="replace")
        self.context = context = self._new_context(name, self.resources, self)
        if context.passage is not None:
            context.passage.attach_client(self._connection.fileno(), self._handle_received)
        self._reply(abi.encode_packet(ToLauncher.WELCOME, self._welcome))

    def _handle_submit(self, packet: abi.Packet, _fds: list[int]) -> None:
        if self.context is not None:
            self.context.submit(packet.payload)

    def _handle_create_guest_blob(self, packet: abi.Packet, fds: list[int]) -> None:
        self.resources.check(packet.resource_id)
        if not fds:
            raise GuestFault("a guest blob without its memfd")
        self.resources.check_descriptor(fds[0])
        self.resources.add(packet.resource_id, ClientMemory(fds.pop(), packet.size))

    def _handle_create_host_blob(self, packet: abi.Packet, _fds: list[int]) -> None:
        self.resources.check(packet.resource_id, packet.size)
        if self.context is None or len(packet.payload) != abi.BLOB_ID.size:
            raise GuestFault("CREATE_HOST_BLOB needs a blob_id")
        (blob_id,) = abi.BLOB_ID.unpack(packet.payload)
        memory = self.context.take_blob(blob_id, packet.size)
        try:
            self.resources.check_descriptor(memory.fd)
        except LimitExceeded:
            memory.close()
            raise
        self.resources.add(packet.resource_id, memory)
        created = abi.encode_packet(ToLauncher.CREATED, resource_id=packet.resource_id, size=packet.size)
        self._reply(created, memory.export())

    def _handle_destroy(self, packet: abi.Packet, _fds: list[int]) -> None:
        self.resources.destroy(packet.resource_id)

    def _handle_create_sync(self, packet: abi.Packet, fds: list[int]) -> None:
        if self.context is None or not fds:
            raise GuestFault("a fence without its fd")
        self.resources.check_descriptor(fds[0])
        self.context.give_sync(packet.resource_id, fds.pop())

    def _handle_take_sync(self, packet: abi.Packet, _fds: list[int]) -> None:
        if self.context is not None:
            fd = self.context.take_sync(packet.resource_id)
            self._reply(abi.encode_packet(ToLauncher.CREATED, resource_id=packet.resource_id), fd)

    def _reply(self, packet: bytes, fd: int = -1) -> None:
        """Sends a packet, or keeps it until the launcher reads; `fd` is closed when sent."""
        if self._closed:
            _close(fd)
            return
        if self._replies:
            self._replies.append((packet, fd))
        elif not self._send(packet, fd):
            self._replies.append((packet, fd))
            self._make_room(False)
            self._loop.remove_reader(self._connection.fileno())

    def _send(self, packet: bytes, fd: int) -> bool:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))] if fd >= 0 else []
        try:
            self._connection.sendmsg([packet], ancillary, _SEND_FLAGS)
        except OSError as error:
            if self._room.wait(error):
                return False
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                _log.warning("local client: %s", error.strerror)
            # Its end is read next.
        _close(fd)
        return True

    def _writable(self) -> None:
        while self._replies:
            if not self._send(*self._replies[0]):
                return
            self._replies.popleft()
        self._room.stop()
        if self._resting is None:
            self._loop.add_reader(self._connection.fileno(), self._readable)
        self._make_room(True)
        if self.context is not None:
            self.context.pump()

    def _make_room(self, room: bool) -> None:
        if self.context is not None and self.context.passage is not None:
            self.context.passage.make_room(room)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, type_, data in ancillary:
        if level == socket.SOL_SOCKET and type_ == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _FD_SIZE])
    return fds.tolist()
