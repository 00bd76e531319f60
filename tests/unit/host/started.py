"""A worker without a device and without confinement, as a supervisor starts one."""

from collections.abc import Callable
from pathlib import Path

from crossdomain.context.peer import Peer
from crossdomain.host import worker
from crossdomain.host.broker import Broker
from crossdomain.host.compositor import Compositor
from crossdomain.host.settings import Settings
from crossdomain.host.tenant import Names
from crossdomain.host.workers import Worker
from crossdomain.wire import policy


def start_worker(
    name: str, peer: Peer, settings: Settings, wayland: Path, ended: Callable[[], None]
) -> Worker:
    """On the running loop; `wayland` is a compositor's socket, `ended` is called when the worker has gone."""
    plan = worker.Plan(
        names=Names(name, name, peer),
        policy=policy.load(),
        settings=settings,
        window_size=1 << 20,
        udmabuf=None,
        sync_device=None,
        shows_dmabufs=False,
        seccomp=None,
        gpu=None,
    )
    return Worker(plan, Broker(name, name, Compositor(wayland), settings), lambda _worker: ended())
