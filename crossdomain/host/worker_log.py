"""What a worker writes to its standard error, on its way to the supervisor's.

A worker may have been taken over by its guest, and its log goes to a terminal or a journal: what comes out
here is whole lines of bounded length that steer no terminal, each under the label of that worker's VM
(`worker_lines`), and no more of them than a disk takes.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Final

from crossdomain.context.peer import Peer
from crossdomain.host.worker_lines import record_of
from crossdomain.limits import MAX_WORKER_LINE, WORKER_LOG_BURST, WORKER_LOG_PER_SECOND

_log = logging.getLogger("crossdomain.worker")

_READ_SIZE: Final = 65536


class WorkerLog:
    """The supervisor's end of one worker's standard error."""

    def __init__(
        self,
        fd: int,
        label: Peer,
        handle: Callable[[logging.LogRecord], None] = _log.handle,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes ownership of `fd`, a pipe's read end, and reads it on the running loop.

        `label` names the worker, `handle` logs a line.
        """
        self._fd = fd
        self._label = label
        self._handle = handle
        self._clock = clock
        self._line = bytearray()
        self._is_cut = False
        self._left = float(WORKER_LOG_BURST)
        self._filled = clock()
        self._left_out = 0
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    def close(self) -> None:
        """Takes what is left, the worker's last words, and ends.  May be called again."""
        while self._fd >= 0 and self._readable():
            pass
        self._end()

    def _readable(self) -> bool:
        """Takes what there is; returns whether there may be more."""
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        for part in data.splitlines(keepends=True):
            self._take(part)
        return True

    def _take(self, part: bytes) -> None:
        is_whole = part.endswith((b"\n", b"\r"))
        if not self._is_cut:
            self._line += part
            if not is_whole and len(self._line) <= MAX_WORKER_LINE:
                return
            self._tell(self._line)
            self._line.clear()
        self._is_cut = not is_whole

    def _tell(self, line: bytearray) -> None:
        now = self._clock()
        earned = (now - self._filled) * WORKER_LOG_PER_SECOND
        self._left, self._filled = min(float(WORKER_LOG_BURST), self._left + earned), now
        if self._left < len(line):
            self._left_out += 1
            return
        self._left -= len(line)
        if self._left_out:
            self._handle(record_of(self._label, f"{self._left_out} lines of its worker left out"))
            self._left_out = 0
        text = line[:MAX_WORKER_LINE].decode(errors="replace").rstrip("\r\n")
        self._handle(record_of(self._label, text))

    def _end(self) -> None:
        if self._fd < 0:
            return
        if self._line:
            self._tell(self._line)
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
