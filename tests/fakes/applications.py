"""Applications out of the Debian root, run through the real crossdomain-run and daemon without a VM."""

import contextlib
import signal
import subprocess
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from crossdomain.vm import root
from crossdomain.vm.image import Image
from tests.fakes.launcher import RUN

END_SECONDS = 60.0
"""How long an application that was told to end may take."""

_WAYLAND = {
    "GDK_BACKEND": "wayland",
    "QT_QPA_PLATFORM": "wayland",
    "SDL_VIDEODRIVER": "wayland",
    "LC_ALL": "C.UTF-8",
    # The applications' own bus is not part of the stories.
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    "NO_AT_BRIDGE": "1",
}


class RunningApplication:
    """An application and its launcher; obtained from `running_application`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def log(self) -> str:
        """What both wrote to standard error so far."""
        return (self.folder / "application.log").read_text(errors="replace")

    @property
    def output(self) -> str:
        """What the application wrote to standard output so far."""
        return (self.folder / "application.out").read_text(errors="replace")

    def wait(self) -> int:
        """The exit status, once it has ended by itself."""
        return self.process.wait(END_SECONDS)

    def assert_alive(self) -> None:
        """Fail with its log where it has ended."""
        assert self.process.poll() is None, f"the application ended:\n{self.log}"


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for an application whose home and sockets are in `folder`."""
    made = root.program_environment({**_WAYLAND, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)})
    made.pop("WAYLAND_DISPLAY", None)
    made.pop("DISPLAY", None)
    return {**made, **(extra or {})}


@contextlib.contextmanager
def running_application(
    debian: Image,
    local_socket: Path,
    folder: Path,
    argv: Sequence[str],
    *,
    options: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
) -> Generator[RunningApplication]:
    """Run an application through the proxy until the block ends; it is killed where it still runs.

    Args:
        debian: where it comes from.
        local_socket: the host daemon's.
        folder: existing, with a short path; becomes its home, and gets its log.
        argv: its name and arguments.
        options: of crossdomain-run.
        extra: environment variables.
    """
    folder.chmod(0o700)
    command = [*RUN, f"--channel=local:{local_socket}", *options, *debian.command(list(argv))]
    with (folder / "application.log").open("wb") as log, (folder / "application.out").open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment(folder, extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
        )
    try:
        yield RunningApplication(process, folder)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
        process.kill()
        process.wait()
