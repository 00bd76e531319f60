"""How often each target has been executed in one folder: a run goes on where the last one ended."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, cast

_FILE: Final = "executions.json"


class Total(NamedTuple):
    """What one target has come to: executions, and the seconds of one process that they took."""

    executed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        rate = self.executed / self.seconds if self.seconds else 0.0
        return f"{self.executed:>12,} executions so far, {rate:>9,.0f}/s in one process"


class Progress:
    """The totals of all targets; safe in several threads at once, in one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Reads what the folder's last run has left, if there was one."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _FILE
        self._lock = threading.Lock()
        self._totals: dict[str, Total] = {}
        self._running: dict[str, int] = {}
        if self._path.exists():
            stored = cast("dict[str, tuple[int, float]]", json.loads(self._path.read_text()))
            self._totals = {name: Total(*total) for name, total in stored.items()}

    def total(self, name: str) -> Total:
        """What a target has come to."""
        return self._totals.get(name, Total())

    def choose(self, names: Iterable[str], runs: int) -> str | None:
        """The target that is to run next, and does until `add`; None where all have `runs` executions.

        It is one that the fewest processes run now, and of these the one with the fewest executions.
        """
        with self._lock:
            left = [name for name in names if self.total(name).executed < runs]
            if not left:
                return None
            chosen = min(left, key=lambda name: (self._running.get(name, 0), self.total(name).executed))
            self._running[chosen] = self._running.get(chosen, 0) + 1
            return chosen

    def add(self, name: str, executed: int, seconds: float) -> Total:
        """Adds what one process did; returns the sum, which is on disk then."""
        with self._lock:
            self._running[name] = max(0, self._running.get(name, 0) - 1)
            before = self.total(name)
            total = self._totals[name] = Total(before.executed + executed, before.seconds + seconds)
            unfinished = self._path.with_suffix(".new")
            unfinished.write_text(json.dumps(self._totals, indent=1))
            unfinished.replace(self._path)
            return total
