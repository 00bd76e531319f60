"""What there is not enough of: descriptors, and a kernel's room for what is sent.

A real kernel has no room where descriptors that nobody has received are more than RLIMIT_NOFILE, which
root is not held to (unix(7), ETOOMANYREFS); the socket is said to be writable all the while.
"""

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


ERRORS = (errno.ETOOMANYREFS, errno.ENOBUFS)


class CrowdedSocket(socket.socket):
    """A socket that takes nothing while it has an `error`, which is one of ERRORS."""

    error: int | None = None
    attempts = 0
    """To send, while there was one."""

    @classmethod
    def of(cls, connection: socket.socket) -> "CrowdedSocket":
        """The same one, which owns the fd now."""
        return cls(fileno=connection.detach())

    def sendmsg(
        self,
        buffers: "Iterable[ReadableBuffer]",
        ancdata: Iterable[tuple[int, int, Any]] = (),
        flags: int = 0,
        address: Any = None,  # noqa: ANN401  # as of a socket
        /,
    ) -> int:
        """See `socket.socket`."""
        if self.error is not None:
            self.attempts += 1
            raise OSError(self.error, os.strerror(self.error))
        return super().sendmsg(buffers, ancdata, flags, address)


@contextlib.contextmanager
def no_descriptor_left() -> Generator[None]:
    """While the block runs no further one is made in this process."""
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
