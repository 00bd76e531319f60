"""A drawing tablet and a touch pad on a real sway, used by a client of the guest."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from crossdomain.vm.image import Image
from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.guest import running_guest
from tests.fakes.launcher import RunningLauncher
from tests.fakes.painting import solid_buffer
from tests.fakes.sway import Sway
from tests.fakes.sway_devices import Devices, running_sway_with_devices
from tests.fakes.windows import Surface
from tests.scenario.test_sway import filling_window

FIXED: Final = 256
"""One, in Wayland's 24.8 numbers."""
PEN: Final = 0x140
"""zwp_tablet_tool_v2.type."""
STYLUS: Final = 0x14B
"""The code of a pen's button."""
PRESSURE_MAX: Final = 65535


class Desk(NamedTuple):
    """A sway with devices, and the way to it from a guest."""

    sway: Sway
    devices: Devices
    launcher: RunningLauncher


@pytest.fixture(scope="module")
def desk(debian: Image) -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        running_sway_with_devices(debian, folder) as (sway, devices),
        running_guest(sway.socket_path) as launcher,
    ):
        devices.use("touchpad")
        yield Desk(sway, devices, launcher)
    shutil.rmtree(folder)


@pytest.fixture
def client(desk: Desk) -> Generator[FakeClient]:
    """A client of the guest."""
    with FakeClient(desk.launcher.socket) as made:
        yield made


def made(values: list[tuple[Value, ...]]) -> Proxy:
    """The object that the last event of its kind brought."""
    (new,) = values[-1]
    assert isinstance(new, Proxy)
    return new


def heard(client: FakeClient, proxy: Proxy, name: str, count: int = 1) -> tuple[Value, ...]:
    """What an event of an object's says, once there were so many of it."""
    client.wait(lambda: len(proxy.received(name)) >= count, what=f"{name} {count}")
    return proxy.received(name)[count - 1]


def test_a_pen_comes_draws_and_goes(desk: Desk, client: FakeClient) -> None:
    manager = client.bind("zwp_tablet_manager_v2")
    seat = manager.create("get_tablet_seat", client.bind("wl_seat"))
    with filling_window(client, desk.sway) as window:
        for _ in range(3):  # its objects get the same ids again
            desk.devices.use("tablet")
            heard(client, seat, "tablet_added")
            tablet = made(seat.received("tablet_added"))
            assert heard(client, tablet, "name") == ("Wide tablet",)
            desk.devices.use("pen 1 0.5 0.5")
            heard(client, seat, "tool_added")
            pen = made(seat.received("tool_added"))
            serial, over, on = heard(client, pen, "proximity_in")
            assert pen.received("type") == [(PEN,)]
            assert pen.received("hardware_serial") == [(0x1234, 0x5678ABCD)]
            assert (over, on) == (tablet, window.surface.proxy)
            draw_a_line(desk, client, pen)
            show_a_cursor(client, pen, integer(serial))
            desk.devices.use("pen 0 0.75 0.25")
            heard(client, pen, "proximity_out")
            desk.devices.use("remove")
            heard(client, pen, "removed")
            heard(client, tablet, "removed")
            pen.send("destroy")
            tablet.send("destroy")
            client.round_trip()
            seat.events.clear()


def draw_a_line(desk: Desk, client: FakeClient, pen: Proxy) -> None:
    """Press the pen's tip to the window, move it and press its button; what the client hears is checked."""
    width, height = desk.sway.size
    desk.devices.use("tip 1 0.5 0.5")
    heard(client, pen, "down")
    desk.devices.use("draw 0.75 0.25 0.5")
    (pressure,) = heard(client, pen, "pressure")
    assert pen.received("motion")[-1] == (width * 3 // 4 * FIXED, height // 4 * FIXED)
    assert abs(integer(pressure) - PRESSURE_MAX // 2) <= 1
    desk.devices.use(f"stylus {STYLUS} 1")
    assert heard(client, pen, "button")[1:] == (STYLUS, 1)
    desk.devices.use(f"stylus {STYLUS} 0")
    assert heard(client, pen, "button", 2)[1:] == (STYLUS, 0)
    desk.devices.use("tip 0 0.75 0.25")
    heard(client, pen, "up")


def show_a_cursor(client: FakeClient, pen: Proxy, serial: int) -> None:
    """Give the pen a cursor of the client's own."""
    cursor = Surface(client, client.bind("wl_compositor"))
    buffer = solid_buffer(client, 16, 16, "ff0000")
    pen.send("set_cursor", serial, cursor.proxy, 8, 8)
    cursor.attach(buffer)
    cursor.damage_all()
    cursor.commit()
    client.round_trip()
    cursor.destroy()
    buffer.pool.close()


def test_fingers_swipe_pinch_and_rest(desk: Desk, client: FakeClient) -> None:
    gestures = client.bind("zwp_pointer_gestures_v1")
    pointer = client.bind("wl_seat").create("get_pointer")
    swipe, pinch, hold = (
        gestures.create(f"get_{kind}_gesture", pointer) for kind in ("swipe", "pinch", "hold")
    )
    with filling_window(client, desk.sway) as window:
        desk.sway.seat.move_pointer(100, 100)
        heard(client, pointer, "enter")
        for command in ("swipe 3", "swipe-update 4.5 -2", "swipe-end 0"):
            desk.devices.use(command)
        for command in ("pinch 2", "pinch-update 1 2 1.5 -30", "pinch-end 1", "hold 4", "hold-end 0"):
            desk.devices.use(command)
        heard(client, hold, "end")
        surface = window.surface.proxy
        assert [values[2:] for values in swipe.received("begin")] == [(surface, 3)]
        assert [values[1:] for values in swipe.received("update")] == [(4.5 * FIXED, -2 * FIXED)]
        assert [values[2:] for values in swipe.received("end")] == [(0,)]
        assert [values[2:] for values in pinch.received("begin")] == [(surface, 2)]
        assert [values[1:] for values in pinch.received("update")] == [
            (1 * FIXED, 2 * FIXED, 1.5 * FIXED, -30 * FIXED)
        ]
        assert [values[2:] for values in pinch.received("end")] == [(1,)]
        assert [values[2:] for values in hold.received("begin")] == [(surface, 4)]
