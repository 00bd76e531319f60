"""A client that says what time it is, in its own clocks: `python3 -m tests.fakes.metronome`.

It prints `clock ID`, wp_presentation's, when its window is on the screen.  Then it answers each line on its
standard input with one line of nanoseconds, and ends when its standard input does:

    now ID      what a clock of this machine says
    frame       when a new frame was committed, shown and heard of (presentation clock)
    motion X    when the pointer came to the column X of the window, in px, and the milliseconds of
                that event (CLOCK_MONOTONIC); where there is a seat
    burst 0|1   how many of the frames that were committed all at once were shown, without or with fifo
    after NS    when a frame was to be shown, which is so many ns from now, then as for `frame`
"""

import sys
import time

from tests.fakes.client import FakeClient, Value, integer
from tests.fakes.pacing import PacedWindow, nanoseconds


def say(*numbers: int) -> None:
    """Print a line at once."""
    print(*numbers, flush=True)


class Pointer:
    """Where the pointer was when."""

    def __init__(self, client: FakeClient) -> None:
        self._client = client
        pointer = client.bind("wl_seat").create("get_pointer")
        manager = client.bind("zwp_input_timestamps_manager_v1")
        self._timestamps = manager.create("get_pointer_timestamps", pointer)
        self._seen: dict[int, tuple[int, int]] = {}
        pointer.handlers["motion"] = self._handle_motion

    def wait_for(self, x: int) -> tuple[int, int]:
        """Nanoseconds and milliseconds of the pointer's coming to a column."""
        self._client.wait(lambda: x in self._seen, what=f"motion to {x}")
        return self._seen[x]

    def _handle_motion(self, values: tuple[Value, ...]) -> None:
        milliseconds, x, _ = (integer(value) for value in values)
        stamps = self._timestamps.received("timestamp")
        self._seen[x // 256] = (nanoseconds(stamps[-1]), milliseconds)


def main() -> int:
    """Answer questions."""
    with FakeClient() as client:
        pointers = [Pointer(client)] if client.offers("wl_seat") else []
        window = PacedWindow(client)
        window.show()
        print(f"clock {window.clock_id}", flush=True)
        for line in sys.stdin:
            match line.split():
                case ["now", number]:
                    say(time.clock_gettime_ns(int(number)))
                case ["frame"]:
                    say(*window.show())
                case ["motion", x]:
                    say(*pointers[0].wait_for(int(x)))
                case ["burst", fifo]:
                    say(window.burst(fifo=fifo == "1").count("presented"))
                case ["after", wait]:
                    target, frame = window.show_after(int(wait))
                    say(target, *frame)
                case _:
                    return 2
        window.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
