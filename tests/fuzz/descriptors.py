"""Descriptors of every kind that a peer can send, good and bad."""

import fcntl
import os
import socket
from collections.abc import Callable
from typing import Final

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
MEMORY: Final = 1 << 16


def memory(size: int = MEMORY, seals: int = 0) -> int:
    """A memfd."""
    fd = os.memfd_create("fuzz", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _pipe(end: int) -> int:
    ends = os.pipe2(os.O_CLOEXEC)
    os.close(ends[1 - end])
    return ends[end]


def _socket() -> int:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


KINDS: Final[tuple[Callable[[], int], ...]] = (
    memory,
    lambda: os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK),
    lambda: os.eventfd(0, os.EFD_CLOEXEC),
    lambda: memory(0),
    lambda: memory(4096, _SEALS),
    lambda: _pipe(0),
    lambda: _pipe(1),
    _socket,
    lambda: os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC),
    lambda: os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC),
    lambda: os.open("/", os.O_PATH | os.O_CLOEXEC),
    lambda: os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
)
"""Each makes one, which the caller owns.  None blocks whoever reads or writes it for ever."""
