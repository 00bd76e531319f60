"""The listening sockets of an X display, as X servers make them: /tmp/.X11-unix/XN, and its abstract twin.

They are ours, so that an X display is there before there is an Xwayland, and stays when one has ended.
"""

from __future__ import annotations

import errno
import os
import stat

from crossdomain.errors import EnvironmentFault
from launcher.listening import listen, remove

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

_MAX_DISPLAY: Final = 99
_STICKY: Final = 0o1777


class DisplaySockets:
    """The listening sockets of one X display with their lock file; `close` removes all of it."""

    def __init__(self, directory: str = "/tmp", *, own_directory: str | None = None) -> None:
        """Takes the first free display.

        `directory` is where X servers have their lock files.  Where sockets can't be made there, the socket
        is made in `own_directory`, and the display is called by its path.

        Raises EnvironmentFault where there is no free one.
        """
        self.listeners: list[int] = []
        """Their fds, which do not block."""
        self.number = -1
        self.name = ""
        """What DISPLAY says."""
        self._lock_path = ""
        self._socket_path = ""
        self._directory = directory
        folder = _socket_folder(directory)
        if folder is None and own_directory is not None:
            self._listen_aside(own_directory)
            return
        for number in range(_MAX_DISPLAY + 1):
            if folder is not None and self._take(number, folder):
                return
        raise EnvironmentFault(
            f"no X display from :0 to :{_MAX_DISPLAY} is free in {directory!r}",
            hint="remove lock files .X*-lock that nobody uses, or run with --x11 off",
        )

    def close(self) -> None:
        """Stops listening."""
        self._stop_listening()
        for path in (self._socket_path, self._lock_path):
            if path:
                remove(path)
        self._socket_path = self._lock_path = ""

    def _stop_listening(self) -> None:
        for listener in self.listeners:
            os.close(listener)
        self.listeners.clear()

    def _take(self, number: int, folder: str) -> bool:
        """Takes a display, unless somebody else has it."""
        lock_path = os.path.join(self._directory, f".X{number}-lock")
        if not _lock(lock_path):
            return False
        path = os.path.join(folder, f"X{number}")
        try:
            # Clients try the abstract one first, which another server may have in this network namespace.
            self.listeners += _listen_abstract(path)
            remove(path)
            self.listeners.append(listen(path))
        except OSError:
            self._stop_listening()
            os.unlink(lock_path)
            return False
        self.number, self.name = number, f":{number}"
        self._lock_path, self._socket_path = lock_path, path
        return True

    def _listen_aside(self, directory: str) -> None:
        path = os.path.join(directory, f"crossdomain-X11-{os.getpid()}")
        try:
            self.listeners.append(listen(path))
        except OSError as error:
            raise EnvironmentFault(
                f"no X display can be made: {path!r}: {error.strerror}",
                hint="/tmp/.X11-unix or XDG_RUNTIME_DIR has to be writable",
            ) from None
        self.number, self.name, self._socket_path = 0, path, path


def _socket_folder(directory: str) -> str | None:
    """Returns where X sockets are, None where we can't make any."""
    folder = os.path.join(directory, ".X11-unix")
    try:
        os.mkdir(folder, _STICKY)
        # The umask has taken away what makes it everybody's.
        os.chmod(folder, _STICKY)
    except OSError:
        pass
    usable = os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
    return folder if usable else None


def _listen_abstract(path: str) -> list[int]:
    """Listens at the abstract twin of a path; returns no fd where abstract names are not to be had.

    Raises OSError where it is in use.
    """
    try:
        return [listen("\0" + path)]
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return []
        raise


def _lock(path: str) -> bool:
    """Takes a lock file of the X servers' (xserver, LockServer): it holds the owner's pid.

    One whose owner has died is taken over.
    """
    temporary = f"{path}.{os.getpid()}"
    try:
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444)
    except OSError:
        return False
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(f"{os.getpid():10}\n".encode())
        for _ in range(2):
            try:
                os.link(temporary, path)
            except FileExistsError:
                if _is_owned(path):
                    return False
                remove(path)
            except OSError:
                return False
            else:
                return True
        return False
    finally:
        os.unlink(temporary)


def _is_owned(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return True
            pid = int(file.read(16))
        os.kill(pid, 0)
    except (ProcessLookupError, ValueError):
        return False
    except FileNotFoundError:
        return False
    except OSError:
        # It is there, and not ours to see.
        return True
    return True
