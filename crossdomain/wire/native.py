"""The walker in C: `crossdomain.wire.Walker`.

A thin object around `crossdomain/native/walker.c`.  A call costs about as much as
one small Python function; messages that nobody asked about cost no Python at all.
"""

import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from crossdomain.errors import LocalError
from crossdomain.limits import MAX_OBJECTS
from crossdomain.native import ffi, lib
from crossdomain.wire.codec import Data
from crossdomain.wire.engine import (
    MAX_RECORDS,
    Direction,
    FaultKind,
    FaultSite,
    Interest,
    Record,
    Walk,
    Watch,
    describe_fault,
    resolve_interest,
)
from crossdomain.wire.faults import WireFault
from crossdomain.wire.tables import Tables
from crossdomain.wire.totals import Totals

if TYPE_CHECKING:
    from crossdomain.native._core import TablesPointer, WalkerPointer

_RECORD: Final = struct.Struct("<IIIHHBBxxI")
_OUT_OF_MEMORY: Final = max(FaultKind) + 1
_MAX_ID: Final = 0xFFFFFFFF


@cache
def _load(tables: Tables) -> "TablesPointer":
    packed = ffi.from_buffer("uint8_t[]", tables.packed)
    pointer = lib.xd_tables_load(packed, len(packed))
    if not pointer:
        raise LocalError("the C core does not understand the signature tables")
    return ffi.gc(pointer, lib.xd_tables_free)


@cache
def _walker_with(tables: Tables, interest: tuple[tuple[str, Direction, str], ...]) -> "WalkerPointer":
    """A walker that nobody uses: others take its interest over, all connections that ask for the same."""
    walker = _create(tables, strict=True)
    for interface, direction, opcode in resolve_interest(tables, interest):
        lib.xd_walker_interest(walker, interface, direction, opcode, Watch.ALWAYS)
    return walker


@cache
def _resolve(tables: Tables, message: tuple[str, Direction, str]) -> tuple[int, Direction, int]:
    """`resolve_interest` of one message, once for all connections."""
    (resolved,) = resolve_interest(tables, (message,))
    return resolved


def _create(tables: Tables, *, strict: bool) -> "WalkerPointer":
    """A walker without interest; the tables are kept by `_load`."""
    pointer = lib.xd_walker_create(_load(tables), strict, MAX_OBJECTS)
    if not pointer:
        raise MemoryError
    return ffi.gc(pointer, lib.xd_walker_free)


class NativeWalker:
    """`crossdomain.wire.engine.Walker` in C."""

    def __init__(self, tables: Tables, interest: Interest, *, strict: bool) -> None:
        self._tables = tables
        self._walker = _create(tables, strict=strict)
        lib.xd_walker_interest_of(self._walker, _walker_with(tables, tuple(interest)))
        self._records = ffi.new("xd_record[]", MAX_RECORDS)
        self._walk = ffi.new("xd_walk *")

    @property
    def pointer(self) -> "WalkerPointer":
        """The walker itself, for C that walks without Python; good while this object lives."""
        return self._walker

    def walk(self, direction: Direction, data: Data) -> Walk:
        walk = self._walk
        view = ffi.from_buffer("uint8_t[]", data)
        lib.xd_walker_walk(self._walker, direction, view, len(view), self._records, MAX_RECORDS, walk)
        records: list[Record] = []
        if walk.records:
            found = ffi.buffer(self._records)[: walk.records * _RECORD.size]
            records = list(map(Record._make, _RECORD.iter_unpack(found)))
        fault = self._fault(direction) if walk.fault else None
        return Walk(walk.consumed, records, fault, walk.messages)

    def pass_by(self, direction: Direction, data: Data) -> int:
        """Walks the messages of `data` that would be no records, up to the first that is anything else.

        Returns their bytes; the one that it stops before has changed nothing.
        """
        view = ffi.from_buffer("uint8_t[]", data)
        return lib.xd_walker_pass(self._walker, direction, view, len(view))

    def watch(self, interface: str, direction: Direction, name: str, watch: Watch = Watch.ALWAYS) -> None:
        lib.xd_walker_interest(self._walker, *_resolve(self._tables, (interface, direction, name)), watch)

    def quieten(self, object_id: int) -> None:
        lib.xd_walker_quieten(self._walker, object_id)

    def stir(self, object_id: int) -> bool:
        return bool(lib.xd_walker_stir(self._walker, object_id))

    def take_ended(self) -> int:
        return lib.xd_walker_take_ended(self._walker)

    def limit(self, objects: int, surfaces: int) -> None:
        index = self._tables.index("wl_surface")
        lib.xd_walker_limit(self._walker, min(objects, _MAX_ID), index, min(surfaces, _MAX_ID))

    def join(self, totals: Totals) -> None:
        lib.xd_walker_join(self._walker, totals.pointer)

    def leave(self) -> None:
        lib.xd_walker_leave(self._walker)

    def live(self) -> tuple[int, int]:
        return lib.xd_walker_live(self._walker), lib.xd_walker_counted(self._walker)

    def own(self, object_id: int, deletes: int = 1) -> None:
        numbers = 0 <= object_id <= _MAX_ID and 0 < deletes <= _MAX_ID
        if not numbers or lib.xd_walker_own(self._walker, object_id, deletes):
            raise LocalError(f"{object_id} can't be an object of the proxy's own")

    def own_pending(self, object_id: int) -> int:
        return lib.xd_walker_own_pending(self._walker, object_id)

    def release(self, object_id: int) -> None:
        if lib.xd_walker_release(self._walker, object_id):
            raise LocalError(f"{object_id} is not in use")

    def next_id(self) -> int:
        return lib.xd_walker_next_id(self._walker)

    def adopt(self, object_id: int, interface: str, version: int) -> None:
        number = 0 <= object_id <= _MAX_ID
        if not number or lib.xd_walker_adopt(self._walker, object_id, self._tables.index(interface), version):
            raise LocalError(f"{object_id} can't be an object of the compositor's")

    def next_server_id(self) -> int:
        return lib.xd_walker_next_server_id(self._walker)

    def interface_of(self, object_id: int) -> int | None:
        found = lib.xd_walker_lookup(self._walker, object_id)
        return None if found < 0 else found >> 16

    def version_of(self, object_id: int) -> int | None:
        found = lib.xd_walker_lookup(self._walker, object_id)
        return None if found < 0 else found & 0xFFFF

    def _fault(self, direction: Direction) -> WireFault:
        walk = self._walk
        if walk.fault == _OUT_OF_MEMORY:
            raise MemoryError
        site = FaultSite(
            FaultKind(walk.fault),
            walk.object_id,
            walk.opcode,
            walk.size,
            self.interface_of(walk.object_id),
            self.version_of(walk.object_id),
        )
        return describe_fault(self._tables, direction, site)
