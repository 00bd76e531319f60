"""The ways to kill somebody on a stage, and who has to fall with it: nobody else may."""

import os
import random
import signal
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tests.chaos.actors import PATIENCE, Actor, wait_for_end
from tests.chaos.stage import Stage
from tests.fakes.weston import wait_until


class Kill(NamedTuple):
    """Somebody's end."""

    name: str
    weight: int
    """How often it comes, among the others."""
    strike: Callable[[Stage, random.Random], Sequence[Actor]]
    """Kills; returns who has to fall, the one killed included where it is an actor."""


def _kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _kill_compositor(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    # VMs and launchers stay, and their next clients find the next compositor.
    _kill(stage.compositor.pid)
    return (stage.compositor, stage.painter, stage.terminal, *stage.clients)


def _kill_supervisor(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    # Launchers stay: their next clients find the next daemon.
    workers = stage.supervisor.running.workers
    _kill(stage.supervisor.pid)
    for pid in workers:
        wait_for_end(pid, "a worker")
    return (stage.supervisor, *(actor for party in stage.parties for actor in party))


def _kill_worker(stage: Stage, chance: random.Random) -> Sequence[Actor]:
    workers = stage.supervisor.running.workers
    worker = chance.choice(workers)
    before = set(stage.fallen)
    _kill(worker)
    wait_for_end(worker, "a worker")
    wait_until(lambda: bool(set(stage.fallen) - before), seconds=PATIENCE, what="what it served to fall")
    first = next(actor for actor in stage.fallen if actor not in before)
    return next(party for party in stage.parties if first in party)


def _kill_launcher(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    _kill(stage.busy.pid)
    return (stage.busy, stage.terminal, *stage.clients)


def _kill_vm(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    _kill(stage.vm.pid)
    return (stage.vm,)


def _kill_client(stage: Stage, chance: random.Random) -> Sequence[Actor]:
    victims = chance.sample(stage.clients, chance.randint(1, len(stage.clients)))
    _kill(*(victim.pid for victim in victims))
    return victims


def _kill_painter(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    _kill(stage.painter.pid)
    return (stage.painter,)


def _kill_terminal(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    _kill(stage.terminal.pid)
    return (stage.terminal,)


def _kill_xwayland(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    _kill(stage.xwayland)
    return (stage.terminal,)


def _kill_window_manager(stage: Stage, _chance: random.Random) -> Sequence[Actor]:
    """The launcher's process for X11."""
    _kill(stage.x11_session)
    return (stage.terminal,)


KILLS: Final = (
    Kill("compositor", 2, _kill_compositor),
    Kill("supervisor", 2, _kill_supervisor),
    Kill("worker", 6, _kill_worker),
    Kill("launcher", 3, _kill_launcher),
    Kill("VM", 3, _kill_vm),
    Kill("clients", 5, _kill_client),
    Kill("painter", 2, _kill_painter),
    Kill("X11 client", 2, _kill_terminal),
    Kill("Xwayland", 2, _kill_xwayland),
    Kill("X11 session", 2, _kill_window_manager),
)
