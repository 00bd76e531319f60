"""Installs Debian into a directory with mmdebstrap, and tells how far it is.

The kernel and QEMU come from trixie-backports, everything else from trixie.  What a guest without
firmware, users' manuals and an initrd of its own has no use for is never unpacked.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.errors import EnvironmentFault, LocalError
from crossdomain.vm import sources
from crossdomain.vm.progress import Progress

SUITE: Final = "trixie"

BACKPORTED: Final = "qemu-* ipxe-qemu seabios linux-*"
"""Packages that come from the backports: shared-memory regions need QEMU 11.1, udmabuf import Linux 6.14."""

EXCLUDED: Final = (
    "/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/*", "/usr/lib/modules/*/kernel/drivers/net/wireless/*",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/amd/*", "/usr/lib/modules/*/kernel/drivers/gpu/drm/i915/*",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/xe/*", "/usr/lib/modules/*/kernel/drivers/gpu/drm/nouveau/*",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/radeon/*", "/usr/lib/modules/*/kernel/drivers/media/*",
    "/usr/lib/modules/*/kernel/drivers/infiniband/*", "/usr/lib/modules/*/kernel/sound/*",
    # We boot an initramfs of our own; making one for the kernel package takes a third of the whole time.
    "/etc/kernel/postinst.d/dracut",
)  # fmt: skip

_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_PREFERENCES: Final = f"Package: {BACKPORTED}\nPin: release n={SUITE}-backports\nPin-Priority: 990\n"

_SETUP_HOOK: Final = (
    'mkdir -p "$1/etc/apt/preferences.d" "$1/etc/kernel/postinst.d" && '
    'printf %s "$CROSSDOMAIN_PREFERENCES" >"$1/etc/apt/preferences.d/crossdomain" && '
    # dracut's own trigger runs this script, so there has to be one.
    'printf "#!/bin/sh\\n" >"$1/etc/kernel/postinst.d/dracut" && chmod 755 "$1/etc/kernel/postinst.d/dracut"'
)

_CUSTOMIZE_HOOK: Final = 'rm -f "$1/etc/machine-id" "$1/etc/resolv.conf" "$1/etc/hostname"'


class Plan(NamedTuple):
    """What to install, and from where."""

    packages: tuple[str, ...]
    lines: tuple[str, ...]
    options: tuple[str, ...]


def plan(packages: tuple[str, ...], mirror: str | None) -> Plan:
    """Check that everything needed is there, and find the mirror.

    Raises:
        EnvironmentFault: rights, mmdebstrap, Debian's keys or a mirror are missing.
    """
    if os.geteuid() != 0:
        raise EnvironmentFault(
            "making the image needs root",
            hint="run once: sudo crossdomain vm image --image-dir /var/cache/crossdomain",
        )
    if shutil.which("mmdebstrap") is None:
        raise EnvironmentFault("mmdebstrap is missing", hint="install it: apt install mmdebstrap")
    if not _KEYRING.exists():
        raise EnvironmentFault(
            "Debian's archive keys are missing", hint="install the package debian-archive-keyring"
        )
    known = sources.read_sources(Path("/etc/apt"))
    main = mirror or sources.find_mirror(known)
    if main is None:
        raise EnvironmentFault(
            "the apt sources of this machine name no Debian mirror", hint="name one with --mirror URL"
        )
    lines = [_line(main, suite) for suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-backports")]
    security = sources.find_security_mirror(known)
    if security is not None and mirror is None:
        lines.append(_line(security, f"{SUITE}-security"))
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return Plan(packages, tuple(lines), tuple(sources.parse_transport_options(dump)))


def _line(uri: str, suite: str) -> str:
    return f"deb [signed-by={_KEYRING}] {uri} {suite} main"


def run(order: Plan, target: Path, log: Path, progress: Progress) -> None:
    """Install `order` into the directory `target`, which must not exist; all output goes to `log`.

    Raises:
        EnvironmentFault: mmdebstrap failed; says why in one line.
    """
    environment = {
        **os.environ,
        "CROSSDOMAIN_PREFERENCES": _PREFERENCES,
        "LC_ALL": "C.UTF-8",
        "TMPDIR": "/tmp",
    }
    process = subprocess.Popen(
        _command(order, target), env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    if process.stdout is None:
        raise LocalError("the installation's output was not asked for")
    meter = InstallMeter()
    with process, log.open("w") as record:
        for line in process.stdout:
            record.write(line)
            progress.update(0.95 * meter.feed(line), meter.text)
    if process.returncode != 0:
        raise explain_failure(log)


def _command(order: Plan, target: Path) -> list[str]:
    options = ['Acquire::Check-Valid-Until "false"', 'Acquire::Languages "none"', 'Acquire::Retries "2"']
    options += ['Acquire::http::Timeout "20"', 'APT::Install-Recommends "false"', *order.options]
    return [
        "mmdebstrap", "--verbose", "--mode=root", "--format=directory", "--variant=essential",
        f"--setup-hook={_SETUP_HOOK}", f"--customize-hook={_CUSTOMIZE_HOOK}",
        *(f"--aptopt={option}" for option in options),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
        f"--include={','.join(order.packages)}",
        SUITE, str(target), *order.lines,
    ]  # fmt: skip


class InstallMeter:
    """Reads mmdebstrap's output line by line and says how much of the work is done.

    apt runs twice: for the essential packages, some 60, then for everything else, some 300.
    """

    _SHARES: Final = ((0.04, 0.12), (0.16, 0.84))
    """Where each run of apt begins and how much of the whole time it takes."""

    def __init__(self) -> None:
        self.text = "reading package lists"
        self._runs = -1
        self._packages = 1
        self._steps = 0

    def feed(self, line: str) -> float:
        """Take one line of output; return the fraction done, 0 to 1."""
        planned = re.match(r"\d+ upgraded, (\d+) newly installed", line)
        if planned is not None:
            self._runs = min(self._runs + 1, len(self._SHARES) - 1)
            self._packages = max(1, int(planned[1]))
            self._steps = 0
        elif self._runs >= 0:
            self._note(line)
        if self._runs < 0:
            return 0.0
        begin, share = self._SHARES[self._runs]
        return begin + share * min(1.0, self._steps / (3 * self._packages))

    def _note(self, line: str) -> None:
        for pattern, doing in self._STEPS:
            found = pattern.match(line)
            if found is not None:
                self._steps += 1
                self.text = f"{doing} {found[1]}"

    _STEPS: Final = (
        (re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+)"), "downloading"),
        (re.compile(r"Unpacking ([^\s:]+)"), "unpacking"),
        (re.compile(r"Setting up ([^\s:]+)"), "setting up"),
    )


def explain_failure(log: Path, suite: str = SUITE) -> EnvironmentFault:
    """Say in one line, from its log, why an image of that suite could not be made."""
    lines = log.read_text(errors="replace").splitlines()
    for line in lines:
        if "No space left on device" in line:
            return EnvironmentFault(
                f"no space left in {log.parent}",
                hint="free 3 GB there or choose another place with --image-dir",
            )
    missing = [found[1] for line in lines if (found := re.search(r"Unable to locate package (\S+)", line))]
    if missing:
        return EnvironmentFault(
            f"{suite} has no package {', '.join(missing)}", hint="check the names given with --package"
        )
    for line in lines:
        if _NO_NETWORK.search(line):
            return EnvironmentFault(
                f"the package mirror cannot be reached: {_shorten(line)}",
                hint="check the network and apt's proxy: `apt update` has to work",
            )
    complaints = [line for line in lines if line.startswith(("E: ", "dpkg: error"))]
    reason = _shorten((complaints or [line for line in lines if line.strip()] or ["no message"])[-1])
    return EnvironmentFault(f"making the image failed: {reason}", hint=f"the whole log is {log}")


_NO_NETWORK: Final = re.compile(
    r"Could not resolve|Temporary failure|Could not connect|Unable to connect"
    r"|Connection (timed out|refused|failed)|Network is unreachable|Failed to fetch"
    r"|does not have a Release file"
)


def _shorten(line: str) -> str:
    return line.strip().removeprefix("E: ").removeprefix("Err:")[:160]
