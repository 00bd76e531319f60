"""Ids stay the client's, whatever way its buffers go: a random client against a model of a compositor.

The model counts ids as libwayland does: one that is in use, or leaves a hole, is fatal.  What it says comes
late, and the client says several things at once.
"""

import os
import random
import struct
from collections import deque
from collections.abc import Callable, Generator
from typing import Final

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.abi.pages import Verdict
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.fake_copies import FakeCopies

WIDTH, HEIGHT, STRIDE = 256, 64, 1024
SIZE: Final = STRIDE * HEIGHT
POOL: Final = 8 * SIZE
ROUNDS: Final = 200
MOST: Final = 12
"""Buffers at a time."""


class Compositor:
    """The host and the compositor behind it: which ids are in use, and what is to be said of them."""

    def __init__(self, living: dict[int, str]) -> None:
        self.living = living
        self.highest = max(living)
        self.events: deque[bytes] = deque()

    def hear(self, data: bytes, identifiers: "deque[Identifier]", in_place: "deque[int]") -> None:
        """Takes requests; `in_place` are the buffers of the next pools of shown pages."""
        while data:
            object_id, opcode, size = struct.unpack_from("<IHH", data)
            word = int.from_bytes(data[8:12], "little")
            match self.living[object_id], opcode:
                case "wl_display", 0:
                    self._make(word, "wl_callback")
                    self.events.append(event("wl_callback", "done", word, 0))
                    self._end(word)
                case "wl_shm", 0 if identifiers.popleft().type == IdentifierType.PAGES:
                    buffer_id = in_place.popleft()
                    self._make(buffer_id, "zwp_linux_dmabuf_v1")
                    self._make(word, "wl_shm_pool")
                    self._end(buffer_id)
                case ("wl_shm", 0) | ("wl_shm_pool", 0) | ("wl_compositor", 0):
                    self._make(word, _MADE[self.living[object_id]])
                case ("wl_shm_pool", 1) | ("wl_buffer" | "wl_surface", 0):
                    self._end(object_id)
                case _:
                    pass
            data = data[size:]

    def _make(self, object_id: int, interface: str) -> None:
        assert object_id not in self.living, f"{interface} {object_id} is in use"
        assert object_id <= self.highest + 1, f"{interface} {object_id} leaves a hole above {self.highest}"
        self.highest = max(self.highest, object_id)
        self.living[object_id] = interface

    def _end(self, object_id: int) -> None:
        del self.living[object_id]
        self.events.append(event("wl_display", "delete_id", 1, object_id))


_MADE: Final = {"wl_shm": "wl_shm_pool", "wl_shm_pool": "wl_buffer", "wl_compositor": "wl_surface"}


