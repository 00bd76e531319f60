"""Points of timelines, an EXTENSION of the cross-domain protocol (`Feature.POINTS`).

A guest may name timelines to the compositor, in the words of wp_linux_drm_syncobj_v1, where the
compositor knows it.  A VM's are no timelines of the host's kernel, so the host makes one for each: where the
guest says wp_linux_drm_syncobj_manager_v1.import_timeline, with an identifier of type TIMELINE (number and
size 0), the compositor gets it.  The numbers of points are the same on both sides, and a timeline is named by
the id of its wp_linux_drm_syncobj_timeline_v1.

READ and WRITE of the identifier POINTS tell of points; their data are POINTs.  A WRITE of none, after INIT
and before the first SEND, says that the guest knows all this: without it the global stays hidden.

    WRITE  the fence of the guest's at an acquire point is over: the host signals the point
    READ   the compositor has signalled a release point: the guest signals its own

A point that was named in set_acquire_point and is not told of after `limits.GUEST_FENCE_SECONDS` is
signalled all the same.  A release has no time: a window may show a buffer for hours.  That is why it is
no fence of a ring, which a kernel can't wait for so long (`abi.sync`).

A guest destroys a timeline when none of its points is pending: what is pending then is signalled, and never
told.  Over a local channel, timelines cross as they are, with identifiers of type VIRTGPU_SYNC, and
nothing is told of their points.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import READ_WRITE_SIZE, Buffer

POINTS: Final = 1
"""The identifier: no pipe has that one."""

_POINT: Final = Struct("<IIQ")
"""timeline, pad, point.  16 bytes."""


class Point(NamedTuple):
    """One point of a timeline's."""

    timeline_id: int
    """The id of its Wayland object."""
    point: int


def encode_points(points: Iterable[Point]) -> bytes:
    """The data of a READ or WRITE."""
    return b"".join(_POINT.pack(timeline_id, 0, point) for timeline_id, point in points)


def parse_points(data: Buffer) -> Iterator[Point]:
    """The points of a READ or WRITE; what is left over at its end is no point."""
    whole = memoryview(data)[: len(data) - len(data) % _POINT.size]
    return (Point(timeline_id, point) for timeline_id, _pad, point in _POINT.iter_unpack(whole))


def most_points(room: int) -> int:
    """How many a READ of so many bytes has at most."""
    return max(0, room - READ_WRITE_SIZE) // _POINT.size
