"""What a chaos says at its end: how often each was killed, those that were spared included."""

from collections import Counter
from collections.abc import Iterable


def tally(killed: Counter[str], known: Iterable[str]) -> str:
    """A line for each of `known`."""
    return "\n".join(f"{killed[name]:6} x {name}" for name in known)
