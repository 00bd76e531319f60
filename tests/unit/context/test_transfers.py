"""Copying and dragging between a VM and the desktop: what passes, what ends at once, what waits."""

import os
from collections.abc import AsyncGenerator, Callable

import pytest

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    Identifier,
    IdentifierType,
    SendReceive,
    encode_write,
)
from crossdomain.context.rules import MARK_PREFIX, Flow, Guest, Question, Rules, Side
from crossdomain.context.transfers import HANDLERS
from crossdomain.errors import LimitExceeded
from crossdomain.limits import MAX_HELD_MESSAGES, MAX_HELD_TRANSFERS, MAX_TRANSFER_OBJECTS
from crossdomain.wire import WireFault, policy
from crossdomain.wire.codec import SERVER_ID_START
from crossdomain.wire.policy import Carriage
from tests.unit.context.test_requests import announce
from tests.unit.context.world import World, delete_id, event, request, wait_for_end_of

MANAGER, SEAT, DEVICE, COMPOSITOR, SURFACE, SOURCE, FREE = 3, 4, 5, 6, 7, 8, 9
OFFER = SERVER_ID_START
ALLOW, DENY, TO_HOST, TO_GUEST, ASK = Flow.ALLOW, Flow.DENY, Flow.TO_HOST, Flow.TO_GUEST, Flow.ASK
TEXT = "text/plain"


class Person:
    """Whoever is asked; the test answers."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.answer: Callable[[bool], None] | None = None
        self.withdrawn = 0

    def __call__(self, question: Question, answer: Callable[[bool], None], /) -> Callable[[], None]:
        """See `Ask`."""
        self.questions.append(question)
        self.answer = answer
        return self.withdraw

    def withdraw(self) -> None:
        """The question is not asked any more."""
        self.withdrawn += 1
        self.answer = None

    def say(self, allowed: bool) -> None:
        """Answers the last question."""
        assert self.answer is not None
        self.answer(allowed)


class Desk(World):
    """A client with a data device, and a compositor; `rules` are the VM's."""

    def __init__(self, guest: Guest | None = None) -> None:
        super().__init__(guest=guest, allow=["data-control"])
        self.person = Person()
        self.guest.ask = self.person
        self._next_pipe = FIRST_READ_PIPE

    def flows(self, clipboard: Flow, drag: Flow = ALLOW) -> None:
        """New rules."""
        self.guest.rules = Rules(clipboard=clipboard, drag_and_drop=drag)

    def expect_pipe(self) -> Identifier:
        """The next read pipe, as a guest guesses it."""
        self._next_pipe += 1
        return Identifier(self._next_pipe - 1, IdentifierType.READ_PIPE, 0)

    def receive_from(self, offer: int, mime_type: str = TEXT, *more: bytes) -> None:
        """wl_data_offer.receive, and other requests in the same SEND."""
        self.send(
            b"".join((request("wl_data_offer", "receive", offer, mime_type, None), *more)), self.expect_pipe()
        )

    async def expect(self, *requests: bytes) -> None:
        """Exactly these requests are what the compositor gets next."""
        wanted = b"".join(requests)
        assert await self.host.receive(len(wanted)) == wanted

    async def show(self, *events: bytes) -> bytes:
        """What the client sees of these events."""
        self.host.send(b"".join((*events, delete_id(99))))
        seen = b""
        while not seen.endswith(delete_id(99)):
            seen += await self.receive_data()
        return seen[: -len(delete_id(99))]

    def send_pipe(self, received: SendReceive, data: bytes) -> None:
        """The client writes to the pipe that came with an event, and closes it."""
        (identifier,) = received.identifiers
        self.context.submit(encode_write(identifier.identifier, data, hang_up=True))

    def paste(self) -> int:
        """The write end that came with the last receive; the caller's."""
        (fd,) = self.host.take_fds()
        return fd

    async def set_up(self) -> None:
        """Binds all that copying and dragging needs."""
        self.init()
        await announce(self, (1, "wl_data_device_manager", 3), (2, "wl_seat", 5), (3, "wl_compositor", 4))
        requests = (
            request("wl_registry", "bind", 2, 1, "wl_data_device_manager", 3, MANAGER),
            request("wl_registry", "bind", 2, 2, "wl_seat", 5, SEAT),
            request("wl_data_device_manager", "get_data_device", MANAGER, DEVICE, SEAT),
            request("wl_registry", "bind", 2, 3, "wl_compositor", 4, COMPOSITOR),
            request("wl_compositor", "create_surface", COMPOSITOR, SURFACE),
        )
        self.send(b"".join(requests))
        await self.expect(*requests)


