"""Real applications draw through the proxy, on a real Weston."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import PATIENCE, RUN, environment
from tests.fakes.weston import Weston

APPLICATIONS = (
    "weston-simple-shm",
    "weston-simple-damage",
    "weston-flower",
    "weston-terminal",
    "weston-subsurfaces",
    "weston-presentation-shm",
    "weston-transformed",
)


@pytest.mark.parametrize("buffers", ["auto", "copy"])
@pytest.mark.parametrize("application", APPLICATIONS)
def test_an_application_draws_and_ends(
    weston: Weston, runtime_dir: Path, application: str, buffers: str
) -> None:
    assert shutil.which(application), "install the package weston"
    stats = runtime_dir / "stats"
    options = (f"--buffers={buffers}", f"--stats={stats}")
    with running_daemon(runtime_dir, weston.socket_path) as daemon:
        process = subprocess.Popen(
            [*RUN, f"--channel=local:{daemon.local_socket}", *options, application],
            env=environment(runtime_dir),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while not stats.exists():
            assert process.poll() is None, "it ended without a frame"
            assert time.monotonic() < deadline, "no frame"
        process.terminate()
        assert process.wait(PATIENCE) in (0, 128 + signal.SIGTERM)
    counted = json.loads(stats.read_text())
    assert counted["frames"] >= 1
    assert counted["first_frame_s"] > 0
    assert (counted["bytes_copied"] > 0) == (buffers == "copy")
    assert counted["bytes_copied"] >= counted["bytes_damaged"]
