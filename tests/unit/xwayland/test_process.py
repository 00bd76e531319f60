"""`launcher.xwayland.__main__`: how the process of the X11 side ends."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

_ENDS_THEN_TOLD: Final = """
import os, signal, sys
from launcher.xwayland.__main__ import main
status = main()
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(status)
"""


def test_whoever_is_told_to_end_while_it_ends_does_so_in_silence(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    options = ["--display", "7", "--listen", "0", "--auth", missing, "--wayland", missing]
    done = subprocess.run(
        [sys.executable, "-c", _ENDS_THEN_TOLD, *options, "--log-level", "error"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGTERM
    assert len(done.stderr.splitlines()) == 1
    assert missing in done.stderr
