"""The Xauthority file: who knows its cookie may connect to our X display (Xau(3))."""

from __future__ import annotations

import fcntl
import os
import struct

from crossdomain.errors import EnvironmentFault
from launcher.listening import remove

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

_FILE_NAME: Final = "crossdomain-xauth-"
_NAME: Final = b"MIT-MAGIC-COOKIE-1"
_COOKIE_SIZE: Final = 16
_LOCAL: Final = 256
_WILD: Final = 65535


class Authority:
    """The file of one display, until `close`.

    It is locked as long as its launcher lives: what one that was killed has left is removed by the next.
    """

    def __init__(self, directory: str, display: int) -> None:
        """Writes a new file with a new cookie for a display of this machine; its user alone can read it.

        Raises:
            OSError: `directory` can't be written.
        """
        _sweep(directory)
        self.path = os.path.join(directory, f"{_FILE_NAME}{os.getpid()}-{display}")
        temporary = os.path.join(directory, f".{_FILE_NAME}{os.getpid()}-{display}")
        self._fd = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.write(self._fd, _content(display))
            os.rename(temporary, self.path)
        except OSError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Removes it."""
        remove(self.path)
        os.close(self._fd)


def _sweep(directory: str) -> None:
    """Removes the files of launchers that are no more."""
    for name in os.listdir(directory):
        if name.startswith(_FILE_NAME):
            _remove_left(os.path.join(directory, name))


def _remove_left(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:  # its launcher lives, or another one is faster
        pass
    finally:
        os.close(fd)


def _content(display: int) -> bytes:
    number = str(display).encode()
    cookie = os.urandom(_COOKIE_SIZE)
    # libXau looks for this host's name first; a guest's name may change under a running session.
    host = _entry(_LOCAL, os.uname().nodename.encode(), number, cookie)
    return host + _entry(_WILD, b"", number, cookie)


def read_cookie(path: str) -> bytes:
    """Returns the cookie of the file's first entry.

    Raises EnvironmentFault where it has none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(4096)
        offset = 2
        for _ in range(3):
            offset += 2 + struct.unpack_from(">H", data, offset)[0]
        (size,) = struct.unpack_from(">H", data, offset)
    except (OSError, struct.error) as error:
        raise EnvironmentFault(
            f"the X11 cookie in {path!r} can't be read: {error}", hint="nobody else should write there"
        ) from None
    return data[offset + 2 : offset + 2 + size]


def _entry(family: int, address: bytes, number: bytes, cookie: bytes) -> bytes:
    fields = (address, number, _NAME, cookie)
    return struct.pack(">H", family) + b"".join(struct.pack(">H", len(field)) + field for field in fields)
