"""What a guest's client may say to the compositor, enforced on the host.

The guest can replace its launcher, so the host looks for itself: globals that the policy
hides are not announced, versions are capped, and a bind of anything else ends the client.
Windows get their VM's name (`labels`), what is copied and dragged stays where it may (`transfers`),
and what would end a compositor is set right (`viewports`).  Guest pages that the compositor reads in place
become what makes a dmabuf there (`shown`), and what it waits for at points of timelines has an end
(`timelines`).
On the way the walk finds which message owns which fd.  Bytes in, bytes out.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias, TypeVar

from crossdomain.abi.cross_domain import Buffer
from crossdomain.context import labels, shown, timelines, transfers, viewports
from crossdomain.context.edits import EVENT, REQUEST, Edit, Messages, Passing, find
from crossdomain.context.labels import Labels
from crossdomain.context.pixel_formats import PixelFormats
from crossdomain.context.ports import Showing
from crossdomain.context.quotas import ClientQuotas, exceeded
from crossdomain.context.rules import Guest
from crossdomain.context.shown import ShownPages
from crossdomain.context.timelines import GuestTimelines
from crossdomain.context.transfers import Transfers
from crossdomain.context.viewports import Viewports
from crossdomain.errors import GuestFault, HostFault, LocalError
from crossdomain.limits import MAX_IDENTIFIERS, MAX_POOL_BYTES
from crossdomain.wire import Walker
from crossdomain.wire import load as load_tables
from crossdomain.wire.codec import DISPLAY_ID, decode_arguments, encode_message, integer
from crossdomain.wire.engine import Direction, Record
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.policy import Carriage, Policy
from crossdomain.wire.registry import RegistryFilter
from crossdomain.wire.tables import Tables
from crossdomain.wire.totals import Totals

_INT: Final = Struct("<i")
_DISPLAY_ERROR: Final = find("wl_display", EVENT, "error")


class Mark(NamedTuple):
    """A message that owns fds: where it begins in its batch, how many, and what they are for."""

    offset: int
    fds: int
    carriage: Carriage | None
    """How the policy wants them carried to the guest; None for requests, and where it says nothing."""
    take: Callable[[list[int]], None] | None = None
    give: Callable[[], list[int]] | None = None
    """Who gets the fds instead, and who gives more of them, see `Edit`."""


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

    def __init__(self, tables: Tables, policy: Policy, guest: Guest, showing: Showing | None = None) -> None:
        """`guest` is the VM's, shared by its clients; so is `showing`, where it can show pages in place."""
        self._tables = tables
        self._policy = policy
        self._registry = RegistryFilter(policy)
        self.labels = Labels(guest)
        self.transfers = Transfers(guest)
        self.viewports = Viewports()
        self.formats = PixelFormats(guest)
        self.shown = ShownPages()
        self.timelines = GuestTimelines()
        self.compositor_error: str | None = None
        """What the compositor said in a wl_display.error, cut: for the log."""
        self.requests = 0
        """How many there were in the last call of `to_host`."""
        self._most_pool_bytes = MAX_POOL_BYTES
        self._walker = Walker(tables, _INTEREST, strict=False)
        self._partial = {Direction.REQUEST: b"", Direction.EVENT: b""}
        if showing is not None:
            self.shown.open(showing, self._own)

    def apply(self, quotas: ClientQuotas) -> None:
        """Quotas of objects, surfaces and pools; what there is already stays."""
        self._walker.limit(quotas.objects, quotas.surfaces)
        self._most_pool_bytes = quotas.pool_bytes

    def join(self, totals: Totals) -> None:
        """The client's objects and surfaces count among those of its VM, until `leave`."""
        self._walker.join(totals)

    def leave(self) -> None:
        """The connection is over, and with it all its objects.  May be called again."""
        self._walker.leave()

    def live(self) -> tuple[int, int]:
        """How many objects and how many surfaces the client has."""
        return self._walker.live()

    def to_host(self, data: Buffer, fds: Sequence[int] = ()) -> Batch:
        """The requests that are whole by now; what is incomplete is kept for the next call.

        `fds` are those that came and belong to no request yet; they are only looked at.

        Raises:
            WireFault: a request that is malformed, or that the policy refuses.  The client is over.
        """
        view, records = self._walk(Direction.REQUEST, data)
        return self._edit(Direction.REQUEST, view, records, fds) if records else Batch(view, ())

    def to_guest(self, data: Buffer, fds: Sequence[int] = ()) -> Batch:
        """The events that are whole by now, as the guest may see them; `fds` as for `to_host`.

        Raises:
            HostFault: the compositor sent what is no Wayland.
        """
        try:
            view, records = self._walk(Direction.EVENT, data)
            return self._edit(Direction.EVENT, view, records, fds) if records else Batch(view, ())
        except WireFault as fault:
            raise HostFault(f"the compositor's events: {fault}") from fault

    @property
    def walker(self) -> Walker:
        """What follows the connection's objects, in both directions."""
        return self._walker

    def is_whole(self, direction: Direction) -> bool:
        """Whether the last message that came is whole: nothing is kept for the next call."""
        return not self._partial[direction]

    def error_event(self, fault: WireFault) -> bytes:
        """The wl_display.error that tells the client of `fault`."""
        # A client with libwayland's old buffer takes 4 KiB.
        return encode_message(_DISPLAY_ERROR, DISPLAY_ID, fault.object_id, fault.code, fault.text[:1024])

    def _walk(self, direction: Direction, data: Buffer) -> tuple[memoryview, list[Record]]:
        partial = self._partial[direction]
        view = memoryview(partial + data if partial else data)
        walk = self._walker.walk(direction, view)
        records = walk.records
        consumed = walk.consumed
        messages = walk.messages
        while walk.fault is None and walk.records and consumed < len(view):
            walk = self._walker.walk(direction, view[consumed:])
            records += [record._replace(offset=record.offset + consumed) for record in walk.records]
            consumed += walk.consumed
            messages += walk.messages
        if walk.fault is not None:
            raise walk.fault
        self._partial[direction] = bytes(view[consumed:])
        if direction is REQUEST:
            self.requests = messages
        return view[:consumed], records

    def _edit(
        self, direction: Direction, view: memoryview, records: list[Record], fds: Sequence[int]
    ) -> Batch:
        pieces: list[Buffer] = []
        marks: list[Mark] = []
        kept = shift = taken = 0
        for record in records:
            end = record.offset + record.size
            handler = _HANDLERS.get((record.interface, direction, record.opcode))
            own = _slice(fds, taken, record.fds) if record.fds else ()
            passing = Passing(record.object_id, view[record.offset : end], own)
            edit = handler(self, passing) if handler is not None else None
            if record.fds:
                self.shown.check(own)
                self.timelines.check(own)
                taken += record.fds
                carriage = self._carriage(direction, record)
                take, give = (None, None) if edit is None else (edit.take, edit.give)
                marks.append(Mark(record.offset + shift, record.fds, carriage, take, give))
            if edit is None:
                continue
            pieces += (view[kept : record.offset], edit.data)
            shift += len(edit.data) - record.size
            kept = end
        if not pieces:
            return Batch(view, marks)
        return Batch(memoryview(b"".join((*pieces, view[kept:]))), marks)

    def handle_error(self, event: Passing) -> None:
        """wl_display.error."""
        object_id, _code, text = decode_arguments(_DISPLAY_ERROR, event.data)
        self.shown.note_failure(integer(object_id))
        self.compositor_error = str(text)[:200]

    def handle_global(self, event: Passing) -> Edit | None:
        """wl_registry.global."""
        self.shown.note_global(event.object_id, event.data)
        return _shown(self._registry.handle_global(event.data), event)

    def handle_global_remove(self, event: Passing) -> Edit | None:
        """wl_registry.global_remove."""
        self.shown.note_global_remove(event.data)
        return _shown(self._registry.handle_global_remove(event.data), event)

    def handle_format(self, event: Passing) -> Edit | None:
        """wl_shm.format."""
        return self.formats.handle_format(event)

    def handle_create_buffer(self, request: Passing) -> Edit | None:
        """wl_shm_pool.create_buffer."""
        self.formats.check_buffer(request)
        return self.shown.handle_create_buffer(request)

    def handle_create_pool(self, request: Passing) -> Edit | None:
        """wl_shm.create_pool."""
        self._check_pool(request)
        return self.shown.handle_create_pool(request)

    def handle_resize(self, request: Passing) -> None:
        """wl_shm_pool.resize."""
        self._check_pool(request)
        self.shown.handle_resize(request)

    def handle_bind(self, request: Passing) -> None:
        """wl_registry.bind."""
        self._registry.check_bind(request.data)

    def show_timelines(self) -> None:
        """The guest knows of points: it may name timelines to a compositor that knows them."""
        self._registry.pass_too((timelines.MANAGER,))

    def _own(self, object_id: int) -> None:
        try:
            self._walker.own(object_id)
        except LocalError as error:
            raise GuestFault(str(error)) from error

    def _check_pool(self, request: Passing) -> None:
        """Its last argument is the size."""
        (size,) = _INT.unpack_from(request.data, len(request.data) - _INT.size)
        if size > self._most_pool_bytes:
            raise exceeded("pool_bytes", f"a wl_shm_pool of {size} bytes, at most {self._most_pool_bytes}")

    def _carriage(self, direction: Direction, record: Record) -> Carriage | None:
        if direction is REQUEST:
            return None
        interface = self._tables.at(record.interface)
        return self._policy.descriptors.get((interface.name, interface.events[record.opcode].name))


