"""A headless labwc: it draws title bars, with the icons of windows in them, and knows modal dialogs."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.fakes import rooted
from tests.fakes.forky import Forky
from tests.fakes.weston import START_SECONDS, Pixels, accepts, stop, wait_until
from tests.fakes.wlroots import VirtualSeat, screencopy

SIZE: Final = (1280, 720)
"""Of its only output, px: what a headless output of wlroots has."""

_CONFIGURATION: Final = """\
<?xml version="1.0"?>
<labwc_config>
  <core><decoration>server</decoration></core>
  <theme><titlebar><layout>icon:close</layout></titlebar></theme>
</labwc_config>
"""


class Labwc:
    """A running labwc; obtained from `running_labwc`."""

    def __init__(self, runtime_dir: Path, process: subprocess.Popen[bytes]) -> None:
        self.socket_path = runtime_dir / "wayland-0"
        self.process = process
        self._log = runtime_dir / "labwc.log"

    @property
    def log(self) -> str:
        """What labwc wrote so far."""
        return self._log.read_text(errors="replace")

    def screenshot(self) -> Pixels:
        """The whole output as it is shown now, without the pointer."""
        return screencopy(self.socket_path)


@contextmanager
def running_labwc(folder: Path) -> Generator[tuple[Labwc, VirtualSeat]]:
    """Run a labwc with a keyboard and a pointer until the block ends.

    Args:
        folder: existing, with a short path; becomes XDG_RUNTIME_DIR.

    Raises:
        TimeoutError: it did not serve in time.
    """
    folder.chmod(0o700)
    (folder / "rc.xml").write_text(_CONFIGURATION)
    extra = {
        "XDG_RUNTIME_DIR": str(folder),
        "WLR_BACKENDS": "headless",
        "WLR_RENDERER": "pixman",
        "WLR_LIBINPUT_NO_DEVICES": "1",
    }
    command = Forky().command(["labwc", "--config-dir", str(folder)])
    process = rooted.start(command, extra, folder / "labwc.log")
    labwc = Labwc(folder, process)
    try:
        wait_until(lambda: _serves(labwc), seconds=START_SECONDS, what="labwc serves")
        seat = VirtualSeat(labwc.socket_path, *SIZE)
        try:
            yield labwc, seat
        finally:
            seat.close()
    finally:
        stop(process)


def _serves(labwc: Labwc) -> bool:
    status = labwc.process.poll()
    if status is not None:
        raise RuntimeError(f"labwc ended with status {status}:\n{labwc.log}")
    return accepts(labwc.socket_path)
