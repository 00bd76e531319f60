"""What a context needs from whoever runs it: the seam to device/ and to the local server.

A context never sees guest memory, descriptor chains or sockets of a launcher; it sees
resources by number and writes whole events.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from crossdomain.abi.cross_domain import Buffer
from crossdomain.abi.pages import CopyPages, Verdict
from crossdomain.bridge.copy import Pixels
from crossdomain.bridge.udmabuf import Span

if TYPE_CHECKING:
    from crossdomain.native._core import PagesPointer


class Storage(Protocol):
    """The bytes behind one resource.

    Every method raises GuestFault where the guest asks for what this resource cannot do;
    none blocks.
    """

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def export(self) -> int:
        """A new fd of this memory for the compositor; the caller owns it.

        Raises:
            GuestFault: it cannot be given away (pages of the guest's own RAM).
        """
        ...

    def write(self, offset: int, data: Buffer, /) -> None:
        """Copies `data` to `offset`.

        Raises:
            GuestFault: beyond `size`, or the memory is gone.
        """
        ...

    def read(self, offset: int, length: int, /) -> bytes:
        """A copy of `length` bytes from `offset`.

        Raises:
            GuestFault: beyond `size`, or the memory is gone.
        """
        ...

    def pixels(self) -> Pixels:
        """All of it, mapped until the resource is given up.

        Raises:
            GuestFault: it is not in memory of the host.
        """
        ...


class Scattered(ABC):
    """A resource in pages of the guest's own RAM.

    No Protocol: it is asked for each event whether a resource is one, and to look for attributes takes long.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def runs(self) -> Sequence[tuple[int, int]]:
        """Guest address and bytes of each run, in order; none where the pages are gone."""
        ...


class Pages(Protocol):
    """Pages of the guest's own RAM that it has imported for us to read (`crossdomain.abi.pages`)."""

    @property
    def owner(self) -> object:
        """Who has claimed them; None: nobody."""
        ...

    @property
    def place(self) -> "PagesPointer | None":
        """Where they are mapped, for C, as long as this object lives; None where C copies none of them.

        It is filled by `copy_out`.
        """
        ...

    def read(self, offset: int, length: int, /) -> bytes:
        """As `Storage.read`."""
        ...

    def copy_out(self, destination: Pixels, copy: CopyPages, /) -> int:
        """Copies the rectangles of a plane; returns the bytes copied.

        Raises:
            GuestFault: they leave the destination or the pages, or the pages are gone.
        """
        ...

    def spans(self, offset: int, length: int, /) -> list[Span]:
        """Where they are in the VMM's files; good until anything else is done.

        Raises:
            GuestFault: they leave the pages, or the pages are gone.
        """
        ...


class PlacedPlane(NamedTuple):
    """One plane of an image: which of its dmabufs it is in, and where; bytes."""

    memory: int
    offset: int
    stride: int


class Image(NamedTuple):
    """What the compositor is to read in place."""

    offset: int
    """Bytes from the start of the first dmabuf."""
    format: int
    """A DRM fourcc."""
    width: int
    height: int
    stride: int
    others: tuple[PlacedPlane, ...] = ()
    """All planes but the first."""

    @property
    def planes(self) -> tuple[PlacedPlane, ...]:
        """All, in order."""
        return (PlacedPlane(0, self.offset, self.stride), *self.others)


class DmabufMaker(Protocol):
    """What dmabufs come from."""

    @property
    def cuts(self) -> bool:
        """Whether it makes them of a part of their memory; where not, all of it is one."""
        ...

    def takes(self, spans: Sequence[Span], /) -> bool:
        """Whether `create` can make one of these."""
        ...

    def create(self, spans: Sequence[Span], /) -> int:
        """A dmabuf of the bytes in these, an fd of the caller's.

        Raises:
            OSError: there is none.
        """
        ...


class Showing(Protocol):
    """Makes dmabufs of pages, and knows which of them the compositor reads."""

    @property
    def cuts(self) -> bool:
        """See `DmabufMaker`."""
        ...

    def judge(self, image: Image, memories: Sequence[Sequence[Span]], /) -> Verdict:
        """Whether the compositor reads such an image there, in a dmabuf of each of `memories`.

        Begins to find out where nobody knows yet.
        """
        ...

    def modifier(self, image: Image, /) -> int:
        """The one by which the compositor takes linear memory of an image that was judged well."""
        ...

    def distrust(self) -> None:
        """The compositor has ended a client for an image that was judged well: nothing is shown any more."""
        ...

    def create_dmabuf(self, spans: Sequence[Span], /) -> int:
        """A new dmabuf of these pages, which is the caller's.

        Raises:
            OSError: this kernel makes none of them.
        """
        ...


class MemoryDevice(Protocol):
    """The device on which the VM imports pages for us to read, if it has one."""

    def find(self, resource_id: int, /) -> Pages:
        """The pages of that resource.

        Raises:
            GuestFault: there are none.
        """
        ...

    def expect(self, owner: object, /) -> None:
        """What is imported from now on, and has no key, is the owner's, unless somebody else expects, too.

        Raises:
            GuestFault: there is no such device.
        """
        ...

    def forget(self, owner: object, /) -> None:
        """It does not expect any more, if it did."""
        ...


class Resources(Protocol):
    """The resources that are attached to one context."""

    @property
    def host_bytes(self) -> int:
        """Bytes of host memory among them."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...

    def lookup(self, resource_id: int, /) -> Storage:
        """The resource of that number.

        Raises:
            GuestFault: there is none, or it is not attached to this context.
        """
        ...
