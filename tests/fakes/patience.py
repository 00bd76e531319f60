"""Waits with an end, on a clock that may leap.

An emulated machine's may, by a minute, and what others do in that time they still have to do.  So a silence
counts as no longer than what was waited for at once.
"""

import asyncio
import select
import time
from collections.abc import Awaitable, Iterator
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds until a wait gives up: a guest under TCG on a loaded machine is slow."""
_AT_ONCE: Final = 4
"""Turns of the loop in which what this process answers itself is there: before anything is set up to wait."""
_SILENCE: Final = 1.0
"""Seconds that are waited for at once."""


class Pollable(Protocol):
    """What poll takes."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


def pieces(seconds: float) -> Iterator[float]:
    """How long to wait at once, again and again, until that many seconds were waited for."""
    left = seconds
    while left > 0:
        before, longest = time.monotonic(), min(left, _SILENCE)
        yield longest
        left -= min(time.monotonic() - before, longest)


def is_readable(file: Pollable, *, seconds: float = PATIENCE) -> bool:
    """Return when it is; False where it is not in time."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return any(poll.poll(longest * 1000) for longest in pieces(seconds))


async def in_time(awaitable: Awaitable[T], *, seconds: float = PATIENCE) -> T:
    """What `awaitable` gives.

    Raises:
        TimeoutError: nothing, in time; it is cancelled.
    """
    waited = asyncio.ensure_future(awaitable)
    try:
        for _ in range(_AT_ONCE):
            await asyncio.sleep(0)
            if waited.done():
                return waited.result()
        for longest in pieces(seconds):
            if (await asyncio.wait({waited}, timeout=longest))[0]:
                return waited.result()
    finally:
        waited.cancel()
    raise TimeoutError(f"nothing within {seconds} s")
