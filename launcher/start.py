"""crossdomain-launcher, the entry in Python: where a service serves the session, the application joins it.

It takes this process's place then: its exit status, its signals and its terminal are its own, and
nothing of the launcher is loaded.  Options mean a launcher of the application's own.

The shell script `crossdomain-run` beside this file does the same, faster, where flock(1) is there and
nothing is wrong, and leaves all else to us: what holds for one holds for the other.
"""

from __future__ import annotations

import os
import sys

from launcher import signals
from launcher.announcement import find
from launcher.execution import RESTORED_SIGNALS, StartError

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def main() -> None:
    """The entry point."""
    command = sys.argv[1:]
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if directory and command and not command[0].startswith("-"):
        leading = find(directory)
        if leading:
            _become(command, leading)
    # Joining a service needs nothing of what follows.
    from launcher.run import main as run  # noqa: PLC0415

    run()


def _become(command: Sequence[str], leading: dict[str, str]) -> NoReturn:
    environment = {**os.environ, **leading}
    # An inherited connection would lead past the service.
    environment.pop("WAYLAND_SOCKET", None)
    environment.setdefault("XDG_SESSION_TYPE", "wayland")
    for number in RESTORED_SIGNALS:
        signals.restore(number)
    try:
        os.execvpe(command[0], list(command), environment)
    except (OSError, ValueError) as error:
        failure = StartError(command[0], error)
        print(f"crossdomain-run: {failure}", file=sys.stderr)
        sys.exit(failure.status)


if __name__ == "__main__":
    main()
