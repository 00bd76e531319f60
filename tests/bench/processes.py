"""What other processes use, read from /proc: CPU, waiting for it, context switches, private memory.

A process that ended while it was being read counts as nothing: proxies fork and join as they like.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def cpu_ns(pids: Iterable[int]) -> int:
    """Returns the time that all threads of the processes ran so far, without rounding to ticks."""
    return _total(pids, _cpu_ns)


def waited_ns(pids: Iterable[int]) -> int:
    """Returns the time that all threads of the processes waited so far for a CPU, ready to run."""
    return _total(pids, _waited_ns)


def first_thread_cpu_ns(pid: int) -> int:
    """Returns the time that the first thread of a process ran so far; 0 where it is gone."""
    try:
        return _thread_times_ns(_PROC / str(pid) / "task" / str(pid))[0]
    except (FileNotFoundError, ProcessLookupError):
        return 0


def switches(pids: Iterable[int]) -> int:
    """Returns how often threads of the processes left a CPU so far, of their own will or not."""
    return _total(pids, _switches)


def private_bytes(pids: Iterable[int]) -> int:
    """Returns the memory that no other process shares."""
    return _total(pids, _private_bytes)


def name_of(pid: int) -> str:
    """Returns the command's name, cut to 15 bytes by the kernel; empty where the process is gone."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def tree(root: int) -> list[int]:
    """Returns `root` and all its descendants."""
    found = [root]
    for pid in found:  # grows while it is walked
        found += _children(pid)
    return found


def proxies_of(root: int, client: str) -> list[int]:
    """Returns the tree of `root` without the processes called `client`."""
    return [pid for pid in tree(root) if name_of(pid) != client]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for thread in _threads(pid):
        try:
            children += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return children


def _threads(pid: int) -> list[Path]:
    try:
        return list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _total(pids: Iterable[int], read: Callable[[int], int]) -> int:
    return sum(_or_nothing(read, pid) for pid in pids)


def _or_nothing(read: Callable[[int], int], pid: int) -> int:
    try:
        return read(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _cpu_ns(pid: int) -> int:
    return sum(_thread_times_ns(thread)[0] for thread in _threads(pid))


def _waited_ns(pid: int) -> int:
    return sum(_thread_times_ns(thread)[1] for thread in _threads(pid))


def _thread_times_ns(thread: Path) -> tuple[int, int]:
    return parse_times_ns((thread / "schedstat").read_text())


def _switches(pid: int) -> int:
    return sum(parse_switches((thread / "status").read_text()) for thread in _threads(pid))


def _private_bytes(pid: int) -> int:
    return parse_private_bytes((_PROC / str(pid) / "smaps_rollup").read_text())


def parse_switches(status: str) -> int:
    """Returns the context switches that a /proc/PID/status counts."""
    return sum(
        int(line.split()[1]) for line in status.splitlines() if "ctxt_switches:" in line.split(maxsplit=1)[0]
    )


def parse_times_ns(schedstat: str) -> tuple[int, int]:
    """Returns how long a /proc/PID/task/TID/schedstat says that a thread ran, and waited for a CPU, ready to.

    Source: Linux, Documentation/scheduler/sched-stats.rst.
    """
    used, waited, _ = map(int, schedstat.split())
    return used, waited


def parse_private_bytes(smaps: str) -> int:
    """Returns the private memory that a /proc/PID/smaps_rollup lists."""
    return 1024 * sum(int(line.split()[1]) for line in smaps.splitlines() if line.startswith("Private_"))
