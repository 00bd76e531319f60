"""Split virtqueues (virtio 1.3, 2.7): descriptor chains out of guest memory, used entries back into it.

This is the inner loop of the device.  It reads each descriptor and each byte of a
command once, so that what was checked is what is used; it never follows a length that
it has not bounded.  `ring` adds the eventfds and the event loop.
"""

import mmap
import threading
from struct import Struct
from typing import TYPE_CHECKING, Final

from crossdomain.abi.virtio_gpu import (
    VIRTQ_AVAIL_ALIGN,
    VIRTQ_AVAIL_F_NO_INTERRUPT,
    VIRTQ_AVAIL_HEADER_SIZE,
    VIRTQ_DESC,
    VIRTQ_DESC_ALIGN,
    VIRTQ_DESC_F_INDIRECT,
    VIRTQ_DESC_F_NEXT,
    VIRTQ_DESC_F_WRITE,
    VIRTQ_USED_ALIGN,
    VIRTQ_USED_ELEM,
    VIRTQ_USED_F_NO_NOTIFY,
    VIRTQ_USED_HEADER_SIZE,
)
from crossdomain.device.memory import GuestMemory
from crossdomain.errors import GuestFault, HostFault
from crossdomain.limits import (
    MAX_CHAIN_DESCRIPTORS,
    MAX_CHAINS_UNDER_WAY,
    MAX_COMMAND_SIZE,
    MAX_QUEUE_SIZE,
)
from crossdomain.native import ffi
from crossdomain.native.system import address_of

if TYPE_CHECKING:
    from crossdomain.native._core import QueuePointer

_U16: Final = Struct("<H")
_DESC_SIZE: Final = VIRTQ_DESC.size
_unpack_u16 = _U16.unpack_from
_unpack_desc = VIRTQ_DESC.unpack_from

_barrier_lock: Final = threading.Lock()


def _barrier() -> None:
    # Taking a lock is a locked instruction: stores before it are visible before loads after it.  Without it
    # the processor may read the driver's flags before the driver can see our index, and both sides sleep.
    _barrier_lock.acquire()
    _barrier_lock.release()


class Chain:
    """One descriptor chain: what the driver wrote, and where the answer goes.

    `request` is a copy.  `oversized` says that it was cut at MAX_COMMAND_SIZE.  `writable` holds guest
    addresses and lengths, looked up only when the answer is written, since that may be much later.
    """

    __slots__ = ("head", "oversized", "request", "writable")

    def __init__(
        self, head: int, request: bytes, writable: list[tuple[int, int]], oversized: bool = False
    ) -> None:
        self.head = head
        self.request = request
        self.writable = writable
        self.oversized = oversized


