"""What crosses keeps its order, whether the relay handles it or lets it pass, and however it is cut."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from tests.unit.launcher.fake_channel import RelayedClient, event, request

KEYMAP: Final = b"xkb_keymap {};\0"
HIDDEN: Final = 3
"""Of the kinds of events: what no client hears."""

counts = st.lists(st.integers(1, 200), min_size=1)


class Desk:
    """A client with objects of several kinds, in the order in which it made them."""

    def __init__(self) -> None:
        self.client = RelayedClient()
        self.registry = self.client.new_id()
        self.client.say(request("wl_display", "get_registry", 1, self.registry))
        seat, compositor = self.client.bind("wl_seat", 7), self.client.bind("wl_compositor", 5)
        self.pointer, self.keyboard, self.surface, self.region = (self.client.new_id() for _ in range(4))
        self.client.say(
            request("wl_seat", "get_pointer", seat, self.pointer),
            request("wl_seat", "get_keyboard", seat, self.keyboard),
            request("wl_compositor", "create_surface", compositor, self.surface),
            request("wl_compositor", "create_region", compositor, self.region),
        )
        self.client.hear()

    def event(self, kind: int, number: int) -> bytes:
        """An event that passes, that becomes another one, that brings a file, or that is hidden."""
        return (
            event("wl_pointer", "motion", self.pointer, number, 256, 256),
            event("wl_registry", "global", self.registry, 100 + number, "wl_output", 1),
            event("wl_keyboard", "keymap", self.keyboard, number, None, len(KEYMAP)),
            event("wl_registry", "global", self.registry, 100 + number, "wl_drm", 1),
        )[kind]

    def request(self, kind: int, number: int) -> bytes:
        """A request that passes, or that the relay looks at."""
        return (
            request("wl_region", "add", self.region, number, 0, 1, 1),
            request("wl_surface", "damage", self.surface, number, 0, 1, 1),
            request("wl_surface", "commit", self.surface),
        )[kind]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces, whose sizes are taken in turn."""
    pieces: list[bytes] = []
    while data:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), max_size=30), counts)
def test_events_keep_their_order(kinds: list[int], sizes: list[int]) -> None:
    desk = Desk()
    events = [desk.event(kind, number) for number, kind in enumerate(kinds)]
    files = [Identifier(number, IdentifierType.VIRTGPU_BLOB, len(KEYMAP)) for number in range(kinds.count(2))]
    desk.client.channel.blobs.update({file.identifier: KEYMAP for file in files})
    # The files come before the bytes that need them, as with SCM_RIGHTS.
    for number, piece in enumerate(cut(b"".join(events), sizes)):
        desk.client.channel.deliver(piece, () if number else tuple(files))
        desk.client.serve()
    heard = desk.client.hear()
    desk.client.close()
    assert heard == b"".join(shown for shown, kind in zip(events, kinds, strict=True) if kind != HIDDEN)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2), max_size=30), counts)
def test_requests_keep_their_order(kinds: list[int], sizes: list[int]) -> None:
    desk = Desk()
    before = len(desk.client.channel.sent)
    data = b"".join(desk.request(kind, number) for number, kind in enumerate(kinds))
    for piece in cut(data, sizes):
        desk.client.say(piece)
    sent = desk.client.channel.sent[before:]
    desk.client.close()
    assert sent == data
