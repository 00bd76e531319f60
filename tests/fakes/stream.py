"""A stream of any length whose every byte is known: `python3 -m tests.fakes.stream write|read SIZE`.

`write` writes it to its standard output, `read` compares its standard input with it until the end, says
`SIZE bytes in SECONDS s` and ends with status 1 where a byte is lost, added or changed.
"""

import os
import random
import sys
import time
from typing import Final

_PERIOD: Final = 1_048_573
"""Bytes until it repeats: a prime number, so that nothing that is lost in round portions goes unnoticed."""
_CHUNK: Final = 1 << 16


def pattern() -> bytes:
    """One period and a chunk more, so that a chunk can be taken out at any place."""
    period = random.Random(1).randbytes(_PERIOD)
    return period + period[:_CHUNK]


def write(fd: int, size: int) -> None:
    """Write the first `size` bytes.

    Raises:
        BrokenPipeError: nobody reads them.
    """
    known = memoryview(pattern())
    written = 0
    while written < size:
        start = written % _PERIOD
        written += os.write(fd, known[start : start + min(_CHUNK, size - written)])


def read(fd: int) -> int:
    """Read to the end; returns how many bytes there were.

    Raises:
        ValueError: they are not those that `write` wrote.
    """
    known = pattern()
    size = 0
    while data := os.read(fd, _CHUNK):
        start = size % _PERIOD
        if data != known[start : start + len(data)]:
            raise ValueError(f"other bytes than expected behind the first {size}")
        size += len(data)
    return size


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    direction, size = arguments[0], int(arguments[1])
    if direction == "write":
        write(sys.stdout.fileno(), size)
        return 0
    began = time.monotonic()
    arrived = read(sys.stdin.fileno())
    print(f"{arrived} bytes in {time.monotonic() - began:.2f} s", flush=True)
    return 0 if arrived == size else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
