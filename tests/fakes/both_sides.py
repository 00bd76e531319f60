"""Both sides inside one virtual machine: a Weston that draws with GL, the daemon, and launchers.

The machine's kernel has udmabuf, so that what needs that on the host can be seen there.  A guest of that
host is `tests.fakes.guest_kernel`'s; over the local channel the launcher is as it is.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.vm.guest import Completed, GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.early_painter import NOTES
from tests.fakes.guest_tests import TESTS
from tests.fakes.weston import QUIET_SHELL

FOLDER: Final = "/tmp/both-sides"
GPU: Final = f"{FOLDER}/gpu.sock"
LOCAL: Final = f"{FOLDER}/local.sock"
DISPLAY: Final = f"{FOLDER}/wayland"
STATS: Final = f"{FOLDER}/stats.json"
NOTED: Final = f"{FOLDER}/udmabufs"
ENVIRONMENT: Final = {
    "PYTHONPATH": f"/opt/crossdomain:{TESTS}",
    "XDG_RUNTIME_DIR": FOLDER,
    "WAYLAND_DISPLAY": "wayland",
    NOTES: NOTED,
    # With threads llvmpipe keeps frames, and their clients' buffers, for the next time that as many overlap.
    "LP_NUM_THREADS": "0",
}
"""Our packages, these tests, and the machine's own compositor, which draws within its own thread."""
THROUGH_GUEST: Final = ("python3", "-m", "tests.fakes.guest_kernel", GPU, f"--stats={STATS}")
"""What a command stands behind that is to run in a guest of that host; after options and "--"."""
THROUGH_LOCAL: Final = ("python3", "-m", "launcher.start", f"--channel=local:{LOCAL}", f"--stats={STATS}")
"""The same over the local channel."""
_CONFIGURATION: Final = f"[core]\nidle-time=0\nshell={{shell}}-shell.so\n{QUIET_SHELL}"
_SWAY_CONFIGURATION: Final = """\
xwayland disable
default_border none
output * resolution 320x160
"""
_SWAY: Final = """
mount --bind /dev/dri/card1 /dev/dri/renderD129
for folder in dev proc sys tmp; do mount --rbind /$folder {root}/$folder; done
exec chroot --userspec={user}:{user} {root} env \\
    XDG_RUNTIME_DIR={folder} HOME={folder} LANG=C.UTF-8 SWAYSOCK={folder}/ipc \\
    WLR_BACKENDS=headless WLR_LIBINPUT_NO_DEVICES=1 \\
    WLR_RENDERER=gles2 WLR_RENDERER_ALLOW_SOFTWARE=1 WLR_RENDER_DRM_DEVICE=/dev/dri/renderD129 \\
    LD_PRELOAD={folder}/primary_node.so \\
    sway -c {folder}/sway.conf >{folder}/sway.log 2>&1
"""
"""On the memory device: one without timelines leaves it without the protocol.  See `primary_node.c`."""
_PRIMARY_NODE: Final = Path(__file__).parent / "primary_node.c"
_START_SECONDS: Final = 180.0


class BothSides(NamedTuple):
    """The machine, with a daemon and a compositor in it."""

    machine: Machine

    async def run(self, *command: str, seconds: float = 180) -> Completed:
        """Run a command in it, to a good end."""
        done = await self.machine.run(command, env=ENVIRONMENT, timeout=seconds)
        assert done.status == 0, done.errors.decode() + await self._log()
        return done

    async def _log(self) -> str:
        """The end of what the compositor has told."""
        return (await self.machine.run(["sh", "-c", f"tail -n 30 {FOLDER}/*.log"])).output.decode()

    async def run_module(self, *module: str, through: Sequence[str] = (), seconds: float = 180) -> str:
        """Run one of our programs, straight on the compositor or through a launcher; what it prints."""
        launcher = (*through, "--") if through else ()
        return (await self.run(*launcher, "python3", "-m", *module, seconds=seconds)).output.decode()

    async def stats(self) -> dict[str, object]:
        """What the last launcher counted."""
        found: dict[str, object] = json.loads(await self.machine.pull(STATS))
        return found

    async def buffers(self) -> dict[str, int]:
        """How many buffers of the last program went which way."""
        found: dict[str, int] = json.loads(await self.machine.pull(STATS))["buffers"]
        return found

    async def buffers_per_client(self) -> list[dict[str, int]]:
        """As `buffers`, of each client of the last program, in order."""
        clients: list[dict[str, dict[str, int]]] = json.loads(await self.machine.pull(STATS))["per_client"]
        return [client["buffers"] for client in clients]


