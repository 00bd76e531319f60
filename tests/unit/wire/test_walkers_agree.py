"""The walker in C does exactly what the one in Python does."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdomain.errors import LocalError
from crossdomain.wire.codec import SERVER_ID_START, Value, encode_message
from crossdomain.wire.engine import Direction, Walk, Walker, Watch
from crossdomain.wire.native import NativeWalker
from crossdomain.wire.tables import load
from crossdomain.wire.totals import Totals
from crossdomain.wire.walker import PythonWalker
from tests.unit.wire.traffic import Traffic, bind, get_registry

MOST_IDS, MOST_SERVER_IDS = 48, 10
IDS = (*range(MOST_IDS), *range(SERVER_ID_START, SERVER_ID_START + MOST_SERVER_IDS))

INTEREST = (
    ("wl_display", Direction.EVENT, "delete_id"),
    ("wl_surface", Direction.REQUEST, "commit"),
    ("wl_registry", Direction.REQUEST, "bind"),
)

MOST_OBJECTS, MOST_SURFACES = 40, 8
"""Some of the conversations below reach them."""


def counted(totals: Totals) -> tuple[int, int, int]:
    """What all clients have."""
    return totals.objects, totals.surfaces, totals.ids


both_modes = pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])


class Pair:
    """Both walkers, told the same."""

    def __init__(self, *, strict: bool) -> None:
        self.oracle: Walker = PythonWalker(load(), INTEREST, strict=strict)
        self.native: Walker = NativeWalker(load(), INTEREST, strict=strict)
        self.totals = Totals(), Totals()
        of_oracle, of_native = self.totals
        for walker, totals in ((self.oracle, of_oracle), (self.native, of_native)):
            walker.limit(MOST_OBJECTS, MOST_SURFACES)
            totals.limit(MOST_OBJECTS + 10, MOST_SURFACES + 2)
            # Others of the VM leave less room than this client alone may have, or more.
            others_ids = totals.most[2] - MOST_IDS + (4 if strict else -4)
            totals.add(*((15, 3) if strict else (5, 1)), others_ids)
            walker.join(totals)

    def walk(self, direction: Direction, data: bytes) -> Walk:
        expected = self.step(direction, data)
        self.compare()
        return expected

    def step(self, direction: Direction, data: bytes) -> Walk:
        """One walk; whether both have the same objects afterwards is left to `compare`."""
        expected = self.oracle.walk(direction, data)
        assert described(self.native.walk(direction, data)) == described(expected)
        return expected

    def compare(self) -> None:
        """Both have the same objects."""
        assert state(self.native) == state(self.oracle)
        of_oracle, of_native = self.totals
        assert counted(of_native) == counted(of_oracle)

    def watch_quietly(self) -> None:
        for walker in (self.oracle, self.native):
            for name, watch in (
                ("attach", Watch.BEGINS),
                ("damage", Watch.UNLESS_QUIET),
                ("commit", Watch.ENDS),
            ):
                walker.watch("wl_surface", Direction.REQUEST, name, watch)
            walker.watch("wl_buffer", Direction.EVENT, "release", Watch.UNLESS_QUIET)

    def quieten(self, object_id: int) -> None:
        self.oracle.quieten(object_id)
        self.native.quieten(object_id)

    def stir(self, object_id: int) -> bool:
        stirred = self.oracle.stir(object_id)
        assert self.native.stir(object_id) == stirred
        return stirred

    def take_ended(self) -> int:
        ended = self.oracle.take_ended()
        assert self.native.take_ended() == ended
        return ended

    def own(self, object_id: int, deletes: int) -> None:
        assert outcome_of_own(self.native, object_id, deletes) == outcome_of_own(
            self.oracle, object_id, deletes
        )

    def release(self, object_id: int) -> None:
        assert outcome_of_release(self.native, object_id) == outcome_of_release(self.oracle, object_id)

    def adopt(self, object_id: int) -> None:
        assert outcome_of_adopt(self.native, object_id) == outcome_of_adopt(self.oracle, object_id)


def described(walk: Walk) -> object:
    fault = walk.fault
    return walk.consumed, walk.records, walk.messages, fault and (fault.object_id, fault.code, fault.text)


def state(walker: Walker) -> object:
    """What it knows; of ids, only up to the next one, because there is nothing behind a hole."""
    following, following_server = walker.next_id(), walker.next_server_id()
    ids = (
        *range(min(following, MOST_IDS) + 1),
        *range(SERVER_ID_START, min(following_server, SERVER_ID_START + MOST_SERVER_IDS) + 1),
    )
    objects = [(walker.interface_of(i), walker.version_of(i), walker.own_pending(i)) for i in ids]
    return objects, following, following_server, walker.live()


def outcome_of_own(walker: Walker, object_id: int, deletes: int) -> str:
    try:
        walker.own(object_id, deletes)
    except LocalError:
        return "refused"
    return "done"


def outcome_of_adopt(walker: Walker, object_id: int) -> str:
    try:
        walker.adopt(object_id, "wl_buffer", 1)
    except LocalError:
        return "refused"
    return "done"


def outcome_of_release(walker: Walker, object_id: int) -> str:
    try:
        walker.release(object_id)
    except LocalError:
        return "refused"
    return "done"


def exchange(pair: Pair, random: Random, messages: int) -> int:
    """Lets both follow a random conversation; returns how many messages were not refused."""
    traffic = Traffic(load(), random, pair.oracle)
    pair.watch_quietly()
    pair.walk(Direction.REQUEST, traffic.opening())
    passed = 0
    for _ in range(messages):
        direction, data = traffic.message()
        passed += pair.walk(direction, data).fault is None
        if random.random() < 0.02:
            pair.own(random.choice(IDS), random.choice((0, 1, 1, 2, 0xFFFF, 0x10000)))
        if random.random() < 0.02:
            pair.release(random.choice(IDS))
        if random.random() < 0.02:
            pair.adopt(random.choice(IDS))
        if random.random() < 0.3:
            pair.quieten(random.randrange(40))
        if random.random() < 0.02:
            pair.stir(random.randrange(40))
            pair.take_ended()
    return passed


@both_modes
@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_on_random_conversations(strict: bool, random: Random) -> None:
    exchange(Pair(strict=strict), random, messages=40)


@both_modes
def test_on_long_random_conversations(strict: bool) -> None:
    passed = sum(exchange(Pair(strict=strict), Random(seed), messages=1500) for seed in range(4))
    # The conversations are not mere garbage: most of what is said is allowed.
    assert passed > 3000


@both_modes
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=80), direction=st.sampled_from(Direction))
def test_on_garbage(strict: bool, data: bytes, direction: Direction) -> None:
    Pair(strict=strict).walk(direction, data)


@both_modes
def test_on_garbage_behind_plausible_headers(strict: bool) -> None:
    random = Random(7)
    for _ in range(40):
        pair = Pair(strict=strict)
        traffic = Traffic(load(), random, pair.oracle)
        pair.walk(Direction.REQUEST, traffic.opening())
        for _ in range(50):
            words = random.randrange(1, 8)
            header = random.randrange(1, 9).to_bytes(4, "little") + random.randrange(6).to_bytes(2, "little")
            size = (4 + 4 * words).to_bytes(2, "little")
            body = bytes(random.choice((0, 0, 0, 1, 2, 5, 97, 255)) for _ in range(4 * words - 4))
            pair.walk(random.choice(tuple(Direction)), header + size + body)


def say(name: str, *values: Value) -> bytes:
    """A request of the surface 3."""
    messages = load().interface("wl_surface").requests
    return encode_message(next(message for message in messages if message.name == name), 3, *values)


@pytest.fixture
def surface() -> Pair:
    """Walkers of a client with the surface 3 and the buffers 4 and 5, of which 5 is not quiet."""
    pair = Pair(strict=True)
    pair.watch_quietly()
    pair.walk(Direction.REQUEST, get_registry(load()))
    for object_id, interface in ((3, "wl_surface"), (4, "wl_buffer"), (5, "wl_buffer"), (6, "wp_viewporter")):
        pair.walk(Direction.REQUEST, bind(load(), interface, object_id))
    pair.quieten(3)
    pair.quieten(4)
    return pair


FRAME = say("attach", 4, 0, 0) + say("damage", 0, 0, 1, 1) + say("commit")


def recorded(pair: Pair, data: bytes, direction: Direction = Direction.REQUEST) -> int:
    return len(pair.walk(direction, data).records)


def test_frames_of_a_quiet_surface_pass_and_are_counted(surface: Pair) -> None:
    assert recorded(surface, FRAME * 3 + say("commit")) == 0
    assert surface.take_ended() == 3
    assert surface.take_ended() == 0
    release = encode_message(load().interface("wl_buffer").events[0], 4)
    assert recorded(surface, release, Direction.EVENT) == 0


@pytest.mark.parametrize("buffer_id", [5, 0])
def test_a_buffer_that_is_not_quiet_ends_it(surface: Pair, buffer_id: int) -> None:
    assert recorded(surface, say("attach", buffer_id, 0, 0) + say("damage", 0, 0, 1, 1) + say("commit")) == 3
    assert recorded(surface, FRAME) == 3
    assert surface.take_ended() == 0


def test_an_attach_that_has_passed_is_told(surface: Pair) -> None:
    recorded(surface, FRAME + say("attach", 4, 0, 0))
    assert surface.stir(3)
    assert not surface.stir(3)
    assert recorded(surface, say("commit")) == 1
    assert surface.take_ended() == 1


def test_who_names_a_surface_ends_its_quiet(surface: Pair) -> None:
    surface.oracle.watch("wp_viewporter", Direction.REQUEST, "get_viewport")
    surface.native.watch("wp_viewporter", Direction.REQUEST, "get_viewport")
    get_viewport = encode_message(load().interface("wp_viewporter").requests[1], 6, 7, 3)
    assert recorded(surface, get_viewport + FRAME) == 4


def test_a_destroyed_object_is_not_quiet(surface: Pair) -> None:
    destroy = encode_message(load().interface("wl_buffer").requests[0], 5)
    surface.walk(Direction.REQUEST, destroy)
    surface.quieten(5)
    assert surface.walk(Direction.REQUEST, say("attach", 5, 0, 0)).fault is not None


def batches(random: Random, count: int) -> Iterator[tuple[Direction, bytes]]:
    """A random conversation, of which several messages come at once, and now and then half of one."""
    source = PythonWalker(load(), INTEREST, strict=True)
    traffic = Traffic(load(), random, source)
    source.walk(Direction.REQUEST, opening := traffic.opening())
    yield Direction.REQUEST, opening
    waiting = dict.fromkeys(Direction, b"")
    for _ in range(count):
        direction, data = traffic.message()
        waiting[direction] += data * (source.walk(direction, data).fault is None)
        size = len(waiting[direction]) * random.choice((0, 0, 1, 1, 1)) - random.choice((0, 0, 0, 5))
        ready, waiting[direction] = waiting[direction][: max(size, 0)], waiting[direction][max(size, 0) :]
        yield direction, ready


def test_what_would_be_no_record_is_passed_by_up_to_what_would() -> None:
    passed = stopped = 0
    for seed in range(30):
        oracle = PythonWalker(load(), INTEREST, strict=True)
        native = NativeWalker(load(), INTEREST, strict=True)
        unread = dict.fromkeys(Direction, b"")
        for direction, data in batches(Random(seed), 60):
            unread[direction] += data
            size = native.pass_by(direction, unread[direction])
            assert oracle.walk(direction, unread[direction][:size])[:3] == (size, [], None)
            walk = oracle.walk(direction, unread[direction][size:])
            assert described(native.walk(direction, unread[direction][size:])) == described(walk)
            assert state(native) == state(oracle)
            assert [record.offset for record in walk.records[:1]] == [0] * bool(walk.consumed or walk.records)
            passed, stopped = passed + (size > 0), stopped + bool(walk.records)
            unread[direction] = unread[direction][size + walk.consumed :]
    assert passed > 300
    assert stopped > 100


@both_modes
def test_on_streams_cut_anywhere(strict: bool) -> None:
    random = Random(11)
    source = Pair(strict=strict)
    traffic = Traffic(load(), random, source.oracle)
    stream = traffic.opening()
    source.walk(Direction.REQUEST, stream)
    while len(stream) < 8_000:
        direction, data = traffic.message()
        if direction is Direction.REQUEST and source.walk(direction, data).consumed == len(data):
            stream += data
    pair, pending = Pair(strict=strict), b""
    while stream:
        length = random.choice((1, 3, 7, 100, 4000))
        pending, stream = pending + stream[:length], stream[length:]
        walk = pair.walk(Direction.REQUEST, pending)
        pending = pending[walk.consumed :]
    assert pending == b""
    assert state(pair.native) == state(source.oracle)
