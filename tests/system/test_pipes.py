"""The clipboard between a guest and the host's desktop: much data, whole, in both directions."""

import asyncio
import os
import subprocess
from contextlib import closing
from typing import Final

import pytest

from crossdomain.vm.machine import Machine
from tests.fakes.clipboard import Copier, Paster
from tests.fakes.programs import PYTHON
from tests.system.conftest import GUEST_TESTS, Desktop, within

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE: Final = 64 << 20
STREAM: Final = (*PYTHON, "tests.fakes.stream")
CLIPBOARD: Final = ("crossdomain-run", "python3", "-m", "tests.fakes.clipboard")


async def test_what_is_copied_on_the_host_is_pasted_whole_in_the_guest(
    machine: Machine, desktop: Desktop
) -> None:
    with closing(Copier(str(desktop.weston.socket_path))) as copier:
        copier.copy()
        app = await machine.spawn([*CLIPBOARD, "paste", str(SIZE)], env=GUEST_TESTS)
        (writing,) = await asyncio.to_thread(copier.wait_asked)
        writer = subprocess.Popen([*STREAM, "write", str(SIZE)], stdout=writing)
        os.close(writing)
        said = await within(app.stdout.readline(), what="the paste")
        print(f"to the guest: {said.decode()}")
        assert said.startswith(f"{SIZE} bytes".encode())
        assert await within(app.wait(), what="its end") == 0
        assert writer.wait() == 0


async def test_what_is_copied_in_the_guest_is_pasted_whole_on_the_host_though_its_application_ends(
    machine: Machine, desktop: Desktop
) -> None:
    app = await machine.spawn([*CLIPBOARD, "copy", str(SIZE)], env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="a selection") == b"copied\n"
    with closing(Paster(str(desktop.weston.socket_path))) as paster:
        await asyncio.to_thread(paster.wait_offer)
        reading = paster.paste()
        reader = subprocess.Popen([*STREAM, "read", str(SIZE)], stdin=reading, stdout=subprocess.PIPE)
        os.close(reading)
        assert await within(app.wait(), what="its end") == 0
        said, _ = await asyncio.to_thread(reader.communicate)
        print(f"to the host: {said.decode()}")
        assert said.startswith(f"{SIZE} bytes".encode())
