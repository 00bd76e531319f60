"""Screenshots through Weston's private capture protocol or wlroots': `python3 -m tests.fakes.screenshot`.

Runs in the guest, too, and tells of one: width and height in px, and the SHA-256 of all pixels, three
bytes RGB each.
"""

import hashlib
import sys
from contextlib import closing
from typing import Final, NamedTuple

from tests.fakes.client import FakeClient, integer
from tests.fakes.painting import ARGB8888, XRGB8888, fourcc, layout_for
from tests.fakes.windows import Buffer, Layout, Pool

_FRAMEBUFFER: Final = 1
"""weston_capture_v1.source: what is shown, without borders."""


_SHM_CODES: Final = {fourcc("XR24"): XRGB8888, fourcc("AR24"): ARGB8888}
"""pixman's format and GL's: DRM's number, and wl_shm's."""
_RED_FIRST: Final = (fourcc("XB24"), fourcc("AB24"))


class Screenshot(NamedTuple):
    """What an output shows: four bytes for each pixel, blue first, in tight rows."""

    width: int
    height: int
    pixels: bytes

    @property
    def rgb(self) -> bytes:
        """The pixels, three bytes each."""
        made = bytearray(3 * self.width * self.height)
        for channel in range(3):
            made[channel::3] = self.pixels[2 - channel :: 4]
        return bytes(made)

    def count(self, colour: str) -> int:
        """How many pixels have a colour, RRGGBB, that is without 00 and ff: these are between the pixels."""
        return self.pixels.count(bytes.fromhex(colour)[::-1])


class Camera:
    """Looks at the only output of a Weston 14 or 16."""

    def __init__(self, client: FakeClient, *, seconds: float = 20.0) -> None:
        """`client` may be a client of its own, or that which is looked at."""
        self._client = client
        manager = client.bind("weston_capture_v1")
        self._source = manager.create("create", client.bind("wl_output"), _FRAMEBUFFER)
        client.round_trip(seconds=seconds)
        self._width, self._height = (integer(value) for value in self._source.received("size")[-1])
        code = _SHM_CODES[integer(self._source.received("format")[-1][0])]
        layout = layout_for(self._width, self._height, code)
        self._pool = Pool(client, client.bind("wl_shm"), layout.end)
        self._buffer = Buffer(self._pool, layout, code)

    def start(self) -> None:
        """Asks for what is on it now, when whoever was asked before has answered."""
        self._source.events.clear()
        self._source.send("capture", self._buffer.proxy)
        self._client.flush()

    def finish(self, seconds: float = 20.0) -> Screenshot:
        """What was asked for.

        Raises:
            AssertionError: it was changing its size just then.
            TimeoutError: there is no answer yet.
        """
        source = self._source
        self._client.wait(lambda: bool(source.events), what="screenshot", seconds=seconds)
        assert source.received("complete"), source.events
        return Screenshot(self._width, self._height, bytes(self._pool.memory))

    def close(self) -> None:
        """It looks no more."""
        self._pool.close()


def take(display: str | None = None, *, seconds: float = 20.0) -> Screenshot:
    """What the only output of a Weston 14 or 16 shows; `display` as for `FakeClient`.

    Raises:
        AssertionError: it was changing its size just then.
    """
    with FakeClient(display) as client, closing(Camera(client, seconds=seconds)) as camera:
        camera.start()
        return camera.finish(seconds)


def look(display: str | None = None, *, seconds: float = 20.0) -> Screenshot:
    """What the only output of whichever compositor shows; `display` as for `FakeClient`."""
    with FakeClient(display) as client:
        if not client.offers("zwlr_screencopy_manager_v1"):
            return take(display, seconds=seconds)
        manager = client.bind("zwlr_screencopy_manager_v1", 1)
        frame = manager.create("capture_output", 0, client.bind("wl_output"))
        client.wait(lambda: bool(frame.received("buffer")), what="its size", seconds=seconds)
        code, width, height, stride = (integer(value) for value in frame.received("buffer")[0])
        assert stride == 4 * width
        pool = Pool(client, client.bind("wl_shm"), stride * height)
        frame.send("copy", Buffer(pool, Layout(0, width, height, stride, 4), code).proxy)
        client.wait(lambda: bool(frame.received("ready")), what="a screenshot", seconds=seconds)
        pixels = bytearray(pool.memory)
        pool.close()
    if code in _RED_FIRST:
        pixels[::4], pixels[2::4] = pixels[2::4], pixels[::4]
    return Screenshot(width, height, bytes(pixels))


def main() -> int:
    """Take one of $WAYLAND_DISPLAY."""
    shown = take()
    print(shown.width, shown.height, hashlib.sha256(shown.rgb).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
