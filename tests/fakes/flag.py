"""Clients with one window of one colour: `python3 -m tests.fakes.flag TITLE RRGGBB WIDTH HEIGHT ...`.

Four arguments for each client, and each client is a process of its own.  It prints `shown` when its pixels
are on the screen.  For each line on its standard input it makes a round trip to the compositor and
prints `here`; it ends when its standard input does.
"""

import os
import sys

from tests.fakes.client import FakeClient
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Window


def say(text: str) -> None:
    """Print a line at once, and in one piece: the others print to the same pipe."""
    os.write(1, f"{text}\n".encode())


def show(title: str, colour: str, width: int, height: int) -> None:
    """One client, until the input ends."""
    with FakeClient() as client:
        window = Window(client, title=title)
        window.show(solid_buffer(client, width, height, colour))
        say("shown")
        while sys.stdin.readline():
            client.round_trip()
            say("here")


def main(arguments: list[str]) -> int:
    """Show all windows; 0 where no client failed."""
    flags = [arguments[start : start + 4] for start in range(0, len(arguments), 4)]
    if len(flags) == 1:
        ((title, colour, width, height),) = flags
        show(title, colour, int(width), int(height))
        return 0
    # Forked: twenty interpreters would take a minute to start under emulation.
    for title, colour, width, height in flags:
        if os.fork() == 0:
            show(title, colour, int(width), int(height))
            return 0
    return max(os.wait()[1] for _ in flags)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
