"""Contents that Xwayland's buffers can't show: read from the X server, and painted with an alpha channel.

One picture of a window is under way at a time; what is drawn meanwhile is in the next one.
"""

from collections.abc import Callable
from typing import Final, Protocol

from PIL import Image

from launcher.xwayland.decorations.canvas import ARGB, Canvas
from launcher.xwayland.limits import MAX_PICTURE
from launcher.xwayland.model.geometry import Size
from launcher.xwayland.model.shape import Shape
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.surfaces import Surface
from launcher.xwayland.x11.events import Picture

_BANDS: Final = 4


class Images(Protocol):
    """Where contents come from: `x11.images.Images`."""

    def fetch(self, window: Window, size: Size, take: Callable[[Picture | None], None]) -> None:
        """Calls `take` with what a window shows, or None where it has another size by then."""
        ...


class Painting:
    """One surface's contents: `wayland.surfaces.Painter`."""

    def __init__(self, objects: Objects, images: Images, window: Window, surface: Surface) -> None:
        self._compositor = objects["wl_compositor"]
        self._images = images
        self._window = window
        self._surface = surface
        self._canvas = Canvas(objects["wl_shm"], ARGB)
        self._shape: Shape | None = None
        self._opacity = 1.0
        self._mask: Image.Image | None = None
        self._is_under_way = False
        self._is_stale = False
        self._is_over = False
        self._is_shown = False
        surface.painter = self

    def set(self, shape: Shape | None, opacity: float) -> None:
        """Paints it so from now on; `opacity` is 0 to 1, `shape` px from the surface's upper left corner."""
        if (shape, opacity) != (self._shape, self._opacity):
            self._shape, self._opacity = shape, opacity
            self._mask = None
            self.contents_changed()

    def contents_changed(self) -> None:
        """See `wayland.surfaces.Painter`."""
        surface = self._surface
        size = Size(surface.width, surface.height)
        if self._is_under_way:
            self._is_stale = True
        elif 0 < size.width * size.height <= MAX_PICTURE and not surface.is_held:
            self._is_under_way = True
            self._is_stale = False
            self._images.fetch(self._window, size, lambda picture: self._take(size, picture))

    def close(self) -> None:
        """Ends it; the surface shows what Xwayland attaches next."""
        self._is_over = True
        self._surface.painter = None
        self._canvas.close()

    def _take(self, size: Size, picture: Picture | None) -> None:
        self._is_under_way = False
        if self._is_over:
            return
        is_current = size == (self._surface.width, self._surface.height)
        if picture is not None and is_current:
            pixels = paint(picture, self._find_mask(size), self._opacity)
            self._show(self._canvas.fill(*size, pixels).proxy)
        if self._is_stale or not is_current:
            self.contents_changed()

    def _show(self, buffer: Proxy) -> None:
        if self._is_shown:
            self._surface.show(buffer)
            return
        self._is_shown = True
        # Weston 14 goes on taking a surface whose buffers had no alpha channel for opaque, unless its size or
        # its opaque region changes.
        region = self._compositor.create("create_region")
        region.send("add", 0, 0, 1, 1)
        self._surface.set_opaque_region(region)
        self._surface.show(buffer)
        self._surface.set_opaque_region(None)
        self._surface.commit()
        region.send("destroy")

    def _find_mask(self, size: Size) -> Image.Image | None:
        if self._shape is not None and (self._mask is None or self._mask.size != size):
            self._mask = draw_mask(self._shape, size)
        return self._mask


def draw_mask(shape: Shape, size: Size) -> Image.Image:
    """Returns what is inside of a shape, 255, and outside, 0."""
    mask = Image.new("L", size)
    for x, y, width, height in shape.rectangles:
        mask.paste(255, (x, y, x + width, y + height))
    return mask


def paint(picture: Picture, mask: Image.Image | None, opacity: float) -> bytes:
    """Returns a picture's pixels as wl_shm.format argb8888: premultiplied, transparent outside of `mask`."""
    # Which of the bands is called red makes no difference here.
    image = Image.frombytes("RGBA", picture.size, picture.pixels)
    if not picture.has_alpha:
        image.putalpha(255)
    if opacity < 1.0:
        image = image.point([round(value * opacity) for value in range(256)] * _BANDS)
    if mask is not None:
        image = Image.composite(image, Image.new("RGBA", image.size), mask)
    return image.tobytes()
