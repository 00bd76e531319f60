"""The ways inside a VM: a Weston in the guest itself, and through us to a Weston on the host.

Both are the same version, out of the VM's image, so that only the way differs.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.vm import image, kvm, seat
from crossdomain.vm.guest import Completed, GuestProcess
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.machine import USER, Machine, MachineConfig
from tests.bench import processes
from tests.bench.client_run import BenchError, ClientProcess
from tests.bench.frames import path_in
from tests.bench.host_ways import Daemon, Direct, running_daemon
from tests.fakes.forky import with_forky
from tests.fakes.guest_tests import TESTS, share_of_tests
from tests.fakes.weston import QUIET_SHELL

CLIENT: Final = "/tmp/bench-client"
_RELAY: Final = "/tmp/bench-relay"
GUEST_DISPLAY: Final = "bench"
"""WAYLAND_DISPLAY of the Weston in the guest."""
_SEAT: Final = "/tmp/seat.so"
_STATS: Final = "/tmp/bench-stats.json"

_WESTON_ARGUMENTS: Final = (
    f"--socket={GUEST_DISPLAY}",
    "--idle-time=0",
    "--backend=headless",
    "--renderer=pixman",
    "--width=1920",
    "--height=1080",
    f"--modules={_SEAT}",
)

_WITH_SEAT: Final = """\
import os, socket, subprocess, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.environ[sys.argv[1]] = str(theirs.fileno())
with open("/tmp/weston.log", "wb") as log:
    subprocess.Popen(sys.argv[2:], pass_fds=[theirs.fileno()], stdout=log, stderr=log)
for line in sys.stdin:
    ours.send(line.strip().encode())
    print(" ".join(ours.recv(65536).decode().split()), flush=True)
"""
"""Runs a Weston with a seat, without which terminals do not start: commands in, answers out, line by line."""

_CONFIGURATION: Final = f"[core]\nidle-time=0\n[input-method]\npath=\n{QUIET_SHELL}"
"""Its own on-screen keyboard would start meanwhile."""

_SETTLE: Final = """\
import time
def look():
    with open("/proc/stat") as file:
        times = [int(ticks) for ticks in file.readline().split()[1:]]
    return sum(times), sum(times[3:5])
busy = 1.0
while busy > 0.05:
    before = look()
    time.sleep(1)
    total, idle = (after - earlier for after, earlier in zip(look(), before, strict=True))
    busy = 1 - idle / total
"""
"""Runs until the machine has nothing else to do: emulated, a desktop takes seconds to start."""

_PACKAGES: Final = ("waypipe",)
"""What is measured there besides us."""
_GUEST_PYTHON: Final = {"PYTHONPATH": f"/opt/crossdomain:{TESTS}"}
_SERVES_SECONDS: Final = 60.0
_RUN_SECONDS: Final = 180.0

_MEMORY_MIB: Final = 2048
"""A Weston with a 1920x1080 screen and the client's buffers besides the system's files in memory."""


class GuestClient:
    """A client started in the guest."""

    def __init__(self, process: GuestProcess) -> None:
        self._process = process

    async def read_line(self) -> str:
        """Returns the next line of output; where that has ended, what it said about its end."""
        line = await self._process.stdout.readline()
        if not line:
            return (await self._process.stderr.read()).decode(errors="replace").strip()
        return line.decode().rstrip("\n")

    async def write(self, data: bytes) -> None:
        """Gives it input."""
        await self._process.write(data)

    async def wait(self) -> int:
        """Returns the exit status."""
        return await self._process.wait()

    async def kill(self) -> None:
        """Makes it end if it has not."""
        self._process.kill()
        await self._process.wait()


class Server(NamedTuple):
    """What ways inside of a machine have in common: it, and what leads to the compositor there."""

    machine: Machine
    environment: Mapping[str, str]
    user: str = USER


@dataclass(frozen=True, slots=True)
class InsideWay:
    """A way whose launcher, or other proxy, is inside of a machine, and whose CPU is measured there.

    `launcher` runs `client`; both are commands without their last arguments.  `watched` are as in
    `tests.bench.inside`, and `outside` servers on this machine.
    """

    server: Server
    name: str
    launcher: Sequence[str]
    client: Sequence[str]
    watched: Sequence[str]
    counts: bool = True
    """Whether the launcher writes counters (--stats)."""
    suffix: str = ""
    """The end of its path's name."""
    outside: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])

    @property
    def _stats(self) -> str:
        return f"/tmp/bench-{self.name}.json"

    async def start(self, arguments: Sequence[str]) -> GuestClient:
        """Starts the client below a launcher of its own."""
        machine, environment, user = self.server
        options = [f"--stats={self._stats}"] if self.counts else []
        inside = ["python3", "-m", "tests.bench.inside", ",".join(self.watched), "--"]
        command = [*inside, *self.launcher, *options, "--", *self.client, *arguments]
        return GuestClient(await machine.spawn(command, env={**_GUEST_PYTHON, **environment}, user=user))

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Those on this machine."""
        del process
        return self.outside

    async def path(self) -> str:
        """The way that the last client's buffers took."""
        stats = json.loads(await self.server.machine.pull(self._stats, user=self.server.user))
        return path_in(stats) + self.suffix


