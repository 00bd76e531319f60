"""Resources: blobs by number, what is behind them, and which contexts may name them.

`gpu` creates and destroys them; a context sees the `Storage` of those attached to it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from struct import Struct
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from crossdomain.abi.cross_domain import Buffer
from crossdomain.abi.pages import RECTANGLE, CopyPages
from crossdomain.bridge.copy import Pixels
from crossdomain.bridge.udmabuf import Span, join_spans
from crossdomain.context.memory import HostMemory
from crossdomain.context.pace import Allowance
from crossdomain.context.ports import Scattered, Storage
from crossdomain.device.faults import bad_parameter, bad_resource, too_much
from crossdomain.device.memory import GuestMemory
from crossdomain.device.window import Mapping
from crossdomain.errors import GuestFault
from crossdomain.native import ffi, lib
from crossdomain.native.system import address_of

if TYPE_CHECKING:
    from crossdomain.native._core import PagesPointer, RunsPointer

_RUN: Final = Struct("=QQ")

Entries: TypeAlias = list[tuple[int, int]]
"""Runs of guest memory: guest address, bytes (struct virtio_gpu_mem_entry)."""


class GuestStorage(Scattered):
    """Pages of the guest's own RAM, in any number of runs.  A `Storage` that cannot be exported."""

    __slots__ = ("_ends", "_entries", "_mapped_runs", "_memory", "_size", "owner", "place")

    def __init__(self, memory: GuestMemory, size: int, entries: Entries) -> None:
        """`size` bytes over `entries`, which are checked now and again at each use.

        Raises:
            CommandFault: they are not in guest memory, or do not hold `size` bytes.
        """
        self._memory = memory
        self._size = size
        self._entries: Entries = []
        self._ends: list[int] = []
        self._mapped_runs: RunsPointer | None = None
        """What `place` points to."""
        self.place = ffi.new("xd_pages *")
        """See `context.ports.Pages`."""
        self.place.memory_generation = memory.generation_cell
        self.owner: object = None
        """Who may name them without a key, see `context.ports.Pages`."""
        self.attach(entries)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @property
    def runs(self) -> Entries:
        """Its pages; none where they are detached."""
        return self._entries

    @property
    def has_backing(self) -> bool:
        """Whether pages are attached."""
        return bool(self._entries)

    def attach(self, entries: Entries) -> None:
        """Sets the pages; raises as the constructor."""
        self._check_entries(entries)
        ends = list(accumulate(length for _address, length in entries))
        if not ends or ends[-1] < self._size:
            raise bad_parameter(f"{ends[-1] if ends else 0} bytes of pages for a blob of {self._size}")
        self._entries = entries
        self._ends = ends
        self.place.run_count = 0

    def detach(self) -> None:
        """Forgets the pages: every use is a GuestFault from now on."""
        self._entries = []
        self._ends = []
        self.place.run_count = 0

    def export(self) -> int:
        """Never: an fd of guest RAM would give the compositor all of it.

        Raises:
            GuestFault: always.
        """
        raise GuestFault("pages of guest memory cannot be given to the compositor")

    def write(self, offset: int, data: Buffer, /) -> None:
        """Copies `data` to `offset`.

        Raises:
            GuestFault: beyond `size`, or the pages are gone.
        """
        length = len(data)
        self._check(offset, length)
        if length and offset + length <= self._ends[0]:
            self._memory.write(self._entries[0][0] + offset, data)
            return
        view = memoryview(data)
        done = 0
        for address, run in self._runs(offset, length):
            self._memory.write(address, view[done : done + run])
            done += run

    def read(self, offset: int, length: int, /) -> bytes:
        """A copy of `length` bytes from `offset`.

        Raises:
            GuestFault: beyond `size`, or the pages are gone.
        """
        self._check(offset, length)
        return b"".join(self._memory.read(address, run) for address, run in self._runs(offset, length))

    def pixels(self) -> NoReturn:
        """Never: the guest may move them.

        Raises:
            GuestFault: always.
        """
        raise GuestFault("pages of the guest are no memory of the host")

    def copy_out(self, destination: Pixels, copy: CopyPages, /) -> int:
        """See `context.ports.Pages`."""
        place = self._find_place()
        copied = ffi.new("uint64_t *")
        status = lib.xd_copy_runs(
            ffi.cast("uint8_t *", destination.address),
            destination.size,
            place.runs,
            place.run_count,
            ffi.new(
                "xd_plane *",
                (copy.offset, copy.source_offset, copy.stride, copy.source_stride, copy.block_bytes),
            ),
            ffi.from_buffer("xd_rectangle[]", copy.rectangles),
            len(copy.rectangles) // RECTANGLE.size,
            copied,
        )
        if status != lib.XD_COPY_OK:
            raise GuestFault("a copy leaves its buffer, or its pages")
        return copied[0]

    def spans(self, offset: int, length: int, /) -> list[Span]:
        """See `context.ports.Pages`."""
        self._check(offset, length)
        locate = self._memory.locate_in_file
        return join_spans([locate(address, run) for address, run in self._runs(offset, length)])

    def _find_place(self) -> "PagesPointer":
        """Returns `place` with where the pages are mapped; good until anything else is done."""
        if not self._entries:
            raise GuestFault("the resource's pages are detached")
        place = self.place
        if not place.run_count or place.generation != self._memory.generation:
            runs: list[tuple[int, int]] = []
            following = 0
            for (address, length), end in zip(self._entries, self._ends, strict=True):
                mapping, offset = self._memory.locate(address, length)
                start = address_of(mapping) + offset
                if start == following:
                    runs[-1] = runs[-1][0], end
                else:
                    runs.append((start, end))
                following = start + length
            self._mapped_runs = place.runs = ffi.from_buffer(
                "xd_run[]", b"".join(_RUN.pack(*run) for run in runs)
            )
            place.generation = self._memory.generation
            place.run_count = len(runs)
        return place

    def _check_entries(self, entries: Entries) -> None:
        locate = self._memory.locate
        try:
            for address, length in entries:
                if not length:
                    raise bad_parameter("a run of 0 bytes")
                locate(address, length)
        except GuestFault as fault:
            raise bad_parameter(str(fault)) from fault

    def _check(self, offset: int, length: int) -> None:
        if not self._entries:
            raise GuestFault("the resource's pages are detached")
        if offset < 0 or length < 0 or offset + length > self._size:
            raise GuestFault(f"{length} bytes at {offset} of {self._size}")

    def _runs(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        at = bisect_right(self._ends, offset)
        while length:
            address, run = self._entries[at]
            skip = offset - (self._ends[at] - run)
            taken = min(run - skip, length)
            yield address + skip, taken
            offset += taken
            length -= taken
            at += 1


class Resource:
    """One blob.  `host` is its memory where that is ours, `mapping` its place in the window."""

    __slots__ = ("contexts", "host", "mappable", "mapping", "resource_id", "storage")

    def __init__(self, resource_id: int, storage: GuestStorage | HostMemory, *, mappable: bool) -> None:
        """Takes ownership of `storage`."""
        self.resource_id = resource_id
        self.storage = storage
        self.mappable = mappable
        self.host = storage if isinstance(storage, HostMemory) else None
        self.mapping: Mapping | None = None
        self.contexts: set[int] = set()

    def close(self) -> None:
        """Gives the memory up; whoever maps ours or holds an fd of it keeps it."""
        if isinstance(self.storage, HostMemory):
            self.storage.close()
        else:
            self.storage.detach()


class ResourceTable:
    """All resources of one device, and the bytes of host memory that they hold."""

    def __init__(self, host_memory: int, allowance: Allowance) -> None:
        """`host_memory`: bytes of blobs that the guest may have in host memory, whatever its quota is."""
        self._allowance = allowance
        self._resources: dict[int, Resource] = {}
        self._host_memory = host_memory
        self._host_used = 0

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __len__(self) -> int:
        return len(self._resources)

    def __contains__(self, resource_id: int) -> bool:
        return resource_id in self._resources

    @property
    def host_bytes(self) -> int:
        """Bytes of host memory behind them."""
        return self._host_used

    def check_new(self, resource_id: int, host_size: int) -> None:
        """Whether a resource of that number, with that many bytes in host memory, can be added.

        Raises:
            CommandFault: the number is 0 or in use, or there are too many.
        """
        if not resource_id or resource_id in self._resources:
            raise bad_resource(resource_id, "is in use" if resource_id else "is no number")
        quotas = self._allowance.quotas.vm
        if len(self._resources) >= quotas.resources:
            raise too_much(f"more than {quotas.resources} resources of one VM (quota vm.resources)")
        most = min(self._host_memory, quotas.blob_bytes)
        if self._host_used + host_size > most:
            raise too_much(f"more than {most} bytes of blobs of one VM in host memory (quota vm.blob_bytes)")

    def add(self, resource: Resource) -> None:
        """Adds a resource that `check_new` let pass."""
        self._resources[resource.resource_id] = resource
        if resource.host is not None:
            self._host_used += resource.host.size

    def get(self, resource_id: int) -> Resource:
        """The resource of that number.

        Raises:
            CommandFault: there is none.
        """
        resource = self._resources.get(resource_id)
        if resource is None:
            raise bad_resource(resource_id, "is unknown")
        return resource

    def remove(self, resource_id: int) -> Resource:
        """Takes the resource out; the caller closes it.

        Raises:
            CommandFault: there is none.
        """
        resource = self.get(resource_id)
        del self._resources[resource_id]
        if resource.host is not None:
            self._host_used -= resource.host.size
        return resource

    def close(self) -> None:
        """Closes and forgets them all."""
        for resource in self._resources.values():
            resource.close()
        self._resources.clear()
        self._host_used = 0


class AttachedResources:
    """The resources that one context may name; what `context.ports.Resources` asks for."""

    __slots__ = ("_allowance", "_storages", "host_bytes", "lost", "refusal")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._storages: dict[int, GuestStorage | HostMemory] = {}
        self.host_bytes = 0
        """Bytes of host memory among them."""
        self.lost: Callable[[], None] = _nobody
        """Called whenever one of them, or its pages, goes."""
        self.refusal = ""
        """Why one could not be made or attached last, because of a quota: Linux does not tell its program."""

    def __len__(self) -> int:
        return len(self._storages)

    def check_new(self, host_size: int) -> None:
        """Whether one more, with that many bytes in host memory, can be attached.

        Raises:
            CommandFault: the client has too many or too large ones.
        """
        quotas = self._allowance.quotas.client
        if len(self._storages) >= quotas.resources:
            raise too_much(f"more than {quotas.resources} resources of one client (quota resources)")
        if self.host_bytes + host_size > quotas.blob_bytes:
            raise too_much(f"more than {quotas.blob_bytes} bytes of blobs of one client (quota blob_bytes)")

    def lookup(self, resource_id: int, /) -> Storage:
        """The storage of that resource.

        Raises:
            CommandFault: it is not attached to this context.
        """
        storage = self._storages.get(resource_id)
        if storage is None:
            why = f": {self.refusal}" if self.refusal else ""
            raise bad_resource(resource_id, f"is not attached to this context{why}")
        return storage

    def attach(self, resource: Resource) -> None:
        """CTX_ATTACH_RESOURCE; a second time changes nothing.

        Raises:
            CommandFault: as `check_new`.
        """
        if resource.resource_id in self._storages:
            return
        host_size = 0 if resource.host is None else resource.host.size
        self.check_new(host_size)
        self._storages[resource.resource_id] = resource.storage
        self.host_bytes += host_size

    def detach(self, resource_id: int) -> None:
        """CTX_DETACH_RESOURCE.

        Raises:
            CommandFault: it is not attached.
        """
        storage = self._storages.pop(resource_id, None)
        if storage is None:
            raise bad_resource(resource_id, "is not attached to this context")
        if isinstance(storage, HostMemory):
            self.host_bytes -= storage.size
        self.lost()


def _nobody() -> None:
    """Nobody has to know."""
