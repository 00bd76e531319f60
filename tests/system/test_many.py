"""Many clients at once, and many one after the other."""

import json

import pytest

from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import RunningDaemon
from tests.system.conftest import GUEST_TESTS, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

CROWD = 20


def colour_of(number: int) -> tuple[int, int, int]:
    """A colour of its own for each number below 64."""
    return 64 + number * 3, 255 - number * 4, number * 12 % 256


async def flags(machine: Machine) -> list[GuestProcess]:
    """CROWD clients of one crossdomain-run, each a process with a window of its own colour."""
    colours = " ".join(bytes(colour_of(number)).hex() for number in range(CROWD))
    script = f"""
        exec 3<&0; number=0
        for colour in {colours}; do
            python3 -m tests.fakes.flag flag-$number. $colour 120 90 <&3 &
            number=$((number + 1))
        done; wait"""
    app = await machine.spawn(["crossdomain-run", "sh", "-c", script], env=GUEST_TESTS)
    for _ in range(CROWD):
        assert await within(app.stdout.readline(), what="a window", seconds=180) == b"shown\n"
    return [app]


async def test_twenty_clients_at_once_each_show_their_own_picture(machine: Machine, desktop: Desktop) -> None:
    (app,) = await flags(machine)
    places = {number: (10 + number % 5 * 150, 10 + number // 5 * 120) for number in range(CROWD)}
    for number, (x, y) in places.items():
        await desktop.put(await desktop.window(f"'flag-{number}.'"), x, y)
    picture = await desktop.screenshot()
    for number, (x, y) in places.items():
        assert (picture[y : y + 90, x : x + 120] == colour_of(number)).all(), f"window {number} is wrong"
    app.close_input()
    assert await within(app.wait(), what="the end of all") == 0
    await desktop.no_window("flag-")


STARTS = 200
SHIFTS = 20

STORM = f"""
for shift in $(seq {SHIFTS}); do
    crossdomain-run sh -c 'for start in $(seq {STARTS // SHIFTS}); do
        python3 -m tests.fakes.flag flag 336699 64 64 </dev/null || exit 1
    done' >/dev/null || exit 1
done"""


async def test_two_hundred_starts_and_ends_leave_nothing_behind(
    machine: Machine, daemon: RunningDaemon, desktop: Desktop
) -> None:
    async def guest_state() -> str:
        files = "ls -A $XDG_RUNTIME_DIR /dev/shm /tmp"
        processes = "ps -e -o comm= | grep -v -e ^ps -e kworker | sort | uniq -c"
        return (await machine.run(["sh", "-c", f"{files}; {processes}"])).output.decode()

    def host_is_idle() -> bool:
        return [vm["clients"] for vm in daemon.status()["vms"]] == [[]]

    warm_up = ["crossdomain-run", "python3", "-m", "tests.fakes.flag", "flag", "336699", "64", "64"]
    for _ in range(3):
        assert (await machine.run(warm_up, data=b"", env=GUEST_TESTS)).status == 0
    await until(host_is_idle, what="an idle daemon")
    before, guest_before = daemon.footprint, await guest_state()
    status_before = daemon.status()

    done = await machine.run(["sh", "-c", STORM], env=GUEST_TESTS, timeout=800)
    assert done.status == 0, done.errors.decode()

    await until(host_is_idle, what="an idle daemon")
    await desktop.no_window("flag")
    after = daemon.footprint
    assert daemon.status() == status_before, json.dumps(daemon.status())
    assert after.fds == before.fds
    assert after.shared <= before.shared
    assert after.resident < before.resident + (4 << 20)
    assert await guest_state() == guest_before