@pytest.fixture
async def desk() -> AsyncGenerator[Desk]:
    """One client."""
    made = Desk()
    await made.set_up()
    yield made
    made.close()


@pytest.fixture
async def neighbour(desk: Desk) -> AsyncGenerator[Desk]:
    """Another client of the same VM."""
    made = Desk(desk.guest)
    await made.set_up()
    yield made
    made.close()


def create_source(new_id: int = SOURCE) -> bytes:
    return request("wl_data_device_manager", "create_data_source", MANAGER, new_id)


def source_offer(mime_type: str, source: int = SOURCE) -> bytes:
    return request("wl_data_source", "offer", source, mime_type)


def offered(*mime_types: str, offer: int = OFFER) -> bytes:
    """A new offer with these types."""
    types = (event("wl_data_offer", "offer", offer, mime_type) for mime_type in mime_types)
    return b"".join((event("wl_data_device", "data_offer", DEVICE, offer), *types))


def selected(offer: int = OFFER) -> bytes:
    return event("wl_data_device", "selection", DEVICE, offer)


def entered(offer: int = OFFER) -> bytes:
    return event("wl_data_device", "enter", DEVICE, 1, SURFACE, 0, 0, offer)


def receive(mime_type: str = TEXT, offer: int = OFFER) -> bytes:
    return request("wl_data_offer", "receive", offer, mime_type, None)


def asks_to_send(mime_type: str = TEXT) -> bytes:
    return event("wl_data_source", "send", SOURCE, mime_type, None)


DESTROY_OFFER = request("wl_data_offer", "destroy", OFFER)
DESTROY_SOURCE = request("wl_data_source", "destroy", SOURCE)


SELECT = request("wl_data_device", "set_selection", DEVICE, SOURCE, 1)
DRAG = request("wl_data_device", "start_drag", DEVICE, SOURCE, SURFACE, 0, 1)


async def copy(desk: Desk, use: bytes = SELECT) -> None:
    """The client offers a source; the compositor has it, marked where something depends on that."""
    made = create_source() + source_offer(TEXT)
    desk.send(made + use)
    mark = b"" if desk.guest.rules.all_flows_free else source_offer(desk.guest.mark)
    await desk.expect(made, mark, use)


class Paste:
    """A host application that wants what the client has copied."""

    def __init__(self, desk: Desk, mime_type: str = TEXT) -> None:
        self.reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        desk.host.send(asks_to_send(mime_type), [writer])
        os.close(writer)

    async def end(self) -> bytes:
        """All that it gets."""
        got = await wait_for_end_of(self.reader)
        os.close(self.reader)
        return got

    def close(self) -> None:
        """It wants nothing any more."""
        os.close(self.reader)


class TestFree:
    async def test_everything_passes_as_it_came(self, desk: Desk) -> None:
        await copy(desk)
        shown = offered(TEXT, "text/html") + selected()
        assert await desk.show(shown) == shown
        desk.receive_from(OFFER)
        await desk.expect(receive())
        os.close(desk.paste())
        assert (await desk.read()).hang_up
        paste = Paste(desk)
        assert await desk.receive_data() == asks_to_send()
        paste.close()


