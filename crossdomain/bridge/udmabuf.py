"""dmabufs over pages of memfds, which Linux makes without copying: /dev/udmabuf."""

import errno
import fcntl
import os
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from crossdomain.abi import udmabuf as abi

_PARAMETERS: Final = "/sys/module/udmabuf/parameters"
_UNLIMITED: Final = 1 << 62


class Span(NamedTuple):
    """A part of a memfd: fd (the owner's), offset and size in whole pages' bytes."""

    fd: int
    offset: int
    size: int


def join_spans(spans: Sequence[Span]) -> list[Span]:
    """The same bytes in as few spans as there can be: neighbours become one."""
    joined: list[Span] = []
    for span in spans:
        before = joined[-1] if joined else None
        if before is not None and (before.fd, before.offset + before.size) == (span.fd, span.offset):
            joined[-1] = before._replace(size=before.size + span.size)
        else:
            joined.append(span)
    return joined


class Udmabuf:
    """The device, and what it takes at most."""

    cuts = True
    """Any pages of a memfd can be in a dmabuf."""

    def __init__(self, fd: int, list_limit: int, size_limit: int) -> None:
        """Takes ownership of `fd`.  `list_limit` counts spans of a dmabuf, `size_limit` its bytes."""
        self.fd: Final = fd
        self.list_limit: Final = list_limit
        self.size_limit: Final = size_limit

    @classmethod
    def open(cls) -> Self | None:
        """The device of this kernel; None where it has none, or not for us."""
        try:
            fd = os.open(abi.DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        size_limit_mb = _parameter("size_limit_mb", abi.SIZE_LIMIT >> 20)
        return cls(fd, _parameter("list_limit", abi.LIST_LIMIT), min(size_limit_mb << 20, _UNLIMITED))

    def takes(self, spans: Sequence[Span]) -> bool:
        """Whether they are within the limits, joined as `create` joins them."""
        size = sum(span.size for span in spans)
        return size <= self.size_limit and len(join_spans(spans)) <= self.list_limit

    def create(self, spans: Sequence[Span]) -> int:
        """A new dmabuf, which is the caller's.

        Raises:
            OSError: beyond the limits; a memfd is not sealed against shrinking, or sealed against writing.
        """
        joined = join_spans(spans)
        if not self.takes(joined):
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        request = abi.CREATE_LIST.pack(abi.UDMABUF_FLAGS_CLOEXEC, len(joined))
        request += b"".join(abi.CREATE_ITEM.pack(span.fd, 0, span.offset, span.size) for span in joined)
        # Only of a writable argument the result is returned, the new fd.
        created: int = fcntl.ioctl(self.fd, abi.UDMABUF_CREATE_LIST, bytearray(request))
        return created

    def close(self) -> None:
        """Gives the device up; its dmabufs live on."""
        os.close(self.fd)


def _parameter(name: str, default: int) -> int:
    try:
        with open(f"{_PARAMETERS}/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return default
