"""What a client is told to allocate (zwp_linux_dmabuf_feedback_v1): one tranche, the guest's own device's."""

import fcntl
import os
from struct import Struct
from typing import Final

from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load

_ENTRY: Final = Struct("=IxxxxQ")
"""format, modifier."""
_INDEX: Final = Struct("=H")
_DEVICE: Final = Struct("=Q")
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_EVENTS: Final = {event.name: event for event in load().interface("zwp_linux_dmabuf_feedback_v1").events}


def make_table(formats: list[int], modifiers: tuple[int, ...]) -> tuple[int, int]:
    """Returns a sealed file of all pairs of format and modifier, which is the caller's, and its bytes."""
    table = b"".join(_ENTRY.pack(fourcc, modifier) for fourcc in formats for modifier in modifiers)
    fd = os.memfd_create("crossdomain formats", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, table)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd, len(table)


def describe(feedback_id: int, device: int, table_size: int) -> bytes:
    """Returns all events of one feedback, of which the first carries the table; `device` is a dev_t."""
    indices = b"".join(map(_INDEX.pack, range(table_size // _ENTRY.size)))
    device_bytes = _DEVICE.pack(device)
    events = (
        encode_message(_EVENTS["format_table"], feedback_id, None, table_size),
        encode_message(_EVENTS["main_device"], feedback_id, device_bytes),
        encode_message(_EVENTS["tranche_target_device"], feedback_id, device_bytes),
        encode_message(_EVENTS["tranche_flags"], feedback_id, 0),
        encode_message(_EVENTS["tranche_formats"], feedback_id, indices),
        encode_message(_EVENTS["tranche_done"], feedback_id),
        encode_message(_EVENTS["done"], feedback_id),
    )
    return b"".join(events)
