"""The host daemon as a child process, for the time of one machine."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from crossdomain.errors import EnvironmentFault, LocalError

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0


class HostDaemon:
    """`crossdomain host` on sockets of its own; `async with HostDaemon(compositor) as daemon:`.

    Args:
        compositor: the Wayland socket that windows are shown on.
        name: what it calls the machine.
        log_level: how much it says on standard error; its log file is read where it fails.
    """

    def __init__(self, compositor: Path, *, name: str = "guest", log_level: str = "info") -> None:
        self._compositor = compositor
        self._name = name
        self._log_level = log_level
        self.directory = Path(tempfile.mkdtemp(prefix="crossdomain-host-"))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def gpu_socket(self) -> Path:
        """Where QEMU connects."""
        return self.directory / "gpu.sock"

    @property
    def local_socket(self) -> Path:
        """Where launchers without a machine connect."""
        return self.directory / "local.sock"

    @property
    def log(self) -> str:
        """What it has said on standard error so far."""
        with contextlib.suppress(OSError):
            return (self.directory / "log").read_text(errors="replace")
        return ""

    async def start(self) -> None:
        """Start it; returns when it takes connections.

        Raises:
            EnvironmentFault: it does not start; says why.
        """
        with (self.directory / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_tied_to_us(),
                sys.executable,
                "-m",
                "crossdomain.cli",
                "host",
                f"--socket={self.gpu_socket}",
                f"--local-socket={self.local_socket}",
                f"--wayland-display={self._compositor}",
                f"--name={self._name}",
                f"--log-level={self._log_level}",
                "--no-sections",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        if self._process.stdout is None:
            raise LocalError("the host daemon's output was not asked for")
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
        except TimeoutError:
            line = b""
        if not line.startswith(b"ready"):
            said = self.log.strip().splitlines()
            raise EnvironmentFault(
                f"the host daemon does not start: {said[-1] if said else 'it says nothing'}",
                hint="try `crossdomain doctor`",
            )

    async def stop(self) -> None:
        """End it, and kill it where it does not end; leaves nothing behind."""
        process = self._process
        if process is not None:
            for end in (process.terminate, process.kill):
                with contextlib.suppress(ProcessLookupError):
                    end()
                with contextlib.suppress(TimeoutError):
                    # Its pipe is read to the end, or the event loop would keep it.
                    await asyncio.wait_for(process.communicate(), _STOP_SECONDS)
                if process.returncode is not None:
                    break
        shutil.rmtree(self.directory, ignore_errors=True)


def _tied_to_us() -> list[str]:
    """Return a command prefix that has a program killed when we are, however we end."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv is not None else []
