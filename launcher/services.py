"""What every client's connection shares."""

import socket
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from crossdomain.wire.policy import Policy
from crossdomain.wire.tables import Tables
from launcher.channel.seam import OpenChannel
from launcher.loop import Loop
from launcher.relay.sync.timelines import SyncDevice
from launcher.stats import Stats

OpenSandbox: TypeAlias = Callable[[socket.socket, int, str], None]
"""Serves who connects to a listening socket until an fd hangs up; both are given away.  The text names it."""


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
    open_sandbox: OpenSandbox | None = None
    """For sandboxes that clients make; None for clients out of one, which have fewer rights."""
    sync_device: SyncDevice | None = None
    """Where clients' timelines are; without it they have no explicit synchronization."""
