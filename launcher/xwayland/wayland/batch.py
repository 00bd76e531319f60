"""One batch of messages on its way through the mediator, and the ids of its objects."""

from collections import deque
from typing import Protocol


class Outlet(Protocol):
    """Where bytes and fds go, in their order."""

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Queues bytes."""
        ...

    def append_fd(self, fd: int) -> None:
        """Queues an fd of the message that is appended next, and takes it over."""
        ...


class Dropped(Exception):
    """The message names an object that only its sender knows of."""


class Held(Exception):
    """The event has to wait, and all that are behind it."""


class Ids:
    """Ids that one side chooses: those freed last first, as libwayland does."""

    __slots__ = ("_free", "_next")

    def __init__(self, first: int) -> None:
        self._free: list[int] = []
        self._next = first

    def take(self) -> int:
        """Returns an id that nothing has."""
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def give_back(self, object_id: int) -> None:
        """An id is free again."""
        self._free.append(object_id)


class Batch:
    """The messages of one batch; those that were not passed on yet begin at `begin` (32-bit words)."""

    __slots__ = ("begin", "fds", "outlet", "view", "words")

    def __init__(self, outlet: Outlet, buffer: bytearray, fds: deque[int]) -> None:
        self.outlet = outlet
        self.fds = fds
        self.view = memoryview(buffer)
        self.words = self.view.cast("I")
        self.begin = 0

    def flush(self, position: int) -> None:
        """Passes on what comes before `position`."""
        if position > self.begin:
            self.outlet.append(self.view[self.begin * 4 : position * 4])
            self.begin = position

    def take_fds(self, count: int) -> list[int]:
        """Takes the fds of the next message.  Raises Missing."""
        if len(self.fds) < count:
            raise Missing
        return [self.fds.popleft() for _ in range(count)]

    def release(self) -> None:
        """Lets the buffer go."""
        self.words.release()
        self.view.release()


class Missing(Exception):
    """A message came without its fds."""
