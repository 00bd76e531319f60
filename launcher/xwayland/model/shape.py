"""What of a window's rectangle it covers (X Nonrectangular Window Shape Extension, the bounding shape)."""

from typing import NamedTuple

from launcher.xwayland.model.geometry import Rectangle


class Shape(NamedTuple):
    """A window that is not rectangular: a union; px from its upper left corner inside the border."""

    rectangles: tuple[Rectangle, ...]

    def moved(self, distance: int) -> "Shape":
        """Returns it as seen from so far up and left."""
        return Shape(tuple(r._replace(x=r.x + distance, y=r.y + distance) for r in self.rectangles))
