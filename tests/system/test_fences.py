"""Fences inside a virtual machine: the kernel's own, and how they cross."""

import re
from collections.abc import AsyncGenerator
from typing import Final

import pytest
import pytest_asyncio

from crossdomain.abi import dma_buf
from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.kernel_fences import CASES
from tests.system.conftest import GUEST_TESTS, Desktop, until_true, within

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACING: Final = "/sys/kernel/tracing"
"""Where the kernel tells which of its functions are called."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vgem(machine: Machine) -> AsyncGenerator[Machine]:
    """The machine, with a device whose fences are a test's."""
    await as_root(machine, "modprobe vgem; chmod 666 /dev/dri/*")
    await as_root(machine, f"mountpoint -q {TRACING} || mount -t tracefs tracefs {TRACING}")
    yield machine
    await as_root(machine, "modprobe -r vgem")


async def as_root(machine: Machine, script: str) -> None:
    """Runs a shell script that has to succeed."""
    done = await machine.run(["sh", "-e", "-c", script], user="root")
    assert (done.status, done.errors) == (0, b"")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def painter(vgem: Machine) -> AsyncGenerator[GuestProcess]:
    """A client whose pictures are finished when the test says so."""
    command = ["crossdomain-run", "python3", "-m", "tests.fakes.late_painter"]
    process = await vgem.spawn(command, env=GUEST_TESTS)
    assert await told(process) == "ready", await process.stderr.read()
    yield process
    process.close_input()
    assert await within(process.wait(), what="its end") == 0


async def told(process: GuestProcess) -> str:
    """The next line that it prints."""
    line = await within(process.stdout.readline(), what="an answer of the guest's")
    return line.decode().strip()


async def ask(process: GuestProcess, question: str) -> str:
    """What it answers."""
    await process.write(f"{question}\n".encode())
    return await told(process)


async def colours(desktop: Desktop, label: str) -> set[str]:
    """All colours of a window."""
    picture = await desktop.picture_of(await desktop.window(label))
    return {bytes(pixel[:3]).hex() for row in picture for pixel in row}


@pytest.mark.parametrize(
    ("way", "colour"),
    [("implicit", "00ff00"), ("point", "ff0000"), ("fence", "00ffff"), ("implicit", "ffff00")],
)
async def test_nothing_is_shown_before_it_is_finished(
    painter: GuestProcess, desktop: Desktop, way: str, colour: str
) -> None:
    before = await colours(desktop, "late'")
    assert await ask(painter, f"{way} {colour}") == "waiting"
    assert await colours(desktop, "late'") == before
    assert await colours(desktop, "punctual'") == {colour}
    assert await ask(painter, "finish") == "shown"
    assert await colours(desktop, "late'") == {colour}


async def is_shown(desktop: Desktop, colour: str) -> None:
    """Return when the window that was late has that colour, and no other."""

    async def is_it() -> bool:
        return await colours(desktop, "late'") == {colour}

    await until_true(is_it, what=f"a window in {colour}")


async def test_frames_that_are_finished_out_of_order_are_shown_in_order(
    painter: GuestProcess, desktop: Desktop
) -> None:
    before = await colours(desktop, "late'")
    assert await ask(painter, "implicit 00aa00") == "waiting"
    assert await ask(painter, "implicit 0000aa") == "waiting"
    assert await ask(painter, "end") == "ended"
    assert await colours(desktop, "late'") == before
    assert await ask(painter, "finish") == "shown"
    await is_shown(desktop, "0000aa")


async def test_the_cpu_reads_a_dmabuf_between_the_kernels_marks(
    painter: GuestProcess, desktop: Desktop, vgem: Machine
) -> None:
    probe = "p:marks/asked dma_buf_ioctl request=%si:x32 flags=+u0(%dx):u64"
    await as_root(vgem, f"cd {TRACING}; echo '{probe}' >kprobe_events; echo 1 >events/marks/enable")
    assert await ask(painter, "implicit 123456") == "waiting"
    assert await ask(painter, "finish") == "shown"
    await is_shown(desktop, "123456")
    await as_root(vgem, f"echo 0 >{TRACING}/events/marks/enable")
    trace = (await vgem.pull(f"{TRACING}/trace", user="root")).decode()
    marks = re.findall(rf" asked: .* request={dma_buf.DMA_BUF_IOCTL_SYNC:#x} flags=(\d+)", trace)
    reading = [dma_buf.DMA_BUF_SYNC_START, dma_buf.DMA_BUF_SYNC_END]
    assert [int(flags) for flags in marks] == [dma_buf.DMA_BUF_SYNC_READ | mark for mark in reading], trace
    await as_root(vgem, f"cd {TRACING}; echo >kprobe_events; echo >trace")


async def test_a_fence_that_never_signals_costs_a_frame_and_not_the_window(
    painter: GuestProcess, desktop: Desktop
) -> None:
    assert await ask(painter, "implicit 112233") == "waiting"
    assert await ask(painter, "implicit 445566") == "waiting"
    assert await ask(painter, "end") == "ended"
    await is_shown(desktop, "445566")
    assert b"loses a frame" in await within(painter.stderr.readline(), what="a word about it")


async def test_a_sync_file_of_the_compositors_ends_a_fence_of_the_guests(vgem: Machine) -> None:
    """Both are in one machine: this one's kernel has none."""
    done = await vgem.run(["python3", "-m", "tests.fakes.sync_files"], env=GUEST_TESTS, timeout=180)
    assert (done.status, done.output) == (0, b"pending over\n"), done.errors.decode()


@pytest.mark.parametrize("case", CASES)
async def test_the_kernels_fences(vgem: Machine, case: str) -> None:
    done = await vgem.run(["python3", "-m", "tests.fakes.kernel_fences", case], env=GUEST_TESTS)
    assert (done.status, done.errors.decode()) == (0, "")
