"""Finds out whether KVM can run the guest, by running one.

/dev/kvm alone says little: on some machines (nested virtualisation, restricted hosts) it opens, and a
stock kernel hangs in it or dies.  A boot of the image's own kernel into a script that switches
off takes a second where it works.  The answer is kept until the host boots again.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Literal

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import root
from crossdomain.vm.cpio import Archive
from crossdomain.vm.image import Image

Accelerator = Literal["auto", "kvm", "tcg"]

_DEVICE: Final = Path("/dev/kvm")
_TRIAL_SECONDS: Final = 10.0
_MARK: Final = "crossdomain: KVM works"
_INIT: Final = f"#!/bin/busybox sh\necho {_MARK} >/dev/console\nexec /bin/busybox poweroff -f\n"


def choose(image: Image, wish: Accelerator) -> bool:
    """Return whether to use KVM: as wished, or for "auto" whether it works.

    Raises:
        EnvironmentFault: KVM is wished for and does not work.
    """
    if wish == "tcg":
        return False
    works = kvm_works(image)
    if wish == "kvm" and not works:
        raise EnvironmentFault(
            "KVM cannot run the guest's kernel on this machine",
            hint="use --accel tcg, or check that /dev/kvm is there and that you may open it",
        )
    return works


def kvm_works(image: Image) -> bool:
    """Return whether KVM boots the kernel of `image`; takes seconds at the first call after a boot."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False
    memory = image.directory.parent / f"kvm-{os.geteuid()}.json"
    trial = {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "image": image.directory.name,
    }
    with contextlib.suppress(OSError, ValueError):
        for works in (True, False):
            if json.loads(memory.read_text()) == {**trial, "works": works}:
                return works
    works = _try_boot(image)
    with contextlib.suppress(OSError):  # else it is tried again the next time
        memory.write_text(json.dumps({**trial, "works": works}))
    return works


def _try_boot(image: Image) -> bool:
    archive = Archive()
    archive.add_directory("dev")
    archive.add_character_device("dev/console", 5, 1)
    archive.add_file("bin/busybox", (image.root / "usr/bin/busybox").read_bytes(), 0o755)
    archive.add_file("init", _INIT.encode(), 0o755)
    with tempfile.TemporaryDirectory(prefix="crossdomain-kvm-") as work:
        initramfs = Path(work) / "initramfs"
        initramfs.write_bytes(archive.finish())
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-M", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "256", "-bios", "qboot.rom",
            "-kernel", str(image.kernel), "-initrd", str(initramfs),
            "-append", "console=ttyS0 quiet panic=-1", "-serial", "stdio",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                image.command(command),
                env=root.program_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return _MARK.encode() in done.stdout
