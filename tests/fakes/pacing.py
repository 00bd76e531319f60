"""A client that watches when its frames are shown: wp_presentation, fifo and commit timing."""

import time
from typing import Final, NamedTuple

from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Buffer, Window

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000

BURST: Final = 8
"""Frames."""


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
        self._queue: Proxy | None = None
        self._timer: Proxy | None = None

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

    def burst(self, *, fifo: bool) -> list[str]:
        """What became of BURST frames that were committed all at once."""
        surface = self.window.surface.proxy
        queue = self._queue = self._queue or self.client.bind("wp_fifo_manager_v1").create(
            "get_fifo", surface
        )
        self.show()
        feedbacks: list[Proxy] = []
        for _ in range(BURST):
            if fifo:
                queue.send("wait_barrier")
                queue.send("set_barrier")
            feedbacks.append(self.commit())
        return [self.fate(feedback) for feedback in feedbacks]

    def show_after(self, wait: int) -> tuple[int, Shown]:
        """Commit a frame that is to be shown in `wait` ns; its target, and what became of it."""
        surface = self.window.surface.proxy
        manager = "wp_commit_timing_manager_v1"
        timer = self._timer = self._timer or self.client.bind(manager).create("get_timer", surface)
        target = self.now() + wait
        timer.send("set_timestamp", *triple(target))
        return target, self.show()
