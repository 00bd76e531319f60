"""A guest whose kernel imports no dmabufs of others: its buffers are copied, and no application notices."""

import errno
import json
import os
from collections.abc import AsyncGenerator
from typing import Final

import pytest
import pytest_asyncio

from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.fakes.both_sides import DISPLAY, THROUGH_GUEST, running_with_sway
from tests.fakes.daemon import RunningDaemon
from tests.fakes.forky import FORKY, mount_forky, with_forky
from tests.fakes.older_kernel import with_older_kernel
from tests.fakes.pictures import different, photograph
from tests.fakes.pool_storm import HEIGHT, WIDTH
from tests.fakes.programs import PATTERNS, running_steps
from tests.fakes.weston import Pixels
from tests.system.conftest import GUEST_TESTS, Desktop, machine_config, within
from tests.system.test_pixels_vm import PLACE, GuestSteps

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

LABEL: Final = "patterns'"
SCENARIO: Final = "damage_of_both_kinds"
IMPORT: Final = """
import fcntl, os
from crossdomain.bridge.udmabuf import Span, Udmabuf
from launcher.channel import drm
file = os.memfd_create("file", os.MFD_ALLOW_SEALING)
os.ftruncate(file, 65536)
fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
dmabuf = Udmabuf.open().create((Span(file, 0, 65536),))
for path in drm.render_nodes():
    try:
        drm.import_dmabuf(drm.open_node(path), dmabuf)
    except OSError as error:
        print(error.errno)
"""
"""Has each of our two devices import a udmabuf."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guest(vm_image: Image, daemon: RunningDaemon) -> AsyncGenerator[Machine]:
    config = with_forky(machine_config(vm_image, daemon))
    async with Machine(with_older_kernel(config)) as machine:
        release = await machine.run(["uname", "-r"])
        assert release.output.startswith(b"6.12.")
        yield machine


async def test_pools_that_an_older_kernel_does_not_import_are_copied(
    guest: Machine, daemon: RunningDaemon, desktop: Desktop
) -> None:
    told: set[tuple[int, int]] = set()

    async def take() -> Pixels:
        view = await desktop.window(LABEL)
        if (view.x, view.y) != PLACE:
            await desktop.put(view, *PLACE)
        clients = [client for vm in daemon.status()["vms"] for client in vm["clients"]]
        told.update((client["copies"], client["buffers_shown"]) for client in clients)
        return await desktop.screenshot()

    environment = {**os.environ, **desktop.weston.environment}
    async with running_steps((*PATTERNS, "--windowed", SCENARIO), environment) as steps:
        direct = await photograph(steps, take)
    await desktop.no_window(LABEL)
    tried = await guest.run(["python3", "-c", IMPORT], env=GUEST_TESTS)
    assert (tried.output, tried.errors) == (f"{errno.ENODEV}\n".encode() * 2, b"")
    patterns = ["python3", "-m", "tests.fakes.patterns", "--windowed", SCENARIO]
    app = await guest.spawn(["crossdomain-run", "--stats=/tmp/stats", *patterns], env=GUEST_TESTS)
    proxied = await photograph(GuestSteps(app), take)
    assert await within(app.wait(), what="its end") == 0
    assert different(direct, proxied, series="older-kernel") == []
    stats = json.loads(await guest.pull("/tmp/stats"))
    assert set(stats["buffers"]) == set(stats["bytes_copied_by_path"]) == {"shm-copy"}
    # Nobody on the host has copied anything, or shown what is the guest's.
    assert told == {(0, 0)}


async def test_a_compositor_that_lists_what_its_device_does_not_import_gets_copies(guest: Machine) -> None:
    """Sway 1.12 asks its render node for each dmabuf, and lists formats without that."""
    await mount_forky(guest)
    await guest.run(["chmod", "-R", "a+rw", "/dev/dri", "/dev/udmabuf"], user="root")
    async with running_with_sway(guest, FORKY) as sway:
        assert await sway.run_module("tests.fakes.dmabuf_trial") == "implicit: failed\n"
        storm = ("tests.fakes.pool_storm", DISPLAY, "calm")
        assert await sway.run_module(*storm, through=THROUGH_GUEST) == f"calm {WIDTH * HEIGHT}\n"
        assert await sway.buffers() == {"shm-pages": 1}
