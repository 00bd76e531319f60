# What cffi makes of core.cdef, as far as this project uses it.
from collections.abc import Callable
from mmap import mmap
from typing import Literal, overload

class _Pointer:
    def __bool__(self) -> bool: ...

class TablesPointer(_Pointer): ...
class WalkerPointer(_Pointer): ...

class TotalsPointer(_Pointer):
    live: int
    max_live: int
    counted: int
    max_counted: int
    ids: int
    max_ids: int

class PortPointer(_Pointer): ...

class FdNumbers:
    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...

class Handover:
    kind: int
    data: BytesPointer
    size: int
    flags: int
    fd_count: int
    fds: FdNumbers

class PollerPointer(_Pointer):
    ready: FdNumbers
    ready_events: FdNumbers
    ready_count: int
    handover: Handover

class Span:
    guest_address: int
    size: int

class Spans:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Span: ...

class ChainPointer(_Pointer):
    head: int
    writable_count: int
    writable: Spans
    flags: int
    fence_id: int
    ctx_id: int
    ring_idx: int

class QueuePointer(_Pointer):
    descriptors: int
    available: int
    used: int
    size: int
    most: int
    under_way: int
    next_available: int
    used_index: int
    is_open: int

class DevicePointer(_Pointer):
    kick: PortPointer
    queue: QueuePointer
    call_fd: int
    chain: ChainPointer

class MailboxPointer(_Pointer):
    runs: Spans
    run_count: int
    size: int
    slots: int
    slot: int
    others: int
    poll_count: int

class Counts:
    def __getitem__(self, index: int) -> int: ...
    def __setitem__(self, index: int, value: int) -> None: ...

class Times:
    walks: int
    began: int
    counts: Counts

class PagesPointer(_Pointer):
    runs: RunsPointer
    run_count: int
    generation: int
    memory_generation: NumberPointer

class Route:
    destination: int
    source: int
    key: bytes
    by_key: int
    pixels: BytesPointer
    size: int
    pages: PagesPointer

class Routes:
    def __getitem__(self, index: int) -> Route: ...

class RouteTable:
    count: int
    routes: Routes
    copies: int
    bytes_copied: int

class PassagePointer(_Pointer):
    client: PortPointer
    compositor: PortPointer
    client_fd: int
    compositor_fd: int
    mailbox: MailboxPointer | None
    to_host: int
    to_guest: int
    has_room: int
    left: int
    reads_left: int
    sends: int
    requests: int
    bytes_to_host: int
    events: int
    bytes_to_guest: int
    routes: RouteTable
    times_to_host: Times
    times_to_guest: Times

class AddressNumber:
    def __int__(self) -> int: ...

class BytesPointer(_Pointer):
    def __len__(self) -> int: ...

class RecordsPointer(_Pointer): ...
class RectanglesPointer(_Pointer): ...
class BoxesPointer(_Pointer): ...
class RunsPointer(_Pointer): ...
class RegionsPointer(_Pointer): ...

class NumberPointer(_Pointer):
    def __getitem__(self, index: Literal[0]) -> int: ...
    def __setitem__(self, index: Literal[0], value: int) -> None: ...

class WalkPointer(_Pointer):
    consumed: int
    records: int
    fault: int
    object_id: int
    opcode: int
    size: int
    messages: int

class PlanePointer(_Pointer):
    offset: int
    stride: int
    bytes_per_pixel: int

class CopyResultPointer(_Pointer):
    copied: int
    fault_offset: int

class Boxes:
    pass

class Damage:
    count: int
    boxes: Boxes

class FilePointer(_Pointer):
    changed: int
    fd: int

class CarriedMirror:
    pixels: BytesPointer
    size: int
    offset: int
    resource_id: int
    stride: int
    width: int
    height: int
    readers: int
    in_place: int
    stale: Damage

class CarriedBuffer:
    buffer_id: int
    mirror: int
    pixels: BytesPointer
    size: int
    file: FilePointer
    source_offset: int
    source: int
    source_stride: int
    key: bytes
    block_bytes: int
    width: int
    height: int
    readers: int
    copied: int

class CarriedMirrors:
    def __getitem__(self, index: int) -> CarriedMirror: ...

class CarriedBuffers:
    def __getitem__(self, index: int) -> CarriedBuffer: ...

