"""The walker in plain Python: the oracle that the one in C is compared with.

Nothing imports it in production.  It follows `crossdomain.wire.engine`'s
description step by step, in the same order as `crossdomain/native/walker.c`.
"""

from typing import Final

from crossdomain.errors import LocalError
from crossdomain.limits import MAX_OBJECTS
from crossdomain.wire.codec import (
    DISPLAY_ID,
    HEADER_SIZE,
    SERVER_ID_START,
    Data,
    Value,
    decode_arguments,
)
from crossdomain.wire.engine import (
    MAX_DELETES,
    MAX_RECORDS,
    Direction,
    FaultKind,
    FaultSite,
    Flag,
    Interest,
    Record,
    Walk,
    Watch,
    describe_fault,
    messages_of,
    resolve_interest,
)
from crossdomain.wire.faults import WireFault
from crossdomain.wire.tables import NO_INTERFACE, Argument, ArgumentKind, Message, Tables
from crossdomain.wire.totals import Totals

_DELETE_ID: Final = (Direction.EVENT, DISPLAY_ID, 1)
"""wl_display.delete_id: direction, object and opcode."""


class _Refused(Exception):
    """The message at hand is not allowed."""

    def __init__(self, kind: FaultKind) -> None:
        super().__init__(kind)
        self.kind = kind


class _Entry:
    """One object: `generations` counts the new_ids without a delete_id yet."""

    __slots__ = ("begun", "generations", "interface", "quiet", "version", "zombie")

    def __init__(self, interface: int, version: int) -> None:
        self.interface = interface
        self.version = version
        self.generations = 1
        self.zombie = False
        self.quiet = False
        self.begun = False


class _Creation:
    """The object that a message creates."""

    __slots__ = ("interface", "object_id", "version")

    def __init__(self, object_id: int, interface: int, version: int) -> None:
        self.object_id = object_id
        self.interface = interface
        self.version = version


