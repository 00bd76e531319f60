"""What a guest's client may say to the compositor, enforced on the host.

The guest can replace its launcher, so the host looks for itself: globals that the policy
hides are not announced, versions are capped, and a bind of anything else ends the client.
On the way the walk finds which message owns which fd.  Bytes in, bytes out.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import Buffer
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_IDENTIFIERS
from crossdomain.wire import Walker
from crossdomain.wire.codec import DISPLAY_ID, decode_arguments, encode_message
from crossdomain.wire.engine import Direction, Record
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.policy import Carriage, Policy
from crossdomain.wire.registry import RegistryFilter
from crossdomain.wire.tables import Tables

_INTEREST: Final = (
    ("wl_display", Direction.EVENT, "error"),
    ("wl_registry", Direction.EVENT, "global"),
    ("wl_registry", Direction.EVENT, "global_remove"),
    ("wl_registry", Direction.REQUEST, "bind"),
)


class Mark(NamedTuple):
    """A message that owns fds: where it begins in its batch, how many, and what they are for."""

    offset: int
    fds: int
    to_be_written: bool
    """The client writes to them: `wl_data_source.send` and its kin."""


class Batch(NamedTuple):
    """Whole messages that may pass, and those of them that own fds, in order."""

    data: memoryview
    marks: Sequence[Mark]


class Part(NamedTuple):
    """A slice of a batch whose messages own at most MAX_IDENTIFIERS fds."""

    data: memoryview
    fds: int


class ClientPolicy:
    """One client's connection, as the host sees it."""

    def __init__(self, tables: Tables, policy: Policy) -> None:
        self._tables = tables
        self._policy = policy
        self._registry = registry = RegistryFilter(policy)
        self._walker = Walker(tables, _INTEREST, strict=False)
        self.compositor_error: str | None = None
        """What the compositor said in a wl_display.error, cut: for the log."""
        self._display_error = tables.interface("wl_display").events[0]
        self._display_index = tables.index("wl_display")
        self._registry_index = tables.index("wl_registry")
        global_, global_remove = (
            next(event.opcode for event in tables.interface("wl_registry").events if event.name == name)
            for name in ("global", "global_remove")
        )
        self._filters = {global_: registry.handle_global, global_remove: registry.handle_global_remove}
        self._partial = {Direction.REQUEST: b"", Direction.EVENT: b""}

    def to_host(self, data: Buffer) -> Batch:
        """The requests that are whole by now; what is incomplete is kept for the next call.

        Raises:
            WireFault: a request that is malformed, or that the policy refuses.  The client is over.
        """
        view, records = self._walk(Direction.REQUEST, data)
        for record in records:
            if record.interface == self._registry_index:
                self._registry.check_bind(view[record.offset : record.offset + record.size])
        return Batch(view, [Mark(record.offset, record.fds, False) for record in records if record.fds])

    def to_guest(self, data: Buffer) -> Batch:
        """The events that are whole by now, as the guest may see them.

        Raises:
            HostFault: the compositor sent what is no Wayland.
        """
        try:
            view, records = self._walk(Direction.EVENT, data)
            return self._filter(view, records) if records else Batch(view, ())
        except WireFault as fault:
            raise HostFault(f"the compositor's events: {fault}") from fault

    def error_event(self, fault: WireFault) -> bytes:
        """The wl_display.error that tells the client of `fault`."""
        # A client with libwayland's old buffer takes 4 KiB.
        return encode_message(self._display_error, DISPLAY_ID, fault.object_id, fault.code, fault.text[:1024])

    def _walk(self, direction: Direction, data: Buffer) -> tuple[memoryview, list[Record]]:
        partial = self._partial[direction]
        view = memoryview(partial + data if partial else data)
        walk = self._walker.walk(direction, view)
        records = walk.records
        consumed = walk.consumed
        while walk.fault is None and walk.records and consumed < len(view):
            walk = self._walker.walk(direction, view[consumed:])
            records += [record._replace(offset=record.offset + consumed) for record in walk.records]
            consumed += walk.consumed
        if walk.fault is not None:
            raise walk.fault
        self._partial[direction] = bytes(view[consumed:])
        return view[:consumed], records

    def _filter(self, view: memoryview, records: list[Record]) -> Batch:
        pieces: list[Buffer] = []
        marks: list[Mark] = []
        kept = removed = 0
        for record in records:
            end = record.offset + record.size
            if record.fds:
                marks.append(Mark(record.offset - removed, record.fds, self._is_written(record)))
            if record.interface == self._display_index:
                self._note_error(view[record.offset : end])
            if record.interface != self._registry_index:
                continue
            shown = self._filters[record.opcode](view[record.offset : end])
            pieces += (view[kept : record.offset], shown or b"")
            removed += record.size - len(shown or b"")
            kept = end
        if not pieces:
            return Batch(view, marks)
        return Batch(memoryview(b"".join((*pieces, view[kept:]))), marks)

    def _note_error(self, event: memoryview) -> None:
        _object_id, _code, text = decode_arguments(self._display_error, event)
        self.compositor_error = str(text)[:200]

    def _is_written(self, record: Record) -> bool:
        interface = self._tables.at(record.interface)
        message = interface.events[record.opcode].name
        return self._policy.descriptors.get((interface.name, message)) is Carriage.PIPE


def split(batch: Batch) -> list[Part]:
    """Cuts a batch before the messages whose fds would be more than one send can carry.

    Each part's fds belong to messages that begin in it, so no fd comes later than its message.
    libwayland receives at most 28 fds at a time too, and loses the rest.
    """
    parts: list[Part] = []
    start = count = 0
    for mark in batch.marks:
        if count + mark.fds > MAX_IDENTIFIERS:
            parts.append(Part(batch.data[start : mark.offset], count))
            start, count = mark.offset, 0
        count += mark.fds
    parts.append(Part(batch.data[start:], count))
    return parts


def refusal(text: str) -> WireFault:
    """A fault of the whole connection, for an error that names no object of the client's."""
    return WireFault(DISPLAY_ID, DisplayError.IMPLEMENTATION, text)
