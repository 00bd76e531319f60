"""A real headless Weston for tests: started, photographed and ended on demand.

Not a fake: the compositor that the fakes are checked against.  It has no seat, no
animations and one solid background colour, so two runs of the same client give the
same screenshot, byte for byte.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossdomain.wire.tables import Argument, ArgumentKind, Interface, Message
from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.windows import Buffer, Layout, Pool

Pixels = npt.NDArray[np.uint8]
"""A screenshot: height x width x 3, red, green and blue."""

BACKGROUND: Final = (0x33, 0x66, 0x99)
"""What a screen without windows shows."""

START_SECONDS: Final = 30.0
"""How long a Weston may take until it serves, on a loaded machine."""

QUIET_SHELL: Final = """\
[shell]
panel-position=none
locking=false
animation=none
startup-animation=none
close-animation=none
focus-animation=none
"""
"""Of a weston.ini: nothing that moves by itself, and no panel."""
_CONFIGURATION: Final = f"[core]\nidle-time=0\n{QUIET_SHELL}background-color=0xff{{:02x}}{{:02x}}{{:02x}}\n"


_XRGB8888: Final = 1

_SCREENSHOOTER: Final = Interface(
    "weston_screenshooter",
    1,
    requests=(
        Message(
            "take_shot",
            0,
            1,
            False,
            (
                Argument(ArgumentKind.OBJECT, "wl_output", False),
                Argument(ArgumentKind.OBJECT, "wl_buffer", False),
            ),
        ),
    ),
    events=(Message("done", 0, 1, False, ()),),
)
"""Weston 10's private protocol; pywayland does not know it."""


class Weston:
    """A running Weston; obtained from `running_weston`."""

    def __init__(self, runtime_dir: Path, display: str, process: subprocess.Popen[bytes]) -> None:
        self.runtime_dir = runtime_dir
        self.display = display
        self.process = process

    @property
    def socket_path(self) -> Path:
        """Where clients connect."""
        return self.runtime_dir / self.display

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process, with the variables that lead a client to this Weston."""
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.runtime_dir),
            "WAYLAND_DISPLAY": self.display,
        }

    @property
    def log(self) -> str:
        """What Weston wrote so far."""
        return (self.runtime_dir / "weston.log").read_text(errors="replace")

    def screenshot(self, *, seconds: float = 20.0) -> Pixels:
        """The whole output as it is shown now, taken as weston-screenshooter does, but faster."""
        with FakeClient(str(self.socket_path), private=(_SCREENSHOOTER,)) as client:
            output, shm = client.bind("wl_output"), client.bind("wl_shm")
            shooter = client.bind(_SCREENSHOOTER.name)
            client.round_trip(seconds=seconds)
            width, height = _mode(output)
            pool = Pool(client, shm, width * height * 4)
            buffer = Buffer(pool, Layout(0, width, height, width * 4, 4), _XRGB8888)
            shooter.send("take_shot", output, buffer.proxy)
            client.wait(lambda: bool(shooter.events), what="screenshot", seconds=seconds)
            shown = np.frombuffer(bytes(pool.memory), dtype=np.uint8).reshape(height, width, 4)
            pool.close()
        return np.ascontiguousarray(shown[:, :, 2::-1])

    def kill(self) -> None:
        """End it the hard way, as a crash would."""
        self.process.kill()
        self.process.wait()


def _mode(output: Proxy) -> tuple[int, int]:
    """Width and height of the output's only mode, px."""
    ((_, width, height, _),) = output.received("mode")
    return integer(width), integer(height)


def load_pixels(path: Path) -> Pixels:
    """The pixels of a PNG, without its alpha."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def save_pixels(pixels: Pixels, path: Path) -> None:
    """Keep a screenshot for a person to look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.01) -> None:
    """Return as soon as `condition` holds, which is looked at every so many seconds.

    Raises:
        TimeoutError: it did not within `seconds`; `what` is in the message.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


def accepts(path: Path) -> bool:
    """Whether something listens at the Unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def running_weston(
    runtime_dir: Path,
    *,
    width: int = 1024,
    height: int = 640,
    display: str = "weston-under-test",
    renderer: Literal["pixman", "gl"] = "pixman",
) -> Generator[Weston]:
    """Run a headless Weston until the block ends.

    Args:
        runtime_dir: an existing folder of its own; becomes XDG_RUNTIME_DIR.  Short: a socket's path
            has at most 107 bytes.
        width: of the only output, px.
        height: of the only output, px.
        display: the socket's name.
        renderer: pixman reads a buffer until the surface has another one, GL (llvmpipe here) until it
            has uploaded it.

    Raises:
        TimeoutError: it did not show its background in time.
    """
    runtime_dir.chmod(0o700)
    configuration = runtime_dir / "weston.ini"
    configuration.write_text(_CONFIGURATION.format(*BACKGROUND))
    with (runtime_dir / "weston.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "weston",
                f"--socket={display}",
                f"--config={configuration}",
                "--backend=headless-backend.so",
                f"--use-{renderer}",
                "--debug",  # lets any client take screenshots
                f"--width={width}",
                f"--height={height}",
            ],
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    weston = Weston(runtime_dir, display, process)
    try:
        wait_until(lambda: _serves(weston), seconds=START_SECONDS, what="Weston serves")
        wait_until(lambda: _shows_background(weston), seconds=START_SECONDS, what="Weston draws")
        yield weston
    finally:
        stop(process)


def _serves(weston: Weston) -> bool:
    """Whether clients can connect; raises where it ended instead."""
    status = weston.process.poll()
    if status is not None:
        raise RuntimeError(f"Weston ended with status {status}:\n{weston.log}")
    return accepts(weston.socket_path)


def _shows_background(weston: Weston) -> bool:
    """Whether the desktop shell's first frame is on the screen; clients may cover some of it."""
    return float((weston.screenshot() == BACKGROUND).all(axis=2).mean()) > 0.5


def stop(process: subprocess.Popen[bytes], *, seconds: float = 5.0) -> None:
    """Ask a process to end, and make it end where it does not.  It is reaped afterwards."""
    process.send_signal(signal.SIGTERM)  # harmless where it has ended: Popen knows
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
