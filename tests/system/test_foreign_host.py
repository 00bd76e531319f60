"""Our launcher in a VM on another host, which answers as rutabaga does and knows nothing of ours."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine, MachineConfig
from tests.fakes.clipboard import Copier, Paster
from tests.fakes.guest_tests import share_of_tests
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import stop
from tests.system.conftest import GUEST_TESTS, Desktop, until_true, within
from tests.system.test_pipes import CLIPBOARD, STREAM

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SIZE = 1 << 20
FLAG = ("crossdomain-run", "--stats=/tmp/stats.json", "python3", "-m", "tests.fakes.flag")
TERMINATED = 128 + signal.SIGTERM
COLOUR = (0x33, 0x66, 0x99)


class Host:
    """The foreign host's process."""

    def __init__(self, process: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
        self.process = process
        self.path = path
        self._log = log

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()


@pytest.fixture(scope="module")
def host(desktop: Desktop) -> Generator[Host]:
    """The host; no worker may halt where no test has read of it: no guest can tell that from silence."""
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        path, log = Path(folder) / "gpu", Path(folder) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.rutabaga", path, str(desktop.weston.socket_path)],
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield Host(process, path, log)
            assert process.poll() is None
        finally:
            stop(process)
            said = process.stdout.read()
            process.stdout.close()
        assert (said, log.read_text()) == (b"", "")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guest(vm_image: Image, host: Host) -> AsyncGenerator[Machine]:
    """A VM on that host, with a virtio-gpu and no memory device."""
    device = "vhost-user-test-device-pci,chardev=gpu,virtio-id=16,num_vqs=2,vq_size=1024,config_size=16"
    config = MachineConfig(
        vm_image,
        shares=(share_of_tests(vm_image),),
        qemu_extra=("-chardev", f"socket,id=gpu,path={host.path}", "-device", device),
    )
    async with Machine(config) as running:
        yield running


async def test_windows_appear_and_the_guest_copies_their_pixels(guest: Machine, desktop: Desktop) -> None:
    app = await guest.spawn([*FLAG, "foreign", "336699", "300", "200"], env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="the window") == b"shown\n"
    view = await desktop.put(await desktop.window("foreign"), 40, 40)

    async def whole() -> bool:
        picture = await desktop.picture_of(view)
        return int((picture == np.array(COLOUR, dtype=np.uint8)).all(axis=2).sum()) == 300 * 200

    await until_true(whole, what="all of its pixels")
    app.close_input()
    assert await within(app.wait(), what="its end") == 0
    stats = json.loads(await guest.pull("/tmp/stats.json"))
    assert stats["buffers"] == {"shm-copy": 1}
    assert stats["bytes_copied_host"] == 0


async def test_twenty_clients_of_one_launcher(guest: Machine, desktop: Desktop) -> None:
    flags = [part for number in range(20) for part in (f"many {number}", "223344", "32", "32")]
    app = await guest.spawn([*FLAG, *flags], env=GUEST_TESTS)
    for _ in range(20):
        assert await within(app.stdout.readline(), what="a window") == b"shown\n"
    app.close_input()
    assert await within(app.wait(), what="their end") == 0
    await desktop.no_window("many")


async def test_a_paste_arrives_whole(guest: Machine, desktop: Desktop) -> None:
    with closing(Copier(str(desktop.weston.socket_path))) as copier:
        copier.copy()
        app = await guest.spawn([*CLIPBOARD, "paste", str(SIZE)], env=GUEST_TESTS)
        (writing,) = await asyncio.to_thread(copier.wait_asked)
        writer = subprocess.Popen([*STREAM, "write", str(SIZE)], stdout=writing)
        os.close(writing)
        assert (await within(app.stdout.readline(), what="the paste")).startswith(f"{SIZE} bytes".encode())
        assert await within(app.wait(), what="its end") == 0
        assert writer.wait() == 0


async def test_a_copy_arrives_whole(guest: Machine, desktop: Desktop) -> None:
    app = await guest.spawn([*CLIPBOARD, "copy", str(SIZE)], env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="a selection") == b"copied\n"
    with closing(Paster(str(desktop.weston.socket_path))) as paster:
        await asyncio.to_thread(paster.wait_offer)
        reading = paster.paste()
        reader = subprocess.Popen([*STREAM, "read", str(SIZE)], stdin=reading, stdout=subprocess.PIPE)
        os.close(reading)
        assert await within(app.wait(), what="its end") == 0
        said, _ = await asyncio.to_thread(reader.communicate)
        assert said.startswith(f"{SIZE} bytes".encode())


async def test_a_worker_of_the_host_that_halts_costs_its_client_alone(
    guest: Machine, host: Host, desktop: Desktop
) -> None:
    app = await guest.spawn([*CLIPBOARD, "copy", str(SIZE)], env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="a selection") == b"copied\n"
    with closing(Paster(str(desktop.weston.socket_path))) as paster:
        await asyncio.to_thread(paster.wait_offer)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            paster.paste_into(theirs.fileno())
        assert host.process.stdout is not None
        halting = await within(asyncio.to_thread(host.process.stdout.readline), what="the worker's end")
        assert halting == b"rutabaga: worker halting: an fd of an unknown kind\n"
        # No fence of its context signals any more.  What has one of its own goes on.
        other = await guest.spawn([*FLAG, "unharmed", "336699", "32", "32"], env=GUEST_TESTS)
        assert await within(other.stdout.readline(), what="another's window") == b"shown\n"
        other.close_input()
        assert await within(other.wait(), what="the other's end") == 0
        # And the launcher ends with its application, which could wait for ever.
        await guest.run(["pkill", "-f", "^python3 -m tests.fakes.clipboard copy"])
        assert await within(app.wait(), what="its end") == TERMINATED
        await desktop.no_window("unharmed")


async def test_the_exit_status_is_the_applications(guest: Machine) -> None:
    assert (await guest.run(["crossdomain-run", "sh", "-c", "exit 7"])).status == 7
