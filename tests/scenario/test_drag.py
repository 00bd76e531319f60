"""Drag and drop between windows of the guest and of the host, on a real sway."""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.seat import BUTTON_LEFT
from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.painting import solid_buffer
from tests.fakes.selections import Offered, receive
from tests.fakes.sway import Sway
from tests.fakes.windows import Buffer, Surface, Window

CONTENTS: Final = {"text/uri-list": b"file:///tmp/x\r\n", "application/octet-stream": os.urandom(3 << 20)}
COPY: Final = 1
"""wl_data_device_manager.dnd_action."""


class Dragging:
    """A client with a window, a pointer and a data device."""

    def __init__(self, client: FakeClient, title: str) -> None:
        self.client = client
        self.manager = client.bind("wl_data_device_manager")
        seat = client.bind("wl_seat")
        self.device = self.manager.create("get_data_device", seat)
        self.pointer = seat.create("get_pointer")
        self.window = Window(client, title=title)
        self._buffers: list[Buffer] = []

    def show(self, sway: Sway) -> None:
        """Fill the half of the screen that a tiled window has beside another."""
        half = (sway.size[0] // 2, sway.size[1])
        self.client.wait(lambda: self.window.size == half, what="half of the screen")
        self.window.show(self.buffer(*half))

    def buffer(self, width: int, height: int) -> Buffer:
        """Something to show, until `close`."""
        made = solid_buffer(self.client, width, height, "806040")
        self._buffers.append(made)
        return made

    def start(self, serial: int, *, with_icon: bool) -> Offered:
        """Begin to drag what there is, with or without a surface that goes with the pointer."""
        source = self.manager.create("create_data_source")
        offered = Offered(source, CONTENTS)
        source.send("set_actions", COPY)
        icon = Surface(self.client, self.window.compositor) if with_icon else None
        proxy = None if icon is None else icon.proxy
        self.device.send("start_drag", source, self.window.surface.proxy, proxy, serial)
        if icon is not None:
            icon.attach(self.buffer(24, 24))
            icon.commit()
        self.client.round_trip()
        return offered

    def wait_entered(self) -> Proxy:
        """What is dragged over the window."""
        self.client.wait(lambda: bool(self.device.received("enter")), what="a drag")
        serial, _, _, _, offer = self.device.received("enter")[-1]
        assert isinstance(offer, Proxy)
        offer.send("accept", serial, next(iter(CONTENTS)))
        offer.send("set_actions", COPY, COPY)
        self.client.round_trip()
        return offer

    def close(self) -> None:
        """Leave."""
        self.client.close()
        for buffer in self._buffers:
            buffer.pool.close()


@pytest.fixture(scope="module")
def launcher(sway: Sway) -> Generator[RunningLauncher]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        running_daemon(folder, sway.socket_path) as daemon,
        running_launcher(folder, daemon.local_socket) as running,
    ):
        yield running
    shutil.rmtree(folder)


def drag(source: Dragging, target: Dragging, sway: Sway, *, with_icon: bool) -> dict[str, bytes]:
    """Drag from one window to the other, which is right of it; what arrives."""
    for side in (source, target):
        side.show(sway)
    middle = sway.size[1] // 2
    sway.seat.move_pointer(sway.size[0] // 4, middle)
    sway.seat.button(BUTTON_LEFT, pressed=True)
    source.client.wait(lambda: bool(source.pointer.received("button")), what="a button")
    serial = integer(source.pointer.received("button")[0][0])
    offered = source.start(serial, with_icon=with_icon)
    sway.seat.move_pointer(sway.size[0] * 3 // 4, middle)
    offer = target.wait_entered()
    source.client.wait(lambda: bool(offered.source.received("action")), what="an action")
    sway.seat.button(BUTTON_LEFT, pressed=False)
    target.client.wait(lambda: bool(target.device.received("drop")), what="a drop")
    arrived = {mime_type: receive(offer, mime_type, offered) for mime_type in CONTENTS}
    offer.send("finish")
    target.client.round_trip()
    source.client.wait(lambda: bool(offered.source.received("dnd_finished")), what="the end of the drag")
    return arrived


@pytest.fixture
def sockets(launcher: RunningLauncher, sway: Sway) -> dict[str, str]:
    """Where clients of either side connect."""
    return {"guest": launcher.socket, "host": str(sway.socket_path)}


@pytest.mark.parametrize("with_icon", [False, True], ids=["no icon", "icon"])
@pytest.mark.parametrize(("origin", "goal"), [("guest", "host"), ("host", "guest"), ("guest", "guest")])
def test_what_is_dragged_arrives(
    origin: str, goal: str, with_icon: bool, sockets: dict[str, str], sway: Sway
) -> None:
    source = Dragging(FakeClient(sockets[origin]), "source")
    source.window.show(source.buffer(32, 32))
    target = Dragging(FakeClient(sockets[goal]), "target")
    target.window.show(target.buffer(32, 32))
    arrived = drag(source, target, sway, with_icon=with_icon)
    source.close()
    target.close()
    assert arrived == CONTENTS
