"""What must hold after every execution: nothing is left open, no callback failed, no task goes on."""

import asyncio
import atexit
import gc
import os
from collections.abc import Awaitable, Callable
from typing import Final

from crossdomain.context.selector import PortSelector

TURNS: Final = 4
"""Of the loop, that an event gets to arrive."""


class Watch:
    """One loop for all executions of a target: a loop for each would be most of the time."""

    def __init__(self) -> None:
        self.ports = PortSelector()
        """What the loop waits with, as a worker's does: for whoever has C carry what needs no Python."""
        self.loop = asyncio.SelectorEventLoop(self.ports)
        atexit.register(self.loop.close)  # while what it waits with is still there
        self._failures: list[BaseException] = []
        self._lowest = _lowest_free_fd()
        self.loop.set_exception_handler(self._note)

    def run(self, execution: Callable[[], Awaitable[None]]) -> None:
        """One execution.

        Raises:
            AssertionError: it left something behind.
            BaseException: what it, or a callback of the loop, raised.
        """
        self.loop.run_until_complete(_finish(execution))
        if self._failures:
            failures, self._failures = self._failures, []
            raise failures[0]
        left = asyncio.all_tasks(self.loop)
        assert not left, f"tasks go on: {left}"
        if _lowest_free_fd() != self._lowest:
            gc.collect()  # what only a cycle holds is not lost
        lowest = _lowest_free_fd()
        assert lowest == self._lowest, (
            f"descriptor {self._lowest} is open, and {lowest} the lowest that is not"
        )

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._failures.append(error if isinstance(error, BaseException) else AssertionError(str(context)))


async def turn(count: int = TURNS) -> None:
    """Lets the loop handle what has arrived."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _finish(execution: Callable[[], Awaitable[None]]) -> None:
    await execution()
    await turn(1)


def _lowest_free_fd() -> int:
    # The kernel gives out the lowest: one that stayed open, or was closed twice, shows here.
    fd = os.dup(0)
    os.close(fd)
    return fd
