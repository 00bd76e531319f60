"""A connection's messages that nobody has to decide on: they pass in C, in the loop's rounds.

A lane is shut until it is opened, and it is opened only where nothing waits: what passes is sent at once, and
in its order.  What does not pass comes here, with how much of it the walker has seen already.
"""

import os
from typing import Final, NamedTuple

from crossdomain.native import ffi, lib
from crossdomain.wire import Walker
from launcher.channel.seam import Channel
from launcher.loop import Loop
from launcher.relay.steady import Frames
from launcher.rounds import Rounds

_PACKET: Final = lib.XD_HANDED_PACKET


class Handed(NamedTuple):
    """What was read of an fd of the lane; the fds are the caller's."""

    data: bytes
    walked: int
    """Bytes of the data that the walker has seen: nothing in them is a record."""
    fds: list[int]
    is_truncated: bool
    """Whether something of it is lost: it was too large, or there was no free fd."""


class Lane:
    """One connection's, of a channel whose messages can pass (`Channel.way`)."""

    __slots__ = ("_frames", "_given", "_lane", "_loop", "_walker", "_way")

    def __init__(
        self, loop: Loop, walker: Walker, client_fd: int, channel: Channel, frames: Frames | None
    ) -> None:
        """Of all that is passed, nothing becomes ours; `close` has to come before any of it ends.

        `frames` are the walker's.
        """
        if loop.rounds is None:
            loop.rounds = Rounds(loop.fileno())
        self._loop = loop.rounds.pointer
        self._walker = walker
        self._given = 0
        self._frames: Frames | None = None
        self._lane = lane = ffi.new("xd_lane *")
        self._way = way = channel.way if loop.has_lanes else None
        if way is None:
            return
        lane.walker = walker.pointer
        lane.client_fd, lane.channel_fd = client_fd, channel.fileno()
        lane.max_send = channel.max_send
        if way.ring is not None:
            lane.ring = way.ring
        self._frames = frames
        if frames is not None:
            lane.copies = frames.copies
        if lib.xd_loop_attach(self._loop, lane):
            raise MemoryError

    def open(self, allowance: int, *, events: bool) -> None:
        """Lets so many bytes of requests pass, and events or none."""
        self._lane.allowance = self._given = allowance
        self._lane.passes_events = events

    def shut(self) -> int:
        """Lets nothing pass; returns the bytes of requests that have passed since it was opened."""
        passed = self._given - self._lane.allowance
        self._lane.allowance = self._given = self._lane.passes_events = 0
        return passed

    def take_requests(self) -> Handed | None:
        """Returns what was read of the client; None where that is to be read still.

        Copies that go before it wait with the channel then.
        """
        if not self._has(self._lane.client_fd):
            return None
        if self._way is not None and self._frames is not None and (copies := self._frames.take_copies()):
            self._way.queue(copies)
        return self._take()

    def take_events(self) -> Handed | None:
        """Returns the data of a RECEIVE without identifiers; None where the channel has to be asked.

        Raises:
            HostFault: the host sent nonsense.
            OSError: the channel can't be polled any more.
        """
        loop = self._loop
        if not self._has(self._lane.channel_fd):
            return None
        if loop.error:
            raise OSError(loop.error, os.strerror(loop.error))
        is_packet = loop.handed == _PACKET
        handed = self._take()
        if is_packet and self._way is not None:
            self._way.keep(handed.data, handed.fds, handed.is_truncated)
            return None
        return handed

    def _take(self) -> Handed:
        loop = self._loop
        loop.handed = 0
        fds: list[int] = []
        while (fd := lib.xd_loop_take_fd(loop)) >= 0:
            fds.append(fd)
        return Handed(bytes(ffi.buffer(loop.data, loop.size)), loop.walked, fds, bool(loop.truncated))

    def _has(self, fd: int) -> bool:
        """Whether something of that fd was read, and not taken yet."""
        return self._loop.fd == fd and self._loop.handed != 0
