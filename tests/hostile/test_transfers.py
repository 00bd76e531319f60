"""Random copying, pasting and changes of mind: no fd is lost, and nothing is said about what is gone."""

import asyncio
import contextlib
import os
import struct
from collections.abc import Callable
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from crossdomain.context.rules import Flow, Question
from crossdomain.wire.codec import SERVER_ID_START
from tests.unit.context.test_transfers import DEVICE, MANAGER, SOURCE, SURFACE, Desk, offered, selected
from tests.unit.context.world import event, request

_DESTROY = 2
"""Opcode of wl_data_offer.destroy."""
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
FLOWS = st.sampled_from(list(Flow))
OBJECTS = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("flows"), FLOWS, FLOWS),
        st.tuples(st.sampled_from(["offer", "copy", "answer"]), st.booleans()),
        st.tuples(st.sampled_from(["paste", "accept", "drop_offer", "drop_source", "wanted"]), OBJECTS),
    ),
    max_size=40,
)
"""What happens, in this order."""


class Crowd:
    """Answers questions in the order in which they were asked, those withdrawn left out."""

    def __init__(self) -> None:
        self.pending: dict[int, Callable[[bool], None]] = {}
        self._numbers = count()

    def __call__(self, question: Question, answer: Callable[[bool], None], /) -> Callable[[], None]:
        """See `Ask`."""
        del question
        number = next(self._numbers)
        self.pending[number] = answer

        def withdraw() -> None:
            del self.pending[number]

        return withdraw


class Play:
    """One client that acts at random; it says nothing that libwayland would refuse."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.crowd = desk.guest.ask = Crowd()
        self.offers: list[int] = []
        self.sources: list[int] = []
        self._offer_ids = count(SERVER_ID_START)
        self._source_ids = count(SOURCE)

    def flows(self, clipboard: Flow, drag: Flow) -> None:
        """The host's settings change."""
        self.desk.flows(clipboard, drag)

    def offer(self, own: bool) -> None:
        """Something can be pasted."""
        new = next(self._offer_ids)
        types = [self.desk.guest.mark, "text/plain"][not own :]
        self.desk.host.send(offered(*types, offer=new) + selected(new))
        self.offers.append(new)

    def copy(self, dragged: bool) -> None:
        """The client copies something."""
        new = next(self._source_ids)
        made = request("wl_data_device_manager", "create_data_source", MANAGER, new)
        select = request("wl_data_device", "set_selection", DEVICE, new, 1)
        drag = request("wl_data_device", "start_drag", DEVICE, new, SURFACE, 0, 1)
        self.desk.send(made + (drag if dragged else select))
        self.sources.append(new)

    def answer(self, allowed: bool) -> None:
        """Somebody answers what was asked first."""
        for number in list(self.crowd.pending)[:1]:
            self.crowd.pending.pop(number)(allowed)

    def paste(self, index: int) -> None:
        """The client pastes from one of its offers."""
        for offer in self.offers[index : index + 1]:
            self.desk.receive_from(offer)

    def accept(self, index: int) -> None:
        """It says something else about an offer."""
        for offer in self.offers[index : index + 1]:
            self.desk.send(request("wl_data_offer", "accept", offer, 1, None))

    def drop_offer(self, index: int) -> None:
        """It is done with an offer."""
        for offer in self.offers[index : index + 1]:
            self.offers.remove(offer)
            self.desk.send(request("wl_data_offer", "destroy", offer))

    def drop_source(self, index: int) -> None:
        """It has nothing to paste any more."""
        for source in self.sources[index : index + 1]:
            self.sources.remove(source)
            self.desk.send(request("wl_data_source", "destroy", source))

    def wanted(self, index: int) -> None:
        """Somebody on the desktop wants what was copied, even if it is gone."""
        reader, writer = os.pipe()
        self.desk.host.send(event("wl_data_source", "send", SOURCE + index, "text/plain", None), [writer])
        os.close(writer)
        os.close(reader)


def said_about_the_dead(requests: bytes) -> list[int]:
    """The offers about which something is said after their destruction."""
    destroyed: set[int] = set()
    found: list[int] = []
    while requests:
        object_id, word = struct.unpack_from("<II", requests)
        if object_id in destroyed:
            found.append(object_id)
        if object_id >= SERVER_ID_START and word & 0xFFFF == _DESTROY:
            destroyed.add(object_id)
        requests = requests[word >> 16 :]
    return found


async def play_through(steps: list[tuple[str, *tuple[object, ...]]]) -> None:
    """Plays the steps, and looks at what the compositor got."""
    desk = Desk()
    with contextlib.closing(desk):
        await desk.set_up()
        await play_at(desk, steps)


async def play_at(desk: Desk, steps: list[tuple[str, *tuple[object, ...]]]) -> None:
    """Plays them with one client."""
    play = Play(desk)
    for name, *arguments in steps:
        act: Callable[..., None] = getattr(play, name)
        act(*arguments)
        # What was written to the compositor's socket is read in the loop's next round.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert desk.context.alive
    desk.context.close()
    assert not play.crowd.pending
    await desk.host.wait_until_gone()
    assert said_about_the_dead(bytes(desk.host.received)) == []


@settings(max_examples=EXAMPLES)
@given(STEPS)
def test_random_transfers_lose_nothing(steps: list[tuple[str, *tuple[object, ...]]]) -> None:
    asyncio.run(play_through(steps))
