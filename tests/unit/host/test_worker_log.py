"""What a worker writes to its standard error reaches the log as lines, cut, harmless and not too many."""

import fcntl
import os
import termios
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from crossdomain.host.worker_log import WorkerLog
from crossdomain.limits import MAX_WORKER_LINE, WORKER_LOG_BURST, WORKER_LOG_PER_SECOND
from tests.unit.context.world import until


class Log:
    """Both ends, with a clock in the test's hands."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        read_end, self._write_end = os.pipe()
        self.log = WorkerLog(read_end, "vm a", self.lines.append, lambda: self.now)

    def say(self, data: bytes) -> None:
        """The worker writes, as much as its pipe takes."""
        assert os.write(self._write_end, data) == len(data)

    @property
    def is_read(self) -> bool:
        """Whether nothing is left in the pipe."""
        return fcntl.ioctl(self._write_end, termios.FIONREAD, bytes(4)) == bytes(4)

    def die(self) -> None:
        """The worker ends."""
        os.close(self._write_end)
        self._write_end = -1

    def close(self) -> None:
        """Both ends."""
        self.log.close()
        if self._write_end >= 0:
            self.die()


@asynccontextmanager
async def running() -> AsyncGenerator[Log]:
    log = Log()
    try:
        yield log
    finally:
        log.close()


async def test_lines_pass_however_they_are_cut() -> None:
    async with running() as log:
        for part in (b"one\ntw", b"o\nthree", b" and", b" more\n"):
            log.say(part)
        await until(lambda: log.lines == ["one", "two", "three and more"])


async def test_nothing_steers_a_terminal() -> None:
    async with running() as log:
        log.say("\x1b]0;owned\x07 \x9b2J \x08 a\u202eb ü \x00\n".encode() + b"\xff\xfe\n")
        await until(lambda: len(log.lines) == 2)
    assert log.lines == ["?]0;owned? ?2J ? a?b ü ?", "��"]


async def test_a_line_has_a_length() -> None:
    async with running() as log:
        log.say(b"x" * (MAX_WORKER_LINE + 10))
        log.say(b"x" * MAX_WORKER_LINE + b"\nnext\n")
        await until(lambda: len(log.lines) == 2)
    assert log.lines == ["x" * MAX_WORKER_LINE, "next"]


async def test_a_flood_is_left_out_and_counted() -> None:
    line = b"y" * 1023 + b"\n"
    async with running() as log:
        for _ in range(WORKER_LOG_BURST // 1024 + 17):
            log.say(line)
            await until(lambda: log.is_read)
        log.now = 1024 / WORKER_LOG_PER_SECOND
        log.say(b"last\n")
        await until(lambda: log.lines[-1] == "last")
    assert len(log.lines) == WORKER_LOG_BURST // 1024 + 2
    assert log.lines[-2] == "vm a: 17 lines of its worker left out"


async def test_last_words_are_heard() -> None:
    async with running() as log:
        log.say(b"realloc(): invalid pointer")
        log.die()
        log.log.close()
        assert log.lines == ["realloc(): invalid pointer"]
        log.log.close()
