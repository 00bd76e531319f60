"""Firefox and Chromium in a virtual machine, on sway: what a person does in them; and a film in mpv."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import pytest_asyncio

from crossdomain.vm.image import Image
from tests.applications import browsing
from tests.applications.browsers import CHROMIUM, FIREFOX, FIREFOX_PREFERENCES, Page
from tests.fakes.stage import await_no_window, await_picture, await_window, keep
from tests.fakes.sway import Sway
from tests.system.conftest import SITE, SwayGuest, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

PATIENCE: Final = 300.0
"""Seconds for what takes a browser a blink elsewhere: every instruction is emulated here."""

START_SECONDS: Final = 600.0
"""Until a browser's first page: 50 to 170 where nothing else runs."""

LOOK_SECONDS: Final = 0.1
"""Between two looks at the screen."""

FOCUS_CHANGES: Final = 200
AT_ONCE: Final = 10
"""Changes that the browser hears of before it is waited for."""
MENUS, LISTS = 48, 2

PROFILE: Final = "/tmp/profile"
"""Where a browser keeps its own things in the guest."""


class Shown(NamedTuple):
    """The page in a browser of a guest."""

    page: Page
    sway: Sway

    async def do(self, story: Callable[..., None], *arguments: object) -> None:
        """Play a story, while the machine is served."""
        await asyncio.to_thread(story, self.page, *arguments)


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=(FIREFOX, CHROMIUM), ids=lambda browser: browser.name
)
async def shown(request: pytest.FixtureRequest, guest: SwayGuest) -> AsyncGenerator[Shown]:
    """The page in each browser; in the end the browser is closed as a person closes it."""
    argv = request.param.command(Path(PROFILE), f"file://{SITE}/page.html")
    await guest.machine.run(["sh", "-c", f"rm -rf {PROFILE}; mkdir {PROFILE}"])
    await guest.machine.push(f"{PROFILE}/user.js", FIREFOX_PREFERENCES.encode())
    async with guest.running(argv) as app:

        def assert_alive() -> None:
            assert app.status is None, guest.sway.log

        page = Page(guest.sway, assert_alive, seconds=PATIENCE, every=LOOK_SECONDS)
        await asyncio.to_thread(await_window, guest.sway, "scroll=0;", seconds=START_SECONDS)
        await asyncio.to_thread(page.settled)
        keep(guest.sway, f"{request.param.name}-vm")
        yield Shown(page, guest.sway)
        guest.sway.close_window("frames=")
        assert await within(app.wait(), seconds=PATIENCE, what="the browser's end") == 0
        await asyncio.to_thread(await_no_window, guest.sway, "frames=")


async def test_what_is_typed_on_the_host_arrives_letter_by_letter(shown: Shown) -> None:
    await shown.do(browsing.type_letters)


async def test_the_focus_changes_two_hundred_times(shown: Shown, debian: Image) -> None:
    await shown.do(partial(browsing.change_focus, at_once=AT_ONCE), debian, shown.sway, FOCUS_CHANGES)


async def test_text_is_copied_and_pasted_both_ways(shown: Shown, debian: Image) -> None:
    await shown.do(browsing.copy_and_paste, debian, shown.sway)


async def test_menus_open_and_close_fifty_times(shown: Shown) -> None:
    await shown.do(browsing.open_menus, MENUS, LISTS)


async def test_the_wheel_scrolls_the_page_and_back(shown: Shown) -> None:
    await shown.do(browsing.scroll_and_back)


async def test_a_film_plays_in_the_page(shown: Shown) -> None:
    await shown.do(browsing.play_film, "film-vm")


async def test_a_film_plays_in_mpv(guest: SwayGuest) -> None:
    argv = ["mpv", "--vo=wlshm", "--no-audio", "--loop", "--title=a film", f"{SITE}/film.webm"]
    async with guest.running(argv) as app:
        await asyncio.to_thread(await_window, guest.sway, "a film", seconds=PATIENCE)
        for count in range(10):
            shot = guest.sway.screenshot()
            await asyncio.to_thread(await_picture, guest.sway, f"frame {count}", other_than=shot)
        keep(guest.sway, "mpv-vm")
        guest.sway.seat.type("q")
        assert await within(app.wait(), seconds=PATIENCE, what="mpv's end") == 0
    await asyncio.to_thread(await_no_window, guest.sway, "a film")