class InGuest:
    """Straight to the Weston inside the guest."""

    name = "guest"

    def __init__(self, machine: Machine, seat_driver: GuestProcess) -> None:
        self.machine = machine
        self._seat_driver = seat_driver

    async def time_key(self, code: int) -> tuple[int, int]:
        """Presses a key: when that was, and when the client's next commit came, ns of the guest's clock."""
        pressed, committed = (await self._drive(f"time {code}"))[1:]
        await self._drive(f"key {code} 0")
        return int(pressed), int(committed)

    async def _drive(self, command: str) -> list[str]:
        await self._seat_driver.write(f"{command}\n".encode())
        words = (await self._seat_driver.stdout.readline()).decode().split()
        if words[:1] != ["ok"]:
            raise BenchError(f"the guest's Weston refuses {command!r}: {' '.join(words)}")
        return words

    async def start(self, arguments: Sequence[str]) -> GuestClient:
        """Starts the client on the guest's own compositor."""
        process = await self.machine.spawn([CLIENT, *arguments], env={"WAYLAND_DISPLAY": GUEST_DISPLAY})
        return GuestClient(process)

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """Nobody on this machine."""
        del process
        return {}


class RelayInGuest:
    """To the Weston inside the guest through two processes there that only wait, read and write."""

    name = "relay_vm"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def start(self, arguments: Sequence[str]) -> GuestClient:
        """Starts the client below a relay of its own."""
        start = f'exec {_RELAY} "$XDG_RUNTIME_DIR/{GUEST_DISPLAY}" "$XDG_RUNTIME_DIR/relay-$$" "$@"'
        return GuestClient(await self._machine.spawn(["sh", "-c", start, "relay", CLIENT, *arguments]))

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """The machine alone; the half at the client is its parent."""
        del process
        return {"vmm": [self._machine.pid]}


