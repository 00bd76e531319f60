"""Clipboard and drag and drop between a VM and the rest of the desktop: `allow`, `deny`, one way, or `ask`.

What a client copies passes the compositor as a *source* with its MIME types, and comes to the one that
pastes as an *offer*.  The data goes through a pipe at the end: `receive` brings its write end to the
compositor, `send` to the source's client.  So everything is decided on two messages:

- a guest's `receive` is data to the guest, unless the offer is of this VM's own source.  Those are
  known by a MIME type with a secret, which is added to sources here and shown to no guest;
- a `send` to a guest is data to the host, unless the pipe is one that a client of this VM pastes from.

A pipe that is denied is closed, so the reader finds the end at once.  Where data to the guest is denied,
offers from elsewhere come without their MIME types.  While a person is asked, the message waits with
its fd, and with it what else the client says about that offer; the question is asked once for each thing
that is copied or dragged.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from crossdomain.context.compositor import close_all
from crossdomain.context.edits import EVENT, REQUEST, Edit, Messages, Passing, bound, find
from crossdomain.context.rules import MARK_PREFIX, Guest, Question, Side, Verdict
from crossdomain.errors import LimitExceeded
from crossdomain.limits import (
    MAX_HELD_MESSAGES,
    MAX_HELD_TRANSFERS,
    MAX_OFFERED_TYPES,
    MAX_TRANSFER_OBJECTS,
)
from crossdomain.wire.codec import decode_arguments, encode_message, integer, text
from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import Message

_ENTER: Final = find("wl_data_device", EVENT, "enter")

Deliver = Callable[[Direction, bytes, list[int]], None]
"""Sends a message that waited; its fds are the callee's."""


class _Family(NamedTuple):
    """The interfaces of one protocol for selections."""

    manager: str
    create: str
    device: str
    source: str
    offer: str
    selections: tuple[str, ...] = ("selection",)


_FAMILIES: Final = (
    _Family(
        "wl_data_device_manager", "create_data_source", "wl_data_device", "wl_data_source", "wl_data_offer"
    ),
    _Family(
        "zwp_primary_selection_device_manager_v1",
        "create_source",
        "zwp_primary_selection_device_v1",
        "zwp_primary_selection_source_v1",
        "zwp_primary_selection_offer_v1",
    ),
    *(
        _Family(
            f"{prefix}_data_control_manager_v1",
            "create_data_source",
            f"{prefix}_data_control_device_v1",
            f"{prefix}_data_control_source_v1",
            f"{prefix}_data_control_offer_v1",
            ("selection", "primary_selection"),
        )
        for prefix in ("ext", "zwlr")
    ),
)


class _Use(NamedTuple):
    """A request that begins to offer a source, and the one that gives a source a type."""

    message: Message
    offer: Message


class _Held(NamedTuple):
    """A message that waits, and its fd once it has been taken."""

    data: bytes
    fds: list[int]
    has_fd: bool


class _Subject:
    """A source or an offer: what is known about it, and what waits for an answer about it."""

    __slots__ = ("answer", "dragged", "held", "own", "types", "withdraw")

    def __init__(self) -> None:
        self.own = False
        """A source that is marked, or an offer of one."""
        self.dragged: bool | None = None
        """None: nobody has said yet whether it is dragged or selected."""
        self.types: list[bytes] = []
        """Events with MIME types that wait for that."""
        self.answer: bool | None = None
        self.held: list[_Held] = []
        self.withdraw: Callable[[], None] | None = None
        """Takes the question back, while one is asked."""


