"""`python3 -m tests.chaos.machines [--seconds N] [--kills N] [--seed N]`: kills in and around a real VM.

QEMU goes at any moment, while its guest boots or draws, half a dozen times in a row; in the guest, as many in
a row, go Xwayland, the launcher's process for X11, launchers and clients.  Each time what needed it ends.
Then nothing of it is left in the guest, the daemon or among the processes, and a window of another VM on the
same daemon stays on the screen.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.errors import CrossDomainError
from crossdomain.vm import image
from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.bench import client_run, processes
from tests.chaos.actors import state_of
from tests.chaos.aftermath import adopt_orphans, children
from tests.chaos.tally import tally
from tests.fakes.daemon import Footprint, RunningDaemon, running_daemon
from tests.system.conftest import GUEST_TESTS, PROCESSES, Desktop, machine_config, until, within

DRAWER: Final = "/tmp/drawer"
IN_GUEST: Final = ("launcher", "client", "both", "Xwayland", "X11 session")
"""Whom `strike` kills."""
QEMU: Final = "QEMU"
BOOTING: Final = "QEMU that boots"
_BATCH: Final = 6
"""Kills in the guest, one after the other, before anybody looks at what is left; then as many of QEMU, each
of which is looked at, and takes a boot."""
_DELAY_SECONDS: Final = {"Xwayland": 6.0, "X11 session": 6.0, BOOTING: 12.0}
"""The most that passes between a beginning and the end, where more happens then than in _OTHER_SECONDS."""
_OTHER_SECONDS: Final = 2.0
_ENDS_SECONDS: Final = 80
"""How long what was started may take to end after that."""
_ROUND_SECONDS: Final = 120
"""More than a round of `strike` takes then."""

_ROUNDS: Final = f"""\
while [ $# -gt 0 ]; do
case $1 in
X*) crossdomain-run --x11 on xterm -e cat & ;;
*) crossdomain-run {DRAWER} frames 1000000 64x64 full paced 2 & ;;
esac
launcher=$!
sleep "$2"
client=$(pgrep -P $launcher -x drawer)
xwayland=$(pgrep -n -x Xwayland)
case $1 in
launcher) victims=$launcher ;;
client) victims=$client ;;
both) victims="$launcher $client" ;;
Xwayland) victims=$xwayland ;;
"X11 session") victims=$(ps -o ppid= -p "${{xwayland:-0}}") ;;
esac
kill -9 ${{victims:-$launcher}}
late=$(($(date +%s) + {_ENDS_SECONDS}))
while pgrep -r R,S,D,T -P $$ >/dev/null || pgrep -r R,S,D,T -x 'drawer|Xwayland|xterm' >/dev/null; do
if [ "$(date +%s)" -gt $late ]; then
echo "after the end of $1, $victims of $launcher, something stays:" >&2
ps --ppid 2 -p 2 --deselect -o pid,ppid,stat,etimes,args >&2
exit 1
fi
another=$(pgrep -n -x Xwayland)
[ "${{another:-$xwayland}}" = "$xwayland" ] || kill -9 $launcher
sleep 0.1
done
wait
echo "$1"
shift 2
done
"""
"""Kills each who is named after so many seconds, the launcher where that one is not there yet, and goes on
when all that was started has ended.  The guest's init reaps when it likes.

An xterm that an Xwayland had not let in yet when it was killed (it does so once there is a window manager) is
served by another one, and would stay: it goes with its launcher.
"""


async def push_drawer(machine: Machine, folder: Path) -> None:
    """What a guest needs for `strike`."""
    await machine.push(DRAWER, client_run.build(folder).read_bytes(), mode=0o755)


async def strike(machine: Machine, victims: Sequence[str], chance: random.Random) -> None:
    """For each of these, of IN_GUEST: starts something, kills it at any moment, and waits for all to end."""
    rounds = [part for whom in victims for part in (whom, f"{_delay(whom, chance):.2f}")]
    done = await machine.run(["sh", "-c", _ROUNDS, "sh", *rounds], timeout=_ROUND_SECONDS * len(victims))
    assert done.status == 0, done.errors.decode()
    assert done.output.decode().splitlines() == list(victims), done.errors


def _delay(whom: str, chance: random.Random) -> float:
    return chance.random() * _DELAY_SECONDS.get(whom, _OTHER_SECONDS)


class _Others:
    """What has to stay: a window of a VM that nobody touches, and what the daemon holds with it alone."""

    def __init__(self, witness: GuestProcess, daemon: RunningDaemon, desktop: Desktop) -> None:
        self._witness = witness
        self._daemon = daemon
        self._desktop = desktop
        self._fds = daemon.footprint.fds

    async def check(self) -> None:
        """The other VM has gone."""
        await until(lambda: len(self._daemon.status()["vms"]) == 1, what="the VM's end in the daemon")
        await until(lambda: self._daemon.footprint.fds <= self._fds, what="the end of its descriptors")
        await until(lambda: not _zombies(), what="the end of zombies")
        await self.check_window()

    async def check_window(self) -> None:
        """Whatever else there is."""
        await self._witness.write(b"\n")
        assert await within(self._witness.stdout.readline(), what="the witness") == b"here\n"
        picture = await self._desktop.screenshot()
        assert (picture[20:80, 20:100] == (0x24, 0x68, 0xAC)).all(), "the witness is not on the screen"
        self._daemon.assert_alive()
        assert "Traceback" not in self._daemon.log


class _Held(NamedTuple):
    """What a VM has that runs nothing of ours: processes by name, resources, QEMU's descriptors."""

    processes: Counter[str]
    resources: int
    fds: int


