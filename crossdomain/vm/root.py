"""Runs a program of the image on the host.

QEMU 11.1 and Weston 14 are newer than what the host's distribution has, so they come out
of the image: the program sees the image's /usr and /etc, and below every other path the
host's own files, so sockets, home and devices keep their names.  The view is a private
mount namespace and goes with the program; the image itself is mounted read-only.

Without root rights the namespace is made within a user namespace, in which the program is root and
for the rest of the machine the user.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from crossdomain.errors import EnvironmentFault

_ENTER: Final = r"""
set -eu
image=$1 view=$2 directory=$3
shift 3
mount -t tmpfs -o mode=755,size=1m crossdomain "$view"
for path in /*; do
    case $path in /usr|/etc|/bin|/sbin|/lib|/lib32|/lib64|/libx32|/lost+found) continue;; esac
    if [ -L "$path" ]; then
        cp -P "$path" "$view$path"
    elif [ -d "$path" ]; then
        mkdir "$view$path"
        mount --rbind "$path" "$view$path"
    fi
done
for name in usr etc; do
    mkdir "$view/$name"
    mount -o bind,ro "$image/$name" "$view/$name"
done
for name in bin sbin lib lib64; do
    cp -P "$image/$name" "$view/$name"
done
exec chroot "$view" /usr/bin/env -C "$directory" /usr/bin/setpriv --pdeathsig KILL -- "$@"
"""

_NOT_PASSED: Final = frozenset(
    {"LD_LIBRARY_PATH", "LD_PRELOAD", "XDG_DATA_DIRS", "XDG_CONFIG_DIRS", "PYTHONPATH", "PYTHONHOME"}
)
"""Variables that point at the host's libraries, which do not fit the image's programs."""


def enter_command(root: Path, view: Path, argv: Sequence[str], *, directory: Path = Path("/")) -> list[str]:
    """Return the command that runs `argv` with the userland of the image at `root`.

    The process that is started becomes the program, with the same pid.  It is killed when
    the thread that started it ends.

    Args:
        root: the unpacked image.
        view: an empty directory that the namespace is put together on; many programs may use
            the same one at once.
        argv: the program, by its path or name in the image, and its arguments.
        directory: where the program starts.

    Raises:
        EnvironmentFault: the host lacks unshare(1).
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        raise EnvironmentFault("unshare is missing", hint="install the package util-linux")
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [
        unshare,
        *rights,
        "--mount",
        "sh",
        "-c",
        _ENTER,
        "sh",
        str(root),
        str(view),
        str(directory),
        *argv,
    ]


def program_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what does not fit the image, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    kept["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, **(extra or {})}
