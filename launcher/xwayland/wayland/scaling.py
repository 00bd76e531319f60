"""HiDPI: X11 windows have more px than the compositor's logical px, by one factor for all of a session.

Everything on this side of the mediator, Xwayland and our own code alike, reckons in px of the X screen.
The compositor reckons in its logical px.  Here stands which arguments are lengths, and of what kind.
Contents need no conversion: a wp_viewport says how large their px are shown (`surfaces`).
"""

from collections.abc import Callable, Mapping
from math import floor
from typing import Final, TypeAlias

from crossdomain.wire.codec import Value

Scaler: TypeAlias = Callable[[list[Value]], None]
"""Converts a message's arguments where they stand."""

_PLACE: Final = "place"
"""px, of either sign."""
_LENGTH: Final = "length"
"""px; what is not nothing stays at least one."""
_FIXED: Final = "fixed"
"""px, 24.8 fixed."""
_RECTANGLE: Final = (_PLACE, _PLACE, _LENGTH, _LENGTH)

_Kinds: TypeAlias = Mapping[tuple[str, str], tuple[int, tuple[str, ...]]]
"""By interface and message: the position of the first length, and the kinds of it and of those behind it."""

_REQUESTS: Final[_Kinds] = {
    ("wl_region", "add"): (0, _RECTANGLE),
    ("wl_region", "subtract"): (0, _RECTANGLE),
    ("wl_pointer", "set_cursor"): (2, (_PLACE, _PLACE)),
    ("wl_subsurface", "set_position"): (0, (_PLACE, _PLACE)),
    ("wp_viewport", "set_destination"): (0, (_LENGTH, _LENGTH)),
    ("xdg_positioner", "set_size"): (0, (_LENGTH, _LENGTH)),
    ("xdg_positioner", "set_anchor_rect"): (0, _RECTANGLE),
    ("xdg_positioner", "set_offset"): (0, (_PLACE, _PLACE)),
    ("xdg_surface", "set_window_geometry"): (0, _RECTANGLE),
    ("xdg_toplevel", "set_min_size"): (0, (_LENGTH, _LENGTH)),
    ("xdg_toplevel", "set_max_size"): (0, (_LENGTH, _LENGTH)),
    ("xdg_toplevel", "show_window_menu"): (2, (_PLACE, _PLACE)),
    ("zwp_locked_pointer_v1", "set_cursor_position_hint"): (0, (_FIXED, _FIXED)),
    ("zwp_tablet_tool_v2", "set_cursor"): (2, (_PLACE, _PLACE)),
}
_EVENTS: Final[_Kinds] = {
    ("wl_data_device", "enter"): (2, (_FIXED, _FIXED)),
    ("wl_data_device", "motion"): (1, (_FIXED, _FIXED)),
    ("wl_pointer", "enter"): (2, (_FIXED, _FIXED)),
    ("wl_pointer", "motion"): (1, (_FIXED, _FIXED)),
    ("wl_touch", "down"): (4, (_FIXED, _FIXED)),
    ("wl_touch", "motion"): (2, (_FIXED, _FIXED)),
    ("wl_touch", "shape"): (1, (_FIXED, _FIXED)),
    ("xdg_popup", "configure"): (0, _RECTANGLE),
    ("xdg_toplevel", "configure"): (0, (_LENGTH, _LENGTH)),
    ("xdg_toplevel", "configure_bounds"): (0, (_LENGTH, _LENGTH)),
    ("zwp_relative_pointer_v1", "relative_motion"): (2, (_FIXED, _FIXED)),
    ("zwp_tablet_tool_v2", "motion"): (0, (_FIXED, _FIXED)),
    ("zxdg_output_v1", "logical_position"): (0, (_PLACE, _PLACE)),
    ("zxdg_output_v1", "logical_size"): (0, (_LENGTH, _LENGTH)),
}


class Scaling:
    """The conversion of one session."""

    def __init__(self, factor: float = 1.0) -> None:
        """`factor`: how many px of the X screen make one logical px of the compositor; 1 or more."""
        self.factor = factor

    @property
    def is_needed(self) -> bool:
        """Whether the two differ."""
        return self.factor != 1.0

    def of_request(self, interface: str, name: str) -> Scaler | None:
        """Returns how a request's arguments become the compositor's, None where they need no change."""
        found = _REQUESTS.get((interface, name))
        return (
            None if found is None or not self.is_needed else _scaler(*found, self.shrink, 1.0 / self.factor)
        )

    def of_event(self, interface: str, name: str) -> Scaler | None:
        """Returns how an event's arguments become the X screen's, None where they need no change."""
        found = _EVENTS.get((interface, name)) if self.is_needed else None
        return None if found is None else _scaler(*found, self.grow, self.factor)

    def grow(self, length: int) -> int:
        """Returns the px of the X screen that a logical length has."""
        return _round(length * self.factor)

    def shrink(self, length: int) -> int:
        """Returns the logical px that a length has on the X screen.

        What has no whole number of them loses its last px: contents are shown 1:1 then, and not blurred.
        """
        shrunk = _round(length / self.factor)
        return shrunk - 1 if shrunk > 0 and self.grow(shrunk) > length else shrunk

    def fit(self, length: int) -> int:
        """Returns how many px of contents so long are shown."""
        return self.grow(self.shrink(length)) or length


def _scaler(first: int, kinds: tuple[str, ...], convert: Callable[[int], int], factor: float) -> Scaler:
    def scale(values: list[Value]) -> None:
        for position, kind in enumerate(kinds, first):
            value = values[position]
            if not isinstance(value, int):
                continue
            converted = _round(value * factor) if kind is _FIXED else convert(value)
            values[position] = max(1, converted) if kind is _LENGTH and value > 0 else converted

    return scale


def _round(number: float) -> int:
    return floor(number + 0.5)
