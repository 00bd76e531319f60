"""A sway with a drawing tablet, a touch pad and gamma ramps, which no headless compositor has of its own.

`devices.c` is loaded into it and makes the devices up; all that sway and wlroots do with them is real.
"""

import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crossdomain.vm.image import Image
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import START_SECONDS

_SOURCE: Final = Path(__file__).parent / "devices.c"
_HEADERS: Final = ("wlroots-0.18", "pixman-1", "wayland-*.h", "xkbcommon", "drm", "libdrm")
_FLAGS: Final = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-DWLR_USE_UNSTABLE")

GAMMA_SIZE: Final = 256
"""Entries of each ramp."""


class Devices:
    """The person who plugs them in and uses them; see `devices.c` for the commands."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(START_SECONDS)

    def use(self, command: str) -> str:
        """Carry a command out; what follows the "ok" of its answer."""
        self._connection.send(command.encode())
        answer = self._connection.recv(65536).decode()
        assert answer.startswith("ok"), f"{command}: {answer or 'sway has ended'}"
        return answer.removeprefix("ok").strip()

    def ramps(self) -> bytes:
        """What the output's ramps are now: red, green and blue, 16 bits an entry, in the machine's order."""
        shown = bytes.fromhex(self.use("gamma"))
        return b"".join(shown[at : at + 2][::-1] for at in range(0, len(shown), 2))


@contextmanager
def running_sway_with_devices(debian: Image, folder: Path) -> Generator[tuple[Sway, Devices]]:
    """Run it until the block ends; `folder` is as for `running_sway`."""
    module = _compile(debian, folder)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wrapper = ("env", f"LD_PRELOAD={module}", f"SWAY_DEVICES_FD={theirs.fileno()}")
    with ours, theirs, running_sway(debian, folder, wrapper=wrapper, inherited=(theirs.fileno(),)) as sway:
        yield sway, Devices(ours)


def _compile(debian: Image, folder: Path) -> Path:
    headers = folder / "include"
    headers.mkdir()
    for pattern in _HEADERS:
        # Not the root's C library: the compiler is this machine's.
        for path in (debian.root / "usr/include").glob(pattern):
            (headers / path.name).symlink_to(path)
    module = folder / "devices.so"
    include = [f"-I{headers}", *(f"-I{headers}/{name}" for name in ("wlroots-0.18", "pixman-1", "libdrm"))]
    cc = shutil.which("cc")
    assert cc is not None
    subprocess.run([cc, *_FLAGS, *include, "-o", str(module), str(_SOURCE)], check=True)
    return module
