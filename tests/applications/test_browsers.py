"""A working day in Firefox and in Chromium: pages, menus, other windows, the clipboard, a film."""

from collections.abc import Generator

import pytest

from crossdomain.vm.image import Image
from tests.applications import browsing
from tests.applications.browsers import CHROMIUM, FIREFOX, Page, running_browser
from tests.applications.conftest import Scene
from tests.fakes.stage import await_no_window, keep
from tests.fakes.sway import Sway

pytestmark = pytest.mark.timeout(600)

MENUS, LISTS = 180, 20
"""How many menus, and lists of a form, are opened and closed."""

FOCUS_CHANGES = 200
"""How often the browser loses or gets the focus."""


@pytest.fixture(scope="module", params=(FIREFOX, CHROMIUM), ids=lambda browser: browser.name)
def page(
    request: pytest.FixtureRequest, debian: Image, sway_scene: Scene, wide_sway: Sway
) -> Generator[Page]:
    """The page in each browser; in the end the browser is closed as a person closes it."""
    with running_browser(debian, sway_scene, request.param) as (shown, application):
        keep(wide_sway, f"{request.param.name}-page")
        yield shown
        wide_sway.close_window("frames=")
        assert application.wait() == 0, application.log
        await_no_window(wide_sway, "frames=")


def test_what_is_typed_arrives_letter_by_letter(page: Page) -> None:
    browsing.type_letters(page)
    keep(page.stage, "typed")


def test_the_wheel_scrolls_the_page_and_back(page: Page) -> None:
    browsing.scroll_and_back(page)


def test_menus_open_and_close_two_hundred_times(page: Page) -> None:
    browsing.open_menus(page, MENUS, LISTS)
    keep(page.stage, "menus-closed")


def test_the_focus_changes_two_hundred_times(page: Page, debian: Image, wide_sway: Sway) -> None:
    browsing.change_focus(page, debian, wide_sway, FOCUS_CHANGES)


def test_text_is_copied_and_pasted_both_ways(page: Page, debian: Image, wide_sway: Sway) -> None:
    browsing.copy_and_paste(page, debian, wide_sway)


def test_a_film_plays(page: Page) -> None:
    browsing.play_film(page, "film")