class SplitQueue:
    """One virtqueue.  Set `size`, `addresses` and `next_available`, then `start`."""

    __slots__ = (
        "_avail",
        "_avail_at",
        "_desc",
        "_desc_at",
        "_generation",
        "_memory",
        "_ready",
        "_shared",
        "_size",
        "_used",
        "_used_at",
        "addresses",
        "running",
    )

    _desc: mmap.mmap
    _avail: mmap.mmap
    _used: mmap.mmap

    def __init__(self, memory: GuestMemory, shared: "QueuePointer | None" = None) -> None:
        """`shared` is the state that C works with, too; it must live as long as this object."""
        self._memory = memory
        self._shared = ffi.new("xd_queue *") if shared is None else shared
        self._size = 0
        self._desc_at = self._avail_at = self._used_at = 0
        self._generation = -1
        self._ready = 0
        self.addresses: tuple[int, int, int] = (0, 0, 0)
        """Descriptor table, available ring, used ring: user addresses of the VMM (SET_VRING_ADDR)."""
        self.running = False

    @property
    def next_available(self) -> int:
        """Free-running index of the next available entry (SET_VRING_BASE, GET_VRING_BASE)."""
        return self._shared.next_available

    @next_available.setter
    def next_available(self, index: int) -> None:
        self._shared.next_available = index

    @property
    def under_way(self) -> int:
        """Chains taken and not yet given back."""
        return self._shared.under_way

    @property
    def size(self) -> int:
        """Entries; a power of two."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        if not 0 < size <= MAX_QUEUE_SIZE or size & (size - 1):
            raise HostFault(f"a virtqueue of {size} entries; at most {MAX_QUEUE_SIZE}, a power of two")
        self._size = self._shared.size = size
        self._shared.most = min(size, MAX_CHAINS_UNDER_WAY)

    @property
    def used_index(self) -> int:
        """Free-running index of the next used entry, as we have written it."""
        return self._shared.used_index

    def load(self) -> None:
        """Looks the rings up and takes `used_index` from guest memory.

        Raises:
            HostFault: they are not in memory, or not aligned as virtio 1.3, 2.7 wants.
        """
        if not self._size:
            raise HostFault("a virtqueue without a size")
        self._resolve()
        (self._shared.used_index,) = _unpack_u16(self._used, self._used_at + 2)

    def start(self) -> None:
        """Takes and gives chains from now on; raises as `load`."""
        self.load()
        self._ready = 0
        self.running = True

    def stop(self) -> None:
        """Takes and gives nothing until `start`."""
        self.running = False
        self._ready = 0
        self._shared.is_open = False

    def forget(self) -> None:
        """Chains that are under way will not be given back: the driver started anew."""
        self._shared.under_way = 0

    def share(self, allowed: bool) -> None:
        """Lets C take and give chains, too, where it is `allowed` and the rings are where they were."""
        self._ready = 0
        self._shared.is_open = allowed and self.running and self._generation == self._memory.generation

    def pop(self) -> Chain | None:
        """The next chain that the driver has made available, or None.

        Raises:
            GuestFault: the ring or the chain is broken; the queue is of no use then.
            HostFault: the VMM took the ring's memory away.
        """
        if self._generation != self._memory.generation:
            self._resolve()
        if not self._ready:
            self._ready = self._count_ready()
            if not self._ready:
                return None
        shared = self._shared
        if shared.under_way >= shared.most:
            raise GuestFault(f"more than {shared.most} descriptor chains are under way")
        at = self._avail_at + VIRTQ_AVAIL_HEADER_SIZE + 2 * (shared.next_available & (self._size - 1))
        (head,) = _unpack_u16(self._avail, at)
        if head >= self._size:
            raise GuestFault(f"descriptor {head} of a table of {self._size}")
        chain = self._read_chain(head)
        self._ready -= 1
        shared.next_available = (shared.next_available + 1) & 0xFFFF
        shared.under_way += 1
        return chain

    def push(self, head: int, written: int) -> None:
        """Gives the chain back with `written` bytes of answer.

        `interrupt_wanted` says whether the driver should be told.

        Raises:
            HostFault: the VMM took the ring's memory away.
        """
        if self._generation != self._memory.generation:
            self._resolve()
        used = self._used
        at = self._used_at
        shared = self._shared
        index = shared.used_index
        VIRTQ_USED_ELEM.pack_into(
            used,
            at + VIRTQ_USED_HEADER_SIZE + VIRTQ_USED_ELEM.size * (index & (self._size - 1)),
            head,
            written,
        )
        shared.used_index = index = (index + 1) & 0xFFFF
        shared.under_way -= 1
        # The entry must be there before the index says so: one store each, in this order, which x86 keeps.
        _U16.pack_into(used, at + 2, index)

    def interrupt_wanted(self) -> bool:
        """Whether the driver wants to hear of used entries (VIRTQ_AVAIL_F_NO_INTERRUPT)."""
        _barrier()
        (flags,) = _unpack_u16(self._avail, self._avail_at)
        return not flags & VIRTQ_AVAIL_F_NO_INTERRUPT

    def want_kicks(self, wanted: bool) -> None:
        """Tells the driver whether to kick; look at the ring once more after asking for it again."""
        if self._generation != self._memory.generation:
            self._resolve()
        _U16.pack_into(self._used, self._used_at, 0 if wanted else VIRTQ_USED_F_NO_NOTIFY)
        _barrier()

    def write_answer(self, chain: Chain, answer: bytes) -> int:
        """Writes `answer` into the chain's buffers, as much as there is room for.

        Returns:
            The bytes written.

        Raises:
            GuestFault: a buffer is not in memory.
        """
        written = 0
        for address, length in chain.writable:
            if written == len(answer):
                break
            part = answer[written : written + length]
            if part:
                self._memory.write(address, part)
                written += len(part)
        return written

    def _resolve(self) -> None:
        desc, avail, used = self.addresses
        if desc % VIRTQ_DESC_ALIGN or avail % VIRTQ_AVAIL_ALIGN or used % VIRTQ_USED_ALIGN:
            raise HostFault(f"virtqueue addresses {desc:#x} {avail:#x} {used:#x} are not aligned")
        memory = self._memory
        size = self._size
        self._desc, self._desc_at = memory.locate_user(desc, size * _DESC_SIZE)
        self._avail, self._avail_at = memory.locate_user(avail, VIRTQ_AVAIL_HEADER_SIZE + 2 * size)
        self._used, self._used_at = memory.locate_user(
            used, VIRTQ_USED_HEADER_SIZE + VIRTQ_USED_ELEM.size * size
        )
        self._generation = memory.generation
        shared = self._shared
        shared.descriptors = address_of(self._desc) + self._desc_at
        shared.available = address_of(self._avail) + self._avail_at
        shared.used = address_of(self._used) + self._used_at

    def _count_ready(self) -> int:
        (index,) = _unpack_u16(self._avail, self._avail_at + 2)
        ready: int = (index - self.next_available) & 0xFFFF
        if ready > self._size:
            raise GuestFault(f"{ready} chains made available at once in a queue of {self._size}")
        return ready

    def _read_chain(self, head: int) -> Chain:
        # An indirect table is copied whole; a chain in the ring's own table is read entry by entry.
        address, length, flags, following = _unpack_desc(self._desc, self._desc_at + head * _DESC_SIZE)
        if not flags & VIRTQ_DESC_F_INDIRECT:
            return self._walk(
                head, self._desc, self._desc_at, self._size, (address, length, flags, following)
            )
        if flags & VIRTQ_DESC_F_NEXT:
            raise GuestFault("an indirect descriptor with a next one")
        count, rest = divmod(length, _DESC_SIZE)
        if rest or not count:
            raise GuestFault(f"an indirect table of {length} bytes")
        if count > MAX_CHAIN_DESCRIPTORS:
            return Chain(head, b"", [], oversized=True)
        table = self._memory.read(address, length)
        return self._walk(head, table, 0, count, _unpack_desc(table))

    def _walk(
        self, head: int, table: mmap.mmap | bytes, base: int, count: int, first: tuple[int, int, int, int]
    ) -> Chain:
        parts: list[bytes] = []
        writable: list[tuple[int, int]] = []
        room = MAX_COMMAND_SIZE
        oversized = False
        left = count
        address, length, flags, following = first
        read = self._memory.read
        while True:
            if flags & VIRTQ_DESC_F_INDIRECT:
                raise GuestFault("an indirect descriptor inside a chain")
            if flags & VIRTQ_DESC_F_WRITE:
                writable.append((address, length))
            elif writable:
                raise GuestFault("a readable descriptor after a writable one")
            elif length:
                oversized = oversized or length > room
                taken = min(length, room)
                room -= taken
                if taken:
                    parts.append(read(address, taken))
            if not flags & VIRTQ_DESC_F_NEXT:
                break
            left -= 1
            if not left:
                raise GuestFault("a descriptor chain that loops")
            if following >= count:
                raise GuestFault(f"descriptor {following} of a table of {count}")
            address, length, flags, following = _unpack_desc(table, base + following * _DESC_SIZE)
        return Chain(head, parts[0] if len(parts) == 1 else b"".join(parts), writable, oversized)
