"""Programs newer than the last release's: sway, labwc, Weston 16 and IGT.  `python -m tests.fakes.forky`.

They come out of a small Debian root of their own, of the release that is being made; no virtual machine
boots that.  The root is made once for each choice of packages and kept beside the product's own image.
"""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Final

from crossdomain.vm import bootstrap, image, root

SUITE: Final = "forky"
PACKAGES: Final = "igt-gpu-tools-tests,weston,sway,labwc,xkb-data"
_KEY: Final = hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]


class Forky:
    """The unpacked root; made where there is none, which takes a minute.  Nothing may write to it."""

    def __init__(self) -> None:
        place = image.default_directory()
        name = f"{SUITE}-{_KEY}"
        self.root = place / name
        self._view = place / f"{name}.view"
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._view.mkdir(exist_ok=True)
            if not self.root.exists():
                _make(self.root)

    def command(self, argv: list[str]) -> list[str]:
        """The command that runs a program of it on the host."""
        return root.enter_command(self.root, self._view, argv)


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


if __name__ == "__main__":
    os.umask(0o022)
    Forky()
