"""A socket whose kernel has no room for what is sent, for as long as the test wants.

The real one does this where descriptors that nobody has received are more than RLIMIT_NOFILE, which
root is not held to (unix(7), ETOOMANYREFS); the socket is told to be writable all the while.
"""

import errno
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class CrowdedSocket(socket.socket):
    """It takes nothing while it has an `error`."""

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


ERRORS = (errno.ETOOMANYREFS, errno.ENOBUFS)
