"""What a Python process of the product's holds, counted in it: whether something stays that nobody needs.

`customize` makes a folder for PYTHONPATH: every interpreter that starts with it counts when it is asked to.
"""

import gc
import json
import os
import signal
import sys
from collections import Counter
from itertools import count as count_up
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from tests.bench.processes import parse_private_bytes
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import wait_until

_VARIABLE: Final = "CROSSDOMAIN_TEST_CENSUS"
_COUNT: Final = signal.SIGRTMIN
_KEEP: Final = signal.SIGRTMIN + 1
_PATIENCE: Final = 30.0
_OURS: Final = ("crossdomain.", "launcher.")

_NUMBER: Final = "number"
"""The file with the number of the count that is asked for."""
_numbers = count_up()
_begun: set[Path] = set()
"""Counts that are made, or being made: a signal may come again meanwhile."""
_KEPT: Final = "kept"
"""The file that says of which class an object is to be kept."""
_kept: list[object] = []
_counted: set[int] = set()
"""The ids of the product's objects that there were at the last count."""


class Holdings(NamedTuple):
    """Of one process."""

    objects: Counter[str]
    """How many objects there are of each of the product's classes."""
    blocks: int
    """Small pieces of memory that the interpreter has in use, whatever they are for."""
    private: int
    """Bytes of memory that are this process's alone."""


def customize(folder: Path) -> dict[str, str]:
    """Have processes with these variables in their environment counted; their counts go to `folder`."""
    (folder / "sitecustomize.py").write_text("from tests.fakes.census import install\ninstall()\n")
    return {"PYTHONPATH": f"{folder}:{REPOSITORY}", _VARIABLE: str(folder)}


def count(folder: Path, pid: int) -> Holdings:
    """Have a process counted."""
    number = next(_numbers)
    partial = folder / "partial"
    partial.write_text(str(number))
    partial.rename(folder / _NUMBER)
    file = folder / f"{pid}.{number}"

    def is_counted() -> bool:
        # Who is on the way to wait, in C, does not see the first signal.
        os.kill(pid, _COUNT)
        return file.exists()

    wait_until(is_counted, seconds=_PATIENCE, what="a count", every=0.1)
    found = json.loads(file.read_text())
    private = parse_private_bytes(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return Holdings(Counter(found["objects"]), found["blocks"], private)


def keep(folder: Path, pid: int, name: str) -> None:
    """Have a process keep an object of a class, newer than its last count, for good; once in its life."""
    (folder / _KEPT).write_text(name)

    def is_kept() -> bool:
        os.kill(pid, _KEEP)
        return not (folder / _KEPT).exists()

    wait_until(is_kept, seconds=_PATIENCE, what="it keeps one", every=0.1)


def install() -> None:
    """Let this process be counted."""
    signal.signal(_COUNT, _count)
    signal.signal(_KEEP, _keep)


def _count(_number: int, _frame: FrameType | None) -> None:
    folder = Path(os.environ[_VARIABLE])
    file = folder / f"{os.getpid()}.{(folder / _NUMBER).read_text()}"
    if file not in _begun:
        _begun.add(file)
        _write_count(file)


def _write_count(file: Path) -> None:
    gc.collect()
    ours = [found for found in gc.get_objects() if _is_ours(_class_of(found))]
    _counted.clear()
    _counted.update(map(id, ours))
    objects = Counter(map(_class_of, ours))
    # A signal for the next count may come in the middle of this one.
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps({"objects": objects, "blocks": sys.getallocatedblocks()}))
    partial.rename(file)


def _keep(_number: int, _frame: FrameType | None) -> None:
    file = Path(os.environ[_VARIABLE]) / _KEPT
    if file.exists() and not _kept:
        name = file.read_text()
        _kept.append(name)
        _kept.append(
            next(
                found for found in gc.get_objects() if _class_of(found) == name and id(found) not in _counted
            )
        )
        file.unlink()


def _class_of(found: object) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}"


def _is_ours(name: str) -> bool:
    return name.startswith(_OURS)
