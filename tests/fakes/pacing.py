"""A client that watches when its frames are shown: wp_presentation, fifo and commit timing."""

import time
from typing import Final, NamedTuple

from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Buffer, Window

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000


def triple(nanoseconds: int) -> tuple[int, int, int]:
    """A time as the protocols write it: tv_sec_hi, tv_sec_lo, tv_nsec."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    return seconds >> 32, seconds & 0xFFFFFFFF, fraction


def nanoseconds(values: tuple[Value, ...]) -> int:
    """The time that a message's arguments begin with."""
    high, low, fraction = (integer(value) for value in values[:3])
    return (high << 32 | low) * SECOND + fraction


class Shown(NamedTuple):
    """When a frame was committed, shown and heard of, ns of the client's presentation clock."""

    committed: int
    shown: int
    heard: int


class PacedWindow:
    """A window whose frames are all asked about.

    Args:
        ahead: ns that the clock of the client's machine is ahead of this process's.
    """

    def __init__(self, client: FakeClient, *, ahead: int = 0) -> None:
        self.client = client
        self._ahead = ahead
        self.presentation = client.bind("wp_presentation")
        client.round_trip()
        ((clock_id,),) = self.presentation.received("clock_id")
        self.clock_id = integer(clock_id)
        self.window = Window(client, title="paced")
        self._buffers: dict[str, Buffer] = {}

    def close(self) -> None:
        """Give the memory of its frames back."""
        for buffer in self._buffers.values():
            buffer.pool.close()

    def now(self) -> int:
        """The client's presentation clock, ns."""
        return time.clock_gettime_ns(self.clock_id) + self._ahead

    def commit(self, colour: str = "d0d0d0") -> Proxy:
        """Commit a frame of one colour, RRGGBB; its wp_presentation_feedback."""
        surface = self.window.surface
        feedback = self.presentation.create("feedback", surface.proxy)
        if colour not in self._buffers:
            self._buffers[colour] = solid_buffer(self.client, 64, 64, colour)
        surface.attach(self._buffers[colour])
        surface.damage_all()
        surface.commit()
        return feedback

    def fate(self, feedback: Proxy) -> str:
        """Wait for it: presented or discarded."""
        names = ("presented", "discarded")
        self.client.wait(lambda: any(feedback.received(name) for name in names), what="presentation feedback")
        return next(name for name in names if feedback.received(name))

    def show(self) -> Shown:
        """Commit a frame, and wait until it is shown."""
        committed = self.now()
        feedback = self.commit()
        assert self.fate(feedback) == "presented"
        return Shown(committed, nanoseconds(feedback.received("presented")[0]), self.now())
