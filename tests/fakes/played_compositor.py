"""A daemon before a compositor that the test plays: each client is a connection that is to be accepted."""

import asyncio
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.endpoint import Endpoint
from tests.fakes.patience import PATIENCE


class PlayedCompositor:
    """The daemon, and the socket that it takes for the compositor's."""

    def __init__(self, listener: socket.socket, daemon: RunningDaemon) -> None:
        self.listener = listener
        self.daemon = daemon

    def accept(self) -> Endpoint:
        """The compositor's end of the next client's connection; closed by the caller."""
        connection, _address = self.listener.accept()
        return Endpoint(connection)

    async def accept_soon(self) -> Endpoint:
        """The same, without holding up the loop."""
        return await asyncio.to_thread(self.accept)


@contextmanager
def playing_compositor(*, settings: str = "") -> Generator[PlayedCompositor]:
    """A daemon with these settings, which no test may end."""
    with tempfile.TemporaryDirectory(prefix="xd-") as parent, socket.socket(socket.AF_UNIX) as listener:
        display, folder = Path(parent) / "wayland-0", Path(parent) / "daemon"
        folder.mkdir()
        listener.bind(str(display))
        listener.listen()
        listener.settimeout(PATIENCE)
        with running_daemon(folder, display, settings=settings) as daemon:
            made = PlayedCompositor(listener, daemon)
            made.accept().close()  # the daemon looked whether a compositor is there
            yield made
            daemon.assert_alive()


def receive(host: Endpoint, size: int) -> bytes:
    """Exactly `size` bytes of requests."""
    joined = b""
    while len(joined) < size:
        assert host.receive(PATIENCE)
        joined += b"".join(host.messages())
    assert len(joined) == size
    return joined
