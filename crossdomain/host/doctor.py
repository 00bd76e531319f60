"""`crossdomain doctor`: says what this machine lacks to show a VM's windows, and what to do."""

import argparse
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.errors import EnvironmentFault
from crossdomain.host import settings
from crossdomain.host.compositor import Compositor
from crossdomain.host.paths import compositor_socket, default_gpu_socket, runtime_dir, sockets_folder

QEMU: Final = "qemu-system-x86_64"
QEMU_NEEDED: Final = (11, 1)
"""The first with shared-memory regions on the generic vhost-user device."""


class Finding(NamedTuple):
    """One check: `hint` is empty where all is well."""

    what: str
    found: str
    hint: str = ""
    needed: bool = True
    """Whether nothing works without it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `crossdomain doctor`; `run` of the parsed arguments carries it out."""
    parser.add_argument(
        "--wayland-display", metavar="NAME", help="compositor to look for, as for `crossdomain host`"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints what was found; 1 where something is missing that nothing works without."""
    findings = examine(arguments.wayland_display)
    for finding in findings:
        mark = "ok" if not finding.hint else "MISSING" if finding.needed else "note"
        print(f"{mark:8}{finding.what}: {finding.found}")
        if finding.hint:
            print(f"{'':8}-> {finding.hint}")
    return int(any(finding.needed and finding.hint for finding in findings))


def examine(display: str | None) -> list[Finding]:
    """All checks, in the order in which a window needs them."""
    return [
        _attempt("folder for sockets", lambda: str(runtime_dir())),
        _attempt("compositor", lambda: _compositor(display)),
        _attempt("settings", _settings),
        _attempt("host daemon", _daemon, needed=False),
        _attempt("QEMU", _qemu, needed=False),
        _device("/dev/kvm", "VMs run slowly without it; add yourself to the group kvm"),
    ]


def _attempt(what: str, check: Callable[[], str], *, needed: bool = True) -> Finding:
    try:
        return Finding(what, check())
    except EnvironmentFault as fault:
        return Finding(what, str(fault), fault.hint, needed)


def _compositor(display: str | None) -> str:
    path = compositor_socket(display)
    Compositor(path).check()
    return str(path)


def _settings() -> str:
    path = settings.default_path()
    settings.read(None, sockets_folder)
    return str(path) if path is not None and path.exists() else f"the defaults, there is no {path or 'home'}"


def _daemon() -> str:
    path = default_gpu_socket()
    if not path.is_socket():
        raise EnvironmentFault(f"no socket at {str(path)!r}", hint="start `crossdomain host`")
    return str(path)


def _qemu() -> str:
    hint = f"install QEMU {'.'.join(map(str, QEMU_NEEDED))} or newer, or let `crossdomain vm` bring its own"
    path = shutil.which(QEMU)
    if path is None:
        raise EnvironmentFault(f"no {QEMU} in PATH", hint=hint)
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    version = parse_qemu_version(answer.stdout)
    if version < QEMU_NEEDED:
        raise EnvironmentFault(f"{path} is {answer.stdout.partition(chr(10))[0]!r}", hint=hint)
    return f"{path}, version {'.'.join(map(str, version))}"


def parse_qemu_version(text: str) -> tuple[int, ...]:
    """Major and minor number of `qemu --version`; (0,) where there are none."""
    match = re.search(r"version (\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else (0,)


def _device(name: str, hint: str) -> Finding:
    try:
        with Path(name).open("r+b", buffering=0):
            return Finding(name, "can be opened")
    except OSError as error:
        return Finding(name, error.strerror or str(error), hint, needed=False)
