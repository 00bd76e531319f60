"""Chooses from a campaign's corpus the inputs that together reach all that it reaches, for `make test`.

`python -m tests.fuzz.reach TARGET FOLDER`, where FOLDER is that of `python -m tests.fuzz` (build/fuzz).
They go to tests/fuzz/reached/TARGET.hex, from where each run of the target begins; what its seeds reach is
left out.  Short inputs are preferred.
"""

import ctypes
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fuzz import guided, targets, tracer

_OVERHEAD: Final = 20
"""Bytes that one more input is worth."""


def main() -> None:
    """Chooses and writes."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    logging.disable()
    extension = tracer.load(tracer.build(folder))
    target, atheris = guided.load(name, extension, compares=False)
    attached = tracer.attach(extension, atheris)

    def reach(data: bytes) -> frozenset[int]:
        return _branches(target.run, data[: targets.LARGEST], attached.counters)

    known = frozenset[int]().union(*map(reach, target.seeds)).union(*map(reach, target.seeds))
    inputs = {*target.reached, *(path.read_bytes()[: targets.LARGEST] for path in (folder / name).iterdir())}
    # Once more: what it reaches each time.
    reached = {
        data: branches & reach(data) for data, branches in [(data, reach(data)) for data in sorted(inputs)]
    }
    chosen = _cover(reached, known)
    targets.reached_file(name).write_text("".join(f"{data.hex()}\n" for data in chosen))
    print(f"{name}: {len(chosen)} of {len(inputs)} inputs, {len(known)} branches of the seeds and", end=" ")
    print(len(frozenset[int]().union(*reached.values()) - known), "more")


def _branches(
    run: Callable[[bytes], None], data: bytes, counters: "ctypes.Array[ctypes.c_uint8]"
) -> frozenset[int]:
    ctypes.memset(counters, 0, ctypes.sizeof(counters))
    run(data)
    return frozenset(number for number, count in enumerate(bytes(counters)) if count)


def _cover(reached: dict[bytes, frozenset[int]], known: frozenset[int]) -> list[bytes]:
    """The inputs that reach most for their size, until together they reach all."""
    chosen: list[bytes] = []
    while True:
        best = max(reached, key=lambda data: len(reached[data] - known) / (_OVERHEAD + len(data)))
        if reached[best] <= known:
            return chosen
        chosen.append(best)
        known |= reached[best]


if __name__ == "__main__":
    main()
