"""What clients ask for right behind a change of WM_NORMAL_HINTS waits until these have been read.

Hints decide about it: where a ConfigureRequest puts a window depends on its gravity.  A client that sends
both at once means the new ones; we hear of their change only, and have to ask for them.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from launcher.xwayland.model.window import Window
from launcher.xwayland.x11.atoms import Atoms
from launcher.xwayland.x11.events import (
    ClientMessage,
    ConfigureRequest,
    Event,
    MapNotify,
    MapRequest,
    UnmapNotify,
)
from launcher.xwayland.x11.loader import Loader

MAX_POSTPONED: Final = 1000
"""Events of one window that wait for the X server's answer: a client that sends more has them decided about
with the hints of before."""

_HINTS: Final = "WM_NORMAL_HINTS"
_MESSAGES: Final = frozenset({"_NET_MOVERESIZE_WINDOW", "_NET_WM_MOVERESIZE", "_NET_WM_STATE"})

_Ordered: TypeAlias = ClientMessage | ConfigureRequest | MapNotify | MapRequest | UnmapNotify
"""Events of which each window's have to be handled in their order."""


class Postponed:
    """The events that wait, of all windows."""

    def __init__(
        self,
        loader: Loader,
        find: Callable[[int], Window | None],
        atoms: Atoms,
        carry_out: Callable[[Event], None],
    ) -> None:
        """`find` returns the record of a window that is still there; `carry_out` handles what has waited."""
        self._loader = loader
        self._find = find
        self._atoms = atoms
        self._carry_out = carry_out
        self._waiting: dict[int, deque[_Ordered]] = {}

    def take(self, event: Event | None) -> bool:
        """Returns whether an event waits, for the hints or for one before it that does."""
        if not isinstance(event, _Ordered):
            return False
        queue = self._waiting.get(event.window)
        if queue is not None:
            queue.append(event)
            if len(queue) > MAX_POSTPONED:
                self._go_on(event.window, queue, len(queue))
            return True
        window = self._find(event.window)
        if window is None or window.role is None or not self._has_to_wait(event, window):
            return False
        self._waiting[event.window] = deque((event,))
        self._read(window)
        return True

    def forget(self, window: int) -> None:
        """A window is gone."""
        self._waiting.pop(window, None)

    def _has_to_wait(self, event: _Ordered, window: Window) -> bool:
        if not self._loader.is_reading(window, _HINTS):
            return False
        return isinstance(event, ConfigureRequest) or (
            isinstance(event, ClientMessage) and self._atoms.name(event.type) in _MESSAGES
        )

    def _read(self, window: Window) -> None:
        """Asks for the hints as they are now: so long, and no longer, does what is in the queue wait."""
        queue = self._waiting[window.window]
        covered = len(queue)

        def done(window: Window) -> None:
            if self._waiting.get(window.window) is queue:
                self._go_on(window.window, queue, covered)

        self._loader.read(window, _HINTS, done)

    def _go_on(self, number: int, queue: deque[_Ordered], covered: int) -> None:
        """Handles `covered` events, and then those that need not wait on."""
        while queue and self._waiting.get(number) is queue:
            window = self._find(number)
            if covered <= 0 and window is not None and self._has_to_wait(queue[0], window):
                self._read(window)
                return
            covered -= 1
            self._carry_out(queue.popleft())
        self.forget(number)
