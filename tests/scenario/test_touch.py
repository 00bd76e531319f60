"""Fingers on a touch screen, from a real Weston 14 to a client of the guest."""

from pathlib import Path

from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.seat import Touch
from tests.fakes.client import FakeClient, integer
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import running_launcher
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Window

CAPABILITY_TOUCH = 4
FIXED_ONE = 256


def test_two_fingers_reach_a_window_of_the_guest(debian: Image, runtime_dir: Path) -> None:
    with (
        HeadlessWeston(debian, width=640, height=480) as weston,
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
        FakeClient(launcher.socket) as client,
    ):
        seat = client.bind("wl_seat")
        window = Window(client, title="touched", fullscreen=True)
        buffer = solid_buffer(client, 640, 480, "808080")
        window.show(buffer)
        weston.seat.touch(9, Touch.DOWN, 1, 1)
        weston.seat.touch(9, Touch.UP)
        client.wait(
            lambda: bool(integer(seat.received("capabilities")[-1][0]) & CAPABILITY_TOUCH),
            what="a touch screen",
        )
        touch = seat.create("get_touch")
        client.round_trip()
        weston.seat.touch(0, Touch.DOWN, 100, 50)
        weston.seat.touch(1, Touch.DOWN, 200, 60)
        weston.seat.touch(1, Touch.MOTION, 210, 70)
        weston.seat.touch(0, Touch.UP)
        weston.seat.touch(1, Touch.UP)
        client.wait(lambda: len(touch.received("up")) == 2, what="both fingers")
        assert [values[2:] for values in touch.received("down")] == [
            (window.surface.proxy, 0, 100 * FIXED_ONE, 50 * FIXED_ONE),
            (window.surface.proxy, 1, 200 * FIXED_ONE, 60 * FIXED_ONE),
        ]
        assert [values[1:] for values in touch.received("motion")] == [(1, 210 * FIXED_ONE, 70 * FIXED_ONE)]
        assert [values[2] for values in touch.received("up")] == [0, 1]
        buffer.pool.close()
