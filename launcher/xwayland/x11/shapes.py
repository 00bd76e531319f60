"""Reads windows' bounding shapes: when they are shown, and whenever they change.

A storm of changes costs one reply at a time, as for properties (`loader`).
"""

from collections.abc import Callable
from typing import Final

from launcher.xwayland.limits import MAX_SHAPE_AREA, MAX_SHAPE_RECTANGLES
from launcher.xwayland.model.geometry import Size
from launcher.xwayland.model.shape import Shape
from launcher.xwayland.model.window import Window
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import ShapeNotify, parse_rectangles, parse_shape_extents

_BOUNDING: Final = 0
"""ShapeGetRectangles' kind; what takes input is Xwayland's to tell the compositor."""


class Shapes:
    """The shapes of all children of the root."""

    def __init__(
        self, client: XClient, find: Callable[[int], Window | None], changed: Callable[[Window], None]
    ) -> None:
        """`find` returns the record of a window that is still there; `changed` is told of another shape."""
        self._client = client
        self._find = find
        self._changed = changed
        self._major = client.extensions.shape.major_opcode
        self._under_way: dict[int, bool | None] = {}
        """Windows whose shape is being read: whether it has changed meanwhile, None where it has none now."""

    def watch(self, window: Window) -> None:
        """Reads a window's shape, and from then on what it becomes."""
        if not self._major:
            return
        number = window.window

        def take(reply: bytes) -> None:
            extents = parse_shape_extents(reply)
            if extents is not None:
                self._read(number, extents)

        self._client.request(requests.shape_select_input(self._major, number))
        self._client.ask(requests.shape_query_extents(self._major, number), take)

    def handle(self, event: ShapeNotify) -> None:
        """A window has got another shape."""
        if event.kind != _BOUNDING or self._find(event.window) is None:
            return
        if event.shaped:
            self._read(event.window, event.extents)
        else:
            self._drop(event.window)

    def forget(self, window: int) -> None:
        """A window is gone."""
        self._under_way.pop(window, None)

    def _read(self, window: int, extents: Size) -> None:
        if extents.width * extents.height > MAX_SHAPE_AREA:
            self._drop(window)
            return
        if window in self._under_way:
            self._under_way[window] = True
            return
        self._under_way[window] = False

        def take(reply: bytes) -> None:
            again = self._under_way.pop(window, None)
            if again:
                self._read(window, extents)
            elif again is not None:
                found = parse_rectangles(reply, MAX_SHAPE_RECTANGLES)
                self._set(window, None if found is None else Shape(found))

        def failed(_error: XError) -> None:
            self._under_way.pop(window, None)

        request = requests.shape_get_rectangles(self._major, window, _BOUNDING)
        self._client.ask(request, take, failed)

    def _drop(self, window: int) -> None:
        """A window has no shape now; what is on its way tells of one that it had, or of its rectangle."""
        if window in self._under_way:
            self._under_way[window] = None
        self._set(window, None)

    def _set(self, window: int, shape: Shape | None) -> None:
        record = self._find(window)
        if record is not None and record.shape != shape:
            record.shape = shape
            self._changed(record)
