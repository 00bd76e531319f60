"""What is loaded before the application starts: each module is paid for by everything that is started."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]

JOINING: Final = {
    "launcher",
    "launcher.announcement",
    "launcher.execution",
    "launcher.signals",
    "launcher.start",
}
"""Ours that are loaded where a service serves the session."""

STARTING: Final = JOINING | {
    "crossdomain",
    "crossdomain.abi",
    "crossdomain.abi.capset",
    "crossdomain.abi.virtgpu_drm",
    "crossdomain.errors",
    "crossdomain.native",
    "crossdomain.native._core",
    "crossdomain.native._core.lib",
    "crossdomain.native.system",
    "launcher.application",
    "launcher.channel",
    "launcher.channel.drm",
    "launcher.channel.render_node",
    "launcher.display",
    "launcher.listening",
    "launcher.log",
    "launcher.loop",
    "launcher.options",
    "launcher.run",
    "launcher.xwayland",
    "launcher.xwayland.authority",
    "launcher.xwayland.service",
    "launcher.xwayland.sockets",
}
"""Ours that are loaded where none does, and X11 applications are served too."""

MAKES_ENUMERATIONS_OR_PATTERNS: Final = {
    "argparse",
    "collections",
    "contextlib",
    "enum",
    "functools",
    "re",
    "selectors",
    "signal",
    "socket",
    "typing",
}
"""Each takes a tenth to a half of what the interpreter itself takes to start."""


def loaded_by(script: str) -> set[str]:
    """The modules that an interpreter has after a script: one that starts like the launcher's own."""
    program = f"import sys; sys.path[:0] = {sys.path!r}\n{script}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISc", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("script", "ours"),
    [
        ("import launcher.start", JOINING),
        ("import launcher.start, launcher.run, launcher.xwayland, launcher.channel.render_node", STARTING),
    ],
)
def test_little_is_loaded_before_the_application_starts(script: str, ours: set[str]) -> None:
    loaded = loaded_by(script)
    assert loaded & MAKES_ENUMERATIONS_OR_PATTERNS == set()
    assert {name for name in loaded if name.partition(".")[0] in {"crossdomain", "launcher"}} == ours


LOADS: Final = """
import gc, socket
from launcher import run
from launcher.application import Application
from launcher.display import DisplaySocket
from launcher.loop import Loop
loop, display = Loop(), DisplaySocket({directory!r}, None)
client = socket.socket(socket.AF_UNIX)
{client}
application = Application(loop)
application.start(["true"], {{}})
loop.run()
assert application.status == 0
assert run._load(loop, display, application) is {served}
assert gc.isenabled() is {served}
"""


def test_nothing_is_loaded_for_an_application_that_has_ended_and_left_nobody(runtime_dir: Path) -> None:
    loaded = loaded_by(LOADS.format(directory=str(runtime_dir), client="", served=False))
    assert not any(name.startswith("launcher.relay") for name in loaded)


def test_who_has_connected_is_served_even_where_the_application_has_ended(runtime_dir: Path) -> None:
    script = LOADS.format(
        directory=str(runtime_dir),
        client=f"client.connect({str(runtime_dir / 'wayland-1')!r})",
        served=True,
    )
    assert "launcher.relay.connection" in loaded_by(script)
