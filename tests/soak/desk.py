"""What a soak runs on, and what launchers and daemon hold there."""

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from tests.fakes import debian as debian_root
from tests.fakes.daemon import Footprint, RunningDaemon, running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.weston import wait_until

PATIENCE = 60.0

Numbers: TypeAlias = Mapping[str, int]
"""Names are those of `growth.ALLOWED`."""


class Desk(NamedTuple):
    """A desktop with a keyboard, a daemon before it, and two ways of buffers to it.

    `copying` treats the clients' memory as that of a VM's; `debian` is where applications come from.
    """

    debian: Image
    weston: HeadlessWeston
    daemon: RunningDaemon
    sharing: RunningLauncher
    copying: RunningLauncher

    @property
    def direct(self) -> str:
        """The display without a proxy."""
        return str(self.weston.socket_path)

    def proxied(self, number: int) -> str:
        """The display behind it whose turn it is in that round."""
        return (self.copying if number // 2 % 2 else self.sharing).socket

    def wait_until_left(self, clients: int) -> None:
        """Return when only so many clients are still served."""
        wait_until(
            lambda: len(self.daemon.status()["local"]) <= clients, seconds=PATIENCE, what="the clients' end"
        )

    def numbers(self) -> dict[str, Numbers]:
        """What each process holds now, by its name."""
        status = self.daemon.status()
        serving = {
            "clients": len(status["local"]),
            "pipes": status["orphaned_pipes"] + sum(client["pipes"] for client in status["local"]),
            "blobs": status["local_resources"],
            "blob bytes": status["local_bytes"],
        }
        return {
            "sharing": _numbers_of(self.sharing.process.pid),
            "copying": _numbers_of(self.copying.process.pid),
            "daemon": {**_numbers_of(self.daemon.process.pid, *self.daemon.workers), **serving},
        }


@contextmanager
def running_desk() -> Generator[Desk]:
    """Run all of it until the block ends; launchers and daemon must still live then."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    for name in ("sharing", "copying"):
        (folder / name).mkdir(mode=0o700)
    debian = debian_root.obtain()
    with ExitStack() as stack:
        weston = stack.enter_context(HeadlessWeston(debian))
        daemon = stack.enter_context(running_daemon(folder, weston.socket_path))
        sharing = stack.enter_context(running_launcher(folder / "sharing", daemon.local_socket))
        copying = stack.enter_context(
            running_launcher(folder / "copying", daemon.local_socket, "--buffers=copy")
        )
        yield Desk(debian, weston, daemon, sharing, copying)
        for running in (sharing, copying, daemon):
            running.assert_alive()
    shutil.rmtree(folder)


def _numbers_of(*pids: int) -> Numbers:
    footprints = [Footprint.of(pid) for pid in pids]
    return {
        "fds": sum(footprint.fds for footprint in footprints),
        "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids),
        "mappings": sum(footprint.mappings for footprint in footprints),
        "memory": sum(footprint.anonymous for footprint in footprints),
    }
