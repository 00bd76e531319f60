"""Screenshots of Weston 14 through its private capture protocol, ten times as fast as its tool."""

from pathlib import Path
from typing import Final

import numpy as np

from crossdomain.wire.tables import Argument, ArgumentKind, Interface, Message
from tests.fakes.client import FakeClient, integer
from tests.fakes.painting import XRGB8888, layout_for
from tests.fakes.weston import Pixels
from tests.fakes.windows import Buffer, Pool

_FRAMEBUFFER: Final = 1
"""weston_capture_v1.source: what is shown, without borders."""

_SOURCE: Final = Interface(
    "weston_capture_source_v1",
    1,
    requests=(
        Message("destroy", 0, 1, True, ()),
        Message("capture", 1, 1, False, (Argument(ArgumentKind.OBJECT, "wl_buffer", False),)),
    ),
    events=(
        Message("format", 0, 1, False, (Argument(ArgumentKind.UINT, None, False),)),
        Message(
            "size",
            1,
            1,
            False,
            (Argument(ArgumentKind.INT, None, False), Argument(ArgumentKind.INT, None, False)),
        ),
        Message("complete", 2, 1, False, ()),
        Message("retry", 3, 1, False, ()),
        Message("failed", 4, 1, False, (Argument(ArgumentKind.STRING, None, True),)),
    ),
)

_CAPTURE: Final = Interface(
    "weston_capture_v1",
    1,
    requests=(
        Message("destroy", 0, 1, True, ()),
        Message(
            "create",
            1,
            1,
            False,
            (
                Argument(ArgumentKind.OBJECT, "wl_output", False),
                Argument(ArgumentKind.UINT, None, False),
                Argument(ArgumentKind.NEW_ID, _SOURCE.name, False),
            ),
        ),
    ),
    events=(),
)


def capture(display: Path, *, seconds: float = 20.0) -> Pixels:
    """What the only output of the Weston 14 at the socket `display` shows.

    Raises:
        AssertionError: it was changing its size just then.
    """
    with FakeClient(str(display), private=(_CAPTURE, _SOURCE)) as client:
        manager = client.bind(_CAPTURE.name, 1)
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
