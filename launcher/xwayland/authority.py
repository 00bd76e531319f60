"""The Xauthority file: who knows its cookie may connect to our X display (Xau(3))."""

from __future__ import annotations

import os
import struct

from crossdomain.errors import EnvironmentFault

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

_NAME: Final = b"MIT-MAGIC-COOKIE-1"
_COOKIE_SIZE: Final = 16
_LOCAL: Final = 256
_WILD: Final = 65535


def create(path: str, display: int) -> None:
    """Writes a new file with a new cookie for a display of this machine; its user alone can read it.

    Raises OSError.
    """
    number = str(display).encode()
    cookie = os.urandom(_COOKIE_SIZE)
    # libXau looks for this host's name first; a guest's name may change under a running session.
    entries = _entry(_LOCAL, os.uname().nodename.encode(), number, cookie) + _entry(
        _WILD, b"", number, cookie
    )
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(entries)


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