def _shown(filtered: bytes | None, event: Passing) -> Edit | None:
    """What a filter of the registry's leaves of an event."""
    return None if filtered == bytes(event.data) else Edit(filtered or b"")


def _slice(fds: Sequence[int], start: int, count: int) -> Sequence[int]:
    """`count` fds from `start` on (of a deque too, which has no slices); none where they have not come."""
    return [fds[index] for index in range(start, start + count)] if start + count <= len(fds) else ()


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


_Part = TypeVar("_Part")
_Handler: TypeAlias = Callable[[ClientPolicy, Passing], Edit | None]


def _of(part: Callable[[ClientPolicy], _Part], handlers: Messages[_Part]) -> Messages[ClientPolicy]:
    """The handlers of a part, as those of the whole."""

    def of_whole(handle: Callable[[_Part, Passing], Edit | None]) -> _Handler:
        return lambda policy, passing: handle(part(policy), passing)

    return {message: of_whole(handle) for message, handle in handlers.items()}


def _key(message: tuple[str, Direction, str]) -> tuple[int, Direction, int]:
    """A message as records name it."""
    interface, direction, _name = message
    return load_tables().index(interface), direction, find(*message).opcode


_MESSAGES: Final[Messages[ClientPolicy]] = {
    ("wl_display", EVENT, "error"): ClientPolicy.handle_error,
    ("wl_registry", EVENT, "global"): ClientPolicy.handle_global,
    ("wl_registry", EVENT, "global_remove"): ClientPolicy.handle_global_remove,
    ("wl_registry", REQUEST, "bind"): ClientPolicy.handle_bind,
    **_of(lambda policy: policy.labels, labels.HANDLERS),
    **_of(lambda policy: policy.shown, shown.HANDLERS),
    **_of(lambda policy: policy.timelines, timelines.HANDLERS),
    **_of(lambda policy: policy.transfers, transfers.HANDLERS),
    **_of(lambda policy: policy.viewports, viewports.HANDLERS),
    ("wl_shm", EVENT, "format"): ClientPolicy.handle_format,
    # Before `shown` gets them.
    ("wl_shm", REQUEST, "create_pool"): ClientPolicy.handle_create_pool,
    ("wl_shm_pool", REQUEST, "resize"): ClientPolicy.handle_resize,
    ("wl_shm_pool", REQUEST, "create_buffer"): ClientPolicy.handle_create_buffer,
}
_INTEREST: Final = tuple(_MESSAGES)
_HANDLERS: Final[dict[tuple[int, Direction, int], _Handler]] = {
    _key(message): handle for message, handle in _MESSAGES.items()
}