class PythonWalker:
    """`crossdomain.wire.engine.Walker` without C."""

    def __init__(self, tables: Tables, interest: Interest, *, strict: bool) -> None:
        self._tables = tables
        self._interest = dict.fromkeys(resolve_interest(tables, interest), Watch.ALWAYS)
        self._ended = 0
        self._strict = strict
        self._display = tables.index("wl_display")
        self._entries: dict[int, _Entry] = {DISPLAY_ID: _Entry(self._display, 1)}
        self._own: dict[int, int] = {}
        self._next_client_id = DISPLAY_ID + 1
        self._next_server_id = SERVER_ID_START
        self._most_objects = self._most_surfaces = 1 << 32
        self._surface: int | None = None
        self._totals: Totals | None = None
        self._told = (0, 0, 0)

    def walk(self, direction: Direction, data: Data) -> Walk:
        walked = self._walk(direction, data)
        self._tell()
        return walked

    def _walk(self, direction: Direction, data: Data) -> Walk:
        view = memoryview(data)
        records: list[Record] = []
        offset = messages = 0
        while len(view) - offset >= HEADER_SIZE and len(records) < MAX_RECORDS:
            object_id = int.from_bytes(view[offset : offset + 4], "little")
            opcode = int.from_bytes(view[offset + 4 : offset + 6], "little")
            size = int.from_bytes(view[offset + 6 : offset + 8], "little")
            record = Record(offset, size, object_id, NO_INTERFACE, opcode, 0, 0, self._next_client_id)
            try:
                if size < HEADER_SIZE or size % 4:
                    raise _Refused(FaultKind.SIZE)
                if size > len(view) - offset:
                    break
                found = self._step(direction, view, record)
            except _Refused as refused:
                return Walk(offset, records, self._fault(direction, refused.kind, record), messages)
            if found is not None:
                records.append(found)
            offset += size
            messages += 1
        return Walk(offset, records, None, messages)

    def watch(self, interface: str, direction: Direction, name: str, watch: Watch = Watch.ALWAYS) -> None:
        resolved = resolve_interest(self._tables, ((interface, direction, name),))
        self._interest |= dict.fromkeys(resolved, watch)

    def quieten(self, object_id: int) -> None:
        entry = self._entries.get(object_id)
        if entry is not None and not entry.zombie:
            entry.quiet = True

    def stir(self, object_id: int) -> bool:
        entry = self._entries.get(object_id)
        if entry is None:
            return False
        begun, entry.quiet, entry.begun = entry.begun, False, False
        return begun

    def take_ended(self) -> int:
        ended, self._ended = self._ended, 0
        return ended

    def limit(self, objects: int, surfaces: int) -> None:
        self._most_objects, self._most_surfaces = objects, surfaces
        self._surface = self._tables.index("wl_surface")
        self._tell()

    def join(self, totals: Totals) -> None:
        self._totals = totals
        self._tell()

    def leave(self) -> None:
        if self._totals is not None:
            self._totals.add(*(-told for told in self._told))
        self._totals, self._told = None, (0, 0, 0)

    def _tell(self) -> None:
        if self._totals is not None:
            now = (*self.live(), self._next_client_id)
            self._totals.add(*(count - told for count, told in zip(now, self._told, strict=True)))
            self._told = now

    def live(self) -> tuple[int, int]:
        clients = [entry for object_id, entry in self._entries.items() if object_id < SERVER_ID_START]
        surfaces = [entry for entry in clients if entry.interface == self._surface and not entry.zombie]
        return len(clients), len(surfaces)

    def own(self, object_id: int, deletes: int = 1) -> None:
        if not DISPLAY_ID < object_id <= self._next_client_id or object_id >= MAX_OBJECTS or deletes < 1:
            raise LocalError(f"{object_id} can't be an object of the proxy's own")
        pending = self._own.get(object_id, 0) + deletes
        if pending > MAX_DELETES:
            raise LocalError(f"too many own objects with the id {object_id}")
        self._own[object_id] = pending
        self._next_client_id = max(self._next_client_id, object_id + 1)
        self._tell()

    def own_pending(self, object_id: int) -> int:
        return self._own.get(object_id, 0)

    def release(self, object_id: int) -> None:
        if object_id == DISPLAY_ID or self._entries.pop(object_id, None) is None:
            raise LocalError(f"{object_id} is not in use")
        self._tell()

    def next_id(self) -> int:
        return self._next_client_id

    def adopt(self, object_id: int, interface: str, version: int) -> None:
        creation = _Creation(object_id, self._tables.index(interface), version)
        try:
            self._admit(Direction.EVENT, creation)
        except _Refused:
            raise LocalError(f"{object_id} can't be an object of the compositor's") from None
        self._create(Direction.EVENT, creation)

    def next_server_id(self) -> int:
        return self._next_server_id

    def interface_of(self, object_id: int) -> int | None:
        entry = self._entries.get(object_id)
        return None if entry is None else entry.interface

    def version_of(self, object_id: int) -> int | None:
        entry = self._entries.get(object_id)
        return None if entry is None else entry.version

    def _fault(self, direction: Direction, kind: FaultKind, record: Record) -> WireFault:
        entry = self._entries.get(record.object_id)
        interface, version = (None, None) if entry is None else (entry.interface, entry.version)
        site = FaultSite(kind, record.object_id, record.opcode, record.size, interface, version)
        return describe_fault(self._tables, direction, site)

    def _step(self, direction: Direction, view: memoryview, record: Record) -> Record | None:
        """Walks one whole message; returns its record if it has one."""
        entry = self._entries.get(record.object_id)
        if direction is Direction.EVENT and record.object_id in self._own:
            interface = NO_INTERFACE if entry is None else entry.interface
            return record._replace(interface=interface, flags=Flag.OWN)
        if entry is None or (entry.zombie and direction is Direction.REQUEST):
            # libwayland's client, too, passes over the events of objects that it does not know.
            if direction is Direction.REQUEST:
                raise _Refused(FaultKind.OBJECT)
            return None
        try:
            return self._known(direction, view, record, entry)
        except _Refused:
            if direction is Direction.REQUEST or self._strict:
                raise
            return None

    def _known(self, direction: Direction, view: memoryview, record: Record, entry: _Entry) -> Record | None:
        """Walks a message of an object that is in the map."""
        messages = messages_of(self._tables, entry.interface, direction)
        if record.opcode >= len(messages):
            raise _Refused(FaultKind.OPCODE)
        message = messages[record.opcode]
        if direction is Direction.REQUEST and message.since > entry.version:
            raise _Refused(FaultKind.VERSION)
        try:
            values = decode_arguments(message, view, record.offset)
        except WireFault:
            raise _Refused(FaultKind.ARGUMENTS) from None
        kind = self._interest.get((entry.interface, direction, record.opcode))
        watch = None if self._passes_quietly(entry, kind, values) else kind
        creation = self._check(direction, entry, message, values, stirs=watch is Watch.ALWAYS)
        if creation is not None:
            self._admit(direction, creation)
            self._allow(direction, creation)
        if message.destructor and direction is Direction.REQUEST:
            entry.zombie = True
        if creation is not None:
            self._create(direction, creation)
        own = (direction, record.object_id, record.opcode) == _DELETE_ID and self._delete(values[0])
        fds = sum(argument.kind is ArgumentKind.FD for argument in message.arguments)
        if direction is Direction.REQUEST:
            self._note_quiet(entry, kind, watch)
        if not (fds or own or watch):
            return None
        return record._replace(interface=entry.interface, fds=fds, flags=Flag.OWN if own else 0)

    def _passes_quietly(self, entry: _Entry, kind: Watch | None, values: tuple[Value, ...]) -> bool:
        """Whether a message that is watched passes, as its object is quiet and so is what it begins with."""
        if kind in (None, Watch.ALWAYS, Watch.UNLESS_TAKEN) or not entry.quiet:
            return False
        if kind is not Watch.BEGINS:
            return True
        named = self._entries.get(values[0]) if values and isinstance(values[0], int) else None
        return named is not None and named.quiet and not named.zombie

    def _note_quiet(self, entry: _Entry, kind: Watch | None, watch: Watch | None) -> None:
        """What a request of some kind, which is watched now or passes, does to the quiet of its object."""
        if watch is not None:
            entry.quiet = False
        elif kind is Watch.BEGINS:
            entry.begun = True
        elif kind is Watch.ENDS and entry.begun:
            entry.begun = False
            self._ended += 1

    def _check(
        self,
        direction: Direction,
        entry: _Entry,
        message: Message,
        values: tuple[Value, ...],
        *,
        stirs: bool,
    ) -> _Creation | None:
        """Checks the ids among the arguments; returns what the message creates."""
        creation = None
        for number, (argument, value) in enumerate(zip(message.arguments, values, strict=True)):
            if not isinstance(value, int):
                continue
            if argument.kind is ArgumentKind.NEW_ID:
                if argument.interface is None:
                    interface, version = self._bound(values[number - 2], values[number - 1])
                else:
                    interface, version = self._tables.index(argument.interface), entry.version
                creation = _Creation(value, interface, version)
            elif argument.kind is ArgumentKind.OBJECT and direction is Direction.REQUEST and value:
                self._check_object(argument, value, stirs=stirs)
        return creation

    def _bound(self, name: Value, version: Value) -> tuple[int, int]:
        """Returns interface and version of a wl_registry.bind."""
        interface = self._tables.find(name) if isinstance(name, str) else None
        if interface is None or not isinstance(version, int):
            raise _Refused(FaultKind.GLOBAL)
        if not 1 <= version <= self._tables.at(interface).version:
            raise _Refused(FaultKind.GLOBAL)
        return interface, version

    def _check_object(self, argument: Argument, object_id: int, *, stirs: bool) -> None:
        entry = self._entries.get(object_id)
        if entry is None or entry.zombie:
            raise _Refused(FaultKind.ARGUMENTS)
        if argument.interface is not None and self._tables.index(argument.interface) != entry.interface:
            raise _Refused(FaultKind.ARGUMENTS)
        entry.quiet &= not stirs

    def _admit(self, direction: Direction, creation: _Creation) -> None:
        """Checks that the id may be taken: the right range, no hole below it, not in use."""
        object_id = creation.object_id
        if (object_id >= SERVER_ID_START) != (direction is Direction.EVENT):
            raise _Refused(FaultKind.ARGUMENTS)
        first, following = (0, self._next_client_id)
        if direction is Direction.EVENT:
            first, following = (SERVER_ID_START, self._next_server_id)
        if object_id - first >= MAX_OBJECTS:
            raise _Refused(FaultKind.OBJECTS)
        if object_id > following or object_id == DISPLAY_ID:
            raise _Refused(FaultKind.ARGUMENTS)
        if direction is Direction.EVENT:
            return
        entry = self._entries.get(object_id)
        # The client does not know of an object of the proxy's own, which is gone again by then.
        if self._strict and entry is not None:
            raise _Refused(FaultKind.ARGUMENTS)
        if entry is not None and entry.generations == MAX_DELETES:
            raise _Refused(FaultKind.OBJECTS)

    def _allow(self, direction: Direction, creation: _Creation) -> None:
        """Checks that the client may have one more object."""
        if direction is Direction.EVENT:
            return
        objects, surfaces = self.live()
        is_new, is_surface = creation.object_id not in self._entries, creation.interface == self._surface
        if is_new and objects >= self._most_objects:
            raise _Refused(FaultKind.LIVE_OBJECTS)
        if is_surface and surfaces >= self._most_surfaces:
            raise _Refused(FaultKind.SURFACES)
        if self._totals is None:
            return
        all_objects = self._totals.objects - self._told[0] + objects
        all_surfaces = self._totals.surfaces - self._told[1] + surfaces
        all_ids = self._totals.ids - self._told[2] + self._next_client_id
        if is_new and all_objects >= self._totals.most[0]:
            raise _Refused(FaultKind.ALL_LIVE_OBJECTS)
        if creation.object_id == self._next_client_id and all_ids >= self._totals.most[2]:
            raise _Refused(FaultKind.ALL_LIVE_OBJECTS)
        if is_surface and all_surfaces >= self._totals.most[1]:
            raise _Refused(FaultKind.ALL_SURFACES)

    def _create(self, direction: Direction, creation: _Creation) -> None:
        object_id = creation.object_id
        new = _Entry(creation.interface, creation.version)
        old = self._entries.get(object_id)
        if direction is Direction.REQUEST:
            new.generations = 1 if old is None else old.generations + 1
            self._next_client_id = max(self._next_client_id, object_id + 1)
        else:
            self._next_server_id = max(self._next_server_id, object_id + 1)
        self._entries[object_id] = new

    def _delete(self, object_id: Value) -> bool:
        """Frees one generation of an id; returns whether it was one of the proxy's own."""
        if not isinstance(object_id, int):
            return False
        pending = self._own.pop(object_id, 0)
        if pending:
            if pending > 1:
                self._own[object_id] = pending - 1
            return True
        entry = self._entries.get(object_id)
        if entry is not None and DISPLAY_ID < object_id < SERVER_ID_START:
            entry.generations -= 1
            if entry.generations == 0:
                del self._entries[object_id]
        return False
