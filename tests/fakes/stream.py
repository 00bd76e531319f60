"""A stream of any length whose every byte is known: `python3 -m tests.fakes.stream write|read SIZE [FD...]`.

`write` writes it to its standard output, `read` compares its standard input with it until the end, says
`BYTES bytes in SECONDS s` and ends with status 1 where a byte is lost, added or changed.  Where fds are
given, each of them carries such a stream, all at once.
"""

import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
    direction, size, *numbers = arguments[0], int(arguments[1]), *map(int, arguments[2:])
    if direction == "write":
        with ThreadPoolExecutor(len(numbers) or 1) as threads:
            list(threads.map(partial(write, size=size), numbers or [sys.stdout.fileno()]))
        return 0
    began = time.monotonic()
    with ThreadPoolExecutor(len(numbers) or 1) as threads:
        arrived = list(threads.map(read, numbers or [sys.stdin.fileno()]))
    print(f"{sum(arrived)} bytes in {time.monotonic() - began:.2f} s", flush=True)
    return 0 if all(count == size for count in arrived) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
