"""Firefox in a virtual machine, on sway: a page is typed into and scrolled, menus open, the focus changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from crossdomain.vm.seat import BUTTON_RIGHT
from tests.applications.browsers import FIREFOX_PREFERENCES, Page, other_window
from tests.fakes.daemon import running_daemon
from tests.fakes.stage import await_no_window, await_window, keep
from tests.fakes.sway import Sway
from tests.system.conftest import machine_config, within

pytestmark = pytest.mark.timeout(900)

PATIENCE = 300.0
"""Seconds for what takes Firefox a blink elsewhere: every instruction is emulated here."""

FOCUS_CHANGES = 80
MENUS = 4
KEY_ESCAPE = 1
TEXT, NOWHERE = (200, 166), (400, 300)
"""Where the page's field, and nothing, are on the screen, px."""
MENU = (slice(220, 300), slice(420, 500))
"""Where a menu, or nothing, is in the page's picture: rows, columns."""
PAPER = (0x20, 0x40, 0x60)
"""The page's colour."""

COMMAND = ("crossdomain-run", "firefox-esr", "--no-remote", "--profile", "/tmp/profile")
ADDRESS = "file:///mnt/share/tests/applications/page.html"


@asynccontextmanager
async def firefox(machine: Machine) -> AsyncGenerator[GuestProcess]:
    """Firefox with the page, in the guest."""
    await machine.run(["mkdir", "/tmp/profile"])
    await machine.push("/tmp/profile/user.js", FIREFOX_PREFERENCES.encode())
    app = await machine.spawn(["sh", "-c", f"exec {' '.join(COMMAND)} {ADDRESS} >/tmp/firefox.log 2>&1"])
    yield app
    app.kill()


def use(sway: Sway, page: Page) -> None:
    """What a person does; returns when all of it was answered."""
    await_window(sway, "scroll=0;", seconds=PATIENCE)
    page.settled()
    keep(sway, "firefox-vm")
    (browser,) = sway.windows()
    with other_window(sway) as other:
        told = int(page.told("focus"))
        for count in range(1, FOCUS_CHANGES // 2 + 1):
            sway.swaymsg(f"[con_id={other}] focus")
            sway.swaymsg(f"[con_id={browser['id']}] focus")
            page.await_count("focus", told + count)
    sway.seat.click(*TEXT)
    sway.seat.type("Typed on the host, shown by the guest.")
    page.await_text("Typed on the host, shown by the guest.")
    paper = np.broadcast_to(np.array(PAPER, dtype=np.uint8), page.picture().shape)
    for count in range(1, MENUS + 1):
        sway.seat.click(*NOWHERE, BUTTON_RIGHT)
        page.await_count("menus", count)
        page.await_other(paper, MENU, what=f"menu {count}")
        sway.seat.tap(KEY_ESCAPE)
        page.await_same(paper, MENU, what=f"menu {count} closed")
    sway.seat.scroll(150)
    page.await_count("scroll", 200)
    keep(sway, "firefox-vm-scrolled")
    sway.close_window("frames=")


async def test_firefox_is_used_in_a_virtual_machine(debian: Image, own_sway: Sway, runtime_dir: Path) -> None:
    folder = runtime_dir / "daemon"
    folder.mkdir()
    with running_daemon(folder, own_sway.socket_path) as daemon:
        config = replace(machine_config(debian, daemon), memory=2560)
        async with Machine(config) as machine, firefox(machine) as app:

            def assert_alive() -> None:
                assert app.status is None, own_sway.log

            await asyncio.to_thread(use, own_sway, Page(own_sway, assert_alive, seconds=PATIENCE))
            assert await within(app.wait(), seconds=PATIENCE, what="Firefox's end") == 0
            await asyncio.to_thread(await_no_window, own_sway, "frames=")
        daemon.assert_alive()
