# What cffi makes of core.cdef, as far as this project uses it.
from collections.abc import Callable
from mmap import mmap
from typing import Literal, overload

class _Pointer:
    def __bool__(self) -> bool: ...

class TablesPointer(_Pointer): ...
class WalkerPointer(_Pointer): ...

class BytesPointer(_Pointer):
    def __len__(self) -> int: ...

class RecordsPointer(_Pointer): ...
class RectanglesPointer(_Pointer): ...

class WalkPointer(_Pointer):
    consumed: int
    records: int
    fault: int
    object_id: int
    opcode: int
    size: int

class PlanePointer(_Pointer):
    offset: int
    stride: int
    bytes_per_pixel: int

class CopyResultPointer(_Pointer):
    copied: int
    fault_offset: int

class _FFI:
    @overload
    def new(self, cdecl: Literal["xd_walk *"]) -> WalkPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_record[]"], init: int) -> RecordsPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_plane *"], init: tuple[int, int, int]) -> PlanePointer: ...
    @overload
    def new(self, cdecl: Literal["xd_copy_result *"]) -> CopyResultPointer: ...
    @overload
    def from_buffer(
        self,
        cdecl: Literal["uint8_t[]"],
        python_buffer: bytes | bytearray | memoryview | mmap,
        require_writable: bool = False,
    ) -> BytesPointer: ...
    @overload
    def from_buffer(self, cdecl: Literal["xd_rectangle[]"], python_buffer: bytes) -> RectanglesPointer: ...
    def buffer(self, cdata: RecordsPointer) -> memoryview: ...
    @overload
    def gc(self, cdata: TablesPointer, destructor: Callable[[TablesPointer], None]) -> TablesPointer: ...
    @overload
    def gc(self, cdata: WalkerPointer, destructor: Callable[[WalkerPointer], None]) -> WalkerPointer: ...

class _Lib:
    XD_COPY_OK: int
    XD_COPY_BOUNDS: int
    XD_COPY_FAULT: int

    def xd_tables_load(self, packed: BytesPointer, size: int) -> TablesPointer: ...
    def xd_tables_free(self, tables: TablesPointer) -> None: ...
    def xd_walker_create(self, tables: TablesPointer, strict: int, max_objects: int) -> WalkerPointer: ...
    def xd_walker_free(self, walker: WalkerPointer) -> None: ...
    def xd_walker_interest(
        self, walker: WalkerPointer, interface: int, direction: int, opcode: int
    ) -> int: ...
    def xd_walker_walk(
        self,
        walker: WalkerPointer,
        direction: int,
        data: BytesPointer,
        size: int,
        records: RecordsPointer,
        capacity: int,
        walk: WalkPointer,
    ) -> None: ...
    def xd_walker_own(self, walker: WalkerPointer, object_id: int, deletes: int) -> int: ...
    def xd_walker_release(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_walker_own_pending(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_walker_lookup(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_copy_rectangles(
        self,
        destination: BytesPointer,
        destination_size: int,
        source: BytesPointer,
        source_size: int,
        plane: PlanePointer,
        rectangles: RectanglesPointer,
        count: int,
        result: CopyResultPointer,
    ) -> int: ...

ffi: _FFI
lib: _Lib
