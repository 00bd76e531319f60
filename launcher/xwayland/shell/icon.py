"""A window's icon (_NET_WM_ICON), where the compositor shows one (xdg_toplevel_icon_manager_v1)."""

from typing import Final

from PIL import Image

from crossdomain.wire.codec import Value, integer
from launcher.xwayland.decorations.canvas import ARGB, Buffer
from launcher.xwayland.model.properties import IconImage, choose_icon
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.proxy import Proxy

_USUAL_SIDES: Final = (48,)
"""px, where the compositor does not say what it likes."""
_MAX_SIDES: Final = 8
"""Sizes that a compositor may ask for; each is a buffer of every window."""


class Icons:
    """What all windows share."""

    def __init__(self, objects: Objects) -> None:
        self._shm = objects["wl_shm"]
        self.proxy = objects.find("xdg_toplevel_icon_manager_v1")
        self._sides: list[int] = []
        if self.proxy is not None:
            self.proxy.handlers["icon_size"] = self._handle_size

    def _handle_size(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        if len(self._sides) < _MAX_SIDES:
            self._sides.append(integer(values[0]))

    def choose(self, images: tuple[IconImage, ...]) -> list[IconImage]:
        """Returns the images that fit best to what the compositor likes, each size once."""
        found = (choose_icon(list(images), side) for side in self._sides or _USUAL_SIDES)
        return list({_side_of(image): image for image in found if image is not None}.values())

    def draw(self, image: IconImage) -> Buffer:
        """Returns a buffer with an image: a square, premultiplied, as the protocol wants it."""
        side = _side_of(image)
        pixels = Image.frombytes("RGBA", (image.width, image.height), image.pixels, "raw", "BGRA")
        square = Image.new("RGBA", (side, side))
        square.paste(pixels, ((side - image.width) // 2, (side - image.height) // 2))
        buffer = Buffer(self._shm, side, side, ARGB)
        buffer.write(square.convert("RGBa").tobytes("raw", "BGRa"))
        return buffer


class Icon:
    """Of one toplevel."""

    def __init__(self, icons: Icons, toplevel: Proxy) -> None:
        self._icons = icons
        self._toplevel = toplevel
        self._shown: tuple[IconImage, ...] = ()
        self._buffers: list[Buffer] = []

    def set(self, images: tuple[IconImage, ...]) -> None:
        """Shows these images, or those of the application where there are none."""
        manager = self._icons.proxy
        if manager is None or images is self._shown:
            return
        self._shown = images
        replaced, self._buffers = self._buffers, [self._icons.draw(i) for i in self._icons.choose(images)]
        if self._buffers:
            icon = manager.create("create_icon")
            for buffer in self._buffers:
                icon.send("add_buffer", buffer.proxy, 1)
            manager.send("set_icon", self._toplevel, icon)
            icon.send("destroy")
        else:
            manager.send("set_icon", self._toplevel, None)
        _close(replaced)

    def destroy(self) -> None:
        """The toplevel goes away."""
        _close(self._buffers)
        self._buffers = []


def _side_of(image: IconImage) -> int:
    return max(image.width, image.height)


def _close(buffers: list[Buffer]) -> None:
    for buffer in buffers:
        buffer.close()
