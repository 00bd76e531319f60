"""Rows about start-up inside the VM, where an emulated processor makes every import count."""

import json
from typing import Final

from tests.bench.client_run import BenchError
from tests.bench.guest_ways import ThroughVm
from tests.bench.rows import Row, against, median
from tests.bench.traffic import Effort

_COMMANDS: Final = {
    "start_python_vm": ["python3", "-ISc", "pass"],
    "start_cold_vm": ["crossdomain-run", "true"],
}
"""The launcher's script starts its interpreter with the same options."""

_TIMER: Final = """\
import json, subprocess, sys, time
rounds, commands = json.loads(sys.argv[1])
took = {name: [] for name in commands}
for _ in range(rounds):
    for name, command in commands.items():
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took[name].append(time.perf_counter() - start)
print(json.dumps(took))
"""


async def measure_start(vm: ThroughVm, effort: Effort) -> list[Row]:
    """Milliseconds until `true` has run in the guest: rows start_cold_vm and start_python_vm."""
    done = await vm.run_in_guest(["python3", "-c", _TIMER, json.dumps([effort.starts, _COMMANDS])])
    if done.status != 0:
        raise BenchError(f"start-up in the guest: {done.errors.decode(errors='replace')[-300:].strip()}")
    took: dict[str, list[float]] = json.loads(done.output)
    python, launcher = [Row(name, median(took[name]) * 1000, "ms") for name in _COMMANDS]
    return [python, against(launcher, python)]
