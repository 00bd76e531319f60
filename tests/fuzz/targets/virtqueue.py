"""Virtqueues of any content, which a second processor of the guest changes between two reads."""

import os
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final
from unittest.mock import patch

from crossdomain.device import virtqueue
from crossdomain.device.memory import GuestMemory
from crossdomain.device.vhost_user import Region
from crossdomain.device.virtqueue import Chain, SplitQueue
from crossdomain.errors import GuestFault, HostFault
from crossdomain.limits import MAX_CHAIN_DESCRIPTORS, MAX_COMMAND_SIZE
from tests.fuzz.source import Source

PAGE: Final = 4096
RAM: Final = 4 * PAGE
_DESCRIPTORS, _AVAILABLE, _USED, _BUFFERS = 0, PAGE, PAGE + 2048, 2 * PAGE
_DESC: Final = struct.Struct("<QIHH")
_READS: Final = {"_unpack_u16": struct.Struct("<H").unpack_from, "_unpack_desc": _DESC.unpack_from}
"""How the product reads guest memory, by the names that it has for it."""
_NEXT, _WRITE, _INDIRECT = 1, 2, 4

_fd: Final = os.memfd_create("fuzz-ram", os.MFD_CLOEXEC)
os.ftruncate(_fd, RAM)
_memory: Final = GuestMemory()
_memory.add(Region(0, RAM, 0, 0), _fd)
_ram, _ = _memory.locate(0, RAM)


class _Tamper:
    """Writes one change into guest memory after each read of the product's, as long as there are any."""

    def __init__(self, source: Source) -> None:
        self._changes = [(source.below(RAM), source.block(4)) for _ in range(source.below(8))]

    def after(self, read: Callable[..., tuple[int, ...]]) -> Callable[..., tuple[int, ...]]:
        def tampered(*arguments: object) -> tuple[int, ...]:
            values = read(*arguments)
            if self._changes:
                at, change = self._changes.pop()
                _ram[at : at + len(change)] = change[: RAM - at]
            return values

        return tampered


def run(data: bytes) -> None:
    """One queue: filled, taken from, answered, and changed all the while."""
    source = Source(data)
    queue = SplitQueue(_memory)
    queue.size = 1 << source.below(8)
    queue.addresses = (_DESCRIPTORS, _AVAILABLE, _USED)
    queue.next_available = source.choice((0, 0xFFFF, 0x8000))
    _fill(source, queue)
    tamper = _Tamper(source)
    with ExitStack() as stack:
        for name, read in _READS.items():
            stack.enter_context(patch.object(virtqueue, name, tamper.after(read)))
        stack.enter_context(suppress(GuestFault, HostFault))
        _serve(queue, source)


def _fill(source: Source, queue: SplitQueue) -> None:
    _ram[:] = bytes(RAM)
    for number in range(source.below(16)):
        at = _DESCRIPTORS + _DESC.size * number
        _ram[at : at + _DESC.size] = _descriptor(source, queue.size)
    for number in range(source.below(8)):
        # An indirect table, where descriptors without a better address point to.
        at = _BUFFERS + _DESC.size * number
        _ram[at : at + _DESC.size] = _descriptor(source, 8)
    heads = [source.number(queue.size, 16) for _ in range(source.below(8))]
    index = (queue.next_available + source.number(len(heads) + 1, 16)) & 0xFFFF
    struct.pack_into("<HH", _ram, _AVAILABLE, source.byte() & 1, index)
    for number, head in enumerate(heads):
        slot = (queue.next_available + number) % queue.size
        struct.pack_into("<H", _ram, _AVAILABLE + 4 + 2 * slot, head)


def _descriptor(source: Source, count: int) -> bytes:
    address = source.choice((_BUFFERS, _BUFFERS, 3 * PAGE, RAM - 16, RAM, 1 << 60, (1 << 64) - 16))
    length = source.choice((16, 128, 24, 0, PAGE, 32, 48, 0xFFFFFFFF, 0xFFFFFFF0, 17))
    flags = source.choice((0, _NEXT, _NEXT | _WRITE, _WRITE, _INDIRECT, _INDIRECT, _INDIRECT | _NEXT, 0xFFFF))
    return _DESC.pack(address, length, flags, source.number(count + 1, 16))


def _serve(queue: SplitQueue, source: Source) -> None:
    queue.start()
    taken: list[Chain] = []
    for _ in range(queue.size + 1):
        queue.want_kicks(False)
        chain = queue.pop()
        if chain is None:
            break
        assert len(chain.request) <= MAX_COMMAND_SIZE, "more was copied than a command may have"
        assert len(chain.writable) <= MAX_CHAIN_DESCRIPTORS, "more descriptors than a chain may have"
        assert chain.head < queue.size, "a head that the table does not have"
        taken.append(chain)
        assert queue.under_way == len(taken) <= queue.size, "more chains than the queue has entries"
    while taken:
        chain = taken.pop(source.below(len(taken)))
        answer = bytes(source.choice((24, 0, 1000)))
        written = queue.write_answer(chain, answer)
        assert written <= min(len(answer), sum(length for _address, length in chain.writable))
        queue.push(chain.head, written)
        queue.interrupt_wanted()
    assert queue.under_way == 0, "a chain was not given back"


def seeds() -> list[bytes]:
    """A direct chain, an indirect one, a loop, and changes while they are read."""
    command, answer = bytes([0, 1, 1, 1]), bytes([2, 1, 3, 0])
    direct = bytes([4, 0, 2]) + command + answer + bytes([0, 1, 0, 1, 0])
    indirect = bytes([4, 0, 1, 0, 5, 4, 0, 2]) + command + answer + bytes([1, 0, 1, 0])
    loop = bytes([1, 0, 2, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0])
    changes = bytes([4]) + b"".join(struct.pack("<H", at) + b"\x04\x00\xff\xff" for at in (12, 4096, 8, 2))
    return [direct, indirect, loop, direct + changes, indirect + changes, loop + changes]
