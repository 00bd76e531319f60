"""A real headless sway for tests: started, commanded, photographed and ended on demand.

It is the second compositor, for what Weston lacks: fractional scales, text input, session locks, virtual
input, outputs that come and go.  One window fills an output, without any decoration, so two runs of
the same client give the same screenshot, byte for byte.
"""

import json
import os
import socket
import struct
import subprocess
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from tests.fakes import rooted
from tests.fakes.weston import START_SECONDS, Pixels, accepts, stop, wait_until
from tests.fakes.wlroots import VirtualSeat, screencopy

OUTPUT: Final = "HEADLESS-1"
"""The name of the first output; those that are plugged in later count on."""

_CONFIGURATION: Final = """\
xwayland disable
default_border none
default_floating_border none
focus_follows_mouse no
output * resolution {width}x{height}
seat * xcursor_theme blank 24
"""

_IPC_MAGIC: Final = b"i3-ipc"
_IPC_HEADER: Final = struct.Struct("=6sII")
_RUN_COMMAND: Final = 0
_GET: Final = {"workspaces": 1, "outputs": 3, "tree": 4, "inputs": 100, "seats": 101}


def _blank_cursor() -> bytes:
    """A cursor file (Xcursor(3)) of one clear pixel: the pointer is drawn into pictures too."""
    image_type, header, entry, size = 0xFFFD0002, 16, 12, 24
    start = struct.pack("<4s3I", b"Xcur", header, 0x10000, 1)
    contents = struct.pack("<3I", image_type, size, header + entry)
    return start + contents + struct.pack("<10I", 36, image_type, size, 1, 1, 1, 0, 0, 0, 0)


class SwayError(Exception):
    """Sway refused a command."""


class Sway:
    """A running sway; obtained from `running_sway`."""

    def __init__(self, runtime_dir: Path, process: subprocess.Popen[bytes], size: tuple[int, int]) -> None:
        self.runtime_dir = runtime_dir
        self.display = "wayland-1"
        self.process = process
        self.size = size
        self._seat: VirtualSeat | None = None

    @property
    def seat(self) -> VirtualSeat:
        """Its keyboard and pointer, both plugged in from the start."""
        assert self._seat is not None, "the seat is unplugged"
        return self._seat

    @property
    def socket_path(self) -> Path:
        """Where clients connect."""
        return self.runtime_dir / self.display

    @property
    def ipc_path(self) -> Path:
        """Where commands go."""
        return self.runtime_dir / "ipc"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process, with the variables that lead a client to this sway."""
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.runtime_dir),
            "WAYLAND_DISPLAY": self.display,
            "SWAYSOCK": str(self.ipc_path),
        }

    @property
    def log(self) -> str:
        """What sway wrote so far."""
        return (self.runtime_dir / "sway.log").read_text(errors="replace")

    def swaymsg(self, command: str) -> None:
        """Have sway carry out a command, such as `output HEADLESS-1 transform 90` (sway(5)).

        Raises:
            SwayError: it says that it can't.
        """
        for outcome in self._ask(_RUN_COMMAND, command):
            if not outcome["success"]:
                raise SwayError(f"{command}: {outcome.get('error')}")

    def query(self, what: str) -> list[dict[str, Any]]:
        """What sway tells of its `workspaces`, `outputs`, `inputs` or `seats`, or the root of its `tree`.

        The keys are those of sway-ipc(7).
        """
        return self._ask(_GET[what])

    def windows(self) -> list[dict[str, Any]]:
        """The nodes of all windows (sway-ipc(7), GET_TREE)."""
        found: list[dict[str, Any]] = []
        pending = self.query("tree")
        while pending:
            node = pending.pop()
            pending += node["nodes"] + node["floating_nodes"]
            if node.get("pid") and not node["nodes"]:
                found.append(node)
        return found

    def labels(self) -> list[str]:
        """Title and application id of every window."""
        return [f"{window['name']} {window['app_id']}" for window in self.windows()]

    def close_window(self, part: str) -> None:
        """Ask the window with `part` in its label to close."""
        for window, label in zip(self.windows(), self.labels(), strict=True):
            if part in label:
                self.swaymsg(f"[con_id={window['id']}] kill")

    def plug_output(self) -> str:
        """Plug one more output in, of sway's own size, to the right of the others; its name."""
        before = {output["name"] for output in self.query("outputs")}
        self.swaymsg("create_output")
        (name,) = {output["name"] for output in self.query("outputs")} - before
        return str(name)

    def unplug_output(self, name: str) -> None:
        """Unplug an output."""
        self.swaymsg(f"output {name} unplug")

    def screenshot(self, output: str | None = None, *, seconds: float = 20.0) -> Pixels:
        """The whole of an output, by name, as it is shown now, without the pointer; the first where None."""
        return screencopy(self.socket_path, output, seconds=seconds)

    def plug_seat(self) -> None:
        """Plug keyboard and pointer in."""
        self._seat = VirtualSeat(self.socket_path, *self.size)

    def unplug_seat(self) -> None:
        """Take keyboard and pointer away where they are plugged in."""
        if self._seat is not None:
            self._seat.close()
            self._seat = None

    def _ask(self, kind: int, payload: str = "") -> list[dict[str, Any]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_SECONDS)
            connection.connect(str(self.ipc_path))
            data = payload.encode()
            connection.sendall(_IPC_HEADER.pack(_IPC_MAGIC, len(data), kind) + data)
            _, size, _ = _IPC_HEADER.unpack(_receive(connection, _IPC_HEADER.size))
            answer: list[dict[str, Any]] | dict[str, Any] = json.loads(_receive(connection, size))
        return [answer] if isinstance(answer, dict) else answer


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("sway hung up")
        data += part
    return data


