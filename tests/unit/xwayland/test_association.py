"""Which surface shows which window, whoever says it first."""

from typing import cast

import pytest

from launcher.xwayland.association import Association
from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.window import Window
from launcher.xwayland.wayland.entries import Entry
from launcher.xwayland.wayland.surfaces import Surface, Surfaces


class Pairs:
    """An association, and the surface that each window has."""

    def __init__(self) -> None:
        self.association = Association(self.pair)

    def pair(self, window: Window, surface: Surface | None) -> None:
        window.surface = surface


def window(number: int) -> Window:
    """Any window."""
    return Window(number, Rectangle(0, 0, 1, 1), 0, override_redirect=False)


def surface(client_id: int) -> Surface:
    """A surface with that id."""
    return Surface(cast(Surfaces, None), Entry("wl_surface", 4, client_id=client_id))


@pytest.fixture
def pairs() -> Pairs:
    """With nothing in it."""
    return Pairs()


def test_the_surface_comes_first(pairs: Pairs) -> None:
    shown, shows = window(1), surface(5)
    pairs.association.surface_created(shows)
    pairs.association.name_id(shown, 5)
    assert shown.surface is shows
    assert pairs.association.window_of(shows) is shown


def test_the_window_comes_first(pairs: Pairs) -> None:
    shown, shows = window(1), surface(5)
    pairs.association.name_id(shown, 5)
    pairs.association.surface_created(shows)
    assert shown.surface is shows


def test_serials_in_either_order(pairs: Pairs) -> None:
    first, second = window(1), window(2)
    shows_first, shows_second = surface(5), surface(6)
    pairs.association.surface_numbered(shows_first, 100)
    pairs.association.name_serial(first, 100)
    pairs.association.name_serial(second, 101)
    pairs.association.surface_numbered(shows_second, 101)
    assert (first.surface, second.surface) == (shows_first, shows_second)


def test_a_window_loses_a_surface_that_goes(pairs: Pairs) -> None:
    shown, shows = window(1), surface(5)
    pairs.association.surface_created(shows)
    pairs.association.name_id(shown, 5)
    pairs.association.surface_destroyed(shows)
    assert shown.surface is None


def test_what_an_unmapped_window_said_is_void(pairs: Pairs) -> None:
    gone, shown, shows = window(1), window(2), surface(5)
    pairs.association.name_id(gone, 5)
    pairs.association.forget(gone)
    pairs.association.surface_created(shows)
    assert gone.surface is None
    pairs.association.name_id(shown, 5)
    assert shown.surface is shows


def test_an_id_that_means_another_window_now(pairs: Pairs) -> None:
    before, after, shows = window(1), window(2), surface(5)
    pairs.association.surface_created(shows)
    pairs.association.name_id(before, 5)
    pairs.association.name_id(after, 5)
    assert before.surface is None
    assert after.surface is shows


def test_a_late_end_of_an_old_surface_does_not_take_the_new_one(pairs: Pairs) -> None:
    shown, old, new = window(1), surface(5), surface(6)
    for each in (old, new):
        pairs.association.surface_created(each)
        pairs.association.name_id(shown, each.entry.client_id)
    pairs.association.surface_destroyed(old)
    assert shown.surface is new