class TestToGuest:
    @pytest.mark.parametrize("flow", [DENY, TO_HOST])
    async def test_offers_from_the_desktop_have_no_types(self, desk: Desk, flow: Flow) -> None:
        desk.flows(flow)
        bare = event("wl_data_device", "data_offer", DEVICE, OFFER)
        assert await desk.show(offered(TEXT, "text/html"), selected()) == bare + selected()

    @pytest.mark.parametrize("flow", [DENY, TO_HOST])
    async def test_what_is_received_anyhow_is_empty(self, desk: Desk, flow: Flow) -> None:
        desk.flows(flow)
        await desk.show(offered(TEXT), selected())
        desk.receive_from(OFFER)
        read = await desk.read()
        assert (read.identifier, bytes(read.data), read.hang_up) == (FIRST_READ_PIPE, b"", True)
        desk.send(DESTROY_OFFER)
        await desk.expect(DESTROY_OFFER)

    @pytest.mark.parametrize("flow", [ALLOW, TO_GUEST])
    async def test_what_is_allowed_arrives(self, desk: Desk, flow: Flow) -> None:
        desk.flows(flow, DENY)
        shown = offered(TEXT) + selected()
        seen = await desk.show(shown)
        assert sorted(seen) == sorted(shown)
        desk.receive_from(OFFER)
        await desk.expect(receive())
        fd = desk.paste()
        os.write(fd, b"from the desktop")
        os.close(fd)
        assert bytes((await desk.read()).data) == b"from the desktop"

    async def test_clipboard_and_drag_differ(self, desk: Desk) -> None:
        desk.flows(DENY, ALLOW)
        bare = event("wl_data_device", "data_offer", DEVICE, OFFER)
        assert await desk.show(offered(TEXT), selected()) == bare + selected()
        dragged = OFFER + 1
        new = event("wl_data_device", "data_offer", DEVICE, dragged)
        types = event("wl_data_offer", "offer", dragged, TEXT)
        assert await desk.show(offered(TEXT, offer=dragged), entered(dragged)) == new + types + entered(
            dragged
        )
        desk.receive_from(dragged)
        await desk.expect(receive(offer=dragged))
        os.close(desk.paste())

    async def test_an_offer_that_nobody_announced_is_judged_strictly(self, desk: Desk) -> None:
        desk.flows(ALLOW, DENY)
        await desk.show(offered(TEXT))
        desk.receive_from(OFFER)
        assert (await desk.read()).hang_up

    async def test_requests_around_a_denied_one_pass(self, desk: Desk) -> None:
        desk.flows(DENY)
        await desk.show(offered(TEXT), selected())
        desk.receive_from(OFFER, TEXT, DESTROY_OFFER, request("wl_display", "sync", 1, SOURCE))
        await desk.expect(DESTROY_OFFER, request("wl_display", "sync", 1, SOURCE))

    async def test_the_next_offer_with_that_id_is_another_one(self, desk: Desk) -> None:
        desk.flows(DENY)
        await desk.show(offered(desk.guest.mark, TEXT), selected())
        desk.send(DESTROY_OFFER)
        await desk.expect(DESTROY_OFFER)
        assert TEXT.encode() not in await desk.show(offered(TEXT), selected())
        desk.receive_from(OFFER)
        assert (await desk.read()).hang_up


class TestToHost:
    @pytest.mark.parametrize("flow", [DENY, TO_GUEST])
    async def test_a_paste_on_the_desktop_is_empty_and_the_client_never_hears_of_it(
        self, desk: Desk, flow: Flow
    ) -> None:
        desk.flows(flow)
        await copy(desk)
        assert await Paste(desk).end() == b""
        assert await desk.show() == b""

    @pytest.mark.parametrize("flow", [TO_HOST, ALLOW])
    async def test_what_is_allowed_is_sent(self, desk: Desk, flow: Flow) -> None:
        desk.flows(flow, DENY)
        await copy(desk)
        paste = Paste(desk)
        received = await desk.receive()
        assert bytes(received.data) == asks_to_send()
        assert [entry.type for entry in received.identifiers] == [IdentifierType.WRITE_PIPE]
        paste.close()

    async def test_what_is_dragged_is_judged_as_a_drag(self, desk: Desk) -> None:
        desk.flows(ALLOW, DENY)
        await copy(desk, DRAG)
        assert await Paste(desk).end() == b""

    async def test_a_source_is_marked_once(self, desk: Desk) -> None:
        desk.flows(DENY)
        await copy(desk)
        desk.send(SELECT)
        await desk.expect(SELECT)

    async def test_a_selection_is_taken_back_as_ever(self, desk: Desk) -> None:
        desk.flows(DENY)
        nothing = request("wl_data_device", "set_selection", DEVICE, 0, 1)
        desk.send(nothing)
        await desk.expect(nothing)


