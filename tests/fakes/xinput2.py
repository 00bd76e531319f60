"""XInput 2.2 for tests: what several fingers do, as an X client hears of it (XI2proto)."""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from Xlib.ext import xinput

from tests.fakes.x11_client import XTestClient

_GENERIC_EVENT: Final = 35
_DEVICE_EVENT: Final = struct.Struct("<HIIIII4i")
"""XIDeviceEvent from its deviceid on: device, time, detail, root, event, child, and four 16.16 places."""


class TouchKind(IntEnum):
    """Numbers of events."""

    BEGIN = 18
    UPDATE = 19
    END = 20


class TouchEvent(NamedTuple):
    """What a finger has done; `finger` is the server's number for it, places are px of the window."""

    kind: TouchKind
    finger: int
    window: int
    x: float
    y: float


def select_touches(client: XTestClient, window: int) -> None:
    """Hear of each finger on a window."""
    client.begin_xinput()
    mask = sum(1 << kind for kind in TouchKind)
    client.window(window).xinput_select_events([(xinput.AllMasterDevices, mask)])
    client.display.sync()


def poll_touch(client: XTestClient, *, seconds: float) -> TouchEvent | None:
    """What the next finger does, None where none does anything for so long."""
    event = client.poll(_GENERIC_EVENT, seconds=seconds)
    if event is None:
        return None
    _, _, finger, _, window, _, _, _, x, y = _DEVICE_EVENT.unpack_from(bytes(event.data))
    return TouchEvent(TouchKind(event.evtype), finger, window, x / 65536, y / 65536)
