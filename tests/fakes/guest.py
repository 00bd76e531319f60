"""A guest without a virtual machine: a daemon before a compositor, and a launcher that leads there."""

import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher


@contextmanager
def running_guest(compositor: Path, *options: str, allow: Iterable[str] = ()) -> Generator[RunningLauncher]:
    """Run both until the block ends; they must still live then.

    Args:
        compositor: its socket.
        *options: of the launcher.
        allow: groups of globals that the host allows.
    """
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    allowed = [f"--allow={group}" for group in allow]
    with (
        running_daemon(folder, compositor, *allowed) as daemon,
        running_launcher(folder, daemon.local_socket, *options) as launcher,
    ):
        yield launcher
        launcher.assert_alive()
        daemon.assert_alive()
    shutil.rmtree(folder)
