"""A headless Weston 16, for what no older one has: fifo and commit timing, colour management."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes import rooted
from tests.fakes.forky import Forky
from tests.fakes.weston import START_SECONDS, Weston, accepts, stop, wait_until


@contextmanager
def running_weston16(folder: Path, *, renderer: str = "pixman", configuration: str = "") -> Generator[Weston]:
    """Run it until the block ends.

    Args:
        folder: existing, with a short path; becomes XDG_RUNTIME_DIR.
        renderer: "pixman" or "gl".
        configuration: what its configuration file says, weston.ini(5).
    """
    folder.chmod(0o700)
    file = folder / "weston.ini"
    file.write_text(configuration)
    command = [
        "weston", "--socket=weston16", f"--config={file}", "--idle-time=0", "--backend=headless",
        f"--renderer={renderer}", "--width=640", "--height=480",
        "--debug",  # lets any client take screenshots
    ]  # fmt: skip
    extra = {"XDG_RUNTIME_DIR": str(folder)}
    process = rooted.start(Forky().command(command), extra, folder / "weston.log")
    weston = Weston(folder, "weston16", process)
    try:
        wait_until(lambda: _serves(weston), seconds=START_SECONDS, what="Weston 16 serves")
        yield weston
    finally:
        stop(process)


def _serves(weston: Weston) -> bool:
    status = weston.process.poll()
    if status is not None:
        raise RuntimeError(f"Weston 16 ended with status {status}:\n{weston.log}")
    return accepts(weston.socket_path)
