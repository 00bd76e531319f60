"""A Weston without a screen: where windows go on a machine without a desktop, and in tests.

It is the image's Weston 14 with the pixman renderer, a seat that can be driven (see `seat`), places for
windows that are not random, nothing that moves by itself, and a plain background, so that a picture of it
depends on the clients alone.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from crossdomain.errors import EnvironmentFault, HostFault
from crossdomain.vm import root, seat
from crossdomain.vm.image import Image

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_SCREENSHOT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05

_CONFIGURATION: Final = """[core]
idle-time=0
[shell]
client={client}
background-color=0xff{background:06x}
panel-position={panel}
animation=none
startup-animation=none
close-animation=none
focus-animation=none
locking=false
cursor-theme=none
[keyboard]
keymap_layout=us
"""


class Places(NamedTuple):
    """What the desktop shell's own places for windows depend on."""

    panel: str = "none"
    """Where the desktop's panel is, weston.ini(5)."""
    modules: tuple[Path, ...] = ()
    """Of Weston, besides the seat's."""


class HeadlessWeston:
    """A compositor of our own; `with HeadlessWeston(image) as weston:` starts and ends it.

    Args:
        image: where Weston comes from.
        width: of the one output, px.
        height: of the one output, px.
        background: colour of the desktop, 0xRRGGBB.
        shell: "desktop", or "kiosk", which gives each window the whole output.
        places: windows go where the desktop shell wants them; None: where they hide least of each other.
        log: file for Weston's log and WAYLAND_DEBUG; in the runtime directory where None.
        extra: further arguments for Weston.
    """

    def __init__(
        self,
        image: Image,
        *,
        width: int = 1280,
        height: int = 800,
        background: int = 0x305070,
        shell: Literal["desktop", "kiosk"] = "desktop",
        places: Places | None = None,
        log: Path | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self._image = image
        self.width = width
        self.height = height
        self._background = background
        self._shell = shell
        self._places = places
        self._extra = tuple(extra)
        self.runtime_directory = Path(tempfile.mkdtemp(prefix="crossdomain-weston-"))
        self.log = log or self.runtime_directory / "weston.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._seat: seat.Seat | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def display(self) -> str:
        """The name of its socket in `runtime_directory`."""
        return "wayland-1"

    @property
    def socket_path(self) -> Path:
        """The socket that clients connect to."""
        return self.runtime_directory / self.display

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client to it."""
        return {"XDG_RUNTIME_DIR": str(self.runtime_directory), "WAYLAND_DISPLAY": self.display}

    @property
    def pid(self) -> int:
        """Weston's process id."""
        return self._running().pid

    @property
    def seat(self) -> seat.Seat:
        """Its keyboard and pointer, and what is on its screen."""
        if self._seat is None:
            raise HostFault("the compositor was not started")
        return self._seat

    def start(self) -> None:
        """Start it; returns when clients can connect and the desktop is drawn.

        Raises:
            EnvironmentFault: it cannot be started; says why.
        """
        modules = [seat.compile_module(self._image)]
        if self._places is not None:
            modules += self._places.modules
        elif self._shell == "desktop":
            modules.append(seat.compile_module(self._image, "placement"))
        configuration = self.runtime_directory / "weston.ini"
        client = "/usr/libexec/weston-desktop-shell"
        panel = "none" if self._places is None else self._places.panel
        configuration.write_text(
            _CONFIGURATION.format(client=client, background=self._background, panel=panel)
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._seat = seat.Seat(ours)
        with theirs, self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._image.command(self._command(modules, configuration)),
                env=root.program_environment({**self.environment, seat.FD_VARIABLE: str(theirs.fileno())}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._await_desktop()

    def stop(self) -> None:
        """End it, and kill it where it does not end; leaves nothing behind."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                # Its clients are of its session: the desktop shell must not outlive it either.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._seat is not None:
            self._seat.close()
        shutil.rmtree(self.runtime_directory, ignore_errors=True)

    def kill(self) -> None:
        """Kill it at once, as a crash would; `start` starts it again."""
        self._running().kill()
        self._running().wait()
        if self._seat is not None:
            self._seat.close()
            self._seat = None

    def screenshot(self, path: Path) -> None:
        """Photograph the output into a PNG file.

        Raises:
            HostFault: the compositor is gone or does not answer.
        """
        # The tool writes under a name of its own into its directory, and spins for ever once
        # its compositor is gone.
        with tempfile.TemporaryDirectory(dir=self.runtime_directory) as work:
            command = root.enter_command(
                self._image.root, self._image.view, ["weston-screenshooter"], directory=Path(work)
            )
            try:
                done = subprocess.run(
                    command,
                    env=root.program_environment(self.environment),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_SCREENSHOT_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise HostFault("the compositor gives no picture") from error
            pictures = list(Path(work).glob("*.png"))
            if done.returncode != 0 or not pictures:
                reason = done.stderr.decode(errors="replace").strip()[-200:]
                raise HostFault(f"the compositor gives no picture: {reason}")
            path.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all, for whoever watches the file.
            part = path.with_name(f".{path.name}.{os.getpid()}")
            shutil.move(pictures[0], part)
            os.replace(part, path)

    def _command(self, modules: Sequence[Path], configuration: Path) -> list[str]:
        return [
            "weston", f"--socket={self.display}", f"--config={configuration}", "--idle-time=0",
            "--backend=headless", "--renderer=pixman", f"--width={self.width}", f"--height={self.height}",
            f"--shell={self._shell}", f"--modules={','.join(map(str, modules))}", "--debug", *self._extra,
        ]  # fmt: skip

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise HostFault("the compositor was not started")
        return self._process

    def _await_desktop(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._running().poll() is not None:
                break
            with contextlib.suppress(HostFault):
                if self.socket_path.exists() and self.seat.find_view("background"):
                    return
            time.sleep(_POLL_SECONDS)
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        raise EnvironmentFault(
            f"Weston does not start: {' / '.join(lines[-2:]) or 'it says nothing'}",
            hint="mount namespaces are needed: run as root, or allow unprivileged user namespaces",
        )
