"""Which files of a client's may be handed to the compositor as they are, on one kernel.

A compositor maps them and reads at any time, so a page that somebody has to deliver first, a file
system in user space or a network, would stop the whole desktop.  Memory files are there or are zeros;
that their owner may truncate them is what every compositor is prepared for (libwayland catches SIGBUS).
"""

import fcntl
import mmap
import os
import stat


def is_memory_file(fd: int) -> bool:
    """Whether this is a memfd, or a file of a tmpfs, of ordinary pages (memfd_create(2), fcntl(2))."""
    try:
        # Only shmem and hugetlbfs have seals.
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        return stat.S_ISREG(os.fstat(fd).st_mode) and os.fstatvfs(fd).f_bsize == mmap.PAGESIZE
    except OSError:
        return False
