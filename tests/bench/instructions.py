"""The row about instructions: what launcher and daemon execute for one message of a steady frame.

Callgrind counts those in user space, whatever else the machine does meanwhile.  A run with many frames less
one with few leaves what the start takes out.
"""

import asyncio
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from launcher.announcement import find
from tests.bench import processes
from tests.bench.client_run import BenchError
from tests.bench.host_ways import PYTHON, Local, python_environment, run_program, running_server
from tests.bench.rows import Row
from tests.bench.traffic import SMALL
from tests.fakes.weston import wait_until

_FEW: Final = 30
_MANY: Final = 180
_MESSAGES: Final = 7
"""Of a frame: wl_surface.attach, damage, frame and commit; wl_callback.done, wl_display.delete_id, and
wl_buffer.release."""
_SECONDS: Final = 150.0
"""Of anything that runs some fifty times slower than it would."""

_DAEMON: Final = """\
import os, sys
# Valgrind 3.19 knows no pidfds, and needs more system calls than the workers' seccomp filter lets through.
os.pidfd_open = lambda pid, flags=0: os.eventfd(0)
sys.modules["pyseccomp"] = None
from crossdomain.cli import main
sys.exit(main())
"""
_COLLECTED: Final = re.compile(r"Collected : (\d+)")


async def measure_instructions(local: Local, local_copy: Local) -> list[Row]:
    """Instructions of launcher and worker together, for a message of frames with 64x64 px of damage.

    Once where the compositor has the client's buffers, and once where they have mirrors, as those of a VM.
    """
    ways = {"instructions_per_message": local, "instructions_per_message_copy": local_copy}
    rows: list[Row] = []
    for name, way in ways.items():
        few, many = [await asyncio.to_thread(_count, way, frames) for frames in (_FEW, _MANY)]
        rows.append(Row(name, (many - few) / ((_MANY - _FEW) * _MESSAGES), "instructions"))
    return rows


def _count(local: Local, frames: int) -> int:
    """Returns what launcher and worker executed in a life with that many frames."""
    bench = local.bench
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        session = folder / "session"
        session.mkdir(mode=0o700)
        environment = {**python_environment(), **bench.environment, "PYTHONHASHSEED": "0"}
        sockets: list[str | Path] = [
            "--socket",
            folder / "gpu",
            "--local-socket",
            folder / "local",
            "--log-level",
            "warning",
        ]
        daemon = stack.enter_context(
            running_server(
                _counted(folder / "daemon", [PYTHON, "-c", _DAEMON, "host", *sockets]),
                environment,
                folder / "daemon.log",
                lambda: "ready:" in (folder / "daemon.log").read_text(errors="replace"),
                seconds=_SECONDS,
            )
        )
        options = [
            "--channel",
            f"local:{folder / 'local'}",
            "--x11",
            "off",
            "--service",
            "--buffers",
            local.buffers,
        ]
        with running_server(
            _counted(folder / "launcher", run_program("launcher.run", *options)),
            {**environment, "XDG_RUNTIME_DIR": str(session)},
            folder / "launcher.log",
            lambda: bool(find(str(session))),
            seconds=_SECONDS,
        ):
            leading = find(str(session))
            _show(bench.client, frames, {**environment, "XDG_RUNTIME_DIR": str(session), **leading})
        # The supervisor moves no message; and it does not hear of its workers' end.
        workers = processes.tree(daemon.pid)[1:]
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        counts = [folder / f"daemon-{pid}.callgrind" for pid in workers]
        counts += folder.glob("launcher-*.callgrind")
        wait_until(lambda: all(map(_is_complete, counts)), seconds=_SECONDS, what="callgrind has counted")
        return sum(int(_COLLECTED.findall(path.read_text(errors="replace"))[0]) for path in counts)


def _counted(log: Path, command: Sequence[str | Path]) -> list[str | Path]:
    """Returns the command that counts; each process's count goes to a file of its own."""
    # Profiles are not wanted, and a worker can open no file for one.
    options = ["--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}-%p.callgrind"]
    return ["valgrind", *options, *command]


def _show(client: Path, frames: int, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [client, *SMALL.arguments(frames)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"the client below callgrind: {done.stderr.strip()[-200:]}")


def _is_complete(count: Path) -> bool:
    return bool(_COLLECTED.search(count.read_text(errors="replace")))
