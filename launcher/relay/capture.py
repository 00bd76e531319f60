"""Screenshots and recordings: pixels that the compositor writes into buffers of the client's.

The compositor writes into the buffer's mirror, and what it wrote is copied to the client's file before
the client hears that its frame is ready.  Only what changed is copied: what the compositor calls
damage is what is new since the frame before it, so each buffer of such a stream of frames is behind
by the damage of all frames since its own last one.
"""

from struct import Struct
from typing import Final, TypeAlias

from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import Identifier
from crossdomain.bridge.damage import Rectangle, Region
from crossdomain.wire import Record, WireFault
from crossdomain.wire.faults import DisplayError
from launcher.relay import encode
from launcher.relay.buffers import Buffer
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.host_clock import HostClocks
from launcher.relay.messages import (
    DROP_EVENT,
    EventHandler,
    Host,
    RequestHandler,
    Route,
    ToClient,
    ToHost,
    before,
)
from launcher.relay.mirrors import Mirror
from launcher.relay.times import translate_event
from launcher.stats import ClientStats

_HEADER: Final = 8
_UINT: Final = Struct("<I")
_RECTANGLE: Final = Struct("<iiii")
_CAPTURE_OUTPUT: Final = Struct("<III")
_Y_INVERT: Final = 1
"""zwlr_screencopy_frame_v1.flags."""

_View: TypeAlias = tuple[int, int] | None
"""Output and overlay_cursor; None where damage does not tell which px of the buffer are new."""
_SESSION: Final[_View] = (0, 0)
"""A session has just one."""


class _Stream:
    """Frames of which each tells what is new since the one before it."""

    __slots__ = ("_behind", "_view")

    def __init__(self) -> None:
        self._behind: dict[Mirror, Region] = {}
        """What the files of its buffers lack of the last frame, px."""
        self._view: _View = None

    def drop(self, mirror: Mirror) -> None:
        """See `mirrors.Home`."""
        self._behind.pop(mirror, None)

    def recall(self) -> None:
        """See `mirrors.Home`: all is known here."""

    def forget(self) -> None:
        """Damage may have been told that nobody has counted."""
        self._behind.clear()

    def advance(self, view: _View, damage: Region) -> None:
        """There is a new frame, `damage` px of which are new."""
        if view is None or view != self._view:
            self.forget()
        self._view = view
        for region in self._behind.values():
            region.add_region(damage)

    def take(self, mirror: Mirror) -> Region:
        """Returns what the file of a buffer of the last frame lacks, which it gets now."""
        layout = mirror.layout
        behind = self._behind.get(mirror)
        self._behind[mirror] = Region()
        return behind if behind is not None else Region([Rectangle(0, 0, layout.width, layout.height)])


class _Frame:
    """One frame that was asked for."""

    __slots__ = ("buffer", "buffer_damage", "damage", "is_told", "stream", "view")

    def __init__(self, stream: _Stream, view: _View) -> None:
        self.stream = stream
        self.view = view
        self.is_told = True
        """Whether the compositor tells what is new."""
        self.damage = Region()
        """What it says is new, px."""
        self.buffer_damage = Region()
        """What the client says is old in its buffer, px."""
        self.buffer: Buffer | None = None
        """The one that the compositor writes into, as long as it does."""

    def detach(self) -> None:
        """Another buffer is meant for it."""
        if self.buffer is not None:
            self.buffer.released()
            self.buffer = None

    def refresh(self) -> int:
        """Makes the mirror current; returns the bytes that were copied.

        The compositor may leave alone what neither side calls damage: it has to be there already.
        """
        return 0 if self.buffer is None else self.buffer.refresh()

    def finish(self) -> int:
        """The compositor has written it; returns the bytes that were copied to the client's file.

        Raises:
            WireFault: the client has truncated its file.
        """
        buffer, self.buffer = self.buffer, None
        if buffer is None:
            return 0
        if not self.is_told:
            self.stream.forget()
        self.stream.advance(self.view, self.damage)
        if buffer.mirror is None:
            return 0
        buffer.released()
        region = self.stream.take(buffer.mirror)
        region.add_region(self.buffer_damage)
        return buffer.write_back(region)

    def give_up(self) -> Buffer | None:
        """There will be no more; returns the buffer that the compositor may be writing into."""
        buffer, self.buffer = self.buffer, None
        if buffer is not None:
            self.stream.forget()
        return buffer


