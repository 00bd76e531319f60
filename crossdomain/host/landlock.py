"""Landlock: no path is of use to this process any more (landlock(7)).

The system calls have the same numbers on every architecture, and no library of a distribution has them.
"""

import ctypes
import os
import struct
from typing import Final

_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_CREATE_RULESET_VERSION: Final = 1

_FILES: Final = (13, 14, 15, 15, 16, 16, 16)
"""How many rights to files each version of the interface has, from version 1 on."""
_NETWORK: Final = 0b11
"""bind and connect of TCP, from version 4 on."""
_SCOPES: Final = 0b11
"""Abstract sockets and signals of processes outside, from version 6 on."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The version of the kernel's interface; 0 where it has none."""
    found: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return max(found, 0)


def restrict() -> bool:
    """From now on this thread, and what it starts, opens nothing; no_new_privs must be set.

    What came as an fd and is in no folder, pipes and memory, can be opened anew through /proc.

    Returns:
        False where this kernel has no Landlock.

    Raises:
        OSError: it has, and refuses.
    """
    newest = version()
    if not newest:
        return False
    files = (1 << _FILES[min(newest, len(_FILES)) - 1]) - 1
    attributes = struct.pack("<QQQ", files, _NETWORK if newest >= 4 else 0, _SCOPES if newest >= 6 else 0)
    size = 24 if newest >= 6 else 16 if newest >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes[:size], ctypes.c_size_t(size), 0)
    try:
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
