"""The channel without a virtual machine: packets to a daemon on the same machine.

Speaks `crossdomain.abi.local` over a SOCK_SEQPACKET socket.  The events that come while an
answer is awaited are kept for the next `receive`.
"""

import array
import errno
import mmap
import os
import select
import socket
from collections.abc import Sequence
from typing import Final

from crossdomain.abi import clock, cross_domain, local
from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import Buffer, Feature, Identifier, IdentifierType, SendReceive
from crossdomain.abi.pages import (
    KEY_SIZE,
    CopyPages,
    Shown,
    ShowPages,
    encode_expect_pages,
    encode_show_pages,
    parse_shown,
)
from crossdomain.abi.points import POINTS
from crossdomain.errors import EnvironmentFault, HostFault, LocalError
from launcher import log
from launcher.channel import drm
from launcher.channel.memory import Requirements, round_to_pages
from launcher.channel.seam import Device, Event, Way

_ANSWER_TIMEOUT_MS: Final = 10_000
"""A daemon that does not answer for so long costs the client that asked: nobody else is served meanwhile."""
_MAX_EVENTS: Final = 16
"""Events of one `receive`, so that one busy client does not keep the others waiting."""
_GIVEN_SYNCS: Final = 1 << 16
"""Numbers of fences that are given, over and over: few are on their way at a time."""
_FULL_EVENT: Final = 4096
"""Bytes of an event's payload that tell of more to come."""
_ANCILLARY: Final = socket.CMSG_SPACE(array.array("i").itemsize)
_TRUNCATED: Final = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
"""A plain number: to mask one with a flag of `socket` takes as long as the read."""


class LocalMemory:
    """A blob of the daemon's: its fd was mapped and closed, the daemon keeps it under `identifier`."""

    __slots__ = ("_channel", "buffer", "identifier", "size")

    def __init__(self, channel: "LocalChannel", resource_id: int, buffer: mmap.mmap) -> None:
        self._channel = channel
        self.buffer = buffer
        self.size = len(buffer)
        self.identifier = Identifier(resource_id, IdentifierType.VIRTGPU_BLOB, self.size)

    def close(self) -> None:
        """Unmaps the memory and lets the daemon forget it."""
        self.buffer.close()
        self._channel.destroy_resource(self.identifier.identifier)


class LocalFile:
    """A file of the client's, which the daemon has an fd of."""

    __slots__ = ("_channel", "identifier")

    def __init__(self, channel: "LocalChannel", resource_id: int, size: int) -> None:
        self._channel = channel
        self.identifier = Identifier(resource_id, IdentifierType.VIRTGPU_BLOB, size)

    def close(self) -> None:
        """Lets the daemon forget it."""
        self._channel.destroy_resource(self.identifier.identifier)


