"""Where the kernel has no room for what is sent, though the socket has: no event tells when it has again.

Descriptors that nobody has received yet count for the user that sends them (unix(7), ETOOMANYREFS), so
one who does not receive can keep others waiting.
"""

import errno
from typing import Final

RETRY_SECONDS: Final = 0.01
"""When it is tried again."""

_CROWDED: Final = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})


def is_crowded(error: OSError) -> bool:
    """Whether what could not be sent may be sent later."""
    return error.errno in _CROWDED
