"""Signals as numbers: what the module `signal` wraps, without its enumerations.

They take half as long to make as the interpreter takes to start, and an application that is to be
started waits for that.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingModuleSource]

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

SIGHUP: Final = int(_signal.SIGHUP)
SIGINT: Final = int(_signal.SIGINT)
SIGQUIT: Final = int(_signal.SIGQUIT)
SIGUSR1: Final = int(_signal.SIGUSR1)
SIGUSR2: Final = int(_signal.SIGUSR2)
SIGKILL: Final = int(_signal.SIGKILL)
SIGPIPE: Final = int(_signal.SIGPIPE)
SIGTERM: Final = int(_signal.SIGTERM)
SIGXFSZ: Final = int(_signal.SIGXFSZ)


def is_ignored(number: int) -> bool:
    """Whether this process ignores it."""
    return _signal.getsignal(number) == _signal.SIG_IGN


def restore(number: int) -> None:
    """Lets it do what it does by default."""
    _signal.signal(number, _signal.SIG_DFL)


def block(numbers: Iterable[int]) -> set[int]:
    """Blocks these in addition; returns all that were blocked before."""
    return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, numbers))


def set_blocked(numbers: Iterable[int]) -> None:
    """Blocks these, and no others."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, numbers)


def send(pidfd: int, number: int) -> None:
    """Sends one to a process.

    Raises:
        ProcessLookupError: it has ended.
    """
    _signal.pidfd_send_signal(pidfd, number)
