"""Rows about the bridge's damage copy, against memcpy of the same bytes in the same memory."""

from tests.bench.rows import Row
from tests.bench.traffic import Effort


async def measure_copying(effort: Effort) -> list[Row]:
    """Copies a 1920x1080 frame whole, and as narrow columns: rows copy_whole_rows and copy_narrow, in GB/s.

    memcpy gets the same bytes of the same two frames: at once, and in pieces of a column's size.
    """
    raise NotImplementedError
