"""Shows on a stream how far a long phase is.

A terminal gets a bar that is redrawn in place.  Anything else (a log, CI) gets a line
whenever a tenth is done or ten seconds went by, so that nothing looks hung.
"""

import time
from typing import Final, TextIO

_BAR_COLUMNS: Final = 28
_REDRAW_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 10.0


class Progress:
    """One phase.  Use it as a context manager; leaving it ends the line.

    Args:
        stream: where to draw, usually standard error.
        title: what is being done, a few words.
    """

    def __init__(self, stream: TextIO, title: str) -> None:
        self._stream = stream
        self._title = title
        self._terminal = stream.isatty()
        self._started = time.monotonic()
        self._drawn_at = 0.0
        self._drawn_tenth = -1
        self._fraction = 0.0

    def __enter__(self) -> "Progress":
        self.update(0.0, "")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._draw(1.0 if kind is None else self._fraction, "done" if kind is None else "failed")
        if self._terminal:
            self._stream.write("\n")
            self._stream.flush()

    @property
    def seconds(self) -> float:
        """Seconds since this phase began."""
        return time.monotonic() - self._started

    def update(self, fraction: float, text: str) -> None:
        """Say how much is done (0 to 1; never goes back) and what is being worked on."""
        self._fraction = min(1.0, max(self._fraction, fraction))
        elapsed = time.monotonic() - self._drawn_at
        tenth = int(self._fraction * 10)
        if self._terminal:
            due = elapsed >= _REDRAW_SECONDS
        else:
            due = tenth != self._drawn_tenth or elapsed >= _LINE_SECONDS
        if due:
            self._draw(self._fraction, text)

    def _draw(self, fraction: float, text: str) -> None:
        self._drawn_at = time.monotonic()
        self._drawn_tenth = int(fraction * 10)
        done = round(fraction * _BAR_COLUMNS)
        bar = "#" * done + "-" * (_BAR_COLUMNS - done)
        line = f"{self._title} [{bar}] {fraction:4.0%} {self.seconds:4.0f} s  {text}"
        self._stream.write(f"\r\033[K{line[:118]}" if self._terminal else f"{line.rstrip()}\n")
        self._stream.flush()