@asynccontextmanager
async def running_both_sides(
    machine: Machine, *, width: int = 1024, height: int = 640, shell: str = "kiosk"
) -> AsyncGenerator[BothSides]:
    """Start them, on a screen of so many px, and end them well.

    The kiosk shell gives each window the middle of the screen, and has none that is larger; where the
    desktop shell puts one is its secret.
    """
    await machine.run(["mkdir", "-m", "700", FOLDER, NOTED])
    await machine.push(f"{FOLDER}/weston.ini", _CONFIGURATION.format(shell=shell).encode())
    options = f"--config={FOLDER}/weston.ini --backend=headless --renderer=gl --socket=wayland --debug"
    weston = await machine.spawn(
        ["sh", "-c", f"exec weston {options} --width={width} --height={height} >{FOLDER}/weston.log 2>&1"],
        env=ENVIRONMENT,
    )
    async with _serving(machine, weston) as both_sides:
        yield both_sides


@asynccontextmanager
async def running_with_sway(machine: Machine, root: str) -> AsyncGenerator[BothSides]:
    """The same with a sway 1.12 that draws with GL and has wp_linux_drm_syncobj_v1.

    It is a program of `tests.fakes.forky`, whose root is at `root` in the machine.
    """
    await machine.run(["mkdir", "-m", "700", FOLDER, NOTED])
    await machine.push(f"{FOLDER}/sway.conf", _SWAY_CONFIGURATION.encode())
    await machine.push(f"{FOLDER}/primary_node.so", _compile(_PRIMARY_NODE))
    # It chooses its name itself.
    await machine.run(["ln", "-s", "wayland-1", DISPLAY])
    number = (await machine.run(["id", "-u"])).output.decode().strip()
    script = _SWAY.format(root=root, folder=FOLDER, user=number)
    sway = await machine.spawn(["unshare", "--mount", "sh", "-e", "-c", script], user="root")
    async with _serving(machine, sway) as both_sides:
        yield both_sides


def _compile(source: Path) -> bytes:
    """The shared library of a source that needs no other."""
    cc = shutil.which("cc")
    assert cc is not None
    with tempfile.NamedTemporaryFile() as library:
        flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-nostdlib")
        subprocess.run([cc, *flags, "-o", library.name, str(source)], check=True)
        return Path(library.name).read_bytes()


@asynccontextmanager
async def _serving(machine: Machine, compositor: GuestProcess) -> AsyncGenerator[BothSides]:
    """Starts the daemon as soon as the compositor serves, and ends both."""
    serves = ["sh", "-c", "until wayland-info >/dev/null 2>&1; do sleep 0.2; done"]
    await machine.run(serves, env=ENVIRONMENT, timeout=_START_SECONDS)
    host = ["host", f"--socket={GPU}", f"--local-socket={LOCAL}", f"--wayland-display={DISPLAY}"]
    daemon = await machine.spawn(["python3", "-m", "crossdomain.cli", *host], env=ENVIRONMENT)
    line = await asyncio.wait_for(daemon.stdout.readline(), _START_SECONDS)
    assert line.startswith(b"ready"), line
    yield BothSides(machine)
    for process in (daemon, compositor):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), _START_SECONDS) == 0
    await machine.run(["rm", "-r", FOLDER])
