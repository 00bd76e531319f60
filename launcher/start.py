"""The first step of crossdomain-run: where a service serves the whole session, the application just joins it.

It takes this process's place then: its exit status, its signals and its terminal are its own, and
nothing of the launcher is loaded.  Options mean a launcher of the application's own.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from launcher.announcement import find
from launcher.execution import RESTORED_SIGNALS, StartError


def main() -> None:
    """The entry point."""
    command = sys.argv[1:]
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if directory and command and not command[0].startswith("-"):
        leading = find(directory)
        if leading:
            _become(command, leading)
    # What follows costs a third of a second in a guest without KVM.
    from launcher.run import main as run  # noqa: PLC0415

    run()


def _become(command: Sequence[str], leading: dict[str, str]) -> NoReturn:
    environment = {**os.environ, **leading}
    # An inherited connection would lead past the service.
    environment.pop("WAYLAND_SOCKET", None)
    environment.setdefault("XDG_SESSION_TYPE", "wayland")
    for number in RESTORED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), environment)
    except (OSError, ValueError) as error:
        failure = StartError(command[0], error)
        print(f"crossdomain-run: {failure}", file=sys.stderr)
        sys.exit(failure.status)


if __name__ == "__main__":
    main()
