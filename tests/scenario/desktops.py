"""Windows on KWin and on GNOME Shell: `make desktops`.  Not among the tests, because these two are large."""

import itertools
import os
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest

from tests.fakes.desktops import SIZE, Desktop, running_gnome, running_kwin
from tests.fakes.pictures import Picture, different
from tests.fakes.weston import Pixels, stop, wait_until
from tests.fakes.x11 import ApplicationEnvironment, running_x11
from tests.fakes.x11_client import XTestClient

PATIENCE: Final = 60.0
RED: Final = (0xE0, 0x20, 0x30)
WINDOW: Final = (300, 200)
"""The contents' size, px."""
ABOVE: Final = 14
"""px from a window's contents to the middle of its title bar, at least nearly."""
WATCHED: Final = "gtk3-demo"


class Edges(NamedTuple):
    """Of what is of one colour, px."""

    left: int
    top: int
    right: int
    bottom: int


@pytest.fixture(scope="module", params=(running_kwin, running_gnome), ids=("kwin", "gnome"))
def desktop(request: pytest.FixtureRequest) -> Generator[Desktop]:
    """One for all tests; each ends its windows."""
    run: Callable[[Path], AbstractContextManager[Desktop]] = request.param
    with (
        tempfile.TemporaryDirectory(prefix="xd-", ignore_cleanup_errors=True) as folder,
        run(Path(folder)) as made,
    ):
        yield made


@pytest.fixture
def applications(desktop: Desktop) -> Generator[ApplicationEnvironment]:
    """Where applications run that go through us."""
    with running_x11(desktop.socket_path) as made:
        yield made


@pytest.fixture
def empty(desktop: Desktop) -> Pixels:
    """What is on the screen without windows."""
    desktop.move_pointer(0, SIZE[1] - 1)
    return _settled(desktop, None)


@pytest.fixture
def red(desktop: Desktop, empty: Pixels, applications: ApplicationEnvironment) -> Generator[Edges]:
    """Where the contents are of an X11 window of one colour, which is alone on the screen and was clicked."""
    del empty
    with XTestClient(applications.display, applications.authority) as client:
        record = client.window(client.create_window(width=WINDOW[0], height=WINDOW[1]))
        record.change_attributes(background_pixel=int.from_bytes(bytes(RED), "big"))
        record.set_wm_name("red")
        record.map()
        client.display.sync()
        wait_until(lambda: _size(_edges(desktop)) == WINDOW, seconds=PATIENCE, what="a red window")
        edges = _edges(desktop)
        assert edges is not None
        # KWin in a window of its own takes a pointer from its first click on.
        desktop.move_pointer(edges.left + 100, edges.top + 100)
        for pressed in (True, False):
            desktop.button(pressed=pressed)
        yield edges


def test_a_window_looks_as_it_does_without_us(
    desktop: Desktop, empty: Pixels, applications: ApplicationEnvironment
) -> None:
    socket = desktop.socket_path
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(socket.parent), "WAYLAND_DISPLAY": socket.name}
    application = subprocess.Popen([WATCHED], env=environment)
    try:
        direct = _settled(desktop, empty)
    finally:
        stop(application)
    wait_until(lambda: bool((desktop.screenshot() == empty).all()), seconds=PATIENCE, what="it is gone")
    applications.start(WATCHED, wayland=True)
    proxied = _settled(desktop, empty)
    pictures = [{desktop.name: Picture.of(picture)} for picture in (direct, proxied)]
    assert different(*pictures, series="desktops") == []


def test_an_x11_window_goes_where_its_title_is_dragged(desktop: Desktop, red: Edges) -> None:
    # GNOME's keyboard comes with the first key, and from then on no surface keeps a pressed pointer.
    desktop.type("x")
    x, y = red.left + 100, red.top - ABOVE
    desktop.move_pointer(x, y)
    desktop.button(pressed=True)
    steps = itertools.cycle(range(0, 40, 5))

    def follows() -> bool:
        desktop.move_pointer(x + next(steps), y)
        return _edges(desktop) != red

    wait_until(follows, seconds=PATIENCE, what="it follows")
    desktop.move_pointer(x + 90, y - 60)
    moved = Edges(red.left + 90, red.top - 60, red.right + 90, red.bottom - 60)
    wait_until(lambda: _edges(desktop) == moved, seconds=PATIENCE, what=f"from {red} to {moved}")
    desktop.button(pressed=False)


def test_a_double_click_on_the_title_of_an_x11_window_maximises_it_and_back(
    desktop: Desktop, red: Edges
) -> None:
    _double_click(desktop, red.left + 100, red.top - ABOVE)
    wait_until(lambda: _is_maximised(desktop), seconds=PATIENCE, what="it is maximised")
    now = _edges(desktop)
    assert now is not None
    _double_click(desktop, red.left + 100, now.top - ABOVE)
    wait_until(lambda: _edges(desktop) == red, seconds=PATIENCE, what=f"it is back at {red}")


def test_a_terminal_takes_what_is_typed(
    desktop: Desktop, empty: Pixels, applications: ApplicationEnvironment, tmp_path: Path
) -> None:
    desktop.type("x")  # whoever has the keyboard then: nobody
    letter = tmp_path / "letter"
    applications.start("xterm", "-e", "sh", "-c", f'read line; echo "$line" > {letter}; read end')
    _settled(desktop, empty)
    desktop.type("Dear reader\n")
    wait_until(
        lambda: letter.exists() and letter.read_text() == "Dear reader\n", seconds=PATIENCE, what="a letter"
    )


def _settled(desktop: Desktop, before: Pixels | None) -> Pixels:
    """What is on the screen, once that is something else than before and stays for three pictures."""
    pictures = [desktop.screenshot()]

    def stays() -> bool:
        pictures.append(desktop.screenshot())
        last = pictures[-3:]
        same = len(last) == 3 and all(bool((picture == last[0]).all()) for picture in last)
        return same and (before is None or bool((last[0] != before).any()))

    wait_until(stays, seconds=PATIENCE, what="the screen stays as it is", every=0.5)
    return pictures[-1]


def _edges(desktop: Desktop) -> Edges | None:
    """Where the screen is red."""
    found = np.argwhere(np.all(desktop.screenshot() == RED, axis=2))
    if not found.size:
        return None
    (top, left), (bottom, right) = found.min(0), found.max(0) + 1
    return Edges(int(left), int(top), int(right), int(bottom))


def _size(edges: Edges | None) -> tuple[int, int]:
    return (0, 0) if edges is None else (edges.right - edges.left, edges.bottom - edges.top)


def _is_maximised(desktop: Desktop) -> bool:
    width, height = _size(_edges(desktop))
    return width > SIZE[0] * 0.95 and height > SIZE[1] * 0.85


def _double_click(desktop: Desktop, x: int, y: int) -> None:
    desktop.move_pointer(x, y)
    for pressed in (True, False, True, False):
        desktop.button(pressed=pressed)
