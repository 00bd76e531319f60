"""Rows about start-up and memory inside the VM, where an emulated processor makes every step count."""

import json
from typing import Final

from tests.bench.client_run import BenchError
from tests.bench.guest_ways import GUEST_DISPLAY, ThroughVm
from tests.bench.rows import Row, against, median
from tests.bench.traffic import Effort

_COMMANDS: Final = {
    "start_python_vm": ["python3", "-c", "pass"],
    "start_cold_vm": ["crossdomain-run", "--no-service", "true"],
    "start_warm_vm": ["crossdomain-run", "true"],
}

_SERVICE: Final = """\
import json, os, subprocess, sys, time
service = subprocess.Popen(["crossdomain-run", "--service"])
while not os.path.exists(os.environ["XDG_RUNTIME_DIR"] + "/crossdomain-run.env"):
    time.sleep(0.1)
    assert service.poll() is None
"""
"""What both scripts begin with: `crossdomain-run` joins a service unless it is told not to."""

_TIMER: Final = f"""\
{_SERVICE}
rounds, commands = json.loads(sys.argv[1])
took = {{name: [] for name in commands}}
for _ in range(rounds):
    for name, command in commands.items():
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took[name].append(time.perf_counter() - start)
service.terminate()
assert service.wait() == 0
print(json.dumps(took))
"""


_FIRST_FRAME: Final = f"""\
{_SERVICE}
rounds, commands, display = json.loads(sys.argv[1])
environment = {{**os.environ, "WAYLAND_DEBUG": "client", "WAYLAND_DISPLAY": display}}
took = {{name: [] for name in commands}}
for _ in range(rounds):
    for name, command in commands.items():
        start = time.perf_counter()
        attached = False
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as terminal:
            for line in terminal.stderr:
                attached |= ".attach(wl_buffer" in line
                if attached and ".commit()" in line:
                    took[name].append(time.perf_counter() - start)
                    break
            terminal.terminate()
            terminal.stderr.read()
service.terminate()
assert service.wait() == 0
print(json.dumps(took))
"""
"""A terminal's own trace says when it hands its first buffer over."""

_TERMINALS: Final = {
    "first_frame_foot_guest": ["foot", "sleep", "100"],
    "first_frame_foot_python": ["python3", "-c", "import os; os.execvp('foot', ['foot', 'sleep', '100'])"],
    "first_frame_foot_vm": ["crossdomain-run", "--no-service", "foot", "sleep", "100"],
    "first_frame_foot_vm_warm": ["crossdomain-run", "foot", "sleep", "100"],
}


async def measure_first_frame(vm: ThroughVm, effort: Effort) -> list[Row]:
    """Milliseconds from the start of foot to its first frame: on a Weston in the guest, and through us.

    Through a launcher that is started with it, and through a service of the session that runs already.  A
    row first_frame_foot_python tells what a Python that only becomes foot takes, on the Weston in the guest.
    """
    parameters = json.dumps([effort.starts, _TERMINALS, GUEST_DISPLAY])
    guest, *through = [
        Row(name, median(samples) * 1000, "ms")
        for name, samples in (await _timed(vm, _FIRST_FRAME, parameters)).items()
    ]
    return [guest, *(against(row, guest) for row in through)]


_BLOB_CYCLE: Final = """\
import json, sys, time
from launcher.channel import render_node
from launcher.channel.virtgpu import VirtgpuChannel
node = render_node.find("")
channel = VirtgpuChannel(node.path, node.capset, "bench")
took = []
for _ in range(int(sys.argv[1])):
    start = time.perf_counter()
    memory = channel.create_memory(1 << 20)
    memory.buffer[0] = 1
    memory.close()
    took.append(time.perf_counter() - start)
print(json.dumps({"blob_cycle_vm": took[len(took) // 4 :]}))
"""
_BLOBS: Final = 200


async def measure_blob_cycle(vm: ThroughVm) -> list[Row]:
    """Milliseconds to make 1 MiB of the host's memory, map it, touch it and give it up again."""
    took = await _timed(vm, _BLOB_CYCLE, str(_BLOBS))
    return [Row(name, median(samples) * 1000, "ms") for name, samples in took.items()]


async def _timed(vm: ThroughVm, script: str, parameters: str) -> dict[str, list[float]]:
    """Returns what a script in the guest has measured, s by row."""
    done = await vm.run_in_guest(["env", "PYTHONPATH=/opt/crossdomain", "python3", "-c", script, parameters])
    if done.status != 0:
        raise BenchError(f"a script in the guest: {done.errors.decode(errors='replace')[-300:].strip()}")
    took: dict[str, list[float]] = json.loads(done.output)
    return took


async def measure_start(vm: ThroughVm, effort: Effort) -> list[Row]:
    """Milliseconds until `true` has run in the guest: Python alone, a launcher, one that joins a service."""
    took = await _timed(vm, _TIMER, json.dumps([effort.starts, _COMMANDS]))
    python, *launchers = [Row(name, median(took[name]) * 1000, "ms") for name in _COMMANDS]
    return [python, *(against(row, python) for row in launchers)]
