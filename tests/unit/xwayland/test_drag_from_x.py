"""A drag of an X client's that the compositor cancels, as where the user presses Escape."""

import struct
from collections.abc import Generator

import pytest

from crossdomain.wire.codec import decode_arguments, decode_header, integer
from launcher.xwayland.transfer.drag_from_x import DragFromX
from tests.unit.xwayland.drag_rig import GET_INPUT_FOCUS, MAP, SEND_EVENT, TEXT, DragRig
from tests.unit.xwayland.test_mediator import find
from tests.unit.xwayland.test_stand_in import names

SOURCE = 0x600001


class FromXRig(DragRig):
    """One in which an X client has begun to drag."""

    def __init__(self) -> None:
        super().__init__()
        self.drag = DragFromX(self.stage, self.pressed, self.surface, self.end)

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
        self.drag.enter(self.offer(), 30, self.surface, 0x1000, 0x1100)
        self.serve_x()


@pytest.fixture
def rig() -> Generator[FromXRig]:
    made = FromXRig()
    yield made
    made.close()


def test_a_drag_that_is_cancelled_over_an_x_window_is_no_drop_there(rig: FromXRig) -> None:
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
