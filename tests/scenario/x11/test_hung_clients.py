"""Clients that answer nothing any more: the second close ends them, and nobody else."""

import signal
import subprocess
import sys
import textwrap
from typing import Final

from crossdomain.vm.seat import View
from tests.fakes.x11 import PATIENCE, X11Desktop

HUNG: Final = textwrap.dedent(
    """
    import sys
    from Xlib import X
    from Xlib.display import Display
    display = Display()
    screen = display.screen()
    window = screen.root.create_window(0, 0, 200, 100, 0, screen.root_depth, background_pixel=0x336699)
    atom = display.get_atom
    window.set_wm_protocols([atom("WM_DELETE_WINDOW"), atom("_NET_WM_PING")])
    window.change_property(atom("_NET_WM_PID"), atom("CARDINAL"), 32, [int(sys.argv[1])])
    window.set_wm_name("hung")
    window.map()
    display.sync()
    sys.stdin.read()
    """
)
"""Waits for something else, and does not notice when its connection is gone."""


def test_the_process_of_a_client_that_hangs_is_ended(desktop: X11Desktop) -> None:
    # A shell becomes it, so that it knows its number.
    process = desktop.start("sh", "-c", 'exec "$0" -c "$1" $$', sys.executable, HUNG)
    close_twice(desktop, desktop.window("hung"))
    assert process.wait(PATIENCE) == -signal.SIGKILL


def test_no_process_is_ended_because_another_says_so(desktop: X11Desktop) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other, desktop.client() as client:
        process = desktop.start(sys.executable, "-c", HUNG, str(other.pid))
        close_twice(desktop, desktop.window("hung"))
        # Who is killed is decided before the list is written.
        desktop.wait(lambda: client.words(client.root, "_NET_CLIENT_LIST") == [], "its windows are gone")
        assert (process.poll(), other.poll()) == (None, None)
        other.kill()


def close_twice(desktop: X11Desktop, window: View) -> None:
    """Press the close button until the window is gone."""
    bar = desktop.title_bar(window)
    for _ in range(2):
        desktop.click(bar, -14, 14)
    desktop.gone("hung")
