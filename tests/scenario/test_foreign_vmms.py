"""VMMs that are not QEMU on the real daemon: what each knows of vhost-user, and what its guest gets."""

import asyncio

import pytest

from crossdomain.abi import virtio_gpu as abi
from tests.fakes.daemon import RunningDaemon
from tests.fakes.frontend import CLOUD_HYPERVISOR, CROSVM, FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import Weston
from tests.scenario.test_device_daemon import HEIGHT, WIDTH, show_window

CROSVMS_RING = 32768
"""Entries of its queues, where nobody asks for others."""


def booted(daemon: RunningDaemon, acknowledges: int, queue_size: int) -> FakeFrontend:
    """A VM of a VMM that knows those protocol features."""
    return FakeFrontend(
        connected(daemon.gpu_socket), ram_size=16 << 20, queue_size=queue_size, acknowledges=acknowledges
    )


@pytest.mark.parametrize("queue_size", [1024, CROSVMS_RING])
async def test_crosvm_shows_windows_with_one_table_of_memory(
    daemon: RunningDaemon, weston: Weston, queue_size: int
) -> None:
    async with booted(daemon, CROSVM, queue_size) as vm:
        guest = WaylandGuest(await GuestContext.open(vm, 1))
        await show_window(guest, "3366bc")
        shot = await asyncio.to_thread(weston.screenshot)
        assert int((shot == (0x33, 0x66, 0xBC)).all(axis=2).sum()) == WIDTH * HEIGHT


async def test_crosvms_guest_starts_its_driver_anew(daemon: RunningDaemon) -> None:
    # It does not know RESET_DEVICE either.
    async with booted(daemon, CROSVM, CROSVMS_RING) as vm:
        for _ in range(2):
            guest = WaylandGuest(await GuestContext.open(vm, 1))
            await guest.list_globals()
            assert "wl_shm" in guest.globals
            await vm.reset()
        assert daemon.status()["vms"][0]["clients"] == []


async def test_where_there_is_no_window_messages_pass_pixels_do_not_and_the_log_says_why(
    daemon: RunningDaemon,
) -> None:
    async with booted(daemon, CLOUD_HYPERVISOR, 256) as vm:
        guest = WaylandGuest(await GuestContext.open(vm, 1))
        await guest.list_globals()
        assert "wl_shm" in guest.globals
        image = await guest.context.image_requirements(WIDTH * 4, HEIGHT, int.from_bytes(b"R8  ", "little"))
        made = await vm.driver.create_host_blob(77, image.size, ctx_id=1, blob_id=image.blob_id)
        assert made.ok
        assert (await vm.driver.map_blob(77, 0)).type == abi.VIRTIO_GPU_RESP_ERR_UNSPEC
    assert "no host-visible window" in daemon.log
