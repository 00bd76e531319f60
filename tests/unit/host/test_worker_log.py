"""What a worker writes to its standard error is logged as lines of its VM: cut, harmless, not too many."""

import fcntl
import json
import logging
import os
import termios
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from crossdomain.context.peer import Peer
from crossdomain.host.logs import JsonFormatter
from crossdomain.host.worker_log import WorkerLog
from crossdomain.limits import MAX_WORKER_LINE, WORKER_LOG_BURST, WORKER_LOG_PER_SECOND
from tests.unit.context.world import until


class Log:
    """Both ends, with a clock in the test's hands."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        read_end, self._write_end = os.pipe()
        self.records: list[logging.LogRecord] = []
        self.log = WorkerLog(read_end, Peer.of_vm("vm a"), self._handle, lambda: self.now)

    def _handle(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(record.getMessage())

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
        await until(lambda: log.lines == ["vm a: one", "vm a: two", "vm a: three and more"])


async def test_nothing_steers_a_terminal() -> None:
    async with running() as log:
        log.say("\x1b]0;owned\x07 \x9b2J \x08 a\u202eb ü \x00\n".encode() + b"\xff\xfe\n")
        await until(lambda: len(log.lines) == 2)
    assert log.lines == ["vm a: ?]0;owned? ?2J ? a?b ü ?", "vm a: ��"]


async def test_a_line_has_a_length() -> None:
    async with running() as log:
        log.say(b"x" * (MAX_WORKER_LINE + 10))
        log.say(b"x" * MAX_WORKER_LINE + b"\nnext\n")
        await until(lambda: len(log.lines) == 2)
    assert log.lines == ["vm a: " + "x" * MAX_WORKER_LINE, "vm a: next"]


async def test_a_flood_is_left_out_and_counted() -> None:
    line = b"y" * 1023 + b"\n"
    async with running() as log:
        for _ in range(WORKER_LOG_BURST // 1024 + 17):
            log.say(line)
            await until(lambda: log.is_read)
        log.now = 1024 / WORKER_LOG_PER_SECOND
        log.say(b"last\n")
        await until(lambda: log.lines[-1] == "vm a: last")
    assert len(log.lines) == WORKER_LOG_BURST // 1024 + 2
    assert log.lines[-2] == "vm a: 17 lines of its worker left out"


async def test_last_words_are_heard() -> None:
    async with running() as log:
        log.say(b"realloc(): invalid pointer")
        log.die()
        log.log.close()
        assert log.lines == ["vm a: realloc(): invalid pointer"]
        log.log.close()


def told(**fields: object) -> bytes:
    """A line as a worker's log writes it."""
    usual = {"time": "2000-01-01T00:00:00.000+00:00", "level": "warning", "logger": "crossdomain.context"}
    return json.dumps(usual | {"message": "vm a, ctx 3, 'foot': late"} | fields).encode() + b"\n"


async def test_a_line_keeps_its_parts() -> None:
    async with running() as log:
        log.say(told(vm="vm a", context=3, client="foot", exception="Traceback\nValueError: no"))
        await until(lambda: len(log.lines) == 1)
    (record,) = log.records
    assert (record.levelname, record.name) == ("WARNING", "crossdomain.context")
    assert logging.Formatter("%(message)s").format(record) == (
        "vm a, ctx 3, 'foot': late\nvm a | Traceback\nvm a | ValueError: no"
    )
    line = json.loads(JsonFormatter().format(record))
    assert (line["vm"], line["context"], line["client"]) == ("vm a", 3, "foot")
    assert line["time"] > "2001"


@pytest.mark.parametrize(
    "line",
    [
        told(vm="vm b", message="vm b, ctx 1, 'bank': paid"),
        told(vm="vm b", message="vm ab, ctx 1: paid"),
        told(message="vm a", exception="x\n2026-01-01 00:00:00,000 ERROR crossdomain.host: vm b: gone"),
        told(logger="crossdomain.host: vm b: gone"),
        told(level="error crossdomain.host: vm b: gone"),
        told(context="vm b", client=["vm b"]),
        b"2026-01-01 00:00:00,000 ERROR crossdomain.host: vm b: its worker ended with signal 9\n",
        b'{"vm": "vm b"}\n',
        b"[" * 15000 + b"\n",
    ],
)
async def test_no_line_is_another_vms(line: bytes) -> None:
    async with running() as log:
        log.say(line)
        await until(lambda: len(log.lines) == 1)
    (record,) = log.records
    shown = logging.Formatter("%(name)s: %(message)s").format(record).splitlines()
    assert shown[0].startswith((f"{record.name}: vm a: ", f"{record.name}: vm a, "))
    assert all(part.startswith("vm a | ") for part in shown[1:])
    assert ":" not in record.name
    assert json.loads(JsonFormatter().format(record))["vm"] == "vm a"
