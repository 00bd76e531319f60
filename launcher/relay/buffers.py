"""A client's pools and buffers of wl_shm: its own file on one side, a mirror on the other."""

from crossdomain.bridge.copy import Pixels, TruncatedFault, copy_damage
from crossdomain.bridge.damage import Region
from crossdomain.bridge.formats import BufferRequest, Layout, ShmError
from crossdomain.errors import LocalError
from crossdomain.native.system import FileMapping
from crossdomain.wire import WireFault
from launcher.channel import HostCopies, ImportedFile
from launcher.relay.host_copy import copy_on_host
from launcher.relay.mirrors import Mirror


class Pool:
    """A client's pool: its file is mapped as long as the pool or a buffer of it exists.

    `pages` is the file as the host sees it, if it does; its owner closes it.
    """

    __slots__ = ("_users", "mapping", "pages", "pool_id", "shm_id")

    def __init__(
        self, pool_id: int, shm_id: int, mapping: FileMapping, pages: ImportedFile | None = None
    ) -> None:
        self.pool_id = pool_id
        self.shm_id = shm_id
        self.mapping = mapping
        self.pages = pages
        self._users = 1

    def use(self) -> None:
        """A buffer was made of it."""
        self._users += 1

    def leave(self) -> bool:
        """The pool object, or one of its buffers, is gone; returns whether that was the last."""
        self._users -= 1
        if self._users:
            return False
        self.mapping.close()
        return True


class Buffer:
    """A client's wl_buffer and the mirror that it lives in, alone or with others of its surface."""

    __slots__ = ("_pool", "_readers", "bits_per_pixel", "buffer_id", "mirror", "pins", "request")

    def __init__(self, buffer_id: int, pool: Pool, request: BufferRequest, mirror: Mirror) -> None:
        pool.use()
        mirror.buffers += 1
        self._pool = pool
        self._readers = 0
        self.buffer_id = buffer_id
        self.request = request
        self.mirror: Mirror | None = mirror
        """None once the client has destroyed it."""
        self.bits_per_pixel = _bits_per_pixel(mirror.layout)
        self.pins = 0
        """Who else names the host's wl_buffer, such as an attach without its commit: it can't be another."""

    @property
    def shm_id(self) -> int:
        """The wl_shm that it comes from."""
        return self._pool.shm_id

    @property
    def pool(self) -> Pool:
        """Where its pixels are the client's."""
        return self._pool

    @property
    def has_pages(self) -> bool:
        """Whether the host sees all of it."""
        pages = self._pool.pages
        mirror = self.mirror
        return (
            pages is not None
            and mirror is not None
            and (self.request.offset + mirror.layout.size <= pages.size)
        )

    @property
    def is_movable(self) -> bool:
        """Whether the host's wl_buffer may be made anew: nobody refers to it."""
        return self._readers == 0 and self.pins == 0

    @property
    def is_alone(self) -> bool:
        """Whether nobody else has to do with its mirror: no other buffer, and no compositor."""
        return self.mirror is not None and self.mirror.buffers == 1 and self.mirror.is_idle

    def committed(self) -> None:
        """The compositor reads it from now on."""
        if self.mirror is not None:
            self._readers += 1
            self.mirror.readers += 1

    def released(self) -> None:
        """The compositor does not read it any more."""
        if self.mirror is not None and self._readers:
            self._readers -= 1
            self.mirror.readers -= 1

    def refresh(self, copies: HostCopies | None = None) -> int:
        """Copies what is stale, here or on the host; returns the bytes copied.

        Raises:
            WireFault: the client has truncated its file.
        """
        mirror = self.mirror
        if mirror is None or not mirror.stale:
            return 0
        layout = mirror.layout
        mirror.stale.clip(layout.width, layout.height)
        if mirror.pixels is not None:
            copied = self._copy(mirror.pixels, self._own_pixels(layout), layout, mirror.stale)
        elif copies is not None and self._pool.pages is not None:
            copied = copy_on_host(copies, self._pool.pages, self.request.offset, mirror)
        else:
            raise LocalError("a mirror that nobody can write")
        mirror.stale.clear()
        return copied

    def open_for_writing(self) -> None:
        """Lets `write_back` be called.

        Raises:
            WireFault: the client's file can't be written.
        """
        try:
            self._pool.mapping.make_writable()
        except OSError as error:
            text = f"the buffer can't be written: {error.strerror}"
            raise WireFault(self.buffer_id, ShmError.INVALID_FD, text) from None

    def write_back(self, region: Region) -> int:
        """Copies what the compositor has written to the client's file; returns the bytes copied.

        `region` is px of the buffer, and is clipped to it.

        Raises:
            WireFault: the client has truncated its file.
        """
        mirror = self.mirror
        if mirror is None or mirror.pixels is None:
            return 0
        layout = mirror.layout
        region.clip(layout.width, layout.height)
        return self._copy(self._own_pixels(layout), mirror.pixels, layout, region)

    def _own_pixels(self, layout: Layout) -> Pixels:
        mapping = self._pool.mapping
        return Pixels(mapping.address, mapping.size).part(self.request.offset, layout.size)

    def _copy(self, destination: Pixels, source: Pixels, layout: Layout, region: Region) -> int:
        try:
            return copy_damage(destination, source, layout, region)
        except TruncatedFault:
            text = "error accessing SHM buffer"
            raise WireFault(self.buffer_id, ShmError.INVALID_FD, text) from None

    def move(self, mirror: Mirror) -> Mirror | None:
        """Lives in another mirror from now on; returns the one that nobody lives in any more."""
        left = self._leave_mirror()
        mirror.buffers += 1
        self.mirror = mirror
        return left

    def leave(self) -> Mirror | None:
        """The client has destroyed it, the pool is left apart; returns its mirror if nobody lives there."""
        return self._leave_mirror()

    def _leave_mirror(self) -> Mirror | None:
        mirror, self.mirror = self.mirror, None
        if mirror is None:
            return None
        mirror.buffers -= 1
        return None if mirror.buffers else mirror


def _bits_per_pixel(layout: Layout) -> int:
    """Returns the bits of a pixel in all planes, for the counters."""
    formats_ = (plane.format for plane in layout.planes)
    return sum(
        8 * found.block_bytes // (found.block_width * found.horizontal * found.vertical) for found in formats_
    )
