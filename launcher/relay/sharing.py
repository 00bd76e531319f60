"""Which mirror a surface's next buffer lives in.

Clients draw in two or three buffers in turn, because compositors read one while they draw the next.
A mirror per buffer has to be given the damage of every frame that the others showed, so that all
is copied twice or thrice.  Most compositors, those that draw with GL, give a buffer back once they
have uploaded it: its mirror is free when the next buffer comes, and needs just that one's damage.
So where a surface's compositor does that, all buffers of the surface move into one mirror.  A
compositor that holds what it shows until it gets the next (Weston with pixman) needs two.
"""

from enum import Enum
from typing import Final

from launcher.relay.buffers import Buffer

_FIRST_TRUST: Final = 2
"""Buffers in a row that found the one before them given back, before the mirror is shared."""
_MAX_TRUST: Final = 4096


class Move(Enum):
    """What becomes of a buffer that is attached."""

    STAY = 0
    JOIN = 1
    """It moves into the mirror of the buffer before it."""
    LEAVE = 2
    """It moves into a mirror of its own."""


class Sharing:
    """The decision for one surface, made anew at each attach."""

    __slots__ = ("streak", "trust")

    def __init__(self) -> None:
        self.streak = 0
        """Buffers in a row that found the one before them given back."""
        self.trust = _FIRST_TRUST
        """How many of them it takes; at most _MAX_TRUST."""

    def judge(self, buffer: Buffer, before: Buffer | None) -> Move:
        """Decides about a buffer with a mirror; `before` is what the surface shows, if anything of ours."""
        front = None if before is None else before.mirror
        mine = buffer.mirror
        if mine is None or mine.in_place or not buffer.is_movable:
            return Move.STAY
        if not mine.is_idle:
            if mine is front:
                self._disappoint()
            return Move.LEAVE
        if before is None or front is None or front is mine or front.in_place:
            return Move.STAY
        if not front.is_idle:
            self.streak = 0
            return Move.STAY
        self.streak += 1
        if front.pixels is None and not buffer.has_pages:
            return Move.STAY
        return Move.JOIN if self.streak >= self.trust and _are_alike(buffer, before) else Move.STAY

    def _disappoint(self) -> None:
        """The compositor still reads what was shared: that costs a whole copy, so it has to be rare."""
        self.streak = 0
        self.trust = min(4 * self.trust, _MAX_TRUST)


def _are_alike(one: Buffer, other: Buffer) -> bool:
    """Whether the same bytes mean the same picture in both."""
    return one.request._replace(pool_id=0, pool_size=0, offset=0) == other.request._replace(
        pool_id=0, pool_size=0, offset=0
    )