class Transfers:
    """One client's sources and offers.

    `deliver` is called for what waited and may pass now; whoever owns the connection sets it.
    """

    def __init__(self, guest: Guest) -> None:
        self.deliver: Deliver | None = None
        self._guest = guest
        self._sources: dict[int, _Subject] = {}
        """Those that the client has not destroyed."""
        self._offers: OrderedDict[int, _Subject] = OrderedDict()
        self._waiting = 0

    def close(self) -> None:
        """Nothing waits any more: what did is closed."""
        for subject in (*self._sources.values(), *self._offers.values()):
            self._abandon(subject)

    # Sources: what the client copies or drags.

    def handle_create(self, message: Message, request: Passing) -> None:
        """A request that makes a source."""
        (new_id,) = map(integer, decode_arguments(message, request.data))
        if len(self._sources) >= MAX_TRANSFER_OBJECTS:
            raise LimitExceeded(f"more than {MAX_TRANSFER_OBJECTS} sources of selections")
        self._sources[new_id] = source = _Subject()
        source.dragged = False

    def handle_source_offer(self, message: Message, request: Passing) -> Edit | None:
        """`offer` of a source: a guest may mark nothing, with another VM's secret least of all."""
        (mime_type,) = decode_arguments(message, request.data)
        return Edit() if text(mime_type).startswith(MARK_PREFIX) else None

    def handle_select(self, use: _Use, request: Passing) -> Edit | None:
        """`set_selection` or `set_primary_selection` of a device."""
        return self._use(use, request, dragged=False)

    def handle_start_drag(self, use: _Use, request: Passing) -> Edit | None:
        """wl_data_device.start_drag."""
        return self._use(use, request, dragged=True)

    def _use(self, use: _Use, request: Passing, *, dragged: bool) -> Edit | None:
        """The source is marked, last of its types: Weston keeps a copy of the first one's data."""
        source_id = integer(decode_arguments(use.message, request.data)[0])
        source = self._sources.get(source_id)
        if source is None:
            return None
        source.dragged = dragged
        if source.own or self._guest.rules.all_flows_free:
            return None
        source.own = True
        return Edit(encode_message(use.offer, source_id, self._guest.mark) + bytes(request.data))

    def handle_source_destroy(self, request: Passing) -> None:
        """`destroy` of a source."""
        source = self._sources.pop(request.object_id, None)
        if source is not None:
            self._abandon(source)

    def handle_send(self, message: Message, event: Passing) -> Edit | None:
        """`send` of a source."""
        mime_type = text(decode_arguments(message, event.data)[0])
        if mime_type.startswith(MARK_PREFIX):
            return Edit(take=close_all)
        if event.fds and self._guest.expects(event.fds[0]):
            return None
        source = self._sources.get(event.object_id)
        if source is None:
            # The client has destroyed it: it will not write.
            return Edit(take=close_all)
        return self._decide(source, Question(Side.TO_HOST, mime_type), EVENT, event)

    # Offers: what the client may paste, or is dragged over it.

    def handle_data_offer(self, message: Message, event: Passing) -> None:
        """`data_offer` of a device."""
        (new_id,) = map(integer, decode_arguments(message, event.data))
        self._remember(new_id)

    def handle_offer(self, message: Message, event: Passing) -> Edit | None:
        """`offer` of an offer: one of its types."""
        mime_type = text(decode_arguments(message, event.data)[0])
        offer = self._offers.get(event.object_id) or _Subject()
        if mime_type.startswith(MARK_PREFIX):
            offer.own |= mime_type == self._guest.mark
            return Edit()
        if self._judge(offer, Side.TO_GUEST) is not Verdict.DENY:
            return None
        if offer.dragged is None and len(offer.types) < MAX_OFFERED_TYPES:
            offer.types.append(bytes(event.data))
        return Edit()

    def handle_selection(self, message: Message, event: Passing) -> Edit | None:
        """`selection` or `primary_selection` of a device."""
        (offer,) = map(integer, decode_arguments(message, event.data))
        return self._announce(offer, event, dragged=False)

    def handle_enter(self, event: Passing) -> Edit | None:
        """wl_data_device.enter."""
        *_, offer = map(integer, decode_arguments(_ENTER, event.data))
        return self._announce(offer, event, dragged=True)

    def _announce(self, offer_id: int, event: Passing, *, dragged: bool) -> Edit | None:
        """The client learns what the offer is for: its MIME types come before, if it may have them."""
        offer = self._offers.get(offer_id)
        if offer is None:
            return None
        offer.dragged = dragged
        types, offer.types = offer.types, []
        if not types or self._judge(offer, Side.TO_GUEST) is Verdict.DENY:
            return None
        return Edit(b"".join((*types, event.data)))

    def handle_receive(self, message: Message, request: Passing) -> Edit | None:
        """`receive` of an offer."""
        mime_type = text(decode_arguments(message, request.data)[0])
        offer = self._offers.get(request.object_id) or self._remember(request.object_id)
        if offer.own:
            for fd in request.fds:
                self._guest.expect(fd)
            return None
        return self._decide(offer, Question(Side.TO_GUEST, mime_type), REQUEST, request)

    def handle_about_offer(self, request: Passing) -> Edit | None:
        """What is said about an offer waits behind what waits already."""
        offer = self._offers.get(request.object_id)
        if offer is None or offer.withdraw is None:
            return None
        if self._waiting >= MAX_HELD_MESSAGES:
            raise LimitExceeded(f"more than {MAX_HELD_MESSAGES} requests wait for an answer")
        self._hold(offer, _Held(bytes(request.data), [], has_fd=False))
        return Edit()

    def handle_offer_destroy(self, request: Passing) -> Edit | None:
        """`destroy` of an offer."""
        edit = self.handle_about_offer(request)
        if edit is None:
            self._offers.pop(request.object_id, None)
        return edit

    # Decisions.

    def _judge(self, subject: _Subject, side: Side) -> Verdict:
        if subject.own and side is Side.TO_GUEST:
            return Verdict.ALLOW
        rules = self._guest.rules
        selected, dragged = rules.clipboard.judge(side), rules.drag_and_drop.judge(side)
        if subject.dragged is None:
            return max(selected, dragged, key=lambda verdict: verdict.value)
        return dragged if subject.dragged else selected

    def _decide(
        self, subject: _Subject, question: Question, direction: Direction, passing: Passing
    ) -> Edit | None:
        """What becomes of a `receive` or a `send`."""
        verdict = self._judge(subject, question.side)
        if verdict is Verdict.ASK and subject.answer is not None:
            verdict = Verdict.ALLOW if subject.answer else Verdict.DENY
        if subject.withdraw is None and verdict is not Verdict.ASK:
            return None if verdict is Verdict.ALLOW else Edit(take=close_all)
        if self._waiting >= MAX_HELD_TRANSFERS:
            return Edit(take=close_all)
        held = _Held(bytes(passing.data), [], has_fd=True)
        self._hold(subject, held)
        if subject.withdraw is None:
            subject.withdraw = self._guest.ask(question, partial(self._settle, subject, direction))
        return Edit(take=held.fds.extend)

    def _hold(self, subject: _Subject, held: _Held) -> None:
        subject.held.append(held)
        self._waiting += 1

    def _settle(self, subject: _Subject, direction: Direction, answer: bool) -> None:
        """The answer has come: what waited goes on in its order, or ends."""
        subject.answer = answer
        subject.withdraw = None
        held, subject.held = subject.held, []
        self._waiting -= len(held)
        for data, fds, has_fd in held:
            if self.deliver is None or (has_fd and not answer):
                close_all(fds)
            else:
                self.deliver(direction, data, fds)

    def _abandon(self, subject: _Subject) -> None:
        if subject.withdraw is not None:
            subject.withdraw()
            subject.withdraw = None
        self._waiting -= len(subject.held)
        for held in subject.held:
            close_all(held.fds)
        subject.held = []

    def _remember(self, offer_id: int) -> _Subject:
        self._offers[offer_id] = offer = _Subject()
        if len(self._offers) > MAX_TRANSFER_OBJECTS:
            _, oldest = self._offers.popitem(last=False)
            self._abandon(oldest)
        return offer