class SharedDmabuf:
    """A dmabuf of the client's, which the daemon has an fd of: a `launcher.channel.ImportedFile`."""

    is_copied = False
    key = bytes(KEY_SIZE)
    """It has none: it is its context's."""
    begin = start = 0

    def __init__(self, file: LocalFile) -> None:
        """Takes ownership of what the daemon knows."""
        self._file: LocalFile | None = file
        self.resource_id = file.identifier.identifier
        self.end = file.identifier.size

    def is_whole(self) -> bool:
        """Always: nothing can be punched out of a dmabuf."""
        return True

    def close(self) -> None:
        """Lets the daemon forget it; the compositor keeps what it was given.  May be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None


class LocalDmabufs:
    """`launcher.channel.HostCopies` of one channel, whose host copies nothing: it shows dmabufs alone."""

    def __init__(self, channel: "LocalChannel") -> None:
        self._channel = channel
        self._is_expected = False

    def import_file(self, _fd: int, _start: int, _end: int, /) -> None:
        """Never: what is no file to share is none to show."""

    def import_dmabuf(self, fd: int, size: int, /) -> SharedDmabuf | None:
        """See `HostCopies`."""
        if not self._is_expected:
            # All that comes from now on is this context's.
            self._channel.ask(encode_expect_pages())
            self._is_expected = True
        file = self._channel.share_file(fd, size)
        return None if file is None else SharedDmabuf(file)

    def copy(self, copy: CopyPages) -> None:
        """Never called: no import says that it could be."""
        raise LocalError(f"nothing of resource {copy.source} is copied on the host")

    def show(self, show: ShowPages) -> Shown:
        """See `HostCopies`."""
        return parse_shown(self._channel.ask(encode_show_pages(show)))

    def create_memory(self, size: int) -> LocalMemory:
        """See `HostCopies`."""
        return self._channel.create_memory(size)


class LocalChannel:
    """`launcher.channel.seam.Channel` over a Unix socket."""

    def __init__(self, path: str, client: str, *, share_files: bool = True) -> None:
        """Connects to the daemon at `path` on behalf of the client of that name.

        Without `share_files` the client's files are treated as those of a guest are.

        Raises:
            EnvironmentFault: nobody listens there, or it is no crossdomain host.
        """
        self._client = client
        self._requirements = Requirements()
        self._events: list[Event] = []
        self._destroyed: list[int] = []
        self._ended = False
        self._end_told = False
        self._next_resource = 1
        self._fences_given = 0
        self._socket = _connect(path)
        try:
            capset = self._greet(path, client)
        except BaseException:
            self._socket.close()
            raise
        self.way = Way(None, self._keep_packet, _refuse_copies)
        self.device = _first_device()
        self.max_send = capset.max_send
        self.has_pipe_credit = bool(capset.features & Feature.PIPE_CREDIT)
        self.has_policy = bool(capset.features & Feature.POLICY)
        self.has_clock = bool(capset.features & Feature.CLOCK)
        self.has_fences = bool(capset.features & Feature.SYNC)
        self.proves = False
        self._shares_files = share_files and bool(capset.features & Feature.SHARE_FILES)
        self.shares_fences = self._shares_files and self.has_fences
        self.has_points = self.shares_fences and bool(capset.features & Feature.POINTS)
        self.has_lasting_pipes = bool(capset.features & Feature.LASTING_PIPES)
        shows = self._shares_files and bool(capset.features & Feature.SHOW_PAGES)
        self.host_copies = LocalDmabufs(self) if shows else None

    @property
    def has_ended(self) -> bool:
        return self._ended

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    @property
    def is_quiet(self) -> bool:
        return not (self._events or self._destroyed or self._ended)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: Buffer, identifiers: Sequence[Identifier] = ()) -> bool:
        return self._submit(cross_domain.encode_send(data, tuple(identifiers)))

    def write_pipe(self, identifier: int, data: Buffer, *, hang_up: bool = False, credit: int = 0) -> bool:
        return self._submit(cross_domain.encode_write(identifier, data, hang_up=hang_up, credit=credit))

    def receive(self) -> Sequence[Event]:
        if self._events:
            kept, self._events = self._events, []
            return kept
        events: list[Event] = []
        while len(events) < _MAX_EVENTS:
            packet, fd = self._receive_packet()
            if packet is None:
                break
            self._keep(packet, fd, events)
            if len(packet.payload) < _FULL_EVENT:
                # That was all, as a rule: asking once more costs more than another wake-up.
                break
        if self._ended and not self._end_told:
            self._end_told = True
            events.append(SendReceive((), memoryview(b"")))
        return events

    def share_file(self, fd: int, size: int, /) -> LocalFile | None:
        if not self._shares_files:
            return None
        resource_id = self._take_resource_id()
        packet = local.encode_packet(local.ToDaemon.CREATE_GUEST_BLOB, resource_id=resource_id, size=size)
        self._send_waiting(packet, fd)
        return LocalFile(self, resource_id, size)

    def share_dmabuf(self, _fd: int, _size: int, /) -> None:
        return None

    def create_memory(self, size: int) -> LocalMemory:
        resource_id, buffer = self._create_host_blob(*self._requirements.of(size, self.ask))
        return LocalMemory(self, resource_id, buffer)

    def read_blob(self, identifier: Identifier) -> bytes:
        resource_id, buffer = self._create_host_blob(identifier.identifier, round_to_pages(identifier.size))
        try:
            return buffer[: identifier.size]
        finally:
            buffer.close()
            self.destroy_resource(resource_id)

    def share_fence(self, fd: int, /) -> Identifier:
        identifier = local.FIRST_GIVEN_SYNC + self._fences_given % _GIVEN_SYNCS
        self._fences_given += 1
        self._send_waiting(local.encode_packet(local.ToDaemon.CREATE_SYNC, resource_id=identifier), fd)
        return Identifier(identifier, IdentifierType.VIRTGPU_SYNC, 0)

    def open_fence(self, identifier: Identifier, /) -> int:
        packet = local.encode_packet(local.ToDaemon.TAKE_SYNC, resource_id=identifier.identifier)
        self._send_waiting(packet)
        _created, fd = self._await(local.ToLauncher.CREATED)
        if fd < 0:
            raise HostFault("a fence was given, and no fd came with it")
        return fd

    def read_clock(self, clock_id: ClockId) -> int:
        return clock.parse_clock(self.ask(clock.encode_get_clock(clock_id)), clock_id)

    def prove(self) -> int:
        return -1

    def destroy_resource(self, resource_id: int) -> None:
        """Lets the daemon forget a resource; a full channel does it later, a closed one needs not."""
        if self._socket.fileno() < 0:
            return
        self._destroyed.append(resource_id)
        self._flush_destroyed()

    def close(self) -> None:
        self._events.clear()
        self._socket.close()

    def _greet(self, path: str, client: str) -> cross_domain.Capset:
        hello = local.HELLO.pack(local.VERSION) + client.encode(errors="replace")
        self._send_waiting(local.encode_packet(local.ToDaemon.HELLO, hello))
        try:
            packet, _fd = self._await(local.ToLauncher.WELCOME)
        except HostFault as fault:
            raise EnvironmentFault(
                f"{path!r} does not answer as a crossdomain host: {fault}",
                hint="give the socket that `crossdomain host --local SOCKET` printed, of the same version",
            ) from None
        init = cross_domain.encode_init(cross_domain.RING_NONE, cross_domain.RING_NONE)
        capset = cross_domain.parse_capset(packet.payload)
        if capset.features & Feature.PIPE_CREDIT:
            init += cross_domain.encode_write(0, b"")
        if capset.features & Feature.POINTS:
            init += cross_domain.encode_write(POINTS, b"")
        self._send_waiting(local.encode_packet(local.ToDaemon.SUBMIT, init))
        return capset

    def ask(self, command: bytes) -> memoryview:
        """Returns the answer to a command that has one."""
        self._send_waiting(local.encode_packet(local.ToDaemon.SUBMIT, command))
        packet, _fd = self._await(local.ToLauncher.QUERY)
        return packet.payload

    def _create_host_blob(self, blob_id: int, size: int) -> tuple[int, mmap.mmap]:
        resource_id = self._take_resource_id()
        payload = local.BLOB_ID.pack(blob_id)
        self._send_waiting(
            local.encode_packet(local.ToDaemon.CREATE_HOST_BLOB, payload, resource_id=resource_id, size=size)
        )
        packet, fd = self._await(local.ToLauncher.CREATED)
        if fd < 0:
            raise HostFault("memory was created, and no fd came with it")
        try:
            if packet.resource_id != resource_id or packet.size != size:
                raise HostFault("other memory was created than what was asked for")
            return resource_id, mmap.mmap(fd, size)
        except ValueError as error:
            raise HostFault(f"the memory's fd can't be mapped: {error}") from None
        finally:
            os.close(fd)

    def _take_resource_id(self) -> int:
        self._next_resource += 1
        return self._next_resource - 1

    def _submit(self, commands: bytes) -> bool:
        self._flush_destroyed()
        return self._send_packet(local.encode_packet(local.ToDaemon.SUBMIT, commands))

    def _flush_destroyed(self) -> None:
        while self._destroyed:
            packet = local.encode_packet(local.ToDaemon.DESTROY, resource_id=self._destroyed[-1])
            if not self._send_packet(packet):
                return
            self._destroyed.pop()

    def _send_packet(self, packet: bytes, fd: int = -1) -> bool:
        try:
            if fd < 0:
                self._socket.send(packet)
            else:
                socket.send_fds(self._socket, [packet], [fd])
        except BlockingIOError:
            return False
        except OSError as error:
            # A daemon that is gone may have left events; `receive` tells of the end after the last.
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                return True
            raise
        return True

    def _send_waiting(self, packet: bytes, fd: int = -1) -> None:
        while not self._send_packet(packet, fd):
            # Its answers have to be read meanwhile, or both of us would wait for ever.
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                received, received_fd = self._receive_packet()
                if received is not None:
                    self._keep(received, received_fd, self._events)

    def _await(self, type_: local.ToLauncher) -> tuple[local.Packet, int]:
        """Returns the next packet of that type with its fd or -1, which the caller owns."""
        while True:
            packet, fd = self._receive_packet()
            if self._ended:
                raise HostFault("the host has closed the connection")
            if packet is None:
                self._wait(select.POLLIN)
            elif packet.type == type_:
                return packet, fd
            elif packet.type == local.ToLauncher.ERROR:
                _close(fd)
                raise HostFault(f"the host refused: {_text(packet)}")
            else:
                self._keep(packet, fd, self._events)

    def _keep(self, packet: local.Packet, fd: int, events: list[Event]) -> None:
        """Appends what came unasked: an event, or word of a command that was refused."""
        if packet.type == local.ToLauncher.EVENT:
            _close(fd)
            events.append(cross_domain.parse_event(packet.payload))
        elif packet.type == local.ToLauncher.ERROR:
            # Where it ends the client, an event says so.
            _close(fd)
            log.warning(f"the host refused: {_text(packet)}", client=self._client)
        else:
            _close(fd)
            raise HostFault(f"the host sent a packet of type {packet.type:#x} that nobody asked for")

    def _wait(self, events: int) -> int:
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(_ANSWER_TIMEOUT_MS)
        if not ready:
            raise HostFault("the host does not answer")
        return ready[0][1]

    def _receive_packet(self) -> tuple[local.Packet | None, int]:
        """Returns the next packet, or None where there is none now, and the fd that came with it or -1."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                local.MAX_PACKET, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, ConnectionResetError):
            # A reset is told once, before what the daemon had sent until then.
            return None, -1
        fd = _take_fd(ancillary)
        if not data:
            _close(fd)
            self._ended = True
            return None, -1
        return _parse(data, fd, is_truncated=bool(flags & _TRUNCATED)), fd

    def _keep_packet(self, data: bytes, fds: list[int], is_truncated: bool) -> None:
        """See `Way.keep`."""
        fd = fds[0] if fds else -1
        for other in fds[1:]:
            os.close(other)
        self._keep(_parse(data, fd, is_truncated=is_truncated or len(fds) > 1), fd, self._events)


