"""Unix sockets of the daemon's own: made where they are free, removed at the end."""

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from crossdomain.errors import EnvironmentFault

MAX_PATH: Final = 107
"""Bytes of a socket's path (unix(7))."""

_BACKLOG: Final = 128


class ListeningSocket:
    """A listening socket at `path`, readable and writable for its owner alone.

    A lock file beside it tells two daemons apart that start at the same time; a socket that
    nobody listens on any more is replaced.
    """

    def __init__(self, path: Path, kind: socket.SocketKind) -> None:
        """Begins to listen; a folder that is missing is made, for its owner alone.

        Raises:
            EnvironmentFault: somebody listens there, the path is too long, or not ours to write.
        """
        self.path = path
        self._lock = -1
        self._identity: tuple[int, int] | None = None
        self.socket = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._listen()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening and removes what was made, if it is still ours.  May be called again."""
        self.socket.close()
        if self._identity is not None and self._identity == _identity(self.path):
            self.path.unlink(missing_ok=True)
        self._identity = None
        if self._lock >= 0:
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def _listen(self) -> None:
        if len(os.fsencode(self.path)) > MAX_PATH:
            raise EnvironmentFault(
                f"{str(self.path)!r} is too long for a socket",
                hint=f"choose a path of at most {MAX_PATH} bytes",
            )
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            self._remove_stale()
            self._bind()
        except OSError as error:
            raise EnvironmentFault(
                f"no socket at {str(self.path)!r}: {error.strerror}",
                hint="choose a path in a folder of your own with --socket or --local-socket",
            ) from error

    def _take_lock(self) -> None:
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise self._in_use() from None
        self._lock = lock

    def _remove_stale(self) -> None:
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise EnvironmentFault(
                f"{str(self.path)!r} exists and is no socket", hint="choose another path, or remove it"
            )
        with socket.socket(socket.AF_UNIX, self.socket.type) as probe:
            result = probe.connect_ex(os.fsencode(self.path))
        if result not in (errno.ECONNREFUSED, errno.ENOENT):
            raise self._in_use()
        self.path.unlink(missing_ok=True)

    def _bind(self) -> None:
        # bind makes the file; its mode has to be right from the first moment.
        mask = os.umask(0o177)
        try:
            self.socket.bind(os.fsencode(self.path))
        finally:
            os.umask(mask)
        self._identity = _identity(self.path)
        self.socket.listen(_BACKLOG)

    def _in_use(self) -> EnvironmentFault:
        return EnvironmentFault(
            f"socket {str(self.path)!r} is in use",
            hint="another daemon serves there: use that one, or choose another path",
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
