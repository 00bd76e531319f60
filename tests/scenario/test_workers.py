"""Each VM and each local socket has a process of its own, and what becomes of one costs no other."""

import asyncio
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

from crossdomain.abi import vhost_user as abi
from crossdomain.device.qemu import memory_socket
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.local_client import LocalClient
from tests.fakes.vhost_socket import connected
from tests.fakes.weston import Weston, wait_until
from tests.unit.context.world import sync

DEADLINE = 60.0


def vm_on(daemon: RunningDaemon) -> FakeFrontend:
    """A VM, and its worker serves it."""
    return FakeFrontend(connected(daemon.gpu_socket))


def field_of(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{name}:")]
    return found


def has_ended(pid: int) -> bool:
    """Whether a process has gone, and was waited for."""
    return not Path(f"/proc/{pid}").exists()


async def talks(client: GuestContext, object_id: int) -> bool:
    """Whether the compositor answers this client."""
    assert (await client.send(sync(object_id))).ok
    event = await client.next_event()
    return bool(event.data)


async def test_every_vm_has_a_confined_process_of_its_own(daemon: RunningDaemon) -> None:
    (local,) = daemon.workers
    async with vm_on(daemon) as one, vm_on(daemon) as other:
        assert all([await talks(await GuestContext.open(vm, 1), 2) for vm in (one, other)])
        workers = daemon.workers
        assert len(set(workers)) == 3
        for pid in workers:
            assert field_of(pid, "Seccomp") == "2"
            assert field_of(pid, "NoNewPrivs") == "1"
            assert field_of(pid, "CapEff") == "0" * 16
            assert field_of(pid, "Threads") == "1"
    await asyncio.to_thread(wait_until, lambda: daemon.workers == [local], seconds=DEADLINE, what="their end")


async def test_a_worker_has_nothing_of_other_vms_and_of_the_supervisor(
    daemon: RunningDaemon,
) -> None:
    async with vm_on(daemon) as one, vm_on(daemon) as other:
        await GuestContext.open(one, 1)
        await GuestContext.open(other, 1)
        held = [sockets_of(pid) for pid in daemon.workers]
        assert all(held)
        for index, sockets in enumerate(held):
            others = [sockets_of(daemon.process.pid), *held[:index], *held[index + 1 :]]
            assert not sockets & set().union(*others)


async def test_a_worker_has_no_environment_and_no_way_to_the_log_but_through_the_supervisor(
    runtime_dir: Path, weston: Weston, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XD_SECRET", "nobody-else's")
    with running_daemon(runtime_dir, weston.socket_path) as daemon:
        async with vm_on(daemon) as vm:
            await GuestContext.open(vm, 1)
            assert b"XD_SECRET" in Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
            for pid in daemon.workers:
                assert not Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0")
                assert os.readlink(f"/proc/{pid}/fd/2").startswith("pipe:")
            (pid,) = daemon.workers[1:]
            with open(f"/proc/{pid}/fd/2", "wb", buffering=0) as log:
                log.write(b"\x1b[2Jtaken over\n")
            await asyncio.to_thread(
                wait_until,
                lambda: ": vm guest: ?[2Jtaken over\n" in daemon.log,
                seconds=DEADLINE,
                what="its line",
            )
            assert "\x1b" not in daemon.log


def sockets_of(pid: int) -> set[str]:
    """The sockets that a process has open."""
    folder = f"/proc/{pid}/fd"
    links = {os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)}
    return {link for link in links if link.startswith("socket:")}


async def test_a_killed_worker_costs_its_vm_alone(daemon: RunningDaemon) -> None:
    async with vm_on(daemon) as neighbour:
        client = await GuestContext.open(neighbour, 1)
        before = set(daemon.workers)
        async with vm_on(daemon) as victim:
            await GuestContext.open(victim, 1)
            (worker,) = set(daemon.workers) - before
            os.kill(worker, signal.SIGKILL)
            await asyncio.wait_for(victim.main.wait_for_hang_up(), DEADLINE)
        wait_until(lambda: has_ended(worker), seconds=DEADLINE, what="no zombie")
        said = "vm guest-2: its worker ended with signal 9"
        wait_until(lambda: said in daemon.log, seconds=DEADLINE, what="a line about it")
        assert await talks(client, 2)
        # Its name is free again.
        async with vm_on(daemon) as again:
            await GuestContext.open(again, 1)
            assert [vm["name"] for vm in daemon.status()["vms"]] == ["vm guest", "vm guest-2"]


def test_a_killed_local_worker_is_replaced(daemon: RunningDaemon) -> None:
    (worker,) = daemon.workers
    with LocalClient.connect(daemon.local_socket) as client:
        os.kill(worker, signal.SIGKILL)
        client.wait_for_close()
    wait_until(lambda: has_ended(worker), seconds=DEADLINE, what="no zombie")
    with LocalClient.connect(daemon.local_socket) as client:
        client.send(sync(2))
        assert client.next_event().data
    assert daemon.workers != [worker]


async def test_workers_end_with_a_killed_supervisor(runtime_dir: Path, weston: Weston) -> None:
    folder = runtime_dir / "killed"
    folder.mkdir(mode=0o700)
    with running_daemon(folder, weston.socket_path) as daemon:
        async with vm_on(daemon) as vm:
            await GuestContext.open(vm, 1)
            workers = daemon.workers
            daemon.process.kill()
            await asyncio.wait_for(vm.main.wait_for_hang_up(), DEADLINE)
        wait_until(
            lambda: all(field_or_gone(pid) for pid in workers), seconds=DEADLINE, what="the workers' end"
        )


def field_or_gone(pid: int) -> bool:
    """Whether a process has ended; nobody may wait for it here."""
    try:
        return field_of(pid, "State").startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_worker_that_is_stopped_does_not_keep_the_daemon_from_ending(
    runtime_dir: Path, weston: Weston
) -> None:
    folder = runtime_dir / "stuck"
    folder.mkdir(mode=0o700)
    with running_daemon(folder, weston.socket_path) as daemon:
        workers = daemon.workers
        os.kill(workers[0], signal.SIGSTOP)
        daemon.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(daemon.process.wait, DEADLINE) == 0
        assert all(has_ended(pid) for pid in workers)


async def test_a_memory_device_that_connects_first_finds_its_vm(daemon: RunningDaemon) -> None:
    memory = socket.socket(socket.AF_UNIX)
    memory.connect(str(memory_socket(daemon.gpu_socket)))
    async with vm_on(daemon) as vm, FakeFrontend(memory, ram=vm.ram):
        await GuestContext.open(vm, 1)
        wait_until(lambda: "memory of vm guest: connected" in daemon.log, seconds=DEADLINE, what="its worker")


@pytest.mark.parametrize("said", [b"", struct.pack("<III", abi.VHOST_USER_GET_FEATURES, 1, 0)])
def test_a_memory_device_whose_vm_never_comes_is_forgotten(daemon: RunningDaemon, said: bytes) -> None:
    before = daemon.footprint.fds
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as memory:
            memory.connect(str(memory_socket(daemon.gpu_socket)))
            memory.sendall(said)
            wait_until(lambda: daemon.footprint.fds == before + 1, seconds=DEADLINE, what="it waits")
        wait_until(lambda: daemon.footprint.fds == before, seconds=DEADLINE, what="its end")
