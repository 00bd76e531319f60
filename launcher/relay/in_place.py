"""Buffers that the compositor reads where the client draws them: nothing is copied.

Where the host can make a dmabuf of the pages that it sees (`launcher.channel.HostCopies.show`), and its
compositor takes that, a buffer leaves its mirror when it is attached.  The host's answer may take a frame
or two, which are copied.  It makes the dmabuf out of the messages that make any other mirror, and needs
the buffer's own id for that, which is deleted once more then (`crossdomain.abi.pages`).
"""

from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.abi.pages import ShowPages, Verdict
from launcher.channel.seam import Channel, ImportedFile
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


def may_be_shown(buffer: Buffer) -> ImportedFile | None:
    """Where the host sees a buffer that it may show in place, and that it is still asked about; else None."""
    mirror = buffer.mirror
    if mirror is None or mirror.in_place or buffer.asked >= _MAX_ASKED:
        return None
    first, *others = buffer.planes
    if mirror.layout.size < _LEAST or others or buffer.has_holes:
        return None
    return pages_of(mirror.layout.planes[0], first, mirror.layout.width)


def take_in_place(channel: Channel, buffer: Buffer) -> Mirror | None:
    """A mirror that is the client's own memory, for a movable buffer; None where it has to be copied."""
    copies, mirror, request = channel.host_copies, buffer.mirror, buffer.request
    if copies is None or mirror is None or (pages := may_be_shown(buffer)) is None:
        return None
    first = buffer.planes[0]
    image = (request.format, request.width, request.height, first.stride)
    show = ShowPages(pages.resource_id, buffer.buffer_id, pages.begin + first.offset, pages.key, *image)
    shown = copies.show(show)
    buffer.asked = buffer.asked + 1 if shown.verdict is Verdict.ASKING else _MAX_ASKED
    if shown.verdict is not Verdict.YES:
        return None
    size = mirror.layout.size
    return Mirror(ShownPages(shown.identifier, size), mirror.layout, None, in_place=True)
