"""What an fd from the compositor is, and how it can be written without ever blocking."""

import fcntl
import os
import stat
from enum import Enum, auto

from crossdomain.context.blobs import is_dmabuf, size_of


class Kind(Enum):
    """How an fd crosses to the guest."""

    BLOB = auto()
    """Memory to be mapped: a VIRTGPU_BLOB."""
    WRITER = auto()
    """Something to be written: a WRITE_PIPE."""
    OTHER = auto()
    """It can't cross."""


def classify(fd: int, *, to_be_written: bool) -> Kind:
    """What `fd` is.

    Args:
        fd: stays the caller's.
        to_be_written: the message says that the client writes to it (`wl_data_source.send`): then
            whatever can be written is a pipe to the guest, as some programs paste straight into files,
            sockets and terminals.
    """
    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    if to_be_written:
        return Kind.OTHER if mode == os.O_RDONLY else Kind.WRITER
    if size_of(fd) is not None:
        return Kind.BLOB
    if stat.S_ISFIFO(os.fstat(fd).st_mode) and mode == os.O_WRONLY:
        return Kind.WRITER
    return Kind.OTHER


def describe(fd: int) -> str:
    """What `fd` is, for a log line."""
    return "a dmabuf" if is_dmabuf(fd) else os.readlink(f"/proc/self/fd/{fd}")


def open_writer(fd: int) -> int:
    """A non-blocking fd that writes where `fd` does, which is closed; the caller owns the result.

    O_NONBLOCK belongs to the open file, which `fd` may share with another program, a shell's
    terminal for one: so where possible the file is opened once more, and only ours does not block.
    """
    try:
        writer = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        # A socket, or a pipe whose reader is gone.
        os.set_blocking(fd, False)
        return fd
    if stat.S_ISREG(os.fstat(writer).st_mode):
        # A file opened again would start at offset 0.
        os.close(writer)
        return fd
    os.close(fd)
    return writer
