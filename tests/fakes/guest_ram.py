"""A fake guest's RAM: one memfd that the VMM shares in several regions, and an allocator of pages in it."""

import fcntl
import mmap
import os
from bisect import insort
from typing import NamedTuple

PAGE = 4096
HIGH = 1 << 32
"""Where the second half of RAM begins: above the hole that a PC has below 4 GiB."""
USER = 0x7F00_0000_0000
"""Where the fake VMM has RAM mapped; only a number to the back-end."""


class RamRegion(NamedTuple):
    """One region as the VMM describes it: guest address, bytes, the VMM's own address, offset in the fd."""

    guest_address: int
    size: int
    user_address: int
    fd_offset: int


class GuestRam:
    """`size` bytes in two regions of one memfd, as QEMU gives a guest with 4 GiB."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fd = os.memfd_create("guest-ram", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        # As QEMU seals it.
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._bytes = mmap.mmap(self.fd, size)
        half = size // 2
        # The VMM's addresses have a gap where the guest's have one, so that mixing them up shows.
        self.regions = [RamRegion(0, half, USER, 0), RamRegion(HIGH, half, USER + 2 * size, half)]
        self._free = [PAGE * n for n in range(1, half // PAGE)] + [
            HIGH + PAGE * n for n in range(half // PAGE)
        ]

    def user_address(self, address: int) -> int:
        """The VMM's address of a guest address."""
        region = self._region(address, 1)
        return region.user_address + address - region.guest_address

    def allocate(self, size: int) -> int:
        """Guest address of `size` contiguous bytes, whole pages."""
        return self.allocate_run(max(1, -(-size // PAGE)))

    def allocate_run(self, count: int) -> int:
        """Guest address of `count` contiguous pages."""
        for at in range(len(self._free) - count + 1):
            first = self._free[at]
            if self._free[at + count - 1] == first + (count - 1) * PAGE:
                del self._free[at : at + count]
                return first
        raise MemoryError(f"no {count} contiguous pages left in the fake guest")

    def allocate_scattered(self, count: int) -> list[int]:
        """Guest addresses of `count` pages of which no two are neighbours, from both regions."""
        taken = self._free[1 : 2 * count : 4] + self._free[-1 : -2 * count - 1 : -4]
        assert len(taken) >= count, "the fake guest is too small"
        taken = taken[:count]
        self._free = [page for page in self._free if page not in set(taken)]
        return taken

    def free(self, address: int, size: int) -> None:
        """Gives pages back."""
        for offset in range(0, max(size, 1), PAGE):
            insort(self._free, address + offset)

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a guest address."""
        at = self.offset_of(address, size)
        return self._bytes[at : at + size]

    def write(self, address: int, data: bytes) -> None:
        """Writes at a guest address."""
        at = self.offset_of(address, len(data))
        self._bytes[at : at + len(data)] = data

    def offset_of(self, address: int, size: int = 1) -> int:
        """Where `size` bytes at a guest address are in the file."""
        region = self._region(address, size)
        return address - region.guest_address + region.fd_offset

    def close(self) -> None:
        """Gives the memory up."""
        self._bytes.close()
        os.close(self.fd)

    def _region(self, address: int, size: int) -> RamRegion:
        for region in self.regions:
            if region.guest_address <= address <= region.guest_address + region.size - size:
                return region
        raise AssertionError(f"{address:#x} is not in the fake guest's RAM")
