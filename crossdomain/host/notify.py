"""What systemd is told of the daemon (sd_notify(3)): READY, STATUS, RELOADING, STOPPING, and the watchdog.

The watchdog is fed while all workers answer.  One that does not is ended, which costs its VM alone, and the
next round is fed without it; where the supervisor itself hangs, systemd starts it anew.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

_ROUNDS: Final = 3
"""Rounds in the time that systemd waits: one may be missed."""


class Systemd:
    """The service manager that has started us, if one has.  Nothing is said where there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from `environment`."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._watchdog = _microseconds(environment) / 1e6

    @property
    def round_seconds(self) -> float:
        """How often the watchdog is to be fed, s; 0 where there is none."""
        return self._watchdog / _ROUNDS

    def ready(self, status: str) -> None:
        """It serves."""
        self._tell(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for who asks systemd."""
        self._tell(f"STATUS={status}")

    def reloading(self) -> None:
        """It reads its settings; `ready` follows."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """It ends."""
        self._tell("STOPPING=1")

    async def feed(self, check: Callable[[float], Awaitable[bool]]) -> None:
        """Feeds the watchdog until it is cancelled, after each round in which `check` finds all well.

        Returns at once where there is none.  `check` is given how long it may take, s.
        """
        seconds = self.round_seconds
        while seconds:
            start = time.monotonic()
            if await check(seconds):
                self._tell("WATCHDOG=1")
            await asyncio.sleep(max(0.0, seconds - (time.monotonic() - start)))

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode(), self._address)


def _microseconds(environment: Mapping[str, str]) -> int:
    """WATCHDOG_USEC, where it is for this process (sd_watchdog_enabled(3))."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) if text.isdecimal() else 0
