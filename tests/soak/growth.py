"""Whether a number that is taken after every round of a soak grows.

A round leaves nothing behind that it made, so a number may differ from round to round, and rise while
caches fill and allocators find their size, but it has to stay then.  The first quarter of the rounds is
for that; of the rest the median of the first third is compared with that of the last third.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

LEAST_ROUNDS: Final = 12
"""Fewer tell nothing."""

ALLOWED: Final[Mapping[str, int]] = {
    "fds": 0,
    "threads": 0,
    "mappings": 4,
    "memory": 2 << 20,
    "clients": 0,
    "pipes": 0,
    "blobs": 0,
    "blob bytes": 0,
}
"""How much more of each there may be.  Memory is in bytes, and takes a while to find its level: 2 MiB in ten
minutes, a thousand rounds and fifteen thousand clients, are some hundred bytes of each client."""


class Growth(NamedTuple):
    """One number of one process: the medians that are compared."""

    process: str
    number: str
    before: float
    after: float
    allowed: int

    @property
    def is_too_much(self) -> bool:
        """Whether it has grown."""
        return self.after - self.before > self.allowed

    def __str__(self) -> str:
        verdict = "GROWS" if self.is_too_much else "ok"
        return f"{self.process:10} {self.number:12} {self.before:12.0f} {self.after:12.0f}  {verdict}"


def compare(process: str, number: str, values: Sequence[int]) -> Growth:
    """What a number did over all rounds.

    Raises:
        ValueError: fewer than LEAST_ROUNDS.
    """
    if len(values) < LEAST_ROUNDS:
        raise ValueError(f"{len(values)} rounds tell nothing: at least {LEAST_ROUNDS} are needed")
    settled = values[len(values) // 4 :]
    third = len(settled) // 3
    return Growth(process, number, median(settled[:third]), median(settled[-third:]), ALLOWED[number])