class Stage:
    """A client that does anything a client may, and the compositor that it does it to."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.channel = FakeChannel()
        self.copies = FakeCopies(self.channel)
        self.channel.host_copies = self.copies
        self.client = RelayedClient(self.channel)
        self.shm, self.maker = self.client.bind("wl_shm", 1), self.client.bind("wl_compositor", 4)
        self.client.hear()
        self.channel.sends.clear()
        bound = dict.fromkeys(range(2, self.maker + 1), "another")
        known = {1: "wl_display", self.shm: "wl_shm", self.maker: "wl_compositor"}
        self.compositor = Compositor(bound | known)
        self.next_id = self.maker + 1
        self.free: list[int] = []
        self.dying: set[int] = set()
        self.surfaces: list[int] = []
        self.buffers: list[int] = []
        self.fd = os.memfd_create("pool")
        os.ftruncate(self.fd, POOL)
        self.deeds: tuple[Callable[[], list[bytes]], ...] = (
            self.make_buffer, self.make_buffer, self.make_surface, self.destroy_buffer, self.destroy_surface,
            self.sync, self.show, self.show, self.show, self.show,
        )  # fmt: skip

    def close(self) -> None:
        """Gives everything up."""
        self.client.close()
        os.close(self.fd)

    def play(self) -> None:
        """One round: the client says something, the compositor hears it and says some of what it has to."""
        verdicts = (Verdict.YES, Verdict.YES, Verdict.NO, Verdict.ASKING)
        self.copies.verdicts = self.dice.choices(verdicts, k=64)
        said: list[bytes] = []
        for _ in range(self.dice.randrange(1, 6)):
            said += self.dice.choice(self.deeds)()
        pools = [message for message in said if message[:8] == self._begin_pool]
        self.client.say(*said, fds=[os.dup(self.fd) for _ in pools])
        data, identifiers = self.channel.sent, deque(self.channel.identifiers)
        self.channel.sends.clear()
        self.compositor.hear(data, identifiers, deque(self.copies.granted))
        self.copies.granted.clear()
        for buffer_id in self.dice.choices(self.buffers, k=3) if self.buffers else ():
            self.compositor.events.append(event("wl_buffer", "release", buffer_id))
        for _ in range(min(self.dice.randrange(12), len(self.compositor.events))):
            self.channel.deliver(self.compositor.events.popleft())
        self._listen()

    def _listen(self) -> None:
        heard = self.client.hear()
        while heard:
            object_id, opcode, size = struct.unpack_from("<IHH", heard)
            if object_id == 1:
                assert opcode == 1, heard
                gone = int.from_bytes(heard[8:12], "little")
                self.dying.remove(gone)
                self.free.append(gone)
            heard = heard[size:]
        assert not self.client.closed

    # What the client does.

    @property
    def _begin_pool(self) -> bytes:
        return request("wl_shm", "create_pool", self.shm, 1, None, POOL)[:8]

    def new_id(self) -> int:
        """As libwayland hands them out."""
        if self.free:
            return self.free.pop()
        self.next_id += 1
        return self.next_id - 1

    def make_buffer(self) -> list[bytes]:
        """A buffer in a pool of its own, which is given up."""
        if len(self.buffers) >= MOST:
            return []
        pool, buffer = self.new_id(), self.new_id()
        self.dying.add(pool)
        self.buffers.append(buffer)
        place = SIZE * self.dice.randrange(8), WIDTH, HEIGHT, STRIDE, 0
        return [
            request("wl_shm", "create_pool", self.shm, pool, None, POOL),
            request("wl_shm_pool", "create_buffer", pool, buffer, *place),
            request("wl_shm_pool", "destroy", pool),
        ]

    def make_surface(self) -> list[bytes]:
        """A surface, of which there are three at most."""
        if len(self.surfaces) >= 3:
            return []
        self.surfaces.append(self.new_id())
        return [request("wl_compositor", "create_surface", self.maker, self.surfaces[-1])]

    def destroy_buffer(self) -> list[bytes]:
        """Any buffer, whether it is shown or not."""
        return self._destroy(self.buffers, "wl_buffer")

    def destroy_surface(self) -> list[bytes]:
        """Any surface."""
        return self._destroy(self.surfaces, "wl_surface")

    def sync(self) -> list[bytes]:
        """A callback."""
        callback = self.new_id()
        self.dying.add(callback)
        return [request("wl_display", "sync", 1, callback)]

    def show(self) -> list[bytes]:
        """Any buffer on any surface."""
        if not (self.surfaces and self.buffers):
            return []
        surface, buffer = self.dice.choice(self.surfaces), self.dice.choice(self.buffers)
        return [
            request("wl_surface", "attach", surface, buffer, 0, 0),
            request("wl_surface", "damage", surface, 0, 0, WIDTH, HEIGHT),
            request("wl_surface", "commit", surface),
        ]

    def _destroy(self, objects: list[int], interface: str) -> list[bytes]:
        if not objects:
            return []
        gone = objects.pop(self.dice.randrange(len(objects)))
        self.dying.add(gone)
        return [request(interface, "destroy", gone)]


@pytest.fixture(params=range(10))
def stage(request: pytest.FixtureRequest) -> Generator[Stage]:
    made = Stage(request.param)
    yield made
    made.close()


def test_every_id_is_used_by_one_at_a_time(stage: Stage) -> None:
    for _ in range(ROUNDS):
        stage.play()
    assert stage.client.stats.totals().buffers.keys() >= {"shm-dmabuf", "shm-pages"}