def _of_family(family: _Family) -> Messages[Transfers]:
    def request(interface: str, name: str) -> Message:
        return find(interface, REQUEST, name)

    def event(interface: str, name: str) -> Message:
        return find(interface, EVENT, name)

    device, source, offer = family.device, family.source, family.offer
    source_offer = request(source, "offer")
    found: dict[tuple[str, Direction, str], Callable[[Transfers, Passing], Edit | None]] = {}
    for name in family.selections:
        use = _Use(request(device, f"set_{name}"), source_offer)
        found[device, REQUEST, f"set_{name}"] = bound(Transfers.handle_select, use)
        found[device, EVENT, name] = bound(Transfers.handle_selection, event(device, name))
    create = request(family.manager, family.create)
    return {
        **found,
        (family.manager, REQUEST, family.create): bound(Transfers.handle_create, create),
        (source, REQUEST, "offer"): bound(Transfers.handle_source_offer, source_offer),
        (source, REQUEST, "destroy"): Transfers.handle_source_destroy,
        (source, EVENT, "send"): bound(Transfers.handle_send, event(source, "send")),
        (device, EVENT, "data_offer"): bound(Transfers.handle_data_offer, event(device, "data_offer")),
        (offer, EVENT, "offer"): bound(Transfers.handle_offer, event(offer, "offer")),
        (offer, REQUEST, "receive"): bound(Transfers.handle_receive, request(offer, "receive")),
        (offer, REQUEST, "destroy"): Transfers.handle_offer_destroy,
    }


HANDLERS: Final[Messages[Transfers]] = {
    **{message: handle for family in _FAMILIES for message, handle in _of_family(family).items()},
    ("wl_data_device", REQUEST, "start_drag"): bound(
        Transfers.handle_start_drag,
        _Use(find("wl_data_device", REQUEST, "start_drag"), find("wl_data_source", REQUEST, "offer")),
    ),
    ("wl_data_device", EVENT, "enter"): Transfers.handle_enter,
    ("wl_data_offer", REQUEST, "accept"): Transfers.handle_about_offer,
    ("wl_data_offer", REQUEST, "finish"): Transfers.handle_about_offer,
    ("wl_data_offer", REQUEST, "set_actions"): Transfers.handle_about_offer,
}
