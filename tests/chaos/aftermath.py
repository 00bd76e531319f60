"""What has to hold after a kill: who falls, who stays, what is on the screen, and what is left behind."""

import contextlib
import ctypes
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import processes
from tests.chaos.actors import PATIENCE, Actor, Client, state_of, wait_for_end
from tests.chaos.picture import ENOUGH, Palette, count
from tests.chaos.stage import Stage
from tests.fakes.daemon import Footprint
from tests.fakes.weston import wait_until

_PR_SET_CHILD_SUBREAPER: Final = 36
_MORE_MEMORY: Final = 16 << 20
"""Bytes that a process may have taken for itself meanwhile: allocators keep what they had once."""
_MORE_FILES: Final = 2
"""A client's flag, and whatever is being written just then."""


def adopt_orphans() -> None:
    """Makes what loses its parent a child of this process, so that it is seen."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


class _Held(NamedTuple):
    """What is held while only the painters are there."""

    fds: Mapping[str, int]
    memory: Mapping[str, int]
    files: int


class Aftermath:
    """Looks at a stage that runs; `count` compares with what it holds now."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._palettes = {hue: Palette(hue) for hue in stage.painters}
        self._asked: dict[int, str] = {}
        self._held: _Held | None = None

    def begin_pictures(self) -> None:
        """Asks the painters for the next colour, which is being shown while somebody is killed."""
        for hue, painter in self._stage.painters.items():
            self._asked[hue] = self._palettes[hue].next()
            painter.write(self._asked[hue])

    def check(self, name: str, fallen: Sequence[Actor]) -> None:
        """After somebody was killed: who has to fall falls, everybody else goes on, and nothing is left."""
        for actor in fallen:
            wait_for_end(actor.pid, f"the {actor.name}, with the {name}")
        for actor in fallen:
            actor.end()
        self._check_pictures(fallen)
        lost = [actor.name for actor in self._stage.fallen]
        assert not lost, f"the end of the {name} cost others, too: {lost}"
        wait_until(lambda: not self._strays(), seconds=PATIENCE, what="the end of stray processes")
        assert "Traceback" not in self._stage.last_words()

    def _check_pictures(self, fallen: Sequence[Actor]) -> None:
        self._stage.compositor.start()
        for hue, painter in self._stage.painters.items():
            if painter in fallen:
                continue
            # What was asked for before the kill, and one more after it.
            painter.wait_for_line(self._asked[hue])
            self._show(painter, self._palettes[hue].next())

    def _show(self, painter: Client, colour: str) -> None:
        painter.write(colour)
        painter.wait_for_line(colour)
        shown = count(self._stage.compositor.running.screenshot(), colour)
        assert shown >= ENOUGH, f"{shown} pixels of {colour} are on the screen"

    def _strays(self) -> list[str]:
        """Processes of nobody who lives, and zombies that are not ours to reap."""
        actors = {actor.pid for actor in self._stage.everybody}
        strays: list[int] = []
        for child in children():
            if child in actors:
                strays += [pid for pid in processes.tree(child)[1:] if state_of(pid) == "Z"]
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
            if state_of(child):
                strays += processes.tree(child)
        return [f"{pid} {processes.name_of(pid)}" for pid in strays]

    def count(self) -> None:
        """Has the busy ones end, and compares what is held then with the first time."""
        stage = self._stage
        for client in (*stage.clients, stage.terminal, stage.vm):
            client.end()
        wait_until(self._is_calm, seconds=PATIENCE, what="the clients' end")
        first = self._held = self._held or self._count()
        # What has ended is given up by those who served it in their own time.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self._growth(first), seconds=PATIENCE, what="what was held before")
        print(f"held: {self._count()}", flush=True)
        assert not self._growth(first), f"held at first: {first}"
        stage.start()

    def _is_calm(self) -> bool:
        status = self._stage.supervisor.running.status()
        clients = [len(vm["clients"]) for vm in status["vms"]]
        return (len(status["local"]), clients) == (1, [2]) and not self._stage.xwayland

    def _growth(self, first: _Held) -> list[str]:
        """What is more than it was at first."""
        held = self._count()
        grown = [f"{name}'s descriptors" for name, fds in held.fds.items() if fds > first.fds[name]]
        for name, memory in held.memory.items():
            if memory > first.memory[name] + _MORE_MEMORY:
                grown.append(f"{name}'s memory")
        return [*grown, "files"] if held.files > first.files + _MORE_FILES else grown

    def _count(self) -> _Held:
        stage = self._stage
        servers = (stage.compositor, stage.supervisor, stage.calm, stage.busy)
        footprints = {server.name: Footprint.of(server.pid) for server in servers}
        footprints["workers"] = _sum(Footprint.of(pid) for pid in stage.supervisor.running.workers)
        return _Held(
            fds={name: footprint.fds for name, footprint in footprints.items()},
            memory={name: footprint.anonymous for name, footprint in footprints.items()},
            files=sum(len(files) for _folder, _folders, files in os.walk(stage.folder)),
        )


def _sum(footprints: Iterable[Footprint]) -> Footprint:
    return Footprint(*map(sum, zip(*footprints, strict=True)))


def children() -> list[int]:
    """Those of this process."""
    pid = os.getpid()
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
