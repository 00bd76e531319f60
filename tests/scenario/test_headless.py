"""Where the Weston without a screen puts windows: what tests and demonstrations click on can be seen."""

from collections.abc import Generator

import pytest

from crossdomain.vm import image
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.seat import View
from tests.fakes.client import FakeClient
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Window

WIDTH, HEIGHT = 640, 480
FRAME = 28
"""px of a title bar above a window."""
CORNER = (8, 40)
"""Where the first window goes."""


@pytest.fixture
def headless() -> Generator[HeadlessWeston]:
    with HeadlessWeston(image.obtain(image.Recipe()), width=WIDTH, height=HEIGHT) as running:
        yield running


def show(weston: HeadlessWeston, client: FakeClient, title: str, width: int, height: int) -> View:
    """Show a window of that size."""
    buffer = solid_buffer(client, width, height, "336699")
    Window(client, title=title).show(buffer)
    buffer.pool.close()
    view = weston.seat.find_view(f"'{title}'")
    assert view is not None
    return view


def test_windows_lie_beside_each_other_where_there_is_room(headless: HeadlessWeston) -> None:
    with FakeClient(str(headless.socket_path)) as client:
        views = [show(headless, client, f"window {number}", 150, 100) for number in range(9)]
    assert (views[0].x, views[0].y) == CORNER
    for number, view in enumerate(views):
        for other in views[:number]:
            beside = view.x >= other.x + other.width or other.x >= view.x + view.width
            below = view.y - FRAME >= other.y + other.height or other.y - FRAME >= view.y + view.height
            assert beside or below, f"{view} lies on {other}"
        assert view.x >= 0
        assert view.y >= FRAME
        assert view.x + view.width <= WIDTH
        assert view.y + view.height <= HEIGHT


def test_windows_that_come_at_once_lie_beside_each_other_too(headless: HeadlessWeston) -> None:
    """A window that lies wholly under another is not told when it is shown."""
    with FakeClient(str(headless.socket_path)) as client:
        buffer = solid_buffer(client, 150, 100, "336699")
        windows = [Window(client, title=f"window {number}") for number in range(4)]
        for window in windows:
            window.surface.attach(buffer)
            window.surface.damage_all()
        shown = [window.surface.frame() for window in windows]
        for window in windows:
            window.surface.commit()
        for frame in shown:
            frame.wait()
        buffer.pool.close()
        views = [headless.seat.find_view(f"'window {number}'") for number in range(4)]
    assert len({(view.x, view.y) for view in views if view is not None}) == 4


def test_a_window_covers_little_where_there_is_no_room(headless: HeadlessWeston) -> None:
    with FakeClient(str(headless.socket_path)) as client:
        large = show(headless, client, "large", 400, 400)
        small = show(headless, client, "small", 300, 100)
    assert (large.x, large.y) == CORNER
    assert small.x > WIDTH - 300 - 2 * CORNER[0]


def test_windows_of_the_screens_size_are_where_the_shell_has_them(headless: HeadlessWeston) -> None:
    with FakeClient(str(headless.socket_path)) as client:
        show(headless, client, "small", 100, 100)
        large = show(headless, client, "large", WIDTH, HEIGHT)
        assert (large.x, large.y) == (0, 0)
        screen = solid_buffer(client, WIDTH, HEIGHT, "993366")
        Window(client, title="full", fullscreen=True).show(screen)
        screen.pool.close()
        full = headless.seat.find_view("'full'")
    assert full is not None
    assert (full.x, full.y) == (0, 0)
