"""Clients that the benchmark starts on this machine."""

import os

from tests.bench.host_ways import start_process

OUTLIVED = ["sh", "-c", "exec 3<&0; cat <&3 & echo started"]
"""Ends at once; what it started has its pipes until there is no more input, as a proxy has another half."""


async def test_pipes_are_closed_though_others_have_them_for_longer() -> None:
    process = await start_process(OUTLIVED, os.environ)
    assert await process.read_line() == "started"

    await process.kill()

    assert await process.read_line() == ""
