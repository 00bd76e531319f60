"""What an fd from the compositor is, and how it can be written without ever blocking."""

import fcntl
import os
import stat
from enum import Enum, auto
from typing import Final

from crossdomain.bridge.fences import is_fence
from crossdomain.context.blobs import is_dmabuf, size_of
from crossdomain.wire.policy import Carriage

_DEV_NULL: Final = os.makedev(1, 3)


class Kind(Enum):
    """How an fd crosses to the guest."""

    BLOB = auto()
    """Memory to be mapped: a VIRTGPU_BLOB."""
    WRITER = auto()
    """Something to be written: a WRITE_PIPE."""
    FENCE = auto()
    """Something that becomes readable: a VIRTGPU_SYNC."""
    OTHER = auto()
    """It can't cross."""


def classify(fd: int, carriage: Carriage | None) -> Kind:
    """What `fd` is.

    Args:
        fd: stays the caller's.
        carriage: how the policy wants it carried.  What a client writes to (`wl_data_source.send`) is a
            pipe to the guest whenever it can be written: some programs paste straight into files, sockets
            and terminals.
    """
    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    if carriage is Carriage.PIPE:
        return Kind.OTHER if mode == os.O_RDONLY else Kind.WRITER
    if carriage is Carriage.FENCE:
        return Kind.FENCE if is_fence(fd) else Kind.OTHER
    if size_of(fd) is not None:
        return Kind.BLOB
    if stat.S_ISFIFO(os.fstat(fd).st_mode) and mode == os.O_WRONLY:
        return Kind.WRITER
    return Kind.OTHER


def fill(fd: int) -> int:
    """Returns a file that a guest can have in place of /dev/null; owns `fd`, unless it raises.

    With that comes wl_keyboard.keymap where there is none (no_keymap).
    """
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _DEV_NULL:
        return fd
    filled = os.memfd_create("nothing", os.MFD_CLOEXEC)
    os.write(filled, b"\0")
    os.close(fd)
    return filled


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
