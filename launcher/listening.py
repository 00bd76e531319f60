"""Listening sockets before the application starts: the module `socket` is not loaded for them yet."""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

_BACKLOG: Final = 128
"""As libwayland: connections that wait while we are busy."""


def listen(path: str) -> int:
    """Returns the fd of a Unix socket that listens at `path` and does not block; the caller owns it.

    Raises OSError.
    """
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    try:
        made.bind(path)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made.detach()


def remove(path: str) -> None:
    """Removes a file, which may be gone."""
    try:
        os.unlink(path)
    except OSError:
        return
