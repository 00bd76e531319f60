"""What systemd is told, on a socket as systemd has it."""

import asyncio
import os
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from crossdomain.host.notify import Systemd

PATIENCE = 30.0


class Manager:
    """The service manager's socket."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)

    def environment(self, **more: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), **more}

    async def receive(self) -> str:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 4096), PATIENCE)
        return data.decode()


@pytest.fixture
def manager(runtime_dir: Path) -> Generator[Manager]:
    made = Manager(runtime_dir)
    yield made
    made.socket.close()


async def test_it_is_told_of_the_life_of_the_service(manager: Manager) -> None:
    systemd = Systemd(manager.environment())
    systemd.ready("no VMs")
    assert await manager.receive() == "READY=1\nSTATUS=no VMs"
    systemd.status("1 VMs: work")
    assert await manager.receive() == "STATUS=1 VMs: work"
    systemd.reloading()
    assert (await manager.receive()).startswith("RELOADING=1\nMONOTONIC_USEC=")
    systemd.stopping()
    assert await manager.receive() == "STOPPING=1"


async def test_nobody_is_told_where_there_is_none() -> None:
    systemd = Systemd({})
    systemd.ready("no VMs")
    await systemd.feed(never)
    assert systemd.round_seconds == 0


async def never(_seconds: float) -> bool:
    raise AssertionError


async def test_the_watchdog_is_fed_in_rounds_where_all_is_well(manager: Manager) -> None:
    answers = iter([True, False, True])
    given: list[float] = []

    async def check(seconds: float) -> bool:
        given.append(seconds)
        answer = next(answers, None)
        return await asyncio.get_running_loop().create_future() if answer is None else answer

    systemd = Systemd(manager.environment(WATCHDOG_USEC="30000", WATCHDOG_PID=str(os.getpid())))
    feeding = asyncio.create_task(systemd.feed(check))
    assert await manager.receive() == "WATCHDOG=1"
    assert await manager.receive() == "WATCHDOG=1"
    assert given[:3] == [0.01, 0.01, 0.01]  # and the next round may have begun
    feeding.cancel()
    await asyncio.wait([feeding])


@pytest.mark.parametrize(
    "environment", [{"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {}]
)
def test_a_watchdog_of_others_is_not_ours(environment: dict[str, str]) -> None:
    assert Systemd(environment).round_seconds == 0
