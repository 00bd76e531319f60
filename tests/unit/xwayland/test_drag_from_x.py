"""A drag of an X client's that the compositor cancels, as where the user presses Escape."""

import struct
from collections.abc import Generator

import pytest

from crossdomain.wire.codec import decode_arguments, decode_header, integer
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.transfer.devices import CLIPBOARD, Device
from launcher.xwayland.transfer.drag_from_x import DragFromX
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.transfer.transfers import Transfers
from launcher.xwayland.x11.atoms import NEEDED
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.setup import Setup
from tests.unit.xwayland.test_connection import reply
from tests.unit.xwayland.test_mediator import find
from tests.unit.xwayland.test_stand_in import PointerRig, names

SOURCE, TEXT, OFFER = 0x600001, 5000, 0xFF000001
MAP, GET_PROPERTY, SEND_EVENT, GET_INPUT_FOCUS = 8, 20, 25, 43


class DragRig(PointerRig):
    """One in which an X client has begun to drag, and an X server that does what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.stand_in.end()
        self.client = XClient(Connection(lambda _event: None), Setup(0x400000, 0x1FFFFF, 1, 1, 24, 1024, 768))
        for number, name in enumerate(NEEDED, 1000):
            self.client.atoms.add(name, number)
        self.client.atoms.add("text/plain", TEXT)
        registry = self.mediator.display.create("get_registry")
        manager = registry.bind(20, "wl_data_device_manager", 3)
        self.device = Device(self.mediator, manager, registry.bind(21, "wl_seat", 1), CLIPBOARD)
        self.loop = TimedLoop()
        transfers = Transfers(self.client, self.loop)
        stage = Stage(transfers, self.mediator, self.seats, lambda _surface: None, lambda _surface: None)
        stage.device = self.device
        self.ended = 0
        self.drag = DragFromX(stage, self.pressed, self.surface, self.end)
        self._sequence = 0

    def close(self) -> None:
        super().close()
        self.loop.close()

    def end(self) -> None:
        self.ended += 1

    def serve_x(self) -> list[tuple[int, bytes]]:
        """Answer what the X server was asked; all of it, by opcode."""
        outgoing = self.client.connection.outgoing
        asked: list[tuple[int, bytes]] = []
        sequences: list[int] = []
        while outgoing:
            size = 4 * struct.unpack_from("<H", outgoing, 2)[0]
            asked.append((outgoing[0], bytes(outgoing[:size])))
            self._sequence += 1
            if outgoing[0] in (GET_PROPERTY, GET_INPUT_FOCUS):
                sequences.append(self._sequence)
            del outgoing[:size]
        for sequence in sequences:
            self.client.connection.receive(reply(sequence))
        return asked

    def position(self) -> None:
        """The X client's pointer is over our window."""
        copy = self.client.atoms["XdndActionCopy"]
        self.drag.handle_message("XdndPosition", (SOURCE, 0, 0, 77, copy))

    def start(self) -> int:
        """Tell what is dragged; the wl_data_source of the drag that begins."""
        self.drag.handle_message("XdndEnter", (SOURCE, 5 << 24, TEXT, 0, 0))
        self.position()
        self.to_host.data.clear()
        self.serve_x()
        data, position = bytes(self.to_host.data), 0
        start = find("wl_data_device", "start_drag", "requests")
        while (header := decode_header(data, position)) is not None:
            if (header.object_id, header.opcode) == (self.device.proxy.entry.host_id, start.opcode):
                source, origin, _icon, serial = decode_arguments(
                    start, data[position : position + header.size]
                )
                assert (origin, serial) == (self.surface.entry.host_id, 12)
                return integer(source)
            position += header.size
        raise AssertionError("no drag")

    def enter(self) -> None:
        """The drag is over Xwayland's surface."""
        self.event("wl_data_device", self.device.proxy.entry.host_id, "data_offer", OFFER)
        self.event("wl_data_offer", OFFER, "offer", "text/plain")
        offer = self.device.take_offer(OFFER)
        assert offer is not None
        self.drag.enter(offer, 30, self.surface, 0x1000, 0x1100)
        self.serve_x()


@pytest.fixture
def rig() -> Generator[DragRig]:
    made = DragRig()
    yield made
    made.close()


def test_a_drag_that_is_cancelled_over_an_x_window_is_no_drop_there(rig: DragRig) -> None:
    source = rig.start()
    rig.enter()
    assert names(rig.pointed()) == ["motion", "frame"]
    rig.event("wl_data_source", source, "cancelled")
    # Our window is over the X client's before its pointer moves, and it says no before the button goes up.
    assert [code for code, _ in rig.serve_x() if code in (MAP, GET_INPUT_FOCUS)] == [MAP, GET_INPUT_FOCUS]
    assert names(rig.pointed()) == ["motion", "frame"]
    rig.position()
    (status, *_) = [data for code, data in rig.serve_x() if code == SEND_EVENT]
    assert struct.unpack_from("<5I", status, 12 + 12)[1] == 2
    assert names(rig.pointed()) == ["button", "frame", "leave", "frame"]
    assert rig.ended == 0
    rig.drag.handle_message("XdndLeave", (SOURCE, 0, 0, 0, 0))
    assert rig.ended == 1
