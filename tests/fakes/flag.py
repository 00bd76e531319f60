"""A client with one window of one colour: `python3 -m tests.fakes.flag TITLE RRGGBB WIDTH HEIGHT`.

It prints `shown` when its pixels are on the screen.  For each line on its standard input it makes
a round trip to the compositor and prints `here`; it ends when its standard input does.
"""

import sys

from tests.fakes.client import FakeClient
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Window


def main(arguments: list[str]) -> int:
    """Show the window until the input ends."""
    title, colour, width, height = arguments
    with FakeClient() as client:
        window = Window(client, title=title)
        window.show(solid_buffer(client, int(width), int(height), colour))
        print("shown", flush=True)
        while sys.stdin.readline():
            client.round_trip()
            print("here", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
