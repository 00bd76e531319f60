"""Shapes that are read while they change."""

from struct import pack

import pytest

from launcher.xwayland.model.geometry import Rectangle, Size
from launcher.xwayland.model.window import Window
from launcher.xwayland.x11.client import Extensions, XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.events import Extension, ShapeNotify
from launcher.xwayland.x11.setup import Setup
from launcher.xwayland.x11.shapes import Shapes
from tests.unit.xwayland.test_connection import reply

WINDOW = 0x400001
BOUNDING = 0
ROUND, WHOLE = (10, 0, 80, 100), (0, 0, 100, 100)


class Rig:
    """A window whose client changes its shape; replies come when they are told to."""

    def __init__(self) -> None:
        self.connection = Connection(lambda _event: None)
        client = XClient(self.connection, Setup(0x200000, 0x1FFFFF, 1, 1, 24, 1024, 768))
        client.extensions = Extensions(*[Extension(129, 64)] * len(Extensions._fields))
        self.window = Window(WINDOW, Rectangle(0, 0, 100, 100), 0, override_redirect=False)
        self.changes = 0
        self.shapes = Shapes(client, {WINDOW: self.window}.get, self._note)
        self._answered = 0

    def _note(self, _window: Window) -> None:
        self.changes += 1

    def change(self, *, shaped: bool) -> None:
        """The client gives it another shape, or none."""
        self.shapes.handle(ShapeNotify(WINDOW, BOUNDING, Size(100, 100), shaped))

    def answer(self, *rectangle: int) -> None:
        """The server tells what it has, of which there has to be a question."""
        self._answered += 1
        told = reply(self._answered, pack("<hhHH", *rectangle))
        self.connection.receive(told[:8] + pack("<I", 1) + told[12:])

    def covered(self) -> list[Rectangle] | None:
        """What the window covers, None for all of it."""
        return None if self.window.shape is None else list(self.window.shape.rectangles)


@pytest.fixture
def rig() -> Rig:
    """With a window that has no shape."""
    return Rig()


def test_a_shape_is_read_when_it_changes(rig: Rig) -> None:
    rig.change(shaped=True)
    rig.answer(*ROUND)
    assert rig.covered() == [Rectangle(*ROUND)]
    rig.change(shaped=False)
    assert rig.covered() is None


def test_a_shape_that_is_gone_before_it_was_read_is_none(rig: Rig) -> None:
    """The server tells the window's rectangle then, which is no shape: the window may grow."""
    rig.change(shaped=True)
    rig.change(shaped=False)
    rig.answer(*WHOLE)
    assert rig.covered() is None


def test_a_shape_that_comes_again_meanwhile_is_read_again(rig: Rig) -> None:
    rig.change(shaped=True)
    rig.change(shaped=False)
    rig.change(shaped=True)
    rig.answer(*WHOLE)
    rig.answer(*ROUND)
    assert rig.covered() == [Rectangle(*ROUND)]
