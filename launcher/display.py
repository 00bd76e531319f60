"""Our own Wayland socket, where the applications connect, and the directory that it is in.

Names and lock files follow libwayland's wl_display_add_socket, so that a compositor and any
number of launchers can share one XDG_RUNTIME_DIR.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat

from crossdomain.errors import EnvironmentFault
from launcher.listening import listen, remove

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_MAX_AUTOMATIC: Final = 99
"""Names tried before giving up; libwayland stops at 32, but no launcher per window may fail for it."""
_MAX_PATH: Final = 107
"""Bytes of sockaddr_un.sun_path without its NUL."""


class RuntimeDirectory:
    """XDG_RUNTIME_DIR, or one of our own where there is none."""

    __slots__ = ("_own", "path")

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Finds or creates the directory.

        Raises:
            EnvironmentFault: it can't be created or is none.
        """
        self._own = False
        self.path = environment.get("XDG_RUNTIME_DIR", "")
        if not self.path:
            self.path = _temporary_directory()
            self._own = True
        elif not os.path.isdir(self.path):
            _create_directory(self.path)

    @property
    def is_own(self) -> bool:
        """Whether the applications have to be told where it is, and `close` removes it."""
        return self._own

    def close(self) -> None:
        """Removes a directory of our own with all that applications left in it."""
        if self._own:
            import shutil  # noqa: PLC0415 (rarely needed, and slow to load)

            shutil.rmtree(self.path, ignore_errors=True)
            self._own = False


class DisplaySocket:
    """A listening Wayland socket with its lock file; `close` removes both."""

    __slots__ = ("_lock_fd", "_lock_path", "_path", "directory", "listener", "name")

    def __init__(self, directory: str, name: str | None) -> None:
        """Listens at `name`: a file name in `directory` or an absolute path; None: a free wayland-N.

        Raises:
            EnvironmentFault: the name is in use, too long, or the directory refuses it.
        """
        self.directory = directory
        if name is None:
            self.name, self._lock_fd = _lock_free_name(directory)
        else:
            self.name = name
            self._lock_fd = _lock(_path_of(directory, name))
            if self._lock_fd < 0:
                raise EnvironmentFault(
                    f"the socket {name!r} is in use",
                    hint="choose another --socket, or leave the choice to us",
                )
        self._path = _path_of(directory, self.name)
        self._lock_path = self._path + ".lock"
        try:
            self.listener = _listen(self._path)
            """The listening fd, which does not block."""
        except OSError as error:
            self._unlock()
            raise EnvironmentFault(
                f"cannot listen at {self._path!r}: {error.strerror}",
                hint="XDG_RUNTIME_DIR has to be a writable directory of this user's",
            ) from None

    @property
    def is_called(self) -> bool:
        """Whether a client waits to be accepted."""
        ready, _, _ = select.select([self.listener], [], [], 0)
        return bool(ready)

    def close(self) -> None:
        """Stops listening; connections that were accepted live on."""
        os.close(self.listener)
        remove(self._path)
        self._unlock()

    def _unlock(self) -> None:
        remove(self._lock_path)
        os.close(self._lock_fd)


def _temporary_directory() -> str:
    import tempfile  # noqa: PLC0415 (rarely needed, and slow to load)

    try:
        return tempfile.mkdtemp(prefix="crossdomain-")
    except OSError as error:
        raise EnvironmentFault(
            f"XDG_RUNTIME_DIR is not set, and a directory can't be made: {error.strerror}",
            hint="set XDG_RUNTIME_DIR to a directory of this user's with mode 0700",
        ) from None


def _create_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise EnvironmentFault(
            f"XDG_RUNTIME_DIR is {path!r}, which is no directory and can't be made one: {error.strerror}",
            hint="create it with mode 0700, or unset XDG_RUNTIME_DIR",
        ) from None


def _path_of(directory: str, name: str) -> str:
    path = os.path.join(directory, name)
    if not name or len(os.fsencode(path)) > _MAX_PATH:
        raise EnvironmentFault(
            f"{path!r} can't be a socket's path: it has to have 1 to {_MAX_PATH} bytes",
            hint="choose a shorter --socket",
        )
    return path


def _lock_free_name(directory: str) -> tuple[str, int]:
    refusal: EnvironmentFault | None = None
    # wayland-0 is left free: programs go there by themselves when WAYLAND_DISPLAY is not set.
    for number in range(1, _MAX_AUTOMATIC + 1):
        name = f"wayland-{number}"
        try:
            lock_fd = _lock(_path_of(directory, name))
        except EnvironmentFault as fault:
            # Another user may have one there that we can't open, root for one; not so with each.
            refusal = refusal or fault
            continue
        if lock_fd >= 0:
            return name, lock_fd
    raise refusal or EnvironmentFault(
        f"wayland-1 to wayland-{_MAX_AUTOMATIC} in {directory!r} are all in use",
        hint="choose a name with --socket",
    )


def _lock(path: str) -> int:
    """Returns the fd of the lock for the socket at `path`, or -1 where somebody else has it."""
    lock_path = path + ".lock"
    while True:
        try:
            fd = os.open(lock_path, os.O_CREAT | os.O_CLOEXEC | os.O_RDWR | os.O_NOFOLLOW, 0o660)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot create {lock_path!r}: {error.strerror}",
                hint="XDG_RUNTIME_DIR has to be a writable directory of this user's",
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return -1
            raise EnvironmentFault(
                f"cannot lock {lock_path!r}: {error.strerror}",
                hint="is XDG_RUNTIME_DIR on a local file system?",
            ) from None
        if _is_still(fd, lock_path):
            return fd
        # Its former owner removed it between our open and our lock: that lock excludes nobody.
        os.close(fd)


def _is_still(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _listen(path: str) -> int:
    """Listens at `path`, whose lock we hold: a socket that is there was left by somebody who died."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
    # A socket's mode comes from the umask alone; others have no business here even outside XDG_RUNTIME_DIR.
    mask = os.umask(0o077)
    try:
        return listen(path)
    finally:
        os.umask(mask)