def _parse(data: bytes, fd: int, *, is_truncated: bool) -> local.Packet:
    """Returns a packet; closes its fd where it is none."""
    try:
        if is_truncated:
            raise ValueError("a packet too large, or with too many fds")
        return local.parse_packet(data)
    except ValueError as error:
        _close(fd)
        raise HostFault(f"the host sent {error}") from None


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise EnvironmentFault(
            f"no crossdomain host at {path!r}: {error.strerror or error}",
            hint="is `crossdomain host` running?",
        ) from None
    connection.setblocking(False)
    return connection


def _first_device() -> Device | None:
    """Returns a device that clients may be able to use; its own idea of a buffer may be a tiled one."""
    for path in drm.render_nodes():
        try:
            return Device(path, os.stat(path).st_rdev, is_linear=False)
        except OSError:
            continue
    return None


def _text(packet: local.Packet) -> str:
    return repr(bytes(packet.payload[:200]).decode(errors="replace"))


def _take_fd(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Returns the one fd that the daemon sends at a time, or -1."""
    for level, type_, data in ancillary:
        if level == socket.SOL_SOCKET and type_ == socket.SCM_RIGHTS:
            fds = array.array("i", data[: len(data) // 4 * 4])
            return fds[0] if fds else -1
    return -1


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _refuse_copies(_commands: bytes) -> None:
    raise LocalError("copies on a host that sees no memory of ours")
