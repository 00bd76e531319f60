"""Programs newer than the last release's: sway, labwc, Weston 16 and IGT.  `python -m tests.fakes.forky`.

They come out of a small Debian root of their own, of the release that is being made; no virtual machine
boots that, but one can have it as a disk.  The root is made once for each choice of packages and kept
beside the product's own image.
"""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from crossdomain.vm import bootstrap, image, root
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine, MachineConfig

SUITE: Final = "forky"
PACKAGES: Final = "igt-gpu-tools-tests,weston,sway,labwc,xkb-data"
FORKY: Final = "/mnt/forky"
"""Where the root is in a machine that has `mount_forky`."""


class Forky:
    """The unpacked root; made where there is none, which takes a minute.  Nothing may write to it.

    Args:
        packages: what it holds, with commas between them.
    """

    def __init__(self, packages: str = PACKAGES) -> None:
        place = image.default_directory()
        name = f"{SUITE}-{hashlib.sha256(packages.encode()).hexdigest()[:8]}"
        self.root = place / name
        self._view = place / f"{name}.view"
        self._disk = place / f"{name}.erofs"
        self._lock = place / f"{name}.lock"
        place.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._view.mkdir(exist_ok=True)
            if not self.root.exists():
                make_root(self.root, SUITE, "essential", packages)

    def command(self, argv: list[str]) -> list[str]:
        """The command that runs a program of it on the host."""
        return root.enter_command(self.root, self._view, argv)

    def disk(self, tools: Image) -> Path:
        """The root as an EROFS file system, made once, too, by a program of `tools`.

        A machine starts programs from a disk several times as fast as from a folder that it shares.
        """
        with self._locked():
            if not self._disk.exists():
                partial = self._disk.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                argv = ["mkfs.erofs", "--quiet", str(partial), str(self.root)]
                subprocess.run(tools.command(argv), env=root.program_environment(), check=True)
                partial.rename(self._disk)
        return self._disk

    @contextmanager
    def _locked(self) -> Generator[None]:
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def with_forky(config: MachineConfig) -> MachineConfig:
    """The same machine with the root as its second disk."""
    path = str(Forky().disk(config.image)).replace(",", ",,")
    disk = ("-drive", f"file={path},if=virtio,format=raw,readonly=on")
    return replace(config, qemu_extra=(*config.qemu_extra, *disk))


async def mount_forky(machine: Machine) -> None:
    """Lets the programs of a running machine `with_forky` see the root."""
    script = f"mkdir {FORKY} && mount -t erofs -o ro /dev/vdb {FORKY}"
    done = await machine.run(["sh", "-c", script], user="root")
    assert done.status == 0, done.errors.decode()


def make_root(final: Path, suite: str, variant: str, packages: str) -> None:
    """Makes a small Debian root with mmdebstrap, whose `variant` says what it holds besides the packages."""
    order = bootstrap.plan((packages,), None)
    # The same mirror, by the same way, for another suite.
    line = order.lines[0].replace(f" {bootstrap.SUITE} ", f" {suite} ")
    partial = final.with_suffix(".partial")
    image.remove_tree(partial)
    options = ('Acquire::Check-Valid-Until "false"', 'APT::Install-Recommends "false"', *order.options)
    log = final.with_suffix(".log")
    with log.open("w") as output:
        done = subprocess.run(
            [
                "mmdebstrap", "--mode=root", "--format=directory", f"--variant={variant}",
                *(f"--aptopt={option}" for option in options),
                "--dpkgopt=force-unsafe-io",
                *(f"--dpkgopt=path-exclude={pattern}" for pattern in bootstrap.EXCLUDED),
                f"--include={packages}", suite, str(partial), line,
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise bootstrap.explain_failure(log, suite)
    partial.rename(final)


if __name__ == "__main__":
    os.umask(0o022)
    Forky().disk(image.obtain(image.Recipe()))
