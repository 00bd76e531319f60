"""Memory of the host that stands in for the client's buffers, kept for the next buffer of its size."""

from collections import deque
from typing import Final, Protocol

from crossdomain.bridge.copy import Pixels
from crossdomain.bridge.damage import Rectangle, Region
from crossdomain.bridge.formats import Layout
from crossdomain.limits import MAX_IDLE_MIRRORS
from crossdomain.native.system import address_of
from launcher.channel.memory import quantise
from launcher.channel.seam import Channel, Memory
from launcher.relay.messages import Host

_MAX_IDLE: Final = 64
"""Mirrors that wait: each is a resource of the host's, however small."""


class Home(Protocol):
    """The surface that a mirror was shown on last."""

    def drop(self, mirror: "Mirror") -> None:
        """It is not here any more."""
        ...

    def recall(self) -> None:
        """What is known of it elsewhere is needed here."""
        ...


class Mirror:
    """Where the compositor finds the pixels of a buffer, or of several that a surface shows in turn.

    `stale` is what it lacks of the pixels that the surface shows; it may reach beyond the buffer.  One
    that is `in_place` is the client's own memory: one buffer lives there, and it lacks nothing.
    """

    __slots__ = ("buffers", "home", "in_place", "layout", "memory", "pixels", "readers", "stale")

    def __init__(
        self, memory: Memory, layout: Layout, pixels: Pixels | None, *, in_place: bool = False
    ) -> None:
        """Takes ownership of `memory`; `pixels` is where it is mapped, None where it is only the host's."""
        self.in_place = in_place
        self.memory = memory
        self.layout = layout
        self.pixels = pixels
        self.buffers = 0
        """How many buffers live here."""
        self.readers = 0
        """Commits of them that the compositor has not given back."""
        self.home: Home | None = None
        self.stale = Region()
        self.forget()

    @property
    def is_idle(self) -> bool:
        """Whether the compositor reads nothing here."""
        return self.readers == 0

    def forget(self) -> None:
        """Nothing that it holds counts any more."""
        self.stale.clear()
        self.stale.add_rectangle(Rectangle(0, 0, self.layout.width, self.layout.height))

    def settle(self, home: Home | None) -> None:
        """It is shown there from now on."""
        if home is self.home:
            return
        if self.home is not None:
            self.home.drop(self)
        self.forget()
        self.home = home


class Mirrors:
    """One client's; every mirror that was taken is given back by whoever took it."""

    def __init__(self, host: Host, channel: Channel) -> None:
        self._host = host
        self._channel = channel
        self._idle: deque[tuple[int, Memory, Pixels | None]] = deque()
        self._idle_bytes = 0

    def take(self, layout: Layout, *, mapped: bool) -> Mirror:
        """Returns a mirror for such a buffer, whose contents nobody may rely on."""
        wanted = quantise(layout.size)
        for index, (quantised, memory, pixels) in enumerate(self._idle):
            if quantised == wanted and (pixels is not None) == mapped:
                del self._idle[index]
                self._idle_bytes -= wanted
                return Mirror(memory, layout, pixels)
        copies = self._channel.host_copies
        if copies is not None and not mapped:
            return Mirror(copies.create_memory(layout.size), layout, None)
        shared = self._channel.create_memory(layout.size)
        return Mirror(shared, layout, Pixels(address_of(shared.buffer), shared.size))

    def give_back(self, mirror: Mirror) -> None:
        """No buffer lives there any more: it waits for the next one, unless the compositor still reads it.

        Then the compositor keeps the memory, and nobody writes there again.
        """
        mirror.settle(None)
        if mirror.in_place or not mirror.is_idle:
            self._host.when_sent(mirror.memory.close)
            return
        quantised = quantise(mirror.layout.size)
        self._idle.append((quantised, mirror.memory, mirror.pixels))
        self._idle_bytes += quantised
        while self._idle_bytes > MAX_IDLE_MIRRORS or len(self._idle) > _MAX_IDLE:
            dropped, oldest, _pixels = self._idle.popleft()
            self._idle_bytes -= dropped
            self._host.when_sent(oldest.close)

    def close(self) -> None:
        """Gives up what waits."""
        for _, memory, _pixels in self._idle:
            memory.close()
        self._idle.clear()
        self._idle_bytes = 0