class CarriedSurface(_Pointer):
    surface_id: int
    scale: int
    transform: int
    streak: int
    trust: int
    shown: int
    attached: int
    mirror_count: int
    buffer_count: int
    damage: Damage
    buffer_damage: Damage
    frames: int
    bytes_damaged: int
    mirrors: CarriedMirrors
    buffers: CarriedBuffers

class ByteArray:
    pass

class CopiesPointer(_Pointer):
    size: int
    bytes: ByteArray

class FramesPointer(_Pointer):
    copies: CopiesPointer

class RingPointer(_Pointer):
    bytes: BytesPointer
    size: int
    is_shared: int
    slot: int
    polled: int
    early: int

class LanePointer(_Pointer):
    walker: WalkerPointer
    client_fd: int
    channel_fd: int
    ring: RingPointer
    max_send: int
    allowance: int
    passes_events: int
    copies: CopiesPointer

class LoopPointer(_Pointer):
    fd: int
    events: int
    handed: int
    data: BytesPointer
    size: int
    walked: int
    truncated: int
    error: int
    served: int

class _FFI:
    @overload
    def new(self, cdecl: Literal["xd_walk *"]) -> WalkPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_queue *"]) -> QueuePointer: ...
    @overload
    def new(self, cdecl: Literal["xd_chain *"]) -> ChainPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_record[]"], init: int) -> RecordsPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_plane *"], init: tuple[int, int, int, int, int]) -> PlanePointer: ...
    @overload
    def new(self, cdecl: Literal["xd_copy_result *"]) -> CopyResultPointer: ...
    @overload
    def new(self, cdecl: Literal["uint64_t *"]) -> NumberPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_box[]"], init: int) -> BoxesPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_pages *"]) -> PagesPointer: ...
    @overload
    def new(self, cdecl: Literal["xd_lane *"]) -> LanePointer: ...
    @overload
    def new(self, cdecl: Literal["xd_file *"], init: dict[str, int]) -> FilePointer: ...
    @overload
    def new(self, cdecl: Literal["xd_surface *"]) -> CarriedSurface: ...
    @overload
    def new(self, cdecl: Literal["xd_ring *"]) -> RingPointer: ...
    @overload
    def from_buffer(self, cdecl: Literal["xd_rectangle[]"], python_buffer: bytes) -> RectanglesPointer: ...
    @overload
    def from_buffer(self, cdecl: Literal["xd_run[]"], python_buffer: bytes) -> RunsPointer: ...
    @overload
    def from_buffer(self, cdecl: Literal["xd_region[]"], python_buffer: bytes) -> RegionsPointer: ...
    @overload
    def from_buffer(self, cdecl: Literal["xd_box[]"], python_buffer: bytes) -> BoxesPointer: ...
    @overload
    def from_buffer(
        self, cdecl: Literal["uint8_t[]"], python_buffer: bytes | bytearray | memoryview | mmap
    ) -> BytesPointer: ...
    @overload
    def cast(self, cdecl: Literal["uintptr_t"], cdata: BytesPointer) -> AddressNumber: ...
    @overload
    def cast(self, cdecl: Literal["uint8_t *"], cdata: int) -> BytesPointer: ...
    @overload
    def buffer(self, cdata: RecordsPointer | BoxesPointer) -> memoryview: ...
    @overload
    def buffer(self, cdata: BytesPointer, size: int) -> memoryview: ...
    @overload
    def buffer(self, cdata: Boxes | ByteArray) -> bytes: ...
    @overload
    def addressof(self, cdata: DevicePointer, field: Literal["kick"]) -> PortPointer: ...
    @overload
    def addressof(self, cdata: DevicePointer, field: Literal["queue"]) -> QueuePointer: ...
    @overload
    def addressof(self, cdata: FramesPointer, field: Literal["copies"]) -> CopiesPointer: ...
    @overload
    def addressof(self, cdata: DevicePointer, field: Literal["chain"]) -> ChainPointer: ...
    @overload
    def addressof(self, cdata: PassagePointer, field: Literal["client", "compositor"]) -> PortPointer: ...
    @overload
    def gc(self, cdata: FramesPointer, destructor: Callable[[FramesPointer], None]) -> FramesPointer: ...
    @overload
    def gc(self, cdata: DevicePointer, destructor: Callable[[DevicePointer], None]) -> DevicePointer: ...
    @overload
    def gc(self, cdata: MailboxPointer, destructor: Callable[[MailboxPointer], None]) -> MailboxPointer: ...
    @overload
    def gc(self, cdata: PollerPointer, destructor: Callable[[PollerPointer], None]) -> PollerPointer: ...
    @overload
    def gc(self, cdata: PassagePointer, destructor: Callable[[PassagePointer], None]) -> PassagePointer: ...
    @overload
    def gc(self, cdata: TablesPointer, destructor: Callable[[TablesPointer], None]) -> TablesPointer: ...
    @overload
    def gc(self, cdata: WalkerPointer, destructor: Callable[[WalkerPointer], None]) -> WalkerPointer: ...
    @overload
    def gc(self, cdata: TotalsPointer, destructor: Callable[[TotalsPointer], None]) -> TotalsPointer: ...
    @overload
    def gc(self, cdata: LoopPointer, destructor: Callable[[LoopPointer], None]) -> LoopPointer: ...
    def memmove(self, dest: Boxes, src: bytes, n: int) -> None: ...

    NULL: None
    errno: int
    def release(self, cdata: PollerPointer) -> None: ...

