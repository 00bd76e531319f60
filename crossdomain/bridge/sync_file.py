"""Sync files, and the fences that dmabufs have by themselves.

Each function raises OSError with the kernel's errno; fds that are given stay the caller's, those that
are returned are the caller's too.
"""

import errno
import fcntl
import os
import select
from collections.abc import Generator
from contextlib import contextmanager

from crossdomain.abi import dma_buf
from crossdomain.abi import sync_file as abi


def status(fd: int) -> int:
    """Returns 0 while pending, 1 when signalled, and a negative errno where a fence of it has failed."""
    information = bytearray(abi.SYNC_FILE_INFO.pack(b"", 0, 0, 0, 0, 0))
    fcntl.ioctl(fd, abi.SYNC_IOC_FILE_INFO, information)
    return int(abi.SYNC_FILE_INFO.unpack(information)[1])


def written(dmabuf: int) -> int:
    """Returns an fd that is readable when all that is being written into a dmabuf now is there.

    A sync file, or on kernels before 6.0 the dmabuf itself: that one waits for what is begun later as well.
    """
    request = bytearray(dma_buf.SYNC_FILE.pack(dma_buf.DMA_BUF_SYNC_READ, -1))
    try:
        fcntl.ioctl(dmabuf, dma_buf.DMA_BUF_IOCTL_EXPORT_SYNC_FILE, request)
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise
        return os.dup(dmabuf)
    return int(dma_buf.SYNC_FILE.unpack(request)[1])


@contextmanager
def cpu_access(dmabuf: int, *, write: bool) -> Generator[None]:
    """What has to be around each access of the CPU to a dmabuf that is mapped (DMA_BUF_IOCTL_SYNC).

    Never blocks: where a device is still at it, which the client has said does not matter, the kernel is
    not asked, as it would wait.  A plain memory file needs nothing.
    """
    access = dma_buf.DMA_BUF_SYNC_RW if write else dma_buf.DMA_BUF_SYNC_READ
    is_marked = _is_idle(dmabuf, write=write) and _mark(dmabuf, dma_buf.DMA_BUF_SYNC_START | access)
    try:
        yield
    finally:
        if is_marked:
            _mark(dmabuf, dma_buf.DMA_BUF_SYNC_END | access)


def _is_idle(dmabuf: int, *, write: bool) -> bool:
    poll = select.poll()
    poll.register(dmabuf, select.POLLOUT if write else select.POLLIN)
    return bool(poll.poll(0))


def _mark(dmabuf: int, flags: int) -> bool:
    """Returns whether it is a dmabuf."""
    try:
        fcntl.ioctl(dmabuf, dma_buf.DMA_BUF_IOCTL_SYNC, dma_buf.DMA_BUF_SYNC.pack(flags))
    except OSError:
        return False
    return True
