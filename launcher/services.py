"""What every client's connection shares."""

from typing import NamedTuple

from crossdomain.wire.policy import Policy
from crossdomain.wire.tables import Tables
from launcher.channel import OpenChannel
from launcher.loop import Loop
from launcher.stats import Stats


class Services(NamedTuple):
    """Made once by `launcher.run`."""

    loop: Loop
    tables: Tables
    policy: Policy
    """For hosts that have none of their own."""
    stats: Stats
    open_channel: OpenChannel
    trace: bool
    """Whether every Wayland message is printed."""
