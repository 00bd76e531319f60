"""Fences that nothing waits for here: somebody is told when they are over, or when it has been too long."""

from collections.abc import Callable

from crossdomain.bridge.fences import Fence
from crossdomain.limits import FENCE_SECONDS
from launcher import log
from launcher.loop import READABLE, Loop, Timer
from launcher.relay.messages import Host


class Watches:
    """One client's."""

    def __init__(self, loop: Loop, host: Host) -> None:
        self._loop = loop
        self._host = host
        self._timers: dict[Fence, Timer] = {}

    def add(self, fence: Fence, over: Callable[[], None]) -> None:
        """Calls `over` once, when the fence is over or FENCE_SECONDS have passed.  Takes ownership of it."""

        def end(_events: int) -> None:
            self._remove(fence)
            self._host.guard(lambda _: over(), 0)

        def give_up() -> None:
            text = f"a frame is shown unfinished: its fence is not over after {FENCE_SECONDS:g} s"
            log.warning(text, client=self._host.name)
            end(0)

        self._timers[fence] = self._loop.call_later(FENCE_SECONDS, give_up)
        self._loop.add(fence.fileno(), READABLE, end)

    def close(self) -> None:
        """Forgets all, and tells nobody."""
        for fence in list(self._timers):
            self._remove(fence)

    def _remove(self, fence: Fence) -> None:
        self._timers.pop(fence).cancel()
        self._loop.remove(fence.fileno())
        fence.close()
