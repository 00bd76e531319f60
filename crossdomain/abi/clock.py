"""GET_CLOCK: how a guest asks for the host's time.  Our own, where the capset says `Feature.CLOCK`.

A command like GET_IMAGE_REQUIREMENTS: its answer stands at offset 0 of the query ring (in a QUERY
packet over a local channel).  The guest reads its own clock before it asks and after it has the
answer, and knows then what the difference is, to half of the time in between.
"""

from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import Final

from crossdomain.abi.cross_domain import EXTENSION_MAGIC, HEADER, QUERY_RING, Buffer, Command
from crossdomain.errors import GuestFault, HostFault


class ClockId(IntEnum):
    """Clocks that can be asked for: Linux's numbers, which are wp_presentation.clock_id's too."""

    REALTIME = 0
    MONOTONIC = 1
    MONOTONIC_RAW = 4
    BOOTTIME = 7
    TAI = 11


COARSE: Final = {5: ClockId.REALTIME, 6: ClockId.MONOTONIC}
"""CLOCK_REALTIME_COARSE and CLOCK_MONOTONIC_COARSE: the same clocks, read less often."""

GET_CLOCK: Final = Struct("<8xII")
"""clock_id, pad.  16 bytes."""
CLOCK: Final = Struct("<IIQ")
"""magic (EXTENSION_MAGIC), clock_id, time (ns).  Where a command is refused the ring has no magic."""


def encode_get_clock(clock_id: ClockId) -> bytes:
    """GET_CLOCK."""
    body = GET_CLOCK.pack(clock_id, 0)
    return HEADER.pack(Command.GET_CLOCK, QUERY_RING, len(body), 0) + body[HEADER.size :]


def parse_get_clock(command: memoryview) -> ClockId:
    """The clock that a GET_CLOCK asks for.

    Raises:
        GuestFault: of another size, or a clock that is not told.
    """
    if len(command) != GET_CLOCK.size:
        raise GuestFault(f"GET_CLOCK of {len(command)} bytes")
    clock_id, _pad = GET_CLOCK.unpack(command)
    try:
        return ClockId(clock_id)
    except ValueError:
        raise GuestFault(f"clock {clock_id} is not told") from None


def encode_clock(clock_id: ClockId, time: int) -> bytes:
    """The answer; `time` in ns."""
    return CLOCK.pack(EXTENSION_MAGIC, clock_id, time)


def parse_clock(answer: Buffer, clock_id: ClockId) -> int:
    """The time in ns that an answer tells.

    Raises:
        HostFault: it is no answer to what was asked.
    """
    try:
        magic, answered, time = CLOCK.unpack_from(answer)
    except StructError as error:
        raise HostFault(f"the host's clock: {error}") from None
    if (magic, answered) != (EXTENSION_MAGIC, clock_id):
        raise HostFault(f"the host did not tell clock {clock_id}")
    return int(time)
