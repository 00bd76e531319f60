"""The commands of a VM's clients that need no Python: C takes them out of the control queue
(`crossdomain/native/virtqueue.c`), and puts the events that they wait for into their rings.

`ring` shares its queue with C, and gets what C leaves in it or can't finish; `memory` tells where the guest's
memory is, and `backend` which contexts there are.
"""

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final

from crossdomain.context.passage import Passage
from crossdomain.context.selector import PortSelector, Taker
from crossdomain.device.virtqueue import Chain
from crossdomain.native import ffi, lib

if TYPE_CHECKING:
    from crossdomain.native._core import ChainPointer, QueuePointer

_REGION: Final = Struct("=QQQ")


class Passages:
    """Those of one device."""

    def __init__(self, ports: PortSelector) -> None:
        """`ports` is what the running loop waits with."""
        device = lib.xd_device_create()
        if not device:
            raise MemoryError
        self._device = ffi.gc(device, lib.xd_device_free)
        self._ports = ports
        self._kick = -1
        self._passages: dict[int, Passage] = {}
        self.queue: QueuePointer = ffi.addressof(self._device, "queue")
        """The control queue's state, which lives as long as this object."""

    def map(self, regions: list[tuple[int, int, int]]) -> None:
        """The guest's memory is this from now on: guest address, bytes and our address of each, in order."""
        packed = b"".join(_REGION.pack(*region) for region in regions)
        if lib.xd_device_map(self._device, ffi.from_buffer("xd_region[]", packed), len(regions)):
            raise MemoryError

    def attach_kick(self, fd: int, taker: Taker) -> None:
        """The queue is kicked here; `taker` gets what C leaves to it."""
        self._kick = fd
        self._ports.attach(fd, ffi.addressof(self._device, "kick"), taker)

    def detach_kick(self) -> None:
        """The kick fd is about to be closed.  May be called again."""
        if self._kick >= 0:
            self._ports.detach(self._kick)
            self._kick = -1

    def set_call(self, fd: int) -> None:
        """The eventfd that interrupts the guest; negative for none.  It stays the caller's."""
        self._device.call_fd = fd

    def add(self, ctx_id: int, passage: Passage, complete: "Callable[[ChainPointer], None]") -> None:
        """A new context; `complete` answers a POLL of its."""
        mailbox = lib.xd_mailbox_create(self._device)
        if not mailbox or lib.xd_device_set_context(self._device, ctx_id, passage.pointer):
            raise MemoryError
        self._passages[ctx_id] = passage
        passage.join(ffi.gc(mailbox, lib.xd_mailbox_free), complete, lambda: self._forget(ctx_id))

    def taken_chain(self, request: bytes) -> Chain:
        """The chain that was handed over, with what the guest wrote."""
        return chain_of(ffi.addressof(self._device, "chain"), request)

    def taken_passage(self) -> Passage | None:
        """The passage of the context whose command was handed over; None where it is gone."""
        return self._passages.get(self._device.chain.ctx_id)

    def _forget(self, ctx_id: int) -> None:
        del self._passages[ctx_id]
        lib.xd_device_set_context(self._device, ctx_id, ffi.NULL)


def pointer_of(chain: Chain, flags: int, fence_id: int, ctx_id: int, ring_idx: int) -> "ChainPointer | None":
    """A chain as C has them, with its command's fence; None where it has more buffers for its answer."""
    pointer = ffi.new("xd_chain *")
    if len(chain.writable) > len(pointer.writable):
        return None
    pointer.head, pointer.writable_count = chain.head, len(chain.writable)
    for index, (guest_address, size) in enumerate(chain.writable):
        pointer.writable[index].guest_address, pointer.writable[index].size = guest_address, size
    pointer.flags, pointer.fence_id, pointer.ctx_id, pointer.ring_idx = flags, fence_id, ctx_id, ring_idx
    return pointer


def chain_of(chain: "ChainPointer", request: bytes = b"") -> Chain:
    """A chain as Python's side of the queue has them."""
    writable = [chain.writable[index] for index in range(chain.writable_count)]
    return Chain(chain.head, request, [(span.guest_address, span.size) for span in writable])
