"""The order of windows on the X screen, from the lowest to the highest.

The compositor knows nothing of it, and does not need it.  But X clients look for the window at a
point (drag and drop, grabs), so the window under the pointer has to be above the others.
"""

from collections.abc import Callable, Iterator
from itertools import islice


class Stack:
    """An order of windows, by number."""

    def __init__(self, raise_window: Callable[[int], None]) -> None:
        """`raise_window` puts a window on top in the X server."""
        self._raise = raise_window
        self._order: dict[int, None] = {}
        self._is_sure = False
        """Whether those on top are on top in X: a window is mapped where it was made, below younger ones."""

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._order))

    def __contains__(self, window: int) -> bool:
        return window in self._order

    def add(self, window: int) -> None:
        """A new window is on top, or one that was mapped again."""
        self.remove(window)
        self._order[window] = None
        self._is_sure = False

    def remove(self, window: int) -> None:
        """A window is gone."""
        self._order.pop(window, None)

    def raise_group(self, group: list[int]) -> bool:
        """Puts windows on top, the last one highest; returns whether anything had to be done."""
        present = [window for window in group if window in self._order]
        is_on_top = list(islice(reversed(self._order), len(present))) == present[::-1]
        if is_on_top and self._is_sure:
            return False
        self._is_sure = True
        for window in present:
            del self._order[window]
            self._order[window] = None
            self._raise(window)
        return not is_on_top
