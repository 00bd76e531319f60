"""The kernel that Debian 13 was released with, for a guest: `python -m tests.fakes.older_kernel`.

Linux 6.12 has udmabuf, but its virtio-gpu imports no dmabuf of others.  The package is unpacked once and kept
beside the product's own image, from which a machine with this kernel has everything else.
"""

import fcntl
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from crossdomain.vm import bootstrap, image, kernel, root
from crossdomain.vm.image import Image
from crossdomain.vm.machine import MachineConfig, Share
from tests.fakes.forky import make_root

_PACKAGE: Final = "linux-image-amd64"
_MODULES: Final = "/usr/lib/modules"


@dataclass(frozen=True, slots=True)
class OlderKernel(Image):
    """An image with the other kernel; the disk has no modules of it."""

    place: Path

    @classmethod
    def obtain(cls, whole: Image) -> Self:
        """The kernel for an image; unpacked where it is not, which takes a minute."""
        place = image.default_directory() / f"kernel-{bootstrap.SUITE}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            older = cls(whole.directory, place)
            if not place.exists():
                make_root(place, bootstrap.SUITE, "extract", _PACKAGE)
            if not older.kernel.exists():
                older._finish()
        return older

    @property
    def kernel(self) -> Path:
        """Uncompressed."""
        return self.place / "vmlinux"

    @property
    def kernel_release(self) -> str:
        """The guest's `uname -r`."""
        (release,) = (path.name for path in self._all_modules.iterdir())
        return release

    @property
    def modules(self) -> Path:
        """The directory of its modules."""
        return self._all_modules / self.kernel_release

    @property
    def _all_modules(self) -> Path:
        return self.place / _MODULES.lstrip("/")

    def _finish(self) -> None:
        """Do what the installation of the package does, and unpack the kernel proper."""
        argv = ["depmod", "-b", str(self.place), "-m", _MODULES, self.kernel_release]
        subprocess.run(self.command(argv), env=root.program_environment(), check=True)
        packed = self.place / "boot" / f"vmlinuz-{self.kernel_release}"
        partial = self.kernel.with_suffix(".partial")
        partial.write_bytes(kernel.unpack(packed.read_bytes(), self.command(["zstd"])))
        partial.rename(self.kernel)


def with_older_kernel(config: MachineConfig) -> MachineConfig:
    """The same machine with that kernel, and its modules where modprobe looks for them."""
    older = OlderKernel.obtain(config.image)
    modules = Share(older.modules, f"{_MODULES}/{older.kernel_release}", read_only=True)
    return replace(config, image=older, shares=(*config.shares, modules))


if __name__ == "__main__":
    os.umask(0o022)
    OlderKernel.obtain(image.obtain(image.Recipe()))
