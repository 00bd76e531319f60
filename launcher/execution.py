"""How an application is executed: with the signals it would have without us; and why it can't be."""

from __future__ import annotations

from launcher.signals import SIGPIPE, SIGXFSZ

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

EXIT_NOT_EXECUTABLE: Final = 126
EXIT_NOT_FOUND: Final = 127
RESTORED_SIGNALS: Final = (SIGPIPE, SIGXFSZ)
"""Ignored by Python, and by nobody who starts an application."""


class StartError(Exception):
    """The application can't be started; `status` is the exit status that says so."""

    def __init__(self, program: str, error: OSError | ValueError) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        super().__init__(f"{program!r} can't be run: {reason}")
        self.status = EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE
