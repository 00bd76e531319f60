"""Whether the host still lives, where nothing tells of its end: over virtio-gpu.

A virtual GPU whose host service has died takes all that it is given, and answers nothing: QEMU tells the
guest's driver nothing of it, and applications would wait for ever.  So while there are clients, one command
with a fence goes to the host every now and then; a host that lives completes it within a millisecond.
"""

import os
from collections.abc import Callable
from typing import Final

from launcher.loop import READABLE, Loop, Timer

FIRST_SECONDS: Final = 2.0
"""A launcher that is done sooner never asks."""
EVERY_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 5.0
"""Twice: after a machine has slept, time may have passed for us and not for the host."""


class HostWatch:
    """Asks while it is on; `dead` is called once there is no answer, and it is off then."""

    def __init__(self, loop: Loop, prove: Callable[[], int], dead: Callable[[], None]) -> None:
        """`prove` is `launcher.channel.seam.Channel.prove` of any channel."""
        self._loop = loop
        self._prove = prove
        self._dead = dead
        self._timer: Timer | None = None
        self._proof = -1
        self._is_late = False

    def begin(self) -> None:
        """Turns it on, unless it is."""
        if self._timer is None:
            self._timer = self._loop.call_later(FIRST_SECONDS, self._ask)

    def end(self) -> None:
        """Turns it off.  May be called again."""
        self._drop_proof()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        self._timer = None
        self._is_late = False
        try:
            self._proof = self._prove()
        except OSError:
            self._dead()
            return
        if self._proof >= 0:
            self._loop.add(self._proof, READABLE, self._handle_proof)
            self._timer = self._loop.call_later(PATIENCE_SECONDS, self._miss)

    def _handle_proof(self, _events: int) -> None:
        self.end()
        self._timer = self._loop.call_later(EVERY_SECONDS, self._ask)

    def _miss(self) -> None:
        if self._is_late:
            self.end()
            self._dead()
        else:
            self._is_late = True
            self._timer = self._loop.call_later(PATIENCE_SECONDS, self._miss)

    def _drop_proof(self) -> None:
        proof, self._proof = self._proof, -1
        if proof >= 0:
            self._loop.remove(proof)
            os.close(proof)
