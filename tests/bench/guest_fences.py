"""Rows about fences inside the VM: how long a commit whose buffer is finished is on its way."""

from typing import Final

from tests.bench.client_run import BenchError
from tests.bench.guest_ways import ThroughVm
from tests.bench.rows import Row, against
from tests.bench.traffic import Effort
from tests.fakes.guest_tests import TESTS

_DEVICE: Final = "modprobe vgem && chmod 666 /dev/dri/*"
"""Whose fences are the client's."""
_CLIENT: Final = (
    f"echo measure $1 | PYTHONPATH=/opt/crossdomain:{TESTS} "
    "crossdomain-run --no-service python3 -m tests.fakes.late_painter"
)
_WORDS: Final = 3
"""That it is ready, and two numbers."""


async def measure_fences(vm: ThroughVm, effort: Effort) -> list[Row]:
    """Microseconds from a fence's end to the compositor's answer to what follows the commit that waited.

    A round trip of the same client, beside it, is what the answer takes anyhow.
    """
    loaded = await vm.run_in_guest(["sh", "-c", _DEVICE], user="root")
    done = await vm.run_in_guest(["sh", "-c", _CLIENT, "sh", str(effort.syncs // 5)])
    words = done.output.decode().split()
    if (loaded.status, done.status, len(words)) != (0, 0, _WORDS):
        said = (loaded.errors + done.errors).decode(errors="replace")
        raise BenchError(f"fences in the guest: {said[-300:]}")
    latency, trip = (float(word) for word in words[1:])
    round_trip = Row("fence_round_trip", trip, "us")
    return [round_trip, against(Row("fence_to_commit", latency, "us"), round_trip)]
