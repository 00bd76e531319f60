"""The launcher's own lines on stderr.

`logging` costs a third of the start-up; this has levels, a client's name in every line, and
a limit on what one peer can make us print.  Texts that come from a peer are given as %r.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

PROGRAM: Final = "crossdomain-run"
_BURST: Final = 20
"""Lines in one second; a client that reconnects in a loop must not fill the journal."""


LEVELS: Final = ("error", "warning", "info", "debug")
"""How much is said: each level includes those before it."""
ERROR: Final = 0
WARNING: Final = 1
INFO: Final = 2
DEBUG: Final = 3

_level = WARNING
_second = 0
_printed = 0
_suppressed = 0


def set_level(level: int) -> None:
    """From now on prints a level, an index of LEVELS, and what is graver."""
    global _level
    _level = level


def error(text: str, *, client: str = "") -> None:
    """What ends the command, or should never happen."""
    _print(ERROR, text, client)


def warning(text: str, *, client: str = "") -> None:
    """A peer's fault."""
    _print(WARNING, text, client)


def info(text: str, *, client: str = "") -> None:
    """What lives and ends: sockets, clients, the application."""
    _print(INFO, text, client)


def debug(text: str, *, client: str = "") -> None:
    """Everything else."""
    _print(DEBUG, text, client)


def bug(failure: BaseException, *, client: str) -> None:
    """An exception that nobody raises on purpose: with its traceback, for the report."""
    import traceback  # noqa: PLC0415 (slow to load, and never needed)

    _print(ERROR, "".join(traceback.format_exception(failure)), client)


def trace(text: str, *, client: str) -> None:
    """A Wayland message; asked for by --trace, so neither level nor limit holds it back."""
    _write(f"{client}: {text}")


def _print(level: int, text: str, client: str) -> None:
    global _second, _printed, _suppressed
    if level > _level:
        return
    now = int(time.monotonic())
    if now != _second:
        if _suppressed:
            _write(f"{_suppressed} more lines were left out")
        _second, _printed, _suppressed = now, 0, 0
    if level == ERROR or _level == DEBUG or _printed < _BURST:
        _printed += 1
        _write(f"{client}: {text}" if client else text)
    else:
        _suppressed += 1


def _write(text: str) -> None:
    # One write, so that lines of several processes do not mix; a closed stderr is no reason to end.
    line = f"{PROGRAM}: {text}\n".encode(errors="backslashreplace")
    try:
        os.write(sys.stderr.fileno() if sys.stderr is not None else 2, line)
    except (OSError, ValueError):
        return
