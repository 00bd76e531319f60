"""File descriptors of the compositor's: keymaps, ICC profiles and fences, and pipes in both directions.

Which message's fd is carried how is the policy's; a message that it does not list, or an fd
of the wrong kind, ends the client with an error that says so.
"""

import fcntl
import os
from functools import cache
from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.bridge.fences import is_shareable
from crossdomain.errors import GuestFault, HostFault
from crossdomain.limits import MAX_CARRIED_FILE
from crossdomain.wire import Record, WireFault
from crossdomain.wire.faults import DisplayError
from crossdomain.wire.policy import Carriage, Policy
from crossdomain.wire.tables import Tables
from launcher.channel.seam import Channel
from launcher.relay.messages import EventHandler, RequestHandler, Route, ToClient, ToHost, message
from launcher.relay.pipes import Pipes

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Not F_SEAL_WRITE: clients of wl_keyboard below version 7 map the keymap MAP_SHARED, which Linux before 6.7
refuses then.  The copy is this client's alone."""

_CARRIED: Final = frozenset({Carriage.PIPE, Carriage.FILE, Carriage.FENCE})

_INVALID_FENCE: Final = 0
"""zwp_linux_surface_synchronization_v1.error."""


class Descriptors:
    """One client's; a `messages.Part`."""

    def __init__(
        self, tables: Tables, policy: Policy, channel: Channel, pipes: Pipes, *, shares_fences: bool
    ) -> None:
        """`shares_fences` where the compositor gets the client's fences, if nobody else handles them."""
        self._shares_fences = shares_fences
        self._tables = tables
        self._channel = channel
        self._pipes = pipes
        self._policy = policy

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        handlers: dict[Carriage, RequestHandler] = {Carriage.PIPE: self._handle_sink}
        if self._shares_fences:
            handlers[Carriage.FENCE] = self._handle_fence
        requests, _ = _carried(self._tables, self._policy)
        return {route: handlers[carriage] for route, carriage in requests if carriage in handlers}

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        _, events = _carried(self._tables, self._policy)
        return dict.fromkeys(events, self._handle_event)

    def _handle_sink(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        """The client wants data written into its fd."""
        for fd in fds:
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                _close_all(fds)
                text = "the file descriptor has to be open for writing"
                raise WireFault(record.object_id, DisplayError.IMPLEMENTATION, text)
        remaining = list(fds)
        try:
            identifiers = tuple(self._pipes.open_sink(remaining.pop(0)) for _ in fds)
        except GuestFault:
            _close_all(remaining)
            raise
        return ToHost(message(record, data), identifiers)

    def _handle_fence(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        """The compositor is to wait for a fence."""
        (fd,) = fds
        try:
            if not is_shareable(fd):
                raise WireFault(record.object_id, _INVALID_FENCE, "the file descriptor is no fence")
            return ToHost(message(record, data), (self._channel.share_fence(fd),))
        finally:
            os.close(fd)

    def _handle_event(self, record: Record, data: memoryview, identifiers: list[Identifier]) -> ToClient:
        fds: list[int] = []
        try:
            for identifier in identifiers:
                fds.append(self._open(identifier))
        except BaseException:
            _close_all(fds)
            raise
        return ToClient(message(record, data), tuple(fds))

    def _open(self, identifier: Identifier) -> int:
        """Returns an fd for the client that stands for what the compositor sent."""
        if identifier.type == IdentifierType.WRITE_PIPE:
            return self._pipes.open_source(identifier.identifier)
        if identifier.type == IdentifierType.VIRTGPU_BLOB:
            return self._copy(identifier)
        if identifier.type == IdentifierType.VIRTGPU_SYNC:
            return self._channel.open_fence(identifier)
        raise HostFault(f"the compositor sent a file descriptor that can't cross (type {identifier.type})")

    def _copy(self, identifier: Identifier) -> int:
        """Returns a file with the contents of the compositor's."""
        if not 0 < identifier.size <= MAX_CARRIED_FILE:
            raise HostFault(f"the compositor sent a file of {identifier.size} bytes")
        contents = self._channel.read_blob(identifier)
        fd = os.memfd_create("crossdomain", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, contents)
            os.lseek(fd, 0, os.SEEK_SET)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            os.close(fd)
            raise
        return fd


@cache
def _carried(tables: Tables, policy: Policy) -> tuple[tuple[tuple[Route, Carriage], ...], tuple[Route, ...]]:
    """Returns the requests and the events whose fds are carried here, if anybody does it."""
    ours = [item for item in policy.descriptors.items() if item[1] in _CARRIED]
    requests = [item for item in ours if tables.request_key(item[0]) is not None]
    events = [route for route, _ in ours if tables.event_key(route) is not None]
    return tuple(requests), tuple(events)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
