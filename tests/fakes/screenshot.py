"""Screenshots through Weston's private capture protocol: `python3 -m tests.fakes.screenshot` tells of one.

Runs in the guest, too: width and height in px, and the SHA-256 of all pixels, three bytes RGB each.
"""

import hashlib
import sys
from typing import Final, NamedTuple

from tests.fakes.client import FakeClient, integer
from tests.fakes.painting import ARGB8888, XRGB8888, fourcc, layout_for
from tests.fakes.windows import Buffer, Pool

_FRAMEBUFFER: Final = 1
"""weston_capture_v1.source: what is shown, without borders."""


_SHM_CODES: Final = {fourcc("XR24"): XRGB8888, fourcc("AR24"): ARGB8888}
"""pixman's format and GL's: DRM's number, and wl_shm's."""


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


def take(display: str | None = None, *, seconds: float = 20.0) -> Screenshot:
    """What the only output of a Weston 14 or 16 shows; `display` as for `FakeClient`.

    Raises:
        AssertionError: it was changing its size just then.
    """
    with FakeClient(display) as client:
        manager = client.bind("weston_capture_v1")
        source = manager.create("create", client.bind("wl_output"), _FRAMEBUFFER)
        client.round_trip(seconds=seconds)
        width, height = (integer(value) for value in source.received("size")[-1])
        code = _SHM_CODES[integer(source.received("format")[-1][0])]
        layout = layout_for(width, height, code)
        pool = Pool(client, client.bind("wl_shm"), layout.end)
        source.events.clear()
        source.send("capture", Buffer(pool, layout, code).proxy)
        client.wait(lambda: bool(source.events), what="screenshot", seconds=seconds)
        assert source.received("complete"), source.events
        pixels = bytes(pool.memory)
        pool.close()
    return Screenshot(width, height, pixels)


def main() -> int:
    """Take one of $WAYLAND_DISPLAY."""
    shown = take()
    print(shown.width, shown.height, hashlib.sha256(shown.rgb).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
