"""What is where in a frame.  Everything is px of the X screen; (0, 0) is the contents' upper left corner."""

from enum import Enum
from typing import Final, NamedTuple

from launcher.xwayland.model.geometry import Extents, Rectangle, Size
from launcher.xwayland.model.names import Edge

GRAB_MARGIN: Final = 8
"""How far outside of the window its edges can be taken."""
_CORNER: Final = 20
"""How far from a corner both edges are taken."""


class Part(Enum):
    """What the pointer can be on."""

    NOTHING = 0
    TITLE = 1
    MINIMIZE = 2
    MAXIMIZE = 3
    CLOSE = 4
    EDGE = 5


BUTTONS: Final = (Part.CLOSE, Part.MAXIMIZE, Part.MINIMIZE)
"""From the right to the left."""


class FrameState(NamedTuple):
    """All that a frame's look depends on."""

    content: Size
    extents: Extents
    title: str
    buttons: tuple[Part, ...]
    """Those of BUTTONS that there are, in that order."""
    active: bool
    maximized: bool
    resizable: bool


class Layout:
    """The places in one frame."""

    def __init__(self, state: FrameState, scale: float) -> None:
        """`scale`: how many px a length of one has that was thought of for a screen of usual density."""
        content, extents = state.content, state.extents
        self.state = state
        self.outer = Rectangle(0, 0, *content).grown(extents)
        """The whole window."""
        self.title_bar = Rectangle(-extents.left, -extents.top, self.outer.width, extents.top)
        self.left = Rectangle(-extents.left, 0, extents.left, content.height)
        self.right = Rectangle(content.width, 0, extents.right, content.height)
        self.bottom = Rectangle(-extents.left, content.height, self.outer.width, extents.bottom)
        margin = round(GRAB_MARGIN * scale)
        self.grab = self.outer.grown(Extents(margin, margin, margin, margin))
        """Where the edges can be taken, the window included."""
        self._corner = round(_CORNER * scale)

    def button(self, part: Part) -> Rectangle:
        """Returns a button's place in the title bar: a square; empty where there is none."""
        bar = self.title_bar
        if part not in self.state.buttons:
            return Rectangle(bar.right, bar.y, 0, 0)
        side = bar.height
        left = bar.right - side * (self.state.buttons.index(part) + 1)
        return Rectangle(left, bar.y, side, side)

    @property
    def text(self) -> Rectangle:
        """The room for the title: all that the buttons leave."""
        bar = self.title_bar
        gap = bar.height // 4
        taken = min(bar.height * len(self.state.buttons) + gap, bar.width)
        return Rectangle(bar.x + gap, bar.y, max(0, bar.width - gap - taken), bar.height)

    def part_at(self, x: float, y: float) -> Part:
        """Returns what is at a point of the frame."""
        column, row = int(x // 1), int(y // 1)
        bar = self.title_bar
        if bar.contains(column, row):
            for part in self.state.buttons:
                if self.button(part).contains(column, row):
                    return part
            if self.state.extents.top > self.state.extents.bottom or self.state.maximized:
                return Part.TITLE
        return Part.EDGE if self.edge_at(x, y) is not Edge.NONE else Part.NOTHING

    def edge_at(self, x: float, y: float) -> Edge:
        """Returns which edges a point outside of the contents takes."""
        if not self.state.resizable or self.state.maximized:
            return Edge.NONE
        outer = self.outer
        near_x = min(self._corner, outer.width // 3)
        near_y = min(self._corner, outer.height // 3)
        on_side = x < outer.x + self.state.extents.left or x >= outer.right - self.state.extents.right
        on_end = y < outer.y + 1 or y >= outer.bottom - self.state.extents.bottom
        if not on_side and not on_end:
            return Edge.NONE
        edge = 0
        if x < outer.x + (near_x if on_end else self.state.extents.left):
            edge |= Edge.LEFT
        elif x >= outer.right - (near_x if on_end else self.state.extents.right):
            edge |= Edge.RIGHT
        if y < outer.y + (near_y if on_side else 1):
            edge |= Edge.TOP
        elif y >= outer.bottom - (near_y if on_side else self.state.extents.bottom):
            edge |= Edge.BOTTOM
        return Edge(edge)
