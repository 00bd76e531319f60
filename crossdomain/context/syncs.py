"""Fences of the compositor's on their way to the guest (`crossdomain.abi.sync`).

Each waits as an identifier until the guest asks for it, and then holds back a fence of one of the guest's
rings.  Nothing is held back longer than FENCE_SECONDS.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable

from crossdomain.abi.cross_domain import FIRST_READ_PIPE, Identifier, IdentifierType
from crossdomain.abi.local import FIRST_GIVEN_SYNC
from crossdomain.bridge.fences import Fence, is_shareable
from crossdomain.context.blobs import IdentifierCounter
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import FENCE_SECONDS, MAX_HELD_SYNCS, MAX_UNTAKEN_SYNCS

_log = logging.getLogger("crossdomain.context")


class _Held:
    """A fence of the guest's that is held back until all of `fences` are over, or time is."""

    __slots__ = ("complete", "deadline", "fences")

    def __init__(self, fences: list[Fence], complete: Callable[[], None], deadline: float) -> None:
        self.fences = fences
        self.complete = complete
        self.deadline = deadline


class Syncs:
    """Those of one context."""

    def __init__(self, name: str, counter: IdentifierCounter, loop: asyncio.AbstractEventLoop) -> None:
        """`name` is for log lines."""
        self._name = name
        self._counter = counter
        self._loop = loop
        self._untaken: dict[int, Fence] = {}
        self._given: dict[int, int] = {}
        """Fds of a launcher's."""
        self._awaited: list[Fence] = []
        self._rings: dict[int, _Ring] = {}

    @property
    def held(self) -> int:
        """Fences of the guest's that are held back."""
        return sum(len(ring) for ring in self._rings.values())

    @property
    def untaken(self) -> int:
        """Fences of the compositor's that the guest did not ask for yet."""
        return len(self._untaken)

    def receive(self, fd: int) -> Identifier:
        """Announces a fence of the compositor's.

        Takes ownership of `fd`, on errors too.

        Raises:
            OSError: it is no fence.
            LimitExceeded: the guest leaves too many of them.
        """
        fence = Fence.of_any(fd)
        if len(self._untaken) >= MAX_UNTAKEN_SYNCS:
            fence.close()
            raise LimitExceeded(f"{MAX_UNTAKEN_SYNCS} fences that the guest has not asked for")
        identifier = self._counter.take()
        self._untaken[identifier] = fence
        return Identifier(identifier, IdentifierType.VIRTGPU_SYNC, 0)

    def give(self, identifier: int, fd: int) -> None:
        """A launcher on this kernel has a fence or a timeline for the compositor.

        Takes ownership of `fd`, on errors too.

        Raises:
            GuestFault: the number is not a launcher's, or in use, or the fd is neither.
            LimitExceeded: it leaves too many of them.
        """
        try:
            if not FIRST_GIVEN_SYNC <= identifier < FIRST_READ_PIPE or identifier in self._given:
                raise GuestFault(f"{identifier:#x} can't be a fence's number")
            if not is_shareable(fd):
                raise GuestFault("the fd is no sync file and no timeline")
            if len(self._given) >= MAX_UNTAKEN_SYNCS:
                raise LimitExceeded(f"{MAX_UNTAKEN_SYNCS} fences that no request has taken")
        except GuestFault:
            os.close(fd)
            raise
        self._given[identifier] = fd

    def export(self, identifier: int) -> int:
        """The fd of a fence for the compositor: one that it gave or that a launcher did; the caller owns it.

        Raises:
            GuestFault: there is none.
        """
        given = self._given.pop(identifier, None)
        return self.take(identifier).detach() if given is None else given

    def take(self, identifier: int) -> Fence:
        """The compositor's fence of an identifier, which is good no longer; the caller closes it.

        Raises:
            GuestFault: there is none.
        """
        fence = self._untaken.pop(identifier, None)
        if fence is None:
            raise GuestFault(f"there is no fence {identifier}")
        return fence

    def begin_submit(self) -> None:
        """Fences that were asked for without a fence to hold back are nobody's."""
        _close_all(self._awaited)

    def expect(self, identifier: int) -> None:
        """AWAIT_SYNC: the fence that comes with this submit is to wait for that of `identifier`.

        Raises:
            GuestFault: there is none.
        """
        self._awaited.append(self.take(identifier))

    def hold(self, ring_idx: int, complete: Callable[[], None]) -> None:
        """A fence of the guest's, behind all earlier ones of that ring; `complete` may be called at once.

        Raises:
            LimitExceeded: too many are held back; it has been completed.
        """
        fences, self._awaited = self._awaited, []
        if self.held >= MAX_HELD_SYNCS:
            _close_all(fences)
            complete()
            raise LimitExceeded(f"more than {MAX_HELD_SYNCS} fences at once")
        ring = self._rings.get(ring_idx)
        if ring is None:
            ring = self._rings[ring_idx] = _Ring(self._name, self._loop)
        ring.append(_Held(fences, complete, self._loop.time() + FENCE_SECONDS))

    def close(self) -> None:
        """Completes what is held back and forgets the rest."""
        _close_all(self._awaited)
        for fence in self._untaken.values():
            fence.close()
        self._untaken.clear()
        while self._given:
            os.close(self._given.popitem()[1])
        for ring in self._rings.values():
            ring.close()


class _Ring:
    """The guest's fences of one ring, oldest first: the first one's fences are waited for, one by one."""

    __slots__ = ("_held", "_loop", "_name", "_timer", "_waited")

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._loop = loop
        self._held: deque[_Held] = deque()
        self._waited: Fence | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._held)

    def append(self, held: _Held) -> None:
        """One more."""
        self._held.append(held)
        if len(self._held) == 1:
            self._advance()

    def close(self) -> None:
        """Completes all."""
        self._stop_waiting()
        while self._held:
            self._complete_first()

    def _advance(self) -> None:
        """Completes what is over, and waits for the first that is not."""
        self._stop_waiting()
        while self._held:
            pending = next((fence for fence in self._held[0].fences if fence.is_pending), None)
            if pending is not None and self._wait(pending, self._held[0].deadline):
                return
            self._complete_first()

    def _wait(self, fence: Fence, deadline: float) -> bool:
        """Returns False where it can't be waited for."""
        try:
            self._loop.add_reader(fence.fileno(), self._advance)
        except OSError as error:
            _log.warning("%s: a fence of the compositor's can't be watched: %s", self._name, error.strerror)
            return False
        self._waited = fence
        self._timer = self._loop.call_at(deadline, self._give_up)
        return True

    def _stop_waiting(self) -> None:
        if self._waited is not None:
            self._loop.remove_reader(self._waited.fileno())
            self._waited = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        _log.warning("%s: a fence of the compositor's is not over after %s s", self._name, FENCE_SECONDS)
        self._stop_waiting()
        self._complete_first()
        self._advance()

    def _complete_first(self) -> None:
        held = self._held.popleft()
        _close_all(held.fences)
        held.complete()


def _close_all(fences: list[Fence]) -> None:
    while fences:
        fences.pop().close()
