"""Machines come and go, well and badly, and the daemon serves the next one."""

import asyncio
import os
import signal
import subprocess

import pytest

from crossdomain.device.qemu import qemu_arguments
from crossdomain.errors import HostFault
from crossdomain.vm import root
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import RunningDaemon
from tests.system.conftest import GUEST_TESTS, PATIENCE, Desktop, machine_config, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

FLAG = ["crossdomain-run", "python3", "-m", "tests.fakes.flag"]

SILENT = b"the host does not answer any more"


async def lose_worker(machine: Machine, desktop: Desktop, worker: int) -> None:
    """The machine's device dies: an application that waits is told, and so is one that comes later."""
    app = await machine.spawn([*FLAG, "waits", "123456", "64", "64"], env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="the window of who waits") == b"shown\n"
    os.kill(worker, signal.SIGKILL)
    await desktop.no_window(" waits'")
    # It asks for nothing: that its host is gone is the launcher's to find out.
    late = await machine.spawn([*FLAG, "late", "123456", "64", "64"], env=GUEST_TESTS)
    for process in (app, late):
        assert SILENT in await within(process.stderr.readline(), what="the news of the host's end")
    await app.write(b"\n")
    for process in (app, late):
        assert await within(process.wait(), what="the end of an application without a host") != 0
    kernel = await machine.run(["dmesg"], user="root")
    assert b"blocked for more than" not in kernel.output


async def test_machines_that_end_or_die_leave_the_daemon_serving_the_next(
    vm_image: Image, machine: Machine, daemon: RunningDaemon, desktop: Desktop
) -> None:
    resident = await machine.spawn([*FLAG, "resident", "336699", "64", "64"], env=GUEST_TESTS)
    assert await within(resident.stdout.readline(), what="the first machine's window") == b"shown\n"
    vms, fds = len(daemon.status()["vms"]), daemon.footprint.fds

    async with Machine(machine_config(vm_image, daemon)) as second:
        guest = await second.spawn([*FLAG, "second", "996633", "64", "64"], env=GUEST_TESTS)
        assert await within(guest.stdout.readline(), what="the second machine's window") == b"shown\n"
        # Both at once, each with its own pixels.
        await desktop.put(await desktop.window(" resident'"), 20, 20)
        await desktop.put(await desktop.window(" second'"), 120, 20)
        picture = await desktop.screenshot()
        assert (picture[20:84, 20:84] == (0x33, 0x66, 0x99)).all()
        assert (picture[20:84, 120:184] == (0x99, 0x66, 0x33)).all()
        await second.kill()
        with pytest.raises(HostFault):
            await within(guest.wait(), what="the news of its end")
        await desktop.no_window(" second'")
    await until(lambda: len(daemon.status()["vms"]) == vms, what="the dead machine's end in the daemon")
    await until(lambda: daemon.footprint.fds <= fds, what="its fds to go")

    workers = set(daemon.workers)
    async with Machine(machine_config(vm_image, daemon)) as third:
        done = await third.run([*FLAG, "third", "669933", "64", "64"], data=b"", env=GUEST_TESTS)
        assert (done.status, done.output) == (0, b"shown\n")
        (worker,) = set(daemon.workers) - workers
        await lose_worker(third, desktop, worker)
    await until(lambda: len(daemon.status()["vms"]) == vms, what="the ended machine's end in the daemon")
    await until(lambda: daemon.footprint.fds <= fds, what="its fds to go")

    await resident.write(b"\n")
    assert await within(resident.stdout.readline(), what="the first machine") == b"here\n"
    resident.close_input()
    assert await within(resident.wait(), what="its end") == 0


async def test_qemu_can_not_connect_again_so_we_do_not_ask_it_to(
    vm_image: Image, daemon: RunningDaemon
) -> None:
    """Where this fails, QEMU has learnt it: docs/vmms.md says what to try then."""
    arguments = [f"{argument},reconnect-ms=500" if argument.startswith("socket,") else argument
                 for argument in qemu_arguments(daemon.gpu_socket, memory="64M")]  # fmt: skip
    assert sum("reconnect-ms" in argument for argument in arguments) == 2
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", *arguments]
    done = await asyncio.to_thread(
        subprocess.run,
        vm_image.command(command),
        env=root.program_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "vhost_backend_init failed: Protocol error" in done.stderr
