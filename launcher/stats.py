"""Counters of the whole launcher, and the file that shows them (`--stats`).

The file is replaced as a whole, so that a reader never sees half of it.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from launcher import log

_MAX_LISTED: Final = 256
"""Clients that are gone and still shown one by one: a launcher may live for months."""
_STARTTIME_FIELD: Final = 19
"""Of /proc/self/stat after the process name's closing parenthesis, counted from 0 (proc(5): field 22)."""


class ClientStats:
    """Counters of one client; the relay adds to them as it works."""

    __slots__ = (
        "buffers",
        "bytes_captured",
        "bytes_copied",
        "bytes_copied_host",
        "bytes_damaged",
        "collect",
        "copied",
        "first_frame_s",
        "frames",
        "handled",
        "name",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.collect: Callable[[], None] = _nothing
        """Adds what nobody had to look at since it was called."""
        self.frames = 0
        """Commits that showed something new."""
        self.handled = 0
        """How often something of it was not carried by C alone."""
        self.bytes_damaged = 0
        self.bytes_copied = 0
        """Here."""
        self.bytes_copied_host = 0
        """By the host, out of the clients' own pages."""
        self.bytes_captured = 0
        """Bytes of the host's screen that were copied into buffers of the client."""
        self.buffers: dict[str, int] = {}
        """How many buffers went which way."""
        self.copied: dict[str, int] = {}
        """Bytes that were copied, here or on the host, of the buffers that went which way."""
        self.first_frame_s: float | None = None
        """Seconds from the launcher's start to the first commit with a buffer."""

    def end(self) -> None:
        """`collect` adds no more."""
        self.collect()
        self.collect = _nothing

    def count_copied(self, path: str, size: int) -> None:
        """So many bytes of a buffer that goes that way were copied."""
        if size:
            self.copied[path] = self.copied.get(path, 0) + size

    def count_buffer(self, path: str) -> None:
        """One more buffer goes that way."""
        self.buffers[path] = self.buffers.get(path, 0) + 1

    def move_buffer(self, before: str, path: str) -> None:
        """One of the buffers that went one way goes another from now on."""
        self.buffers[before] -= 1
        if not self.buffers[before]:
            del self.buffers[before]
        self.count_buffer(path)

    def add(self, other: "ClientStats") -> None:
        """Adds another client's counters; the earlier first frame is kept."""
        other.collect()
        self.frames += other.frames
        self.handled += other.handled
        self.bytes_damaged += other.bytes_damaged
        self.bytes_copied += other.bytes_copied
        self.bytes_copied_host += other.bytes_copied_host
        self.bytes_captured += other.bytes_captured
        for path, size in other.copied.items():
            self.count_copied(path, size)
        for path, count in other.buffers.items():
            self.buffers[path] = self.buffers.get(path, 0) + count
        if self.first_frame_s is None or (other.first_frame_s or math.inf) < self.first_frame_s:
            self.first_frame_s = other.first_frame_s


class Stats:
    """All clients' counters; those of clients that are gone stay in the sum."""

    __slots__ = ("_clients", "_count", "_forgotten", "_gone", "_path", "_process_start", "_start_s")

    def __init__(self, path: str | None) -> None:
        """Counts from the process's start; `path` is the file to write, or None."""
        self._path = path
        self._process_start = _process_start()
        self._start_s = 0.0
        self._count = 0
        self._clients: list[ClientStats] = []
        self._gone: deque[ClientStats] = deque()
        self._forgotten = ClientStats("")

    def elapsed(self) -> float:
        """Returns the seconds since the process was started, the interpreter's own start included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self._process_start

    def app_started(self, at: float) -> None:
        """The application is running since `at`, s of CLOCK_BOOTTIME: that was the start-up."""
        self._start_s = at - self._process_start

    def add_client(self, name: str) -> ClientStats:
        """Returns counters for a new client."""
        stats = ClientStats(name)
        self._count += 1
        self._clients.append(stats)
        return stats

    def client_gone(self, client: ClientStats) -> None:
        """Its counters change no more."""
        client.end()
        self._clients.remove(client)
        self._gone.append(client)
        if len(self._gone) > _MAX_LISTED:
            self._forgotten.add(self._gone.popleft())

    def totals(self) -> ClientStats:
        """Returns the sum of all clients' counters."""
        total = ClientStats("")
        total.add(self._forgotten)
        for client in (*self._gone, *self._clients):
            total.add(client)
        return total

    def first_frame(self, client: ClientStats) -> None:
        """The client showed its first frame."""
        client.first_frame_s = self.elapsed()
        self.write()

    def write(self) -> None:
        """Writes the file, if one was asked for; a disk that is full costs no window."""
        if self._path is None:
            return
        import json  # noqa: PLC0415 (slow to load, and needed only here)

        temporary = f"{self._path}.{os.getpid()}.tmp"
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(self._as_object(), file, indent=2)
                file.write("\n")
            os.replace(temporary, self._path)
        except OSError as error:
            log.warning(f"the counters can't be written to {self._path!r}: {error.strerror}")

    def _as_object(self) -> dict[str, object]:
        total = self.totals()
        return {
            "start_s": round(self._start_s, 4),
            "clients": self._count,
            **_counters(total),
            "per_client": [
                {"name": client.name, **_counters(client)} for client in (*self._gone, *self._clients)
            ],
        }


def _nothing() -> None:
    """There is nothing to add."""


def _counters(client: ClientStats) -> dict[str, object]:
    first_frame_s = client.first_frame_s
    return {
        "first_frame_s": None if first_frame_s is None else round(first_frame_s, 4),
        "frames": client.frames,
        "handled": client.handled,
        "bytes_damaged": client.bytes_damaged,
        "bytes_copied": client.bytes_copied,
        "bytes_copied_host": client.bytes_copied_host,
        "bytes_captured": client.bytes_captured,
        "buffers": client.buffers,
        "bytes_copied_by_path": client.copied,
    }


def _process_start() -> float:
    """Returns when this process was started, in seconds of CLOCK_BOOTTIME (to a clock tick)."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[_STARTTIME_FIELD]) / os.sysconf("SC_CLK_TCK")