class ThroughVm:
    """From the guest through crossdomain-run and the daemon to the Weston on the host."""

    name = "vm"

    def __init__(self, machine: Machine, daemon: Daemon, compositor: HeadlessWeston) -> None:
        self._machine = machine
        self._daemon = daemon
        self._compositor = compositor

    async def time_key(self, code: int) -> tuple[int, int]:
        """Presses a key: when that was, and when the client next committed, ns of this machine's clock."""
        return await asyncio.to_thread(self._compositor.seat.time_key, code)

    async def start(self, arguments: Sequence[str]) -> GuestClient:
        """Starts the client below a launcher of its own."""
        command = ["crossdomain-run", "--stats", _STATS, "--", CLIENT, *arguments]
        return GuestClient(await self._machine.spawn(command))

    async def stats(self) -> dict[str, object]:
        """Returns what the last launcher counted."""
        counted: dict[str, object] = json.loads(await self._machine.pull(_STATS))
        return counted

    def watched(self, name: str, client: Sequence[str], *options: str, suffix: str = "") -> InsideWay:
        """The same with a client that may allocate dmabufs, and the launcher's CPU besides the daemon's."""
        server = Server(self._machine, {}, "root")
        daemon = {"daemon": processes.tree(self._daemon.pid)}
        launcher = ["crossdomain-run", *options]
        return InsideWay(
            server, name, launcher, client, ("crossdomain-launcher",), suffix=suffix, outside=daemon
        )

    async def count(self, command: Sequence[str], *options: str) -> dict[str, object]:
        """Runs a command to a good end, as who may allocate dmabufs; returns what its launcher counted."""
        launcher = ["crossdomain-run", *options, f"--stats={_STATS}", "--"]
        done = await self._machine.run(
            [*launcher, *command], env=_GUEST_PYTHON, user="root", timeout=_RUN_SECONDS
        )
        if done.status != 0:
            raise BenchError(f"{' '.join(command)}: {done.errors.decode(errors='replace')[-300:]}")
        return await self.stats()

    def servers(self, process: ClientProcess) -> Mapping[str, Sequence[int]]:
        """The daemon and the compositor; the launcher is the client's parent, in the guest."""
        del process
        return {
            "daemon": processes.tree(self._daemon.pid),
            "compositor": [self._compositor.pid],
            "vmm": [self._machine.pid],
        }

    async def run_in_guest(self, command: Sequence[str], *, user: str = USER) -> Completed:
        """Runs a program in the guest to its end."""
        return await self._machine.run(command, user=user, timeout=_RUN_SECONDS)


async def choose_image() -> tuple[Image, bool]:
    """Returns what machines boot, and whether this machine's KVM can."""
    made = await asyncio.to_thread(image.obtain, image.Recipe(_PACKAGES))
    return made, await asyncio.to_thread(kvm.choose, made, "auto")


@asynccontextmanager
async def guest_ways(
    client: Path, relay: Path, folder: Path
) -> AsyncGenerator[tuple[InGuest, ThroughVm, RelayInGuest, Direct]]:
    """Boots a VM with a Weston inside, and starts a Weston and a daemon for it on this machine.

    Args:
        client: the static program.
        relay: another.
        folder: for sockets; a short path.
    """
    made, use_kvm = await choose_image()
    with (
        HeadlessWeston(made, width=1920, height=1080) as weston,
        running_daemon({**os.environ, **weston.environment}, folder) as daemon,
    ):
        config = MachineConfig(
            made,
            memory=_MEMORY_MIB,
            kvm=use_kvm,
            gpu_socket=daemon.gpu_socket,
            shares=(share_of_tests(made),),
        )
        async with Machine(with_forky(config)) as machine:
            for path, program in ((CLIENT, client), (_RELAY, relay)):
                await machine.push(path, program.read_bytes(), mode=0o755)
            await machine.push(_SEAT, (await asyncio.to_thread(seat.compile_module, made)).read_bytes())
            seat_driver = await _start_guest_weston(machine)
            through_us = ThroughVm(machine, daemon, weston)
            beside = Direct("host", client, {**os.environ, **weston.environment}, weston.pid)
            yield InGuest(machine, seat_driver), through_us, RelayInGuest(machine), beside


async def _start_guest_weston(machine: Machine) -> GuestProcess:
    """Returns who drives its seat, when it serves; it ends with the machine."""
    await machine.push("/tmp/weston.ini", _CONFIGURATION.encode())
    arguments = ["weston", "--config=/tmp/weston.ini", *_WESTON_ARGUMENTS]
    driver = await machine.spawn(["python3", "-c", _WITH_SEAT, seat.FD_VARIABLE, *arguments])
    await machine.run(
        ["sh", "-c", "until wayland-info >/dev/null 2>&1; do sleep 0.2; done"],
        env={"WAYLAND_DISPLAY": GUEST_DISPLAY},
        timeout=_SERVES_SECONDS,
    )
    settled = await machine.run(["python3", "-c", _SETTLE], timeout=_SERVES_SECONDS)
    if settled.status != 0:
        raise BenchError(f"the guest does not settle: {settled.errors.decode(errors='replace')[-300:]}")
    return driver
