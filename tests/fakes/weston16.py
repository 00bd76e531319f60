"""A headless Weston 16, for what no older one has: fifo and commit timing.  `python -m tests.fakes.weston16`.

It comes out of a small Debian root of its own, of the release that is being made; no virtual machine
boots that.  The root is made once and kept beside the product's own image.
"""

import fcntl
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crossdomain.vm import bootstrap, image, root
from tests.fakes.weston import START_SECONDS, Weston, accepts, stop, wait_until

SUITE: Final = "forky"
PACKAGES: Final = "weston,xkb-data"


def obtain() -> Path:
    """The unpacked root, made where there is none; takes a minute then."""
    place = image.default_directory()
    final = place / f"weston-{SUITE}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"weston-{SUITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            _make(final)
    return final


def _make(final: Path) -> None:
    order = bootstrap.plan((PACKAGES,), None)
    # The same mirror, by the same way, for another suite.
    line = order.lines[0].replace(f" {bootstrap.SUITE} ", f" {SUITE} ")
    partial = final.with_suffix(".partial")
    image.remove_tree(partial)
    options = ('Acquire::Check-Valid-Until "false"', 'APT::Install-Recommends "false"', *order.options)
    log = final.with_suffix(".log")
    with log.open("w") as output:
        done = subprocess.run(
            [
                "mmdebstrap", "--mode=root", "--format=directory", "--variant=essential",
                *(f"--aptopt={option}" for option in options),
                "--dpkgopt=force-unsafe-io",
                *(f"--dpkgopt=path-exclude={pattern}" for pattern in bootstrap.EXCLUDED),
                f"--include={PACKAGES}", SUITE, str(partial), line,
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise bootstrap.explain_failure(log)
    partial.rename(final)


@contextmanager
def running_weston16(folder: Path) -> Generator[Weston]:
    """Run it until the block ends.

    Args:
        folder: existing, with a short path; becomes XDG_RUNTIME_DIR.
    """
    folder.chmod(0o700)
    view = folder / "view"
    view.mkdir()
    command = [
        "weston", "--socket=weston16", "--no-config", "--idle-time=0", "--backend=headless",
        "--renderer=pixman", "--width=640", "--height=480",
    ]  # fmt: skip
    with (folder / "weston.log").open("wb") as log:
        process = subprocess.Popen(
            root.enter_command(obtain(), view, command),
            env=root.program_environment({"XDG_RUNTIME_DIR": str(folder)}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
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


if __name__ == "__main__":
    os.umask(0o022)
    obtain()
