"""Runs inputs again that a target in Python has found: `python -m tests.fuzz.replay TARGET FILE...`."""

import sys
from pathlib import Path

from tests.fuzz import targets


def main() -> None:
    """Raises what they raise."""
    name, *paths = sys.argv[1:]
    target = targets.load(name)
    for path in paths:
        target.run(Path(path).read_bytes())


if __name__ == "__main__":
    main()