class Root(Protocol):
    """A Debian root with sway in it."""

    def command(self, argv: list[str]) -> list[str]:
        """The command that runs a program of it on the host."""
        ...


@contextmanager
def running_sway(
    debian: Root,
    runtime_dir: Path,
    *,
    width: int = 1024,
    height: int = 640,
    configuration: str = "",
    wrapper: Sequence[str] = (),
    inherited: Collection[int] = (),
) -> Generator[Sway]:
    """Run a headless sway with pixman until the block ends.

    Args:
        debian: the root that has it.
        runtime_dir: an existing folder of its own; becomes XDG_RUNTIME_DIR.  Short: a socket's path
            has at most 107 bytes.
        width: of each output, px.
        height: of each output, px.
        configuration: more lines of its configuration, sway(5).
        wrapper: a command of the root that runs the command after it.
        inherited: fds that it gets under the same numbers.

    Raises:
        TimeoutError: it did not serve in time.
    """
    runtime_dir.chmod(0o700)
    file = runtime_dir / "config"
    file.write_text(_CONFIGURATION.format(width=width, height=height) + configuration)
    cursors = runtime_dir / "icons" / "blank" / "cursors"
    cursors.mkdir(parents=True)
    (cursors / "default").write_bytes(_blank_cursor())
    extra = {
        "XDG_RUNTIME_DIR": str(runtime_dir),
        "SWAYSOCK": str(runtime_dir / "ipc"),
        "WLR_BACKENDS": "headless",
        "WLR_RENDERER": "pixman",
        "WLR_LIBINPUT_NO_DEVICES": "1",
        "XCURSOR_PATH": str(runtime_dir / "icons"),
    }
    command = debian.command([*wrapper, "sway", "--config", str(file)])
    process = rooted.start(command, extra, runtime_dir / "sway.log", inherited=inherited)
    sway = Sway(runtime_dir, process, (width, height))
    try:
        wait_until(lambda: _serves(sway), seconds=START_SECONDS, what="sway serves")
        sway.plug_seat()
        yield sway
    finally:
        sway.unplug_seat()
        stop(process)


def _serves(sway: Sway) -> bool:
    """Whether clients can connect and commands are taken; raises where it ended instead."""
    status = sway.process.poll()
    if status is not None:
        raise RuntimeError(f"sway ended with status {status}:\n{sway.log}")
    return accepts(sway.socket_path) and accepts(sway.ipc_path) and bool(sway.query("outputs"))
