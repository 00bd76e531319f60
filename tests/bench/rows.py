"""What the benchmark says: rows with a value and a ratio to something measured in the same run.

Ratios are what survives a noisy machine, so only they are compared with the committed ones.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

TOLERANCE: Final = 1.3
"""How many times worse than the committed ratio a row may be before it is called fallen.

Medians of one machine's runs differ by some 20 % in the rows that depend on wake-ups.
"""

TAIL_TOLERANCE: Final = 4.0
"""The same for 99th percentiles, which say as much about what else the machine did."""

_MORE_IS_BETTER: Final = frozenset({"fps", "requests/s", "GB/s"})


class Row(NamedTuple):
    """One measured number."""

    name: str
    value: float
    unit: str
    baseline: str | None = None
    """The row, measured in the same run, that the ratio is against."""
    ratio: float | None = None
    """This value divided by the baseline's."""

    @property
    def more_is_better(self) -> bool:
        """Whether a higher value is the better one; the unit says so."""
        return self.unit in _MORE_IS_BETTER


class Fall(NamedTuple):
    """A row whose ratio is worse than the committed one."""

    row: Row
    committed: float
    factor: float
    """How many times worse; above 1."""


def against(row: Row, baseline: Row) -> Row:
    """Returns `row` with its ratio to `baseline`; none where the baseline is zero."""
    ratio = row.value / baseline.value if baseline.value else None
    return row._replace(baseline=baseline.name, ratio=ratio)


def percentile(samples: Sequence[float], percent: float) -> float:
    """Returns the smallest sample that `percent` of all samples do not exceed (nearest rank).

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples")
    rank = -(-len(samples) * percent // 100)  # rounded up
    return sorted(samples)[max(0, int(rank) - 1)]


def median(samples: Sequence[float]) -> float:
    """Returns the middle sample, or the mean of the two in the middle.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def find_falls(rows: Iterable[Row], committed: Mapping[str, float]) -> list[Fall]:
    """Returns the rows whose ratio is so much worse than the committed one that it is no noise."""
    falls: list[Fall] = []
    for row in rows:
        before = committed.get(row.name)
        if before is None or row.ratio is None:
            continue
        factor = _times_worse(row.ratio, before, more_is_better=row.more_is_better)
        if factor > (TAIL_TOLERANCE if row.name.endswith("_p99") else TOLERANCE):
            falls.append(Fall(row, before, factor))
    return falls


def _times_worse(ratio: float, before: float, *, more_is_better: bool) -> float:
    worse, better = (before, ratio) if more_is_better else (ratio, before)
    if better <= 0:
        return 1.0 if worse <= 0 else float("inf")
    return worse / better


def format_row(row: Row, width: int) -> str:
    """Returns one row with its name padded to `width`."""
    line = f"{row.name:<{width}}  {format_number(row.value):>9} {row.unit:<10}"
    if row.ratio is not None:
        line += f"  {format_number(row.ratio):>6}x {row.baseline}"
    return line.rstrip()


def format_number(number: float) -> str:
    """Returns `number` with three significant digits, large ones whole."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def encode_rows(rows: Iterable[Row], further: Callable[[Row], Mapping[str, object]]) -> str:
    """Returns the rows as a JSON list of objects, each with `further` members."""
    return json.dumps([{**row._asdict(), **further(row)} for row in rows], indent=1) + "\n"


def encode_ratios(ratios: Mapping[str, float]) -> str:
    """Returns the ratios to commit, by row name, three significant digits each."""
    return (
        json.dumps({name: float(f"{ratio:.3g}") for name, ratio in sorted(ratios.items())}, indent=1) + "\n"
    )


def load_ratios(path: Path) -> dict[str, float]:
    """Returns the committed ratios; empty where there is no file yet."""
    if not path.exists():
        return {}
    ratios: dict[str, float] = json.loads(path.read_text())
    return ratios
