"""The guest's RAM as the VMM shares it: regions, and guest addresses to bytes.

`backend` adds and removes regions; `virtqueue` and `resources` read and write through
it.  Nothing keeps a view of a mapping: an address is looked up at each use, so that a
region can go at any moment without a dangling pointer.
"""

import fcntl
import mmap
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from crossdomain.abi.cross_domain import Buffer
from crossdomain.bridge.udmabuf import Span
from crossdomain.device.vhost_user import Region
from crossdomain.errors import GuestFault, HostFault, LimitExceeded
from crossdomain.limits import MAX_MEMORY_REGIONS
from crossdomain.native import ffi
from crossdomain.native.system import address_of

_ADDRESS_SPACE: Final = 1 << 64


Location: TypeAlias = tuple[mmap.mmap, int]
"""Where an address range lies: in this mapping, from this byte on.  One is made for each descriptor."""


class _Mapped:
    """A region, our mapping of it and an fd of its file.

    `mapping` is None, and `fd` negative, for one that the guest has no business naming.
    """

    __slots__ = ("fd", "guest_address", "identity", "lead", "mapping", "region", "size")

    def __init__(
        self, region: Region, mapping: mmap.mmap | None, lead: int, identity: tuple[int, int], fd: int = -1
    ) -> None:
        """Takes ownership of `fd`."""
        self.fd = fd
        self.region = region
        self.guest_address = region.guest_address
        self.size = region.size
        self.mapping = mapping
        self.lead = lead
        self.identity = identity

    def close(self) -> None:
        if self.mapping is not None:
            self.mapping.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class GuestMemory:
    """All regions of one VM.  Guest addresses are guest-physical; user addresses are the VMM's own."""

    def __init__(self) -> None:
        self._regions: list[_Mapped] = []
        self._starts: list[int] = []
        self._recent: _Mapped | None = None
        self.changed: Callable[[list[tuple[int, int, int]]], None] | None = None
        """Called with what is mapped now, before anything that was goes and after something has come: guest
        address, bytes and our address of each region that the guest may name, in order.
        """
        self.generation_cell = ffi.new("uint64_t *")
        """Where C finds `generation`."""

    def __len__(self) -> int:
        return len(self._regions)

    @property
    def generation(self) -> int:
        """Changes whenever a region goes: a `Location` from before is void."""
        return self.generation_cell[0]

    @property
    def files(self) -> frozenset[tuple[int, int]]:
        """Device and inode of the files that the regions are of."""
        return frozenset(mapped.identity for mapped in self._regions)

    def add(self, region: Region, fd: int, *, addressable: bool = True) -> None:
        """Adds one region and maps it, or only notes it where it is not `addressable`.

        `fd` stays the caller's.

        Raises:
            HostFault: it overlaps another, is empty, or `fd` cannot be mapped that far.
            LimitExceeded: too many regions.
        """
        if len(self._regions) >= MAX_MEMORY_REGIONS:
            raise LimitExceeded(f"more than {MAX_MEMORY_REGIONS} memory regions")
        self._check_place(region)
        mapped = _map(region, fd) if addressable else _Mapped(region, None, 0, _identity(fd))
        at = bisect_right(self._starts, region.guest_address)
        self._regions.insert(at, mapped)
        self._starts.insert(at, region.guest_address)
        self._tell()

    def remove(self, region: Region) -> None:
        """Removes the region of that guest address, user address and size (vhost-user, REM_MEM_REG).

        Raises:
            HostFault: there is none.
        """
        at = bisect_right(self._starts, region.guest_address) - 1
        if at < 0 or not _same_place(self._regions[at].region, region):
            raise HostFault(f"no memory region at {region.guest_address:#x} of {region.size} bytes")
        self._forget()
        del self._starts[at]
        gone = self._regions.pop(at)
        self._tell()
        gone.close()

    def replace(self, regions: Iterable[tuple[Region, int, bool]]) -> None:
        """Makes `regions` all there is (SET_MEM_TABLE); those that were there already keep their mapping.

        Each comes with its fd, which stays the caller's, and whether it is addressable.

        Raises:
            HostFault, LimitExceeded: as `add`; what was added before stays.
        """
        kept: dict[tuple[Region, tuple[int, int]], _Mapped] = {
            (mapped.region, mapped.identity): mapped for mapped in self._regions
        }
        self._regions, self._starts = [], []
        self._forget()
        try:
            for region, fd, addressable in regions:
                known = kept.pop((region, _identity(fd)), None)
                if known is None:
                    self.add(region, fd, addressable=addressable)
                else:
                    self._reinsert(known)
        finally:
            for mapped in kept.values():
                mapped.close()
            self._tell()

    def locate(self, address: int, length: int) -> Location:
        """Where `length` bytes at guest address `address` are; they lie in one region.

        Raises:
            GuestFault: they do not, or the guest may not name that region.
        """
        recent = self._recent
        if recent is not None:
            offset = address - recent.guest_address
            if 0 <= offset <= recent.size - length and recent.mapping is not None:
                return recent.mapping, offset + recent.lead
        return self._search(address, length)

    def locate_user(self, address: int, length: int) -> Location:
        """As `locate`, for an address of the VMM's own.

        Raises:
            HostFault: no region holds it.
        """
        for mapped in self._regions:
            offset = address - mapped.region.user_address
            if 0 <= offset <= mapped.size - length and mapped.mapping is not None:
                return mapped.mapping, offset + mapped.lead
        raise HostFault(f"{length} bytes at VMM address {address:#x} are in no memory region")

    def locate_in_file(self, address: int, length: int) -> Span:
        """As `locate`, where they are in the VMM's file; the fd is good until the region goes."""
        self.locate(address, length)
        mapped = self._regions[bisect_right(self._starts, address) - 1]
        return Span(mapped.fd, mapped.region.fd_offset + address - mapped.guest_address, length)

    def read(self, address: int, length: int) -> bytes:
        """A copy of `length` bytes at guest address `address`.

        Raises:
            GuestFault: they do not lie in one region.
        """
        mapping, offset = self.locate(address, length)
        return mapping[offset : offset + length]

    def write(self, address: int, data: Buffer) -> None:
        """Copies `data` to guest address `address`.

        Raises:
            GuestFault: it does not lie in one region.
        """
        mapping, offset = self.locate(address, len(data))
        mapping[offset : offset + len(data)] = data

    def close(self) -> None:
        """Unmaps everything; may be called again."""
        self._forget()
        for mapped in self._regions:
            mapped.close()
        self._regions.clear()
        self._starts.clear()

    def _forget(self) -> None:
        self._recent = None
        self.generation_cell[0] += 1
        if self.changed is not None:
            self.changed([])

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed(
                [
                    (mapped.guest_address, mapped.size, address_of(mapped.mapping) + mapped.lead)
                    for mapped in self._regions
                    if mapped.mapping is not None
                ]
            )

    def _reinsert(self, mapped: _Mapped) -> None:
        at = bisect_right(self._starts, mapped.guest_address)
        self._regions.insert(at, mapped)
        self._starts.insert(at, mapped.guest_address)

    def _check_place(self, region: Region) -> None:
        end = region.guest_address + region.size
        if region.size == 0 or end > _ADDRESS_SPACE or region.user_address + region.size > _ADDRESS_SPACE:
            raise HostFault(f"memory region of {region.size} bytes at {region.guest_address:#x}")
        at = bisect_right(self._starts, region.guest_address)
        before = self._regions[at - 1] if at else None
        after = self._regions[at] if at < len(self._regions) else None
        if before is not None and before.guest_address + before.size > region.guest_address:
            raise HostFault(f"memory region at {region.guest_address:#x} overlaps another")
        if after is not None and end > after.guest_address:
            raise HostFault(f"memory region at {region.guest_address:#x} overlaps another")

    def _search(self, address: int, length: int) -> Location:
        at = bisect_right(self._starts, address) - 1
        if at >= 0:
            mapped = self._regions[at]
            offset = address - mapped.guest_address
            if offset <= mapped.size - length and mapped.mapping is not None:
                self._recent = mapped
                return mapped.mapping, offset + mapped.lead
        raise GuestFault(f"{length} bytes at guest address {address:#x} are not in its memory")


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _same_place(one: Region, other: Region) -> bool:
    # The offset in the fd does not count (vhost-user, REM_MEM_REG).
    return one[:3] == other[:3]


def _map(region: Region, fd: int) -> _Mapped:
    try:
        # Huge page files want offsets and lengths in huge pages, which is what statvfs calls the block.
        page = max(os.fstatvfs(fd).f_bsize, mmap.PAGESIZE)
        lead = region.fd_offset % page
        mapping = mmap.mmap(fd, region.size + lead, offset=region.fd_offset - lead)
        return _Mapped(region, mapping, lead, _identity(fd), fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3))
    except (OSError, ValueError, OverflowError) as error:
        raise HostFault(f"memory region of {region.size} bytes cannot be mapped: {error}") from error
