"""Memory devices whose VM has not connected yet: who connected them, and whether they have hung up.

A VMM that connects its memory device first waits for the first answer, and may have asked for it: what it has
said is left for its worker to read.
"""

import asyncio
import select
import socket
from typing import NamedTuple

from crossdomain.host.workers import peer_pid


class _Device(NamedTuple):
    connection: socket.socket
    section: str


class Unpaired:
    """Those that wait; their connections are its own."""

    def __init__(self) -> None:
        """On the running loop."""
        self._devices: dict[int, _Device] = {}
        """By fd."""
        # Their ends alone: a loop that watches them for input would be told of it again and again.
        self._ends = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ends, self._drop_ended)

    def __len__(self) -> int:
        return len(self._devices)

    def add(self, connection: socket.socket, section: str) -> None:
        """One more, of a VM of that section; takes ownership."""
        self._ends.register(connection, select.EPOLLRDHUP)
        self._devices[connection.fileno()] = _Device(connection, section)

    def take(self, section: str, pid: int) -> socket.socket | None:
        """The first that this process has connected for such a VM, which is the caller's, if there is one."""
        for fd, device in self._devices.items():
            if device.section == section and peer_pid(device.connection) == pid:
                self._forget(fd)
                return device.connection
        return None

    def close(self) -> None:
        """Hangs up on all.  May be called again."""
        if self._ends.closed:
            return
        for fd in list(self._devices):
            self._forget(fd).close()
        self._loop.remove_reader(self._ends)
        self._ends.close()

    def _drop_ended(self) -> None:
        for fd, _events in self._ends.poll(0):
            self._forget(fd).close()

    def _forget(self, fd: int) -> socket.socket:
        self._ends.unregister(fd)
        return self._devices.pop(fd).connection
