"""The application: started with the signals, limits and environment it would have without us.

The signals that we get are passed on to it, and it leaves its exit status to us.
"""

from __future__ import annotations

import os
import resource
from struct import Struct

from crossdomain.native.system import open_signalfd
from launcher import log, signals
from launcher.execution import RESTORED_SIGNALS, StartError
from launcher.loop import READABLE

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from launcher.loop import Loop

_SIGNALLED: Final = 128
"""Added to the number of the signal that killed it, as a shell does."""

_PASSED_ON: Final = frozenset(
    {signals.SIGHUP, signals.SIGINT, signals.SIGQUIT, signals.SIGTERM, signals.SIGUSR1, signals.SIGUSR2}
)
_FROM_TERMINAL: Final = frozenset({signals.SIGHUP, signals.SIGINT, signals.SIGQUIT})
_SI_KERNEL: Final = 0x80
"""si_code of a signal that no process sent: the terminal's keys, or its end."""
_SIGINFO: Final = Struct("=Iii116x")
"""struct signalfd_siginfo: ssi_signo, ssi_errno, ssi_code."""


class Application:
    """The application's process, from `start` until it was waited for."""

    def __init__(self, loop: Loop) -> None:
        """Takes over the signals: one that comes while there is no application stops the loop."""
        self.loop = loop
        self.ended: Callable[[], None] = loop.stop
        """Called when the application has ended."""
        self._pid = 0
        self._pidfd = -1
        self.status: int | None = None
        """Its exit status, None while it runs."""
        # nohup, and a shell's background jobs, ignore some: they stay ignored, here and there.
        self._signals = {number for number in _PASSED_ON if not signals.is_ignored(number)}
        self._mask = signals.block(self._signals)
        self._signal_fd = open_signalfd(self._signals)
        loop.add(self._signal_fd, READABLE, self._handle_signals)

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts the command, looked up in PATH.

        Raises:
            StartError: there is none of that name, or it can't be executed.
        """
        try:
            self._pid = os.posix_spawnp(
                command[0], list(command), environment, setsigmask=self._mask, setsigdef=RESTORED_SIGNALS
            )
        except (OSError, ValueError) as error:
            raise StartError(command[0], error) from None
        self._pidfd = os.pidfd_open(self._pid)
        self.loop.add(self._pidfd, READABLE, self._handle_end)

    def close(self) -> None:
        """Gives the signals back; the application, if it runs, is left alone."""
        if self._pidfd >= 0:
            self.loop.remove(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._signal_fd >= 0:
            self.loop.remove(self._signal_fd)
            os.close(self._signal_fd)
            self._signal_fd = -1
            signals.set_blocked(self._mask)

    def _handle_end(self, _events: int) -> None:
        self.loop.remove(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.status = code if code >= 0 else _SIGNALLED - code
        log.info(f"the application has ended with status {self.status}")
        self.ended()

    def _handle_signals(self, _events: int) -> None:
        try:
            while True:
                number, _errno, code = _SIGINFO.unpack(os.read(self._signal_fd, _SIGINFO.size))
                self._handle_signal(number, code)
        except BlockingIOError:
            return

    def _handle_signal(self, number: int, code: int) -> None:
        if self._pidfd < 0:
            # With --wait we outlive it, and a service has none: then the signal means us.
            self.loop.stop()
        elif not (code == _SI_KERNEL and number in _FROM_TERMINAL):
            log.debug(f"passing on signal {number}")
            signals.send(self._pidfd, number)
        # The terminal has sent it to the application as well.


def raise_fd_limit() -> None:
    """Lets this process have as many fds as it may; the application has been started with its own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return
