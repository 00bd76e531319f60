"""Screenshots of Weston 14 through its private capture protocol, ten times as fast as its tool."""

from pathlib import Path
from typing import Final

import numpy as np

from tests.fakes.client import FakeClient, integer
from tests.fakes.painting import XRGB8888, layout_for
from tests.fakes.weston import Pixels
from tests.fakes.windows import Buffer, Pool

_FRAMEBUFFER: Final = 1
"""weston_capture_v1.source: what is shown, without borders."""


def capture(display: Path, *, seconds: float = 20.0) -> Pixels:
    """What the only output of the Weston 14 at the socket `display` shows.

    Raises:
        AssertionError: it was changing its size just then.
    """
    with FakeClient(str(display)) as client:
        manager = client.bind("weston_capture_v1")
        source = manager.create("create", client.bind("wl_output"), _FRAMEBUFFER)
        client.round_trip(seconds=seconds)
        width, height = (integer(value) for value in source.received("size")[-1])
        layout = layout_for(width, height, XRGB8888)
        pool = Pool(client, client.bind("wl_shm"), layout.end)
        source.events.clear()
        source.send("capture", Buffer(pool, layout, XRGB8888).proxy)
        client.wait(lambda: bool(source.events), what="screenshot", seconds=seconds)
        assert source.received("complete"), source.events
        shown = np.frombuffer(bytes(pool.memory), dtype=np.uint8).reshape(height, width, 4)
        pool.close()
    return np.ascontiguousarray(shown[:, :, 2::-1])
