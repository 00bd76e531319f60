"""The guest service's announcement: by it crossdomain-run finds a launcher that serves the whole session.

A file in XDG_RUNTIME_DIR with the variables that lead applications to the service, a line each, as
shells and systemd read them.  The service holds a lock on it as long as it lives: what a dead one
left behind leads nobody astray.  `launcher.start` needs `find` alone, before anything slow is loaded; the
script `crossdomain-run` reads it, too.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_NAME: Final = "crossdomain-run.env"
_MAX_SIZE: Final = 4096
"""Bytes; four lines with paths of at most 108 bytes are written."""
_LEADING: Final = frozenset({"WAYLAND_DISPLAY", "DISPLAY", "XAUTHORITY", "_JAVA_AWT_WM_NONREPARENTING"})


class Announcement:
    """A service that can be found, until `close`."""

    def __init__(self, directory: str, environment: Mapping[str, str]) -> None:
        """Announces the variables that lead applications here, in place of a dead service's.

        Raises:
            OSError: `directory` can't be written.
        """
        self._path = os.path.join(directory, _NAME)
        lines = (f"{name}={environment[name]}\n" for name in sorted(_LEADING & environment.keys()))
        temporary = f"{self._path}.{os.getpid()}"
        flags = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(temporary, flags, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.write(self._fd, os.fsencode("".join(lines)))
        os.rename(temporary, self._path)

    def close(self) -> None:
        """Withdraws it."""
        os.unlink(self._path)
        os.close(self._fd)


def find(directory: str) -> dict[str, str]:
    """Returns the variables that lead to the service that lives in `directory`; none where there is none."""
    try:
        fd = os.open(os.path.join(directory, _NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return {}
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pairs = (line.partition("=") for line in os.fsdecode(os.read(fd, _MAX_SIZE)).split("\n"))
        return {name: value for name, _, value in pairs if name in _LEADING}
    finally:
        os.close(fd)
    return {}
