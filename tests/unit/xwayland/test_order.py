"""What a pointer, a finger, a pen or a key does waits until X knows its window."""

from collections import deque
from collections.abc import Generator

import pytest

from launcher.xwayland.order import Order
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.setup import Setup
from tests.unit.xwayland.test_connection import reply
from tests.unit.xwayland.test_mediator import encode
from tests.unit.xwayland.test_stand_in import BUTTON, PointerRig, names

FIRST = 14


class OrderRig(PointerRig):
    """One in which the compositor's events are kept by whoever reads them, until they are handled."""

    def __init__(self) -> None:
        super().__init__()
        self.stand_in.end()
        self.client = XClient(Connection(lambda _event: None), Setup(0x400000, 0x1FFFFF, 1, 1, 24, 1024, 768))
        self.loop = TimedLoop()
        self.order = Order(self.client, self.mediator, self.loop)
        self.unread = b""
        self.mediator.went_on = self.read

    def close(self) -> None:
        super().close()
        self.order.close()
        self.loop.close()

    def read(self, *events: tuple[str, tuple[int, ...]]) -> None:
        """The compositor's pointer does something."""
        for name, values in events:
            self.unread += encode("wl_pointer", self.pointer_id, name, values, "events")
        self.unread = self.unread[self.mediator.handle_events(self.unread, deque()) :]

    def click(self, serial: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """To come to the surface and click at once."""
        return (
            ("enter", (serial, self.surface.entry.host_id, 0x100, 0x200)),
            ("button", (serial, 1003, BUTTON, 1)),
        )


@pytest.fixture
def rig() -> Generator[OrderRig]:
    made = OrderRig()
    yield made
    made.close()


def test_what_is_behind_a_held_event_comes_with_it_in_order(rig: OrderRig) -> None:
    rig.user.is_late = True
    rig.read(*rig.click(FIRST))
    assert (rig.pointed(), rig.mediator.is_holding) == ([], True)
    rig.user.is_late = False
    rig.mediator.go_on()
    assert names(rig.pointed()) == ["enter", "motion", "button"]
    assert rig.unread == b""


def test_a_key_waits_until_x_knows_whose_the_keyboard_is(rig: OrderRig) -> None:
    rig.request("wl_seat", 9, "get_keyboard", 12)
    keyboard = rig.mediator.find_client(12)
    assert keyboard is not None
    rig.told()
    rig.user.is_late = True
    key = encode("wl_keyboard", keyboard.host_id, "key", (FIRST, 1003, 30, 1), "events")
    assert rig.mediator.handle_events(key, deque()) == 0
    assert (rig.told(), rig.mediator.is_holding) == ([], True)
    rig.user.is_late = False
    assert rig.mediator.handle_events(key, deque()) == len(key)
    assert [(object_id, opcode) for object_id, opcode, _ in rig.told()] == [(12, 3)]


def test_nothing_waits_where_x_is_as_the_screen_is(rig: OrderRig) -> None:
    rig.read(*rig.click(FIRST))
    assert names(rig.pointed()) == ["enter", "motion", "button"]


def test_an_event_waits_for_the_x_server_alone(rig: OrderRig) -> None:
    assert rig.order.hold()
    rig.mediator.is_holding = True
    assert len(rig.client.connection.outgoing) == 4
    rig.client.connection.receive(reply(1))
    assert not rig.mediator.is_holding


def test_an_event_waits_for_what_an_x_client_is_to_do(rig: OrderRig) -> None:
    due = [True]
    assert rig.order.hold(lambda: bool(due))
    rig.mediator.is_holding = True
    due.clear()
    rig.order.look()
    assert rig.mediator.is_holding, "the X server has not answered"
    due.append(True)
    rig.client.connection.receive(reply(1))
    assert rig.mediator.is_holding
    due.clear()
    rig.order.look()
    assert not rig.mediator.is_holding


def test_an_x_client_that_does_not_do_it_is_not_waited_for_long(rig: OrderRig) -> None:
    assert rig.order.hold(lambda: True)
    rig.mediator.is_holding = True
    rig.client.connection.receive(reply(1))
    rig.mediator.went_on = rig.loop.stop
    rig.loop.run()
    assert not rig.mediator.is_holding


def test_an_x_server_that_somebody_has_for_himself_keeps_nobody_waiting_twice(rig: OrderRig) -> None:
    rig.user.is_late = True
    rig.read(*rig.click(FIRST))
    assert rig.order.hold()
    rig.mediator.went_on = rig.loop.stop
    rig.loop.run()
    assert not rig.mediator.is_holding
    assert not rig.order.hold()
    rig.client.connection.receive(reply(1))
    assert rig.order.hold()
