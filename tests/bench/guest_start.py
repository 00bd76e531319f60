"""Rows about start-up inside the VM, where an emulated processor makes every import count."""

import json
from typing import Final

from tests.bench.client_run import BenchError
from tests.bench.guest_ways import ThroughVm
from tests.bench.rows import Row, against, median
from tests.bench.traffic import Effort

_COMMANDS: Final = {
    "start_python_vm": ["python3", "-ISc", "pass"],
    "start_cold_vm": ["crossdomain-run", "--no-service", "true"],
    "start_warm_vm": ["crossdomain-run", "true"],
}
"""The launcher's script starts its interpreter with the same options."""

_TIMER: Final = """\
import json, os, subprocess, sys, time
rounds, commands = json.loads(sys.argv[1])
took = {name: [] for name in commands}
service = subprocess.Popen(["crossdomain-run", "--service"])
while not os.path.exists(os.environ["XDG_RUNTIME_DIR"] + "/crossdomain-run.env"):
    time.sleep(0.1)
    assert service.poll() is None
for _ in range(rounds):
    for name, command in commands.items():
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took[name].append(time.perf_counter() - start)
service.terminate()
assert service.wait() == 0
print(json.dumps(took))
"""


async def measure_start(vm: ThroughVm, effort: Effort) -> list[Row]:
    """Milliseconds until `true` has run in the guest: Python alone, a launcher, one that joins a service."""
    done = await vm.run_in_guest(["python3", "-c", _TIMER, json.dumps([effort.starts, _COMMANDS])])
    if done.status != 0:
        raise BenchError(f"start-up in the guest: {done.errors.decode(errors='replace')[-300:].strip()}")
    took: dict[str, list[float]] = json.loads(done.output)
    python, *launchers = [Row(name, median(took[name]) * 1000, "ms") for name in _COMMANDS]
    return [python, *(against(row, python) for row in launchers)]
