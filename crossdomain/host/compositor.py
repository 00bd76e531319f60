"""The compositor that windows are shown on: where it is, and whether it is there."""

import os
import socket
from pathlib import Path

from crossdomain.errors import EnvironmentFault


def connect(path: Path) -> socket.socket:
    """A new connection to `path`, made without blocking.

    Raises:
        BlockingIOError: too many clients connect at once; try again.
        OSError: nobody listens there.
    """
    connection = socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    )
    try:
        connection.connect(os.fsencode(path))
    except BaseException:
        connection.close()
        raise
    return connection


class Compositor:
    """The compositor at one socket.  Each client gets a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> socket.socket:
        """A new connection, made without blocking.

        Raises:
            BlockingIOError: too many clients connect at once; try again.
            OSError: there is no compositor.
        """
        return connect(self.path)

    def check(self) -> None:
        """Tries to connect.

        Raises:
            EnvironmentFault: nobody listens.
        """
        try:
            self.connect().close()
        except BlockingIOError:
            return
        except OSError as error:
            raise EnvironmentFault(
                f"no Wayland compositor at {str(self.path)!r}: {error.strerror or error}",
                hint="start one, or name its socket with --wayland-display or WAYLAND_DISPLAY",
            ) from error
