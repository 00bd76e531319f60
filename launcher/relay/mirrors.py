"""Memory of the host that stands in for the client's buffers, kept for the next buffer of its size."""

from collections import deque
from typing import Final

from crossdomain.limits import MAX_IDLE_MIRRORS
from launcher.channel import Channel, SharedMemory
from launcher.channel.memory import quantise

_MAX_IDLE: Final = 64
"""Mirrors that wait: each is a resource of the host's, however small."""


class Mirrors:
    """One client's; every mirror that was taken is recycled or closed by whoever took it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._idle: deque[tuple[int, SharedMemory]] = deque()
        self._idle_bytes = 0

    def take(self, size: int) -> SharedMemory:
        """Returns memory of at least `size` bytes, whose contents nobody may rely on."""
        wanted = quantise(size)
        for index, (quantised, memory) in enumerate(self._idle):
            if quantised == wanted:
                del self._idle[index]
                self._idle_bytes -= wanted
                return memory
        return self._channel.create_memory(size)

    def recycle(self, memory: SharedMemory, size: int) -> None:
        """Keeps memory that was taken for `size` bytes, and that the compositor does not read any more."""
        quantised = quantise(size)
        self._idle.append((quantised, memory))
        self._idle_bytes += quantised
        while self._idle_bytes > MAX_IDLE_MIRRORS or len(self._idle) > _MAX_IDLE:
            dropped, oldest = self._idle.popleft()
            self._idle_bytes -= dropped
            oldest.close()

    def close(self) -> None:
        """Gives up what waits."""
        for _, memory in self._idle:
            memory.close()
        self._idle.clear()
        self._idle_bytes = 0
