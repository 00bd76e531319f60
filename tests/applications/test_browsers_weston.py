"""Firefox and Chromium on Weston 14, which lacks half of what sway has: a page, menus, another window."""

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from crossdomain.vm.image import Image
from crossdomain.vm.seat import BUTTON_RIGHT, KEY_LEFT_CONTROL
from tests.applications.browsers import CHROMIUM, FIREFOX, Browser, running_browser
from tests.applications.conftest import SIZE, Scene
from tests.fakes.daemon import running_daemon
from tests.fakes.stage import await_no_window, keep, press, weston_stage

pytestmark = pytest.mark.timeout(600)

KEY_ESCAPE, KEY_W = 1, 17
MENUS = 20
TEXT, NOWHERE = (200, 80), (400, 500)
"""Where the page's field, and nothing, are on the screen, px: the browser shows the page alone here."""


@pytest.fixture(scope="module")
def kiosk(debian: Image) -> Generator[Scene]:
    """A Weston that shows one window at a time, all over the screen."""
    with (
        tempfile.TemporaryDirectory(prefix="xd-daemon-") as folder,
        weston_stage(debian, width=SIZE[0], height=SIZE[1], shell="kiosk") as weston,
        running_daemon(Path(folder), weston.socket_path) as daemon,
    ):
        yield Scene("weston", weston, daemon, "--buffers=copy")
        daemon.assert_alive()


@pytest.mark.parametrize("browser", [FIREFOX, CHROMIUM], ids=lambda browser: browser.name)
def test_a_browser_is_used_on_weston(kiosk: Scene, debian: Image, browser: Browser) -> None:
    person = kiosk.stage.seat
    with running_browser(debian, kiosk, browser) as (page, application):
        person.click(*TEXT)
        person.type("Typed on Weston")
        page.await_text("Typed on Weston")
        keep(kiosk.stage, f"{browser.name}-weston")
        person.click(*NOWHERE)
        closed = page.settled()
        for count in range(1, MENUS + 1):
            person.click(*NOWHERE, BUTTON_RIGHT)
            page.await_count("menus", count)
            page.await_other(closed, what=f"menu {count}")
            person.tap(KEY_ESCAPE)
            page.await_same(closed, what=f"menu {count} closed")
        person.scroll(150)
        page.await_count("scroll", 100)
        press(person, KEY_LEFT_CONTROL, KEY_W)
        assert application.wait() == 0, application.log
        await_no_window(kiosk.stage, "scroll=")
