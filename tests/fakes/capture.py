"""Screenshots of Weston 14 through its private capture protocol, ten times as fast as its tool."""

from pathlib import Path

import numpy as np

from tests.fakes.screenshot import take
from tests.fakes.weston import Pixels


def capture(display: Path, *, seconds: float = 20.0) -> Pixels:
    """What the only output of the Weston 14 at the socket `display` shows.

    Raises:
        AssertionError: it was changing its size just then.
    """
    shown = take(str(display), seconds=seconds)
    return np.frombuffer(shown.rgb, dtype=np.uint8).reshape(shown.height, shown.width, 3)