class TestInsideOneVm:
    @pytest.fixture(autouse=True)
    async def denied(self, desk: Desk, neighbour: Desk) -> None:
        """Nothing may cross, and the first client has copied something."""
        desk.flows(DENY, DENY)
        await copy(desk)
        del neighbour

    async def test_types_of_another_clients_source_are_shown_and_the_mark_is_not(
        self, desk: Desk, neighbour: Desk
    ) -> None:
        seen = await neighbour.show(offered(desk.guest.mark, TEXT), selected())
        assert seen == offered(TEXT) + selected()

    async def test_types_that_come_before_the_mark_are_shown_too(self, desk: Desk, neighbour: Desk) -> None:
        seen = await neighbour.show(offered(TEXT, desk.guest.mark, "text/html"), selected())
        new = event("wl_data_device", "data_offer", DEVICE, OFFER)
        late, early = (event("wl_data_offer", "offer", OFFER, mime_type) for mime_type in ("text/html", TEXT))
        assert seen == new + late + early + selected()

    async def test_data_goes_from_client_to_client(self, desk: Desk, neighbour: Desk) -> None:
        await neighbour.show(offered(desk.guest.mark, TEXT), selected())
        neighbour.receive_from(OFFER)
        await neighbour.expect(receive())
        fd = neighbour.paste()
        desk.host.send(asks_to_send(), [fd])
        os.close(fd)
        received = await desk.receive()
        assert bytes(received.data) == asks_to_send()
        desk.send_pipe(received, b"inside")
        assert bytes((await neighbour.read()).data) == b"inside"

    async def test_a_pipe_of_the_desktops_is_not_taken_for_one_of_the_vms(
        self, desk: Desk, neighbour: Desk
    ) -> None:
        await neighbour.show(offered(desk.guest.mark, TEXT), selected())
        neighbour.receive_from(OFFER)
        await neighbour.expect(receive())
        os.close(neighbour.paste())
        assert await Paste(desk).end() == b""
        assert await desk.show() == b""

    async def test_a_pipe_counts_once(self, desk: Desk, neighbour: Desk) -> None:
        await neighbour.show(offered(desk.guest.mark, TEXT), selected())
        neighbour.receive_from(OFFER)
        await neighbour.expect(receive())
        fd = neighbour.paste()
        desk.host.send(asks_to_send() + asks_to_send(), [fd, fd])
        os.close(fd)
        assert await desk.show() == asks_to_send()

    async def test_another_vms_mark_is_of_no_use(self, desk: Desk) -> None:
        other = Desk()
        await other.set_up()
        other.flows(DENY)
        seen = await other.show(offered(desk.guest.mark, TEXT), selected())
        assert seen == event("wl_data_device", "data_offer", DEVICE, OFFER) + selected()
        other.close()

    async def test_a_client_may_mark_nothing_itself(self, desk: Desk) -> None:
        desk.send(source_offer(desk.guest.mark) + source_offer(MARK_PREFIX) + source_offer("text/html"))
        await desk.expect(source_offer("text/html"))

    async def test_the_mark_is_never_asked_for(self, desk: Desk) -> None:
        desk.flows(ALLOW)
        assert await Paste(desk, desk.guest.mark).end() == b""
        assert await desk.show() == b""