class _Lib:
    XD_READY: int
    XD_FAILED: int
    XD_PACKET: int
    XD_REQUESTS: int
    XD_EVENTS: int
    XD_UNDELIVERED: int
    XD_COMMAND: int
    XD_COMMAND_POLL: int
    XD_COMMAND_SEND: int
    XD_COMMAND_RECEIVE: int
    XD_COMMAND_HEADER: int
    XD_SEND_RECEIVE_SIZE: int
    XD_CHANNEL_RING: int
    XD_RING_LOOKED_AT: int
    XD_RING_SLOTS: int
    XD_COMMAND_COPY_PAGES: int
    XD_COPY_PAGES_SIZE: int
    XD_KEY_SIZE: int
    XD_LOCAL_HEADER_SIZE: int
    XD_LOCAL_MAX_PACKET: int
    XD_LOCAL_SUBMIT: int
    XD_LOCAL_EVENT: int
    XD_QUEUE: int
    XD_MAX_RING_RUNS: int
    XD_TIME_STEPS: int
    XD_TIME_CLASSES: int
    XD_COPY_OK: int
    XD_COPY_BOUNDS: int
    XD_COPY_FAULT: int
    XD_MAX_BOXES: int
    XD_MAX_MIRRORS: int
    XD_MAX_ROUTES: int
    XD_MAX_COPIED: int
    XD_MAX_DAMAGE: int
    XD_HANDED_REQUESTS: int
    XD_HANDED_EVENTS: int
    XD_HANDED_PACKET: int

    def xd_tables_load(self, packed: BytesPointer, size: int) -> TablesPointer: ...
    def xd_tables_free(self, tables: TablesPointer) -> None: ...
    def xd_walker_create(self, tables: TablesPointer, strict: int, max_objects: int) -> WalkerPointer: ...
    def xd_walker_free(self, walker: WalkerPointer) -> None: ...
    def xd_walker_interest(
        self, walker: WalkerPointer, interface: int, direction: int, opcode: int, watch: int
    ) -> int: ...
    def xd_walker_interest_of(self, walker: WalkerPointer, other: WalkerPointer) -> int: ...
    def xd_walker_quieten(self, walker: WalkerPointer, object_id: int) -> None: ...
    def xd_walker_stir(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_walker_take_ended(self, walker: WalkerPointer) -> int: ...
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
    def xd_walker_pass(self, walker: WalkerPointer, direction: int, data: BytesPointer, size: int) -> int: ...
    def xd_walker_limit(
        self, walker: WalkerPointer, max_live: int, interface: int, max_counted: int
    ) -> int: ...
    def xd_walker_live(self, walker: WalkerPointer) -> int: ...
    def xd_walker_counted(self, walker: WalkerPointer) -> int: ...
    def xd_totals_create(self) -> TotalsPointer: ...
    def xd_totals_release(self, totals: TotalsPointer) -> None: ...
    def xd_walker_join(self, walker: WalkerPointer, totals: TotalsPointer) -> None: ...
    def xd_walker_leave(self, walker: WalkerPointer) -> None: ...
    def xd_walker_own(self, walker: WalkerPointer, object_id: int, deletes: int) -> int: ...
    def xd_walker_release(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_walker_own_pending(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_walker_lookup(self, walker: WalkerPointer, object_id: int) -> int: ...
    def xd_walker_next_id(self, walker: WalkerPointer) -> int: ...
    def xd_walker_adopt(self, walker: WalkerPointer, object_id: int, interface: int, version: int) -> int: ...
    def xd_walker_next_server_id(self, walker: WalkerPointer) -> int: ...
    def xd_poller_create(self) -> PollerPointer: ...
    def xd_poller_free(self, poller: PollerPointer) -> None: ...
    def xd_poller_watch(self, poller: PollerPointer, fd: int, events: int) -> int: ...
    def xd_poller_attach(self, poller: PollerPointer, fd: int, port: PortPointer | None) -> int: ...
    def xd_poller_wait(self, poller: PollerPointer, milliseconds: int) -> int: ...
    def xd_passage_create(self, walker: WalkerPointer) -> PassagePointer: ...
    def xd_passage_free(self, passage: PassagePointer) -> None: ...
    def xd_device_create(self) -> DevicePointer: ...
    def xd_device_free(self, device: DevicePointer) -> None: ...
    def xd_device_map(self, device: DevicePointer, regions: RegionsPointer, count: int) -> int: ...
    def xd_device_set_context(
        self, device: DevicePointer, ctx_id: int, passage: PassagePointer | None
    ) -> int: ...
    def xd_mailbox_create(self, device: DevicePointer) -> MailboxPointer: ...
    def xd_mailbox_free(self, mailbox: MailboxPointer) -> None: ...
    def xd_ring_has_room(self, ring: RingPointer) -> int: ...
    def xd_ring_lose_poll(self, ring: RingPointer) -> int: ...
    def xd_ring_has_event(self, ring: RingPointer) -> int: ...
    def xd_ring_clear(self, ring: RingPointer) -> None: ...
    def xd_mailbox_hold(self, mailbox: MailboxPointer, chain: ChainPointer) -> int: ...
    def xd_mailbox_take(self, mailbox: MailboxPointer, chain: ChainPointer) -> int: ...
    def xd_passage_forget(self, passage: PassagePointer) -> None: ...
    def xd_signalfd(self, mask: int) -> int: ...
    def xd_map(self, fd: int, size: int) -> int: ...
    def xd_remap(self, address: int, old_size: int, new_size: int) -> int: ...
    def xd_unmap(self, address: int, size: int) -> int: ...
    def xd_populate(self, address: int, size: int) -> int: ...
    def xd_make_writable(self, address: int, size: int) -> int: ...
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
    def xd_bytes_of(self, rectangles: RectanglesPointer, count: int, bytes_per_pixel: int, /) -> int: ...
    def xd_copy_runs(
        self,
        destination: BytesPointer,
        destination_size: int,
        runs: RunsPointer,
        run_count: int,
        plane: PlanePointer,
        rectangles: RectanglesPointer,
        count: int,
        copied: NumberPointer,
    ) -> int: ...
    def xd_unite(self, boxes: BoxesPointer, count: int, united: BoxesPointer, capacity: int) -> int: ...
    def xd_file_look(self, file: FilePointer) -> int: ...
    def xd_frames_create(self, walker: WalkerPointer) -> FramesPointer: ...
    def xd_frames_free(self, frames: FramesPointer) -> None: ...
    def xd_frames_carry(self, frames: FramesPointer, surface: CarriedSurface) -> int: ...
    def xd_frames_drop(self, frames: FramesPointer, surface: CarriedSurface) -> None: ...
    def xd_loop_create(self, epoll_fd: int) -> LoopPointer: ...
    def xd_loop_free(self, loop: LoopPointer) -> None: ...
    def xd_loop_attach(self, loop: LoopPointer, lane: LanePointer) -> int: ...
    def xd_loop_detach(self, loop: LoopPointer, fd: int) -> None: ...
    def xd_loop_wait(self, loop: LoopPointer, timeout_ms: int) -> int: ...
    def xd_loop_next(self, loop: LoopPointer) -> int: ...
    def xd_loop_take_fd(self, loop: LoopPointer) -> int: ...

ffi: _FFI
lib: _Lib