class _Victim:
    """The VM that is killed and booted again."""

    def __init__(self, vm_image: Image, daemon: RunningDaemon, folder: Path, others: _Others) -> None:
        self._image = vm_image
        self._daemon = daemon
        self._folder = folder
        self._others = others
        self._machine: Machine | None = None
        self._first: _Held | None = None

    async def strike(self, victims: Sequence[str], chance: random.Random) -> None:
        """Kills one around the VM, or those in its guest, and looks at what is left."""
        if victims == [BOOTING]:
            await self.end()
            await self._kill_while_it_boots(_delay(BOOTING, chance))
        elif victims == [QEMU]:
            machine = await self._running()
            await machine.spawn(
                ["crossdomain-run", DRAWER, "frames", "1000000", "64x64", "full", "paced", "2"]
            )
            await asyncio.sleep(_delay(QEMU, chance))  # the moment is what is random
            await machine.kill()
            await self.end()
        else:
            await strike(await self._running(), victims, chance)
            await until(lambda: not self._more(), what="the end of its resources")
            left = await self._processes() - self._at_first.processes
            assert not left, f"processes of the guest are left: {dict(left)}"
            await self._others.check_window()

    async def end(self) -> None:
        """It is gone, and the daemon has nothing of it."""
        machine, self._machine = self._machine, None
        if machine is not None:
            await machine.stop()
        await self._others.check()

    @property
    def _at_first(self) -> _Held:
        assert self._first is not None
        return self._first

    async def _running(self) -> Machine:
        if self._machine is None:
            self._machine = Machine(machine_config(self._image, self._daemon))
            await self._machine.start()
            await push_drawer(self._machine, self._folder)
            self._first = _Held(await self._processes(), *self._numbers())
        return self._machine

    async def _kill_while_it_boots(self, delay: float) -> None:
        machine = Machine(machine_config(self._image, self._daemon))
        starting = asyncio.ensure_future(machine.start())
        await asyncio.wait((starting,), timeout=delay)
        await until(lambda: machine.is_launched or starting.done(), what="QEMU")
        await machine.kill()
        with contextlib.suppress(CrossDomainError):
            await starting
        await machine.stop()
        await self._others.check()

    def _more(self) -> bool:
        resources, fds = self._numbers()
        return resources > self._at_first.resources or fds > self._at_first.fds

    def _numbers(self) -> tuple[int, int]:
        assert self._machine is not None
        resources = sum(vm["resources"] for vm in self._daemon.status()["vms"])
        return resources, Footprint.of(self._machine.pid).fds

    async def _processes(self) -> Counter[str]:
        assert self._machine is not None
        listed = (await self._machine.run(["sh", "-c", PROCESSES])).output.decode().splitlines()
        return Counter({name: int(number) for number, name in (line.split(maxsplit=1) for line in listed)})


async def chaos(seconds: float, most: int, seed: int) -> Counter[str]:
    """Kills for so long, and so often at most; how often each was killed.

    Raises:
        TimeoutError: something hung, or did not go away.
        AssertionError: something was lost, or is left.
    """
    chance, killed = random.Random(seed), Counter[str]()
    adopt_orphans()
    vm_image = image.obtain(image.Recipe())
    with tempfile.TemporaryDirectory(prefix="xd-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        desktop = Desktop(stack.enter_context(HeadlessWeston(vm_image, width=640, height=480)))
        daemon = stack.enter_context(running_daemon(folder, desktop.weston.socket_path, "--allow=screencopy"))
        async with Machine(machine_config(vm_image, daemon)) as calm:
            flag = ["crossdomain-run", "python3", "-m", "tests.fakes.flag", "witness", "2468ac", "80", "60"]
            witness = await calm.spawn(flag, env=GUEST_TESTS)
            shown = await within(witness.stdout.readline(), what="the window of the witness")
            assert shown == b"shown\n", await within(witness.stderr.read(), what="why it shows none")
            await desktop.put(await desktop.window(" witness'"), 20, 20)
            victim = _Victim(vm_image, daemon, folder, _Others(witness, daemon, desktop))
            deadline = time.monotonic() + seconds
            try:
                for victims in _draw(chance):
                    if killed.total() >= most or time.monotonic() > deadline:
                        break
                    killed.update(victims)
                    print(f"{killed.total()}: {', '.join(victims)}", flush=True)
                    await victim.strike(victims, chance)
            finally:
                await victim.end()
    return killed


def _draw(chance: random.Random) -> Iterator[list[str]]:
    """Who is killed before anybody looks: those in the guest together, QEMU alone."""
    while True:
        yield chance.choices(IN_GUEST, k=_BATCH)
        for _ in range(_BATCH):
            yield [chance.choice((QEMU, BOOTING))]


def _zombies() -> list[str]:
    """Children of children that nobody has reaped.

    What a QEMU leaves whose set-up was killed is a child of ours by then, and ours to reap.
    """
    for child in children():
        if state_of(child) == "Z":
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
    pids = [pid for child in children() for pid in processes.tree(child)]
    return [f"{pid} {processes.name_of(pid)}" for pid in pids if state_of(pid) == "Z"]


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.machines")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: %(default).0f)")
    parser.add_argument("--kills", type=int, default=1 << 16, help="how many at most (default: no limit)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", flush=True)
    killed = asyncio.run(chaos(chosen.seconds, chosen.kills, chosen.seed))
    print(tally(killed, (*IN_GUEST, QEMU, BOOTING)))
    print(f"{killed.total()} kills in and around a VM, and nobody else noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
