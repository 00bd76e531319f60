"""Ending a client that hangs: its connection, and its process where it is certain which one that is.

A process that does not read its connection does not notice that it is gone, and would go on for good.  It
is ended when two say the same of it: the X server, which has it from the kernel (X-Resource 1.2,
LocalClientPID), and the client itself (_NET_WM_PID).  Either alone would be wrong at times: a client may
write any number, or that of a process on another machine or in another PID namespace, and who connects may
be a forwarder (`ssh -X`) that has other clients.
"""

import contextlib
import os
import signal
from typing import Final

from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.events import parse_pid

_MAX_PID: Final = 1 << 22
"""Linux has none above (proc(5), pid_max)."""


def end_process(client: XClient, window: int, pid: int) -> None:
    """Ends the client that made a window; `pid` is what it says to be, 0 where it says nothing."""
    resources = client.extensions.res.major_opcode
    if resources and pid:
        client.request(requests.res_query_version(resources))
        # Answered before the client is gone, and with it what the server knows of it.
        client.ask(
            requests.res_query_pid(resources, window),
            lambda reply: _kill(parse_pid(reply), pid),
            lambda _error: None,
        )
    client.request(requests.kill_client(window))


def _kill(connected: int, claimed: int) -> None:
    """Kills a process: the one that has connected, if it is also the one that the client says to be."""
    if connected != claimed or not 1 < connected <= _MAX_PID or connected == os.getpid():
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(connected, signal.SIGKILL)
