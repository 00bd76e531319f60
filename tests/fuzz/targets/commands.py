"""One cross-domain context between a guest and a compositor of which both may say anything."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from crossdomain.abi.cross_domain import (
    CHANNEL_RING,
    FIRST_READ_PIPE,
    encode_init,
    encode_write,
)
from crossdomain.context.context import Context
from crossdomain.context.memory import HostMemory
from crossdomain.errors import CrossDomainError, GuestFault
from tests.fuzz.commands import any_command, asking, saying, sharing
from tests.fuzz.contexts import Compositors
from tests.fuzz.source import Source
from tests.fuzz.watch import Watch
from tests.unit.context.world import CHANNEL_RING_ID, QUERY_RING_ID, FakeResources, GuestPages

_RINGS: Final = (QUERY_RING_ID, CHANNEL_RING_ID)
_watch: Final = Watch()


def run(data: bytes) -> None:
    """One context's life."""
    _watch.run(lambda: _Life(Source(data)).live())


class _Fence:
    """Completed once, and not before it was made."""

    def __init__(self) -> None:
        self.completed = 0

    def complete(self) -> None:
        self.completed += 1
        assert self.completed == 1, "a fence was completed twice"


class _Life:
    """A context, its resources, and what was taken out of it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._compositors = Compositors(_watch.ports if source.flag() else None)
        self._resources = FakeResources()
        ring = GuestPages(source.choice((4096, 4096, 352, 24, 0, 65536)))
        self._resources.attached = {QUERY_RING_ID: GuestPages(), CHANNEL_RING_ID: ring}
        self._fences: list[_Fence] = []
        self._taken: list[HostMemory] = []
        self._context: Context = self._compositors.make("fuzz", self._resources)
        self._steps: tuple[Callable[[], None], ...] = (
            self._submit_raw,
            *[self._submit] * 4,
            self._act,
            self._act,
            self._poll,
            self._take_blob,
            self._share,
        )

    def live(self) -> None:
        try:
            if self._source.flag():
                self._try(encode_init(*_RINGS))
            while self._source.left:
                self._source.choice(self._steps)()
                _watch.turn(self._source.byte() % 4)
        finally:
            self._context.close()
            self._compositors.close()
            for memory in self._taken:
                memory.close()
            _watch.take_apart(*self._compositors.end(), self)
        assert all(fence.completed for fence in self._fences), "a fence was never completed"

    def _submit(self) -> None:
        self._try(b"".join(any_command(self._source, _RINGS) for _ in range(1 + self._source.byte() % 2)))

    def _submit_raw(self) -> None:
        self._try(self._source.any_block())

    def _try(self, commands: bytes) -> None:
        with suppress(CrossDomainError):
            self._context.submit(commands)

    def _act(self) -> None:
        self._compositors.act(self._source)

    def _poll(self) -> None:
        self._fences.append(_Fence())
        ring_idx = self._source.choice((CHANNEL_RING, CHANNEL_RING, CHANNEL_RING, 0, 2, None))
        self._context.create_fence(ring_idx, self._fences[-1].complete)

    def _take_blob(self) -> None:
        size = self._source.choice((4096, 8192, 1 << 20, 0, 1 << 40, 4095))
        try:
            memory = self._context.take_blob(self._source.number(6), size)
        except GuestFault:
            return
        self._taken.append(memory)
        self._resources.attached[self._source.below(8)] = memory

    def _share(self) -> None:
        memory = HostMemory.create(4096)
        self._taken.append(memory)
        self._resources.attached[self._source.below(8)] = memory


def seeds() -> list[bytes]:
    """A client that talks, sends memory, has pipes and asks for images; a compositor that answers."""
    poll, globals_ = bytes([7, 0, 2]), bytes([5, 0, 3, 3])
    first, binds, _objects, rest, objects, pipe = (
        bytes([1, 0]) + said + bytes([2]) for said in map(saying, range(6))
    )
    share = bytes([9, 3, 0])
    credit = _step(encode_write(0, b"", hang_up=False))
    write = _step(encode_write(FIRST_READ_PIPE, b"", credit=64)) + _step(
        encode_write(2, b"hello", hang_up=True)
    )
    image = bytes([1, 0]) + asking(64, 64, b"XR24") + bytes([2])
    hang_up, leave = bytes([5, 0, 0, 2]), _step(encode_write(0, b"", hang_up=True))
    talk = poll + first + globals_ + poll + binds + poll
    halves = bytes([1, 0]) + sharing() + bytes([2]) + poll
    stories = (
        talk,
        halves + talk + rest,
        talk + share + objects + rest + poll,
        talk + leave,
        talk + hang_up + poll * 2,
    )
    pipes = credit + pipe + write + poll + pipe + hang_up
    lives = (*stories, pipes, talk + pipes, image + bytes([8, 2, 0, 2]) + talk)
    return [bytes([ports, 0, 1]) + life for life in lives for ports in (0, 1)]


def _step(commands: bytes) -> bytes:
    return bytes([0]) + len(commands).to_bytes(2, "little") + commands + bytes([2])
