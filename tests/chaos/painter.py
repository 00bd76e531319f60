"""`python3 -m tests.chaos.painter WIDTH HEIGHT`: a client that shows what it is told, and says so.

It prints READY when it has a window.  For each line RRGGBB on its standard input it paints its window in that
colour, and prints the line when the compositor has shown it.  It ends with its input, and with status 3 where
the compositor leaves it.
"""

import os
import select
import sys
from collections.abc import Generator

from tests.chaos.picture import LEFT, READY
from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.endpoint import Disconnected
from tests.fakes.flag import say
from tests.fakes.painting import XRGB8888, layout_for
from tests.fakes.windows import Buffer, Pool, Window


class Painter:
    """One window of one colour at a time, in two buffers that take turns."""

    def __init__(self, client: FakeClient, width: int, height: int) -> None:
        first = layout_for(width, height, XRGB8888)
        second = layout_for(width, height, XRGB8888, offset=first.end)
        pool = Pool(client, client.bind("wl_shm"), second.end)
        self._buffers = [Buffer(pool, layout, XRGB8888) for layout in (first, second)]
        self._window = Window(client, title="painter")

    def paint(self, colour: str) -> None:
        """Returns when RRGGBB is on the screen."""
        buffer = self._buffers[0]
        self._buffers.reverse()
        buffer.wait_released()
        row = (bytes.fromhex(colour)[::-1] + b"\xff") * buffer.layout.width
        for number in range(buffer.layout.height):
            buffer.write_row(number, 0, row)
        self._window.show(buffer)


def _lines(client: FakeClient) -> Generator[str]:
    """The input's lines; the compositor's events are handled while none comes."""
    received = b""
    stdin = sys.stdin.fileno()
    while True:
        while b"\n" in received:
            line, _, received = received.partition(b"\n")
            yield line.decode()
        ready, _, _ = select.select([stdin, client.endpoint.socket], [], [])
        if stdin not in ready:
            client.round_trip()
            continue
        data = os.read(stdin, 4096)
        if not data:
            return
        received += data


def main(width: int, height: int) -> int:
    """See the module's docstring."""
    try:
        with FakeClient() as client:
            painter = Painter(client, width, height)
            say(READY)
            for line in _lines(client):
                painter.paint(line)
                say(line)
    except (Disconnected, ProtocolError, ConnectionError, FileNotFoundError):
        return LEFT
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
