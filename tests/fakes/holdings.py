"""What the processes of a machine hold, and its kernel for all of them.

Seen from inside, by an ordinary user: of the processes of others nothing is counted.  How many dmabufs there
are the kernel tells where its debugfs was made readable (`READABLE`, as root).
"""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from tests.fakes.patience import pieces

READABLE: Final = ("mount", "-t", "debugfs", "-o", "mode=755", "debugfs", "/sys/kernel/debug")
ALLOCATIONS: Final = 20
"""Mappings that an allocator may have made meanwhile; one forgotten with every buffer would be a hundred."""
_DMABUFS: Final = Path("/sys/kernel/debug/dma_buf/bufinfo")
_SECONDS: Final = 60.0
_LOOKS: Final = 4
_MAPPINGS: Final = "mappings of "

Holdings: TypeAlias = dict[str, int]
"""Descriptors and mappings by program (of several of one, all), dmabufs, and what the daemon says."""


def count(control: Path | None) -> Holdings:
    """Take a look; `control` is the daemon's control socket, where it is on this machine."""
    found: Holdings = {"dmabufs": _dmabufs()}
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            name = (process / "cmdline").read_bytes().split(b"\0--")[0].replace(b"\0", b" ").decode()
            held = len(os.listdir(process / "fd"))
            mapped = len((process / "maps").read_text().splitlines())
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        found[name] = found.get(name, 0) + held
        found[_MAPPINGS + name] = found.get(_MAPPINGS + name, 0) + mapped
    return found if control is None else found | _status(control)


def settled(control: Path | None) -> Holdings:
    """What is held once no client is there, if that can be known, and nothing changes any more."""
    looks: list[Holdings] = []

    def is_quiet() -> bool:
        looks.append(count(control))
        return not looks[-1].get("clients") and looks[-_LOOKS:] == [looks[-1]] * _LOOKS

    _wait(is_quiet)
    return looks[-1]


def more_than(before: Holdings, control: Path | None) -> Holdings:
    """By how much there is more than before, once that is nothing, or does not become nothing."""
    more: Holdings = {}

    def has_gone() -> bool:
        more.clear()
        for name, size in count(control).items():
            allowed = ALLOCATIONS if name.startswith(_MAPPINGS) else 0
            if size > before.get(name, 0) + allowed:
                more[name] = size - before.get(name, 0)
        return not more

    _wait(has_gone)
    return more


def _wait(condition: Callable[[], bool]) -> None:
    for _ in pieces(_SECONDS):
        if condition():
            return
        time.sleep(0.1)


def _dmabufs() -> int:
    """Of all that the machine has; its last line says "Total 3 objects, 12288 bytes"."""
    total = _DMABUFS.read_text().strip().splitlines()[-1]
    return int(total.split()[1])


def _status(control: Path) -> Holdings:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(control))
        with asking.makefile("rb") as answer:
            told = json.load(answer)
    vms, local = told["vms"], told["local"]
    numbers = ("contexts", "resources", "host_bytes", "fds")
    return {
        "clients": len(local) + sum(len(vm["clients"]) for vm in vms),
        "local_resources": told["local_resources"],
        "local_bytes": told["local_bytes"],
        "orphaned_pipes": told["orphaned_pipes"],
        **{f"{name} of VMs": sum(vm[name] for vm in vms) for name in numbers},
    }
