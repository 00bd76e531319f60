"""Guests on the real daemon: a fake VM, the device and the contexts as they are shipped, a real Weston."""

import asyncio
import os
import signal
from contextlib import closing
from pathlib import Path

import numpy as np

from crossdomain.abi import cross_domain as protocol
from crossdomain.abi import virtio_gpu as abi
from crossdomain.abi.cross_domain import IdentifierType, ReadWrite, SendReceive
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_window import GuestWindow
from tests.fakes.played_compositor import PlayedCompositor
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import Weston, wait_until
from tests.unit.context.world import event, request

PAGE = 4096
WIDTH, HEIGHT = 200, 100
XRGB8888 = 1
DEADLINE = 30.0


def booted(daemon: RunningDaemon) -> FakeFrontend:
    """A VM on the daemon, as QEMU connects one."""
    return FakeFrontend(connected(daemon.gpu_socket), ram_size=16 << 20)


async def show_window(guest: WaylandGuest, colour: str) -> None:
    """Shows a window full of RRGGBB in the middle of the screen, and returns when it is shown."""
    window = GuestWindow(guest, WIDTH, HEIGHT, fullscreen=True)
    await window.open()
    await window.paint(colour)


async def test_a_guests_window_is_on_the_screen(daemon: RunningDaemon, weston: Weston) -> None:
    async with booted(daemon) as vm:
        guest = WaylandGuest(await GuestContext.open(vm, 1, name=b"window"))
        await show_window(guest, "3366bc")
        # It is centred, and black around.
        shot = await asyncio.to_thread(weston.screenshot)
        found = np.argwhere((shot == (0x33, 0x66, 0xBC)).all(axis=2))
        assert len(found) == WIDTH * HEIGHT
        (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
        assert (bottom - top + 1, right - left + 1) == (HEIGHT, WIDTH)


async def test_two_vms_show_their_windows_through_one_daemon(daemon: RunningDaemon) -> None:
    async with booted(daemon) as one, booted(daemon) as other:
        guests = [WaylandGuest(await GuestContext.open(vm, 1)) for vm in (one, other)]
        for guest in guests:
            await show_window(guest, "00ff00")
        assert [len(vm["clients"]) for vm in daemon.status()["vms"]] == [1, 1]


async def test_a_guest_lists_globals_in_a_large_ring(daemon: RunningDaemon) -> None:
    async with booted(daemon) as vm:
        guest = WaylandGuest(await GuestContext.open(vm, 1, ring_pages=4))
        await guest.list_globals()
        assert {"wl_compositor", "wl_shm", "xdg_wm_base"} <= guest.globals.keys()


async def test_two_hundred_guest_programs_leave_nothing_behind(daemon: RunningDaemon) -> None:
    async with booted(daemon) as vm:
        for number in range(1, 21):
            await run_program(vm, number)
        before = daemon.footprint
        for number in range(21, 221):
            await run_program(vm, number)
        after = daemon.footprint
        status = daemon.status()["vms"][0]
        assert (status["clients"], status["resources"], status["host_bytes"]) == ([], 0, 0)
        assert after.fds == before.fds
        # The allocator of Python takes and gives back arenas of a megabyte.
        assert after.mappings <= before.mappings + 8
        assert after.anonymous <= before.anonymous + (2 << 20)


async def run_program(vm: FakeFrontend, number: int) -> None:
    """A program that lists the globals, maps 64 KiB, and ends with a POLL outstanding."""
    guest = WaylandGuest(await GuestContext.open(vm, number))
    await guest.list_globals()
    blob = await guest.context.allocate(1 << 16)
    blob.view[:] = b"x" * len(blob.view)
    await blob.destroy()
    await guest.context.close()


async def test_twenty_programs_at_once(daemon: RunningDaemon) -> None:
    async with booted(daemon) as vm:
        guests = [WaylandGuest(await GuestContext.open(vm, number)) for number in range(1, 21)]
        await asyncio.gather(*(guest.list_globals() for guest in guests))
        assert all("wl_shm" in guest.globals for guest in guests)
        assert len(daemon.status()["vms"][0]["clients"]) == 20


async def test_a_vm_that_dies_is_forgotten_and_the_next_is_served(daemon: RunningDaemon) -> None:
    before = daemon.footprint.fds
    for _ in range(3):
        async with booted(daemon) as vm:
            guest = WaylandGuest(await GuestContext.open(vm, 1))
            await guest.list_globals()
            await guest.context.allocate(1 << 16)
            await vm.hang_up()
        wait_until(lambda: daemon.status()["vms"] == [], seconds=DEADLINE, what="the VM gone")
    assert daemon.footprint.fds == before


async def test_a_guest_that_reboots_finds_a_fresh_device(daemon: RunningDaemon) -> None:
    async with booted(daemon) as vm:
        for _ in range(3):
            guest = WaylandGuest(await GuestContext.open(vm, 1))
            await guest.list_globals()
            await guest.context.allocate(1 << 16)
            await vm.reset()
            assert daemon.status()["vms"][0]["clients"] == []


async def test_a_paused_vm_goes_on_with_its_windows(daemon: RunningDaemon) -> None:
    async with booted(daemon) as vm:
        guest = WaylandGuest(await GuestContext.open(vm, 1))
        await guest.list_globals()
        await vm.stop_rings()
        await vm.start_driver()
        await guest.round_trip(4)


async def test_every_mistake_of_a_guest_is_answered_and_costs_only_itself(daemon: RunningDaemon) -> None:
    async with booted(daemon) as vm:
        driver = vm.driver
        good = WaylandGuest(await GuestContext.open(vm, 1))
        bad = await GuestContext.open(vm, 2)
        refused = [
            await driver.command(0x999),
            await driver.ctx_create(1),
            await driver.ctx_create(3, context_init=1),
            await driver.ctx_destroy(9),
            await driver.create_host_blob(77, PAGE, ctx_id=1, blob_id=4711),
            await driver.create_guest_blob(77, PAGE, [(1 << 50, PAGE)]),
            await driver.map_blob(good.context.channel_ring, 0),
            await driver.resource_unref(99),
            await driver.ctx_attach_resource(1, 99),
            await driver.submit_3d(9, b""),
            await bad.submit(b"\xff" * 7),
            await bad.submit(protocol.encode_init(bad.query_ring, bad.channel_ring)),
        ]
        assert [hex(r.type) for r in refused if r.type < abi.VIRTIO_GPU_RESP_ERR_UNSPEC] == []
        await good.list_globals()


async def test_a_keymap_of_the_compositor_is_read_in_the_guest(
    stage: PlayedCompositor,
) -> None:
    text = b"xkb_keymap { many keys };\0" * 500
    async with booted(stage.daemon) as vm:
        context = await GuestContext.open(vm, 1)
        with closing(await stage.accept_soon()) as host:
            await context.send(request("wl_display", "get_registry", 1, 2))
            host.send_raw(event("wl_registry", "global", 2, 1, "wl_seat", 5))
            await context.next_event()
            await context.send(
                request("wl_registry", "bind", 2, 1, "wl_seat", 5, 3)
                + request("wl_seat", "get_keyboard", 3, 4)
            )
            keymap = os.memfd_create("keymap", os.MFD_CLOEXEC)
            os.write(keymap, text)
            host.send_raw(event("wl_keyboard", "keymap", 4, 1, None, len(text)), [keymap])
            os.close(keymap)
            received = await context.next_event()
            assert isinstance(received, SendReceive)
            ((identifier, kind, size),) = received.identifiers
            assert (kind, size) == (IdentifierType.VIRTGPU_BLOB, len(text))
            blob = await context.open_blob(identifier, size)
            assert blob.view[: len(text)] == text
            await blob.destroy()


async def test_a_compositor_that_dies_is_a_hang_up_in_the_guest(
    stage: PlayedCompositor,
) -> None:
    async with booted(stage.daemon) as vm:
        context = await GuestContext.open(vm, 1)
        (await stage.accept_soon()).close()
        hang_up = await context.next_event()
        assert isinstance(hang_up, SendReceive | ReadWrite)
        assert bytes(hang_up.data) == b""
        # Once, and the context can still be ended.
        await context.close()
        assert stage.daemon.status()["vms"][0]["clients"] == []


async def test_stopping_the_daemon_hangs_up_on_its_vms(folder: Path, weston: Weston) -> None:
    with running_daemon(folder, weston.socket_path) as daemon:
        async with booted(daemon) as vm:
            assert (await vm.driver.get_capset_info()).ok
            daemon.process.send_signal(signal.SIGTERM)
            await vm.main.wait_for_hang_up()
        assert await asyncio.to_thread(daemon.process.wait, DEADLINE) == 0