class Capture:
    """One client's; a `messages.Part`."""

    def __init__(
        self, host: Host, buffers: ClientBuffers, stats: ClientStats, clocks: HostClocks | None
    ) -> None:
        """`clocks` are the host's, where it tells its time."""
        self._host = host
        self._buffers = buffers
        self._stats = stats
        self._clocks = clocks
        self._streams: dict[int, _Stream] = {}
        self._frames: dict[int, _Frame] = {}

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("zwlr_screencopy_manager_v1", "capture_output"): self._handle_capture_output,
            ("zwlr_screencopy_manager_v1", "capture_output_region"): self._handle_capture_region,
            ("zwlr_screencopy_manager_v1", "destroy"): self._handle_destroy,
            ("zwlr_screencopy_frame_v1", "copy"): self._handle_copy,
            ("zwlr_screencopy_frame_v1", "copy_with_damage"): self._handle_copy_with_damage,
            ("zwlr_screencopy_frame_v1", "destroy"): self._handle_destroy,
            ("ext_image_copy_capture_session_v1", "create_frame"): self._handle_create_frame,
            ("ext_image_copy_capture_session_v1", "destroy"): self._handle_destroy,
            ("ext_image_copy_capture_frame_v1", "attach_buffer"): self._handle_attach_buffer,
            ("ext_image_copy_capture_frame_v1", "damage_buffer"): self._handle_damage_buffer,
            ("ext_image_copy_capture_frame_v1", "destroy"): self._handle_destroy,
            ("weston_capture_source_v1", "capture"): self._handle_capture,
            ("weston_capture_source_v1", "destroy"): self._handle_destroy,
        }

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {
            ("zwlr_screencopy_frame_v1", "linux_dmabuf"): _drop,
            ("zwlr_screencopy_frame_v1", "flags"): self._handle_flags,
            ("zwlr_screencopy_frame_v1", "damage"): self._handle_damage,
            ("zwlr_screencopy_frame_v1", "ready"): self._handle_ready_at,
            ("zwlr_screencopy_frame_v1", "failed"): self._handle_failed,
            ("ext_image_copy_capture_session_v1", "dmabuf_device"): _drop,
            ("ext_image_copy_capture_session_v1", "dmabuf_format"): _drop,
            ("ext_image_copy_capture_frame_v1", "damage"): self._handle_damage,
            ("ext_image_copy_capture_frame_v1", "ready"): self._handle_ready,
            ("ext_image_copy_capture_frame_v1", "failed"): self._handle_failed,
            ("weston_capture_source_v1", "complete"): self._handle_ready,
            ("weston_capture_source_v1", "retry"): self._handle_failed,
            ("weston_capture_source_v1", "failed"): self._handle_failed,
        }

    # Requests.

    def _handle_capture_output(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        frame_id, overlay_cursor, output_id = _CAPTURE_OUTPUT.unpack_from(data, record.offset + _HEADER)
        self._open(record.object_id, frame_id, (output_id, overlay_cursor))

    def _handle_capture_region(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        # Whether its damage counts from the region's corner or the output's is nowhere written.
        self._open(record.object_id, _uint(record, data), None)

    def _handle_create_frame(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        self._open(record.object_id, _uint(record, data), _SESSION)

    def _handle_copy(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        frame = self._frames[record.object_id]
        frame.is_told = False
        return self._begin(frame, record, data)

    def _handle_copy_with_damage(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        return self._begin(self._frames[record.object_id], record, data)

    def _handle_attach_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        frame = self._frames[record.object_id]
        frame.detach()
        answer = self._begin(frame, record, data)
        self._stats.bytes_copied += frame.refresh()
        return answer

    def _handle_capture(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        self._open(record.object_id, record.object_id, None)
        return self._begin(self._frames[record.object_id], record, data)

    def _handle_damage_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        self._frames[record.object_id].buffer_damage.add(*_rectangle(record, data))

    def _handle_destroy(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        self._streams.pop(record.object_id, None)
        frame = self._frames.pop(record.object_id, None)
        buffer = None if frame is None else frame.give_up()
        if buffer is None:
            return None
        # The compositor may write until it has seen this: a sync of ours comes back after that.
        callback_id = self._host.spare_id()
        self._host.own(callback_id, buffer.released)
        message = bytes(data[record.offset : record.offset + record.size])
        return ToHost(message + encode.sync(callback_id))

    # Events.

    def _handle_flags(self, record: Record, data: memoryview, _identifiers: list[Identifier]) -> None:
        frame = self._frames.get(record.object_id)
        if frame is not None and _uint(record, data) & _Y_INVERT:
            frame.view = None

    def _handle_damage(self, record: Record, data: memoryview, _identifiers: list[Identifier]) -> None:
        frame = self._frames.get(record.object_id)
        if frame is not None:
            frame.damage.add(*_rectangle(record, data))

    def _handle_ready(self, record: Record, _data: memoryview, _identifiers: list[Identifier]) -> None:
        frame = self._frames.get(record.object_id)
        if frame is not None:
            self._stats.bytes_captured += frame.finish()

    def _handle_ready_at(
        self, record: Record, data: memoryview, identifiers: list[Identifier]
    ) -> ToClient | None:
        self._handle_ready(record, data, identifiers)
        if self._clocks is None:
            return None
        return translate_event(record, data, self._clocks.clock(ClockId.MONOTONIC))

    def _handle_failed(self, record: Record, _data: memoryview, _identifiers: list[Identifier]) -> None:
        frame = self._frames.get(record.object_id)
        buffer = None if frame is None else frame.give_up()
        if buffer is not None:
            buffer.released()

    def _open(self, stream_id: int, frame_id: int, view: _View) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = _Stream()
        self._frames[frame_id] = _Frame(stream, view)

    def _begin(self, frame: _Frame, record: Record, data: memoryview) -> ToHost | None:
        """The compositor writes into the buffer that the request names, from now on."""
        buffer = self._buffers.get(_uint(record, data))
        if buffer is None or buffer.mirror is None:
            return None
        buffer.open_for_writing()
        moved = None
        if buffer.is_movable and not (buffer.is_alone and buffer.mirror.pixels is not None):
            moved = self._buffers.part(buffer, buffer.mirror, mapped=True)
        if buffer.mirror.pixels is None:
            raise WireFault(buffer.buffer_id, DisplayError.IMPLEMENTATION, "the buffer is shown now")
        buffer.mirror.settle(frame.stream)
        buffer.committed()
        frame.buffer = buffer
        return None if moved is None else before(moved, record, data)


def _drop(_record: Record, _data: memoryview, _identifiers: list[Identifier]) -> ToClient:
    """Keeps a kind of buffer from the client that it can't make: zwp_linux_dmabuf_v1 is hidden from it."""
    return DROP_EVENT


def _uint(record: Record, data: memoryview) -> int:
    """Returns a message's first argument."""
    value: int = _UINT.unpack_from(data, record.offset + _HEADER)[0]
    return value


def _rectangle(record: Record, data: memoryview) -> tuple[int, int, int, int]:
    x, y, width, height = _RECTANGLE.unpack_from(data, record.offset + _HEADER)
    return x, y, width, height