class TestAsk:
    @pytest.fixture(autouse=True)
    async def asks(self, desk: Desk) -> None:
        """A person decides, and there is something to paste in both directions."""
        desk.flows(ASK, DENY)
        await desk.show(offered(TEXT), selected())
        await copy(desk)

    async def test_types_are_shown(self, desk: Desk) -> None:
        shown = offered(TEXT, offer=OFFER + 1)
        types = event("wl_data_offer", "offer", OFFER + 1, TEXT)
        assert await desk.show(shown, selected(OFFER + 1)) == shown.removesuffix(types) + types + selected(
            OFFER + 1
        )

    async def test_a_yes_lets_the_paste_through(self, desk: Desk) -> None:
        desk.receive_from(OFFER, "text/html")
        assert desk.person.questions == [Question(Side.TO_GUEST, "text/html")]
        desk.person.say(True)
        await desk.expect(receive("text/html"))
        fd = desk.paste()
        os.write(fd, b"data")
        os.close(fd)
        assert bytes((await desk.read()).data) == b"data"

    async def test_a_no_is_an_empty_paste(self, desk: Desk) -> None:
        desk.receive_from(OFFER)
        desk.person.say(False)
        assert (await desk.read()).hang_up

    async def test_other_clients_and_other_requests_do_not_wait(self, desk: Desk) -> None:
        desk.receive_from(OFFER, TEXT, request("wl_display", "sync", 1, FREE))
        await desk.expect(request("wl_display", "sync", 1, FREE))
        assert await desk.show() == b""

    @pytest.mark.parametrize("answer", [True, False])
    async def test_what_is_said_about_the_offer_waits_behind(self, desk: Desk, answer: bool) -> None:
        accept = request("wl_data_offer", "accept", OFFER, 1, TEXT)
        desk.receive_from(OFFER, TEXT, accept, DESTROY_OFFER, request("wl_display", "sync", 1, FREE))
        await desk.expect(request("wl_display", "sync", 1, FREE))
        desk.person.say(answer)
        await desk.expect(*([receive()] * answer), accept, DESTROY_OFFER)
        for fd in desk.host.take_fds():
            os.close(fd)

    async def test_it_is_asked_once_for_each_thing(self, desk: Desk) -> None:
        desk.receive_from(OFFER)
        desk.receive_from(OFFER, "text/html")
        desk.person.say(True)
        desk.receive_from(OFFER, "image/png")
        await desk.expect(receive(), receive("text/html"), receive("image/png"))
        assert len(desk.person.questions) == 1
        for fd in desk.host.take_fds():
            os.close(fd)

    async def test_a_no_holds_for_that_offer_and_not_for_the_next(self, desk: Desk) -> None:
        desk.receive_from(OFFER)
        desk.person.say(False)
        desk.receive_from(OFFER)
        assert [(await desk.read()).hang_up, (await desk.read()).hang_up] == [True, True]
        await desk.show(offered(TEXT, offer=OFFER + 1), selected(OFFER + 1))
        desk.receive_from(OFFER + 1)
        assert len(desk.person.questions) == 2

    async def test_the_desktop_gets_nothing_until_the_yes(self, desk: Desk) -> None:
        pastes = [Paste(desk), Paste(desk, "text/html")]
        assert await desk.show() == b""
        assert desk.person.questions == [Question(Side.TO_HOST, TEXT)]
        desk.person.say(True)
        wanted = asks_to_send() + asks_to_send("text/html")
        assert await desk.receive_bytes(len(wanted)) == wanted
        for paste in pastes:
            paste.close()

    async def test_a_no_is_an_empty_paste_on_the_desktop(self, desk: Desk) -> None:
        paste = Paste(desk)
        await desk.show()
        desk.person.say(False)
        assert await paste.end() == b""
        assert await desk.show() == b""

    async def test_a_source_that_goes_ends_the_question(self, desk: Desk) -> None:
        paste = Paste(desk)
        await desk.show()
        desk.send(DESTROY_SOURCE)
        await desk.expect(DESTROY_SOURCE)
        assert await paste.end() == b""
        assert desk.person.withdrawn == 1
        assert await Paste(desk).end() == b""
        assert len(desk.person.questions) == 1

    async def test_a_client_that_goes_ends_its_questions(self, desk: Desk) -> None:
        paste = Paste(desk)
        await desk.show()
        desk.receive_from(OFFER)
        desk.context.close()
        assert await paste.end() == b""
        assert desk.person.withdrawn == 2

    async def test_new_rules_do_not_answer_what_was_asked(self, desk: Desk) -> None:
        desk.receive_from(OFFER)
        desk.flows(DENY)
        desk.person.say(True)
        await desk.expect(receive())
        os.close(desk.paste())
        desk.receive_from(OFFER)
        assert (await desk.read()).hang_up


