"""What a context needs from whoever runs it: the seam to device/ and to the local server.

A context never sees guest memory, descriptor chains or sockets of a launcher; it sees
resources by number and writes whole events.
"""

from typing import Protocol

from crossdomain.abi.cross_domain import Buffer


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


class Resources(Protocol):
    """The resources that are attached to one context."""

    def lookup(self, resource_id: int, /) -> Storage:
        """The resource of that number.

        Raises:
            GuestFault: there is none, or it is not attached to this context.
        """
        ...
