"""How much room a window's frame takes."""

from typing import Final, NamedTuple

from launcher.xwayland.model.geometry import NO_EXTENTS, Extents
from launcher.xwayland.model.ports import FrameKind, ShellState
from launcher.xwayland.model.window import Window


class FrameMetrics(NamedTuple):
    """Of the frames that we draw; px of the X screen."""

    title_height: int = 28
    border: int = 1

    @classmethod
    def scaled(cls, factor: float) -> "FrameMetrics":
        """Returns those of a screen with so many px for each one of usual density."""
        usual = cls()
        return cls(round(usual.title_height * factor), max(1, round(usual.border * factor)))


_EDGELESS: Final = frozenset({ShellState.MAXIMIZED})
"""States in which the window's sides are those of the screen."""


def extents_of(
    window: Window, kind: FrameKind, states: frozenset[ShellState], metrics: FrameMetrics
) -> Extents:
    """Returns what lies around a window's contents; negative where its own shadow lies inside of them."""
    if window.gtk_extents is not None:
        left, right, top, bottom = window.gtk_extents
        return Extents(-left, -right, -top, -bottom)
    if kind is not FrameKind.OURS or ShellState.FULLSCREEN in states:
        return NO_EXTENTS
    border = 0 if states & _EDGELESS else metrics.border
    top = metrics.title_height if window.wants_title else border
    return Extents(border, border, top, border)