class TestBounds:
    async def test_transfers_that_wait_are_bounded(self, desk: Desk) -> None:
        desk.flows(ASK)
        await desk.show(offered(TEXT), selected())
        for _ in range(MAX_HELD_TRANSFERS):
            desk.receive_from(OFFER)
        assert desk.context.usage.pipes == MAX_HELD_TRANSFERS
        desk.receive_from(OFFER)
        assert (await desk.read()).identifier == FIRST_READ_PIPE + MAX_HELD_TRANSFERS
        assert desk.context.alive

    async def test_requests_that_wait_are_bounded(self, desk: Desk) -> None:
        desk.flows(ASK)
        await desk.show(offered(TEXT), selected())
        desk.receive_from(OFFER)
        accept = request("wl_data_offer", "accept", OFFER, 1, None)
        for _ in range(MAX_HELD_MESSAGES // 64 - 1):
            desk.send(accept * 64)
        desk.send(accept * 63)
        with pytest.raises(LimitExceeded, match="wait for an answer"):
            desk.send(accept)

    async def test_sources_are_bounded(self, desk: Desk) -> None:
        ids = range(SOURCE, SOURCE + MAX_TRANSFER_OBJECTS)
        for start in range(0, MAX_TRANSFER_OBJECTS, 1024):
            desk.send(b"".join(map(create_source, ids[start : start + 1024])))
        with pytest.raises(LimitExceeded, match="sources"):
            desk.send(create_source(ids.stop))

    async def test_offers_beyond_the_bound_are_forgotten_and_strict(self, desk: Desk) -> None:
        desk.flows(ALLOW, DENY)
        await desk.show(offered(TEXT), selected())
        numbers = range(1, MAX_TRANSFER_OBJECTS + 1)
        more = (event("wl_data_device", "data_offer", DEVICE, OFFER + number) for number in numbers)
        await desk.host.send_all(b"".join(more))
        await desk.show()
        desk.receive_from(OFFER)
        assert (await desk.read()).hang_up

    async def test_a_denied_receive_without_its_fd_ends_the_client(self, desk: Desk) -> None:
        desk.flows(DENY)
        await desk.show(offered(TEXT), selected())
        with pytest.raises(WireFault, match="file descriptor expected"):
            desk.send(receive())

    async def test_an_asked_receive_without_its_fd_ends_the_client(self, desk: Desk) -> None:
        desk.flows(ASK)
        await desk.show(offered(TEXT), selected())
        with pytest.raises(WireFault, match="file descriptor expected"):
            desk.send(receive())
        assert desk.person.withdrawn == 1


@pytest.mark.parametrize(
    ("manager", "create", "source", "serial"),
    [
        ("zwp_primary_selection_device_manager_v1", "create_source", "zwp_primary_selection_source_v1", (1,)),
        ("ext_data_control_manager_v1", "create_data_source", "ext_data_control_source_v1", ()),
        ("zwlr_data_control_manager_v1", "create_data_source", "zwlr_data_control_source_v1", ()),
    ],
)
async def test_every_kind_of_selection_is_judged(
    manager: str, create: str, source: str, serial: tuple[int, ...]
) -> None:
    desk = Desk()
    desk.flows(DENY)
    desk.init()
    await announce(desk, (1, manager, 1), (2, "wl_seat", 5))
    offer = source.replace("source", "offer")
    device = source.replace("source", "device")
    get_device = create.replace("create", "get").replace("source", "device")
    requests = (
        request("wl_registry", "bind", 2, 1, manager, 1, 3),
        request("wl_registry", "bind", 2, 2, "wl_seat", 5, 4),
        request(manager, get_device, 3, 5, 4),
        request(manager, create, 3, 6),
    )
    select = request(device, "set_selection", 5, 6, *serial)
    desk.send(b"".join((*requests, select)))
    await desk.expect(*requests, request(source, "offer", 6, desk.guest.mark), select)
    new, chosen = event(device, "data_offer", 5, OFFER), event(device, "selection", 5, OFFER)
    assert await desk.show(new, event(offer, "offer", OFFER, TEXT), chosen) == new + chosen
    desk.send(request(offer, "receive", OFFER, TEXT, None), desk.expect_pipe())
    assert (await desk.read()).hang_up
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    desk.host.send(event(source, "send", 6, TEXT, None), [writer])
    os.close(writer)
    assert await wait_for_end_of(reader) == b""
    os.close(reader)
    desk.close()


def test_every_message_that_moves_data_through_a_pipe_is_judged() -> None:
    """A protocol that is added with others has to be looked at."""
    pipes = {message for message, carriage in policy.load().descriptors.items() if carriage is Carriage.PIPE}
    judged = {(interface, name) for interface, _, name in HANDLERS}
    assert pipes
    assert pipes <= judged
