"""Buffers that the compositor reads where the client draws them: nothing is copied.

Where the host can make a dmabuf of the pages that it sees (`launcher.channel.HostCopies.show`), and its
compositor takes that, a buffer leaves its mirror when it is attached.  The host's answer may take a frame
or two, which are copied.  It makes the dmabuf out of the messages that make any other mirror, and needs
the buffer's own id for that, which is deleted once more then (`crossdomain.abi.pages`).
"""

from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.abi.pages import ShowPages, ShowPlane, Verdict
from crossdomain.bridge.formats import Layout
from launcher.channel.seam import Channel
from launcher.relay.buffers import Buffer, pages_of
from launcher.relay.mirrors import Mirror

_LEAST: Final = 1 << 16
"""Bytes of a buffer for which a dmabuf pays: each is a descriptor of the compositor's."""
_MAX_ASKED: Final = 16
"""Frames of a buffer before it is taken for granted that the host will not say."""


class ShownPages:
    """Pages of the client's in the place of a mirror's memory: good for one buffer."""

    __slots__ = ("identifier", "size")

    def __init__(self, number: int, size: int) -> None:
        self.identifier = Identifier(number, IdentifierType.PAGES, size)
        self.size = size

    def close(self) -> None:
        """The host has given them to the compositor."""


def may_be_shown(buffer: Buffer) -> list[ShowPlane] | None:
    """Where the host sees a buffer that it may show in place, and that it is still asked about; else None."""
    mirror = buffer.mirror
    if mirror is None or mirror.in_place or buffer.asked >= _MAX_ASKED:
        return None
    planes = _planes(buffer, mirror.layout)
    if mirror.layout.size < _LEAST or planes is None or buffer.has_holes:
        return None
    return planes


def take_in_place(channel: Channel, buffer: Buffer) -> Mirror | None:
    """A mirror that is the client's own memory, for a movable buffer; None where it has to be copied."""
    copies, mirror, request = channel.host_copies, buffer.mirror, buffer.request
    if copies is None or mirror is None or (planes := may_be_shown(buffer)) is None:
        return None
    (source, stride, offset, key), *others = planes
    image = (request.format, request.width, request.height, stride)
    shown = copies.show(ShowPages(source, buffer.buffer_id, offset, key, *image, tuple(others)))
    buffer.asked = buffer.asked + 1 if shown.verdict is Verdict.ASKING else _MAX_ASKED
    if shown.verdict is not Verdict.YES:
        return None
    size = mirror.layout.size
    return Mirror(ShownPages(shown.identifier, size), mirror.layout, None, in_place=True)


def _planes(buffer: Buffer, layout: Layout) -> list[ShowPlane] | None:
    """Where the host sees its planes; None where it does not see all of them."""
    planes: list[ShowPlane] = []
    for plane, own in zip(layout.planes, buffer.planes, strict=True):
        pages = pages_of(plane, own, layout.width)
        if pages is None:
            return None
        planes.append(ShowPlane(pages.resource_id, own.stride, pages.begin + own.offset, pages.key))
    return planes
