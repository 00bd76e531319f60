"""Compositors out of a Debian root, as processes of this machine."""

import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from crossdomain.vm import root


def start(
    command: Sequence[str], extra: Mapping[str, str], log: Path, *, inherited: Collection[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a program of a root; `weston.stop` ends it.

    Args:
        command: what the root's `command` makes of it.
        extra: variables beside those of this process that fit the root.
        log: where all that it says goes.
        inherited: fds that it gets under the same numbers.
    """
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            pass_fds=inherited,
            env=root.program_environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
