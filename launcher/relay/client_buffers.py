"""The wl_buffers whose pixels stay here, whatever they are made of, and the mirrors that they live in.

A buffer that nobody refers to can be made anew under its id at any time, and that is how it moves
to another mirror (`sharing`).
"""

from crossdomain.abi.cross_domain import Identifier
from crossdomain.wire import Record
from crossdomain.wire.codec import SERVER_ID_START
from launcher.channel.seam import Channel
from launcher.relay import encode
from launcher.relay.buffers import Buffer, SharedBuffer
from launcher.relay.in_place import take_in_place
from launcher.relay.messages import EventHandler, Host, RequestHandler, Route, ToClient, ToHost
from launcher.relay.mirrors import Mirror, Mirrors
from launcher.stats import ClientStats


class ClientBuffers:
    """One client's; a `messages.Part`."""

    def __init__(self, host: Host, channel: Channel, stats: ClientStats) -> None:
        self._host = host
        self._channel = channel
        self._stats = stats
        self.mirrors = Mirrors(host, channel)
        self._buffers: dict[int, Buffer] = {}
        self._shared: dict[int, SharedBuffer] = {}

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {("wl_buffer", "destroy"): self._handle_destroy}

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {("wl_buffer", "release"): self._handle_release}

    def get(self, buffer_id: int) -> Buffer | None:
        """Returns the client's buffer of that id; None where the host has its pixels."""
        buffer = self._buffers.get(buffer_id)
        if buffer is not None:
            buffer.recall()
        return buffer

    def recall_all(self) -> None:
        """Something about the memory of any of them changes."""
        for buffer in self._buffers.values():
            buffer.recall()

    def add(self, buffer_id: int, buffer: Buffer, spare_id: int) -> ToHost:
        """The client has a new buffer; returns what makes the host's.

        `spare_id` is free before and after that.
        """
        self._stats.count_buffer(buffer.path)
        self._buffers[buffer_id] = buffer
        return _make(buffer, spare_id)

    def join(self, buffer: Buffer, mirror: Mirror) -> ToHost:
        """Moves a movable buffer into the mirror of another; returns what makes the host's anew."""
        spare_id = self._host.spare_id()
        self._host.own(spare_id, _nothing)
        if buffer.own is not None:
            buffer.own()
        else:
            self._host.own(buffer.buffer_id, _nothing)
        self._give_back(buffer.move(mirror))
        made = _make(buffer, spare_id)
        return made._replace(data=encode.destroy_buffer(buffer.buffer_id) + made.data)

    def show(self, buffer: Buffer) -> ToHost | None:
        """Moves a movable buffer out of its mirror where the compositor can read it in place; as `join`."""
        shown = take_in_place(self._channel, buffer)
        if shown is None:
            return None
        # Its id is another object's of the host before it is the buffer's again.
        self._host.own(buffer.buffer_id, _nothing)
        self._count(buffer, "dmabuf" if buffer.has_pages else "shared")
        return self.join(buffer, shown)

    def part(self, buffer: Buffer, mirror: Mirror, *, mapped: bool = False) -> ToHost:
        """Moves a movable buffer out of `mirror`, which somebody else uses, into one of its own.

        One that is `mapped` can be read and written here.
        """
        mapped = mapped or not buffer.has_pages
        if mirror.in_place or (mapped and mirror.pixels is None):
            self._count(buffer, "copy" if mapped else "pages")
        return self.join(buffer, self.mirrors.take(mirror.layout, mapped=mapped))

    def pin_all(self, shm_id: int) -> None:
        """Buffers that were made with that wl_shm can't be made anew any more."""
        self.recall_all()
        for buffer in self._buffers.values():
            buffer.pins += buffer.source.shm_id == shm_id

    def close(self) -> None:
        """Gives up all memory."""
        self.recall_all()
        for buffer in self._buffers.values():
            self._give_back(buffer.leave())
        self._buffers.clear()
        while self._shared:
            self._shared.popitem()[1].leave()
        self.mirrors.close()

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        buffer = self._buffers.pop(record.object_id, None)
        if buffer is not None:
            buffer.recall()
            self._give_back(buffer.leave())
        shared = self._shared.pop(record.object_id, None)
        if shared is not None:
            shared.leave()
        if record.object_id >= SERVER_ID_START:
            self._host.take_object_back(record.object_id)

    def add_shared(self, buffer_id: int, buffer: SharedBuffer) -> None:
        """The client has a new buffer, whose pixels the host has."""
        self._shared[buffer_id] = buffer

    def drawn(self, buffer_id: int) -> Buffer | SharedBuffer | None:
        """Returns the client's buffer of that id; None where it is none that devices draw into."""
        return self.get(buffer_id) or self._shared.get(buffer_id)

    def releases_of(self, buffer_id: int, host_id: int) -> EventHandler:
        """Returns who handles the events of a host's buffer that the client knows by another id."""

        def handle(_record: Record, _data: memoryview, _identifiers: list[Identifier]) -> ToClient | None:
            buffer, shared = self._buffers.get(buffer_id), self._shared.get(buffer_id)
            if buffer is not None and buffer.buffer_id == host_id:
                buffer.released()
                buffer.signal_releases()
            elif buffer is not None or shared is None:
                # It is gone, and another may have its id.
                return None
            else:
                shared.signal_releases()
            return ToClient(encode.release_buffer(buffer_id))

        return handle

    def _handle_release(
        self, record: Record, _data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        buffer = self._buffers.get(record.object_id)
        if buffer is not None:
            buffer.released()
            buffer.signal_releases()
        elif record.object_id in self._shared:
            self._shared[record.object_id].signal_releases()
        return None

    def _count(self, buffer: Buffer, way: str) -> None:
        kind, _, _before = buffer.path.partition("-")
        self._stats.move_buffer(buffer.path, f"{kind}-{way}")
        buffer.path = f"{kind}-{way}"

    def _give_back(self, mirror: Mirror | None) -> None:
        if mirror is not None:
            self.mirrors.give_back(mirror)


def _make(buffer: Buffer, pool_id: int) -> ToHost:
    """Returns what makes the host's wl_buffer in its mirror; `pool_id` is free before and after it."""
    request, mirror = buffer.request, buffer.mirror
    if mirror is None:
        return ToHost(b"")
    stride = buffer.planes[0].stride if mirror.in_place else request.stride
    messages = (
        encode.create_pool(buffer.source.shm_id, pool_id, mirror.layout.size),
        encode.create_buffer(
            pool_id, buffer.buffer_id, request.width, request.height, stride, request.format
        ),
        encode.destroy_pool(pool_id),
    )
    return ToHost(b"".join(messages), (mirror.memory.identifier,))


def _nothing() -> None:
    """An object of our own is gone, and nobody waited for that."""
