"""What tells that a client has drawn its new size, and what does not."""

from collections.abc import Generator
from struct import pack

import pytest

from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.x11.atoms import NEEDED
from launcher.xwayland.x11.client import Extensions, XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.events import AlarmNotify, Extension, ExtensionEvents, parse_event
from launcher.xwayland.x11.resizing import Resizing
from launcher.xwayland.x11.setup import Setup

WINDOW, COUNTER = 0x400001, 0x400002
ALARM_EVENT = 91
INACTIVE, DESTROYED = 1, 2
"""Sync's alarm states."""


class Rig:
    """One window whose client tells, and what has been heard of it."""

    def __init__(self) -> None:
        self.loop = TimedLoop()
        client = XClient(Connection(lambda _event: None), Setup(0x200000, 0x1FFFFF, 1, 1, 24, 1024, 768))
        client.extensions = Extensions(*[Extension(140, ALARM_EVENT - 1)] * len(Extensions._fields))
        for number, name in enumerate(NEEDED, 1000):
            client.atoms.add(name, number)
        self.resizing = Resizing(client, self.loop)
        self.drawn = 0
        self.resizing.drawn = self._note

    def _note(self, window: int) -> None:
        assert window == WINDOW
        self.drawn += 1

    def begin(self) -> bool:
        """The window gets another size."""
        return self.resizing.begin(WINDOW, COUNTER)

    def tell(self, counter: int, awaited: int, state: int) -> None:
        """The X server tells of the alarm: where the counter is, and where it was to come."""
        alarm = 0x200001
        data = pack("<BBHIiIiIIBxxx", ALARM_EVENT, 0, 0, alarm, 0, counter, 0, awaited, 0, state)
        event = parse_event(data, ExtensionEvents(sync=ALARM_EVENT - 1))
        assert isinstance(event, AlarmNotify)
        self.resizing.handle_alarm(event)


@pytest.fixture
def rig() -> Generator[Rig]:
    made = Rig()
    yield made
    made.resizing.forget(WINDOW)
    made.loop.close()


def test_the_end_of_the_last_alarm_does_not_say_that_a_size_is_drawn(rig: Rig) -> None:
    assert rig.begin()
    rig.tell(1, 1, INACTIVE)
    assert rig.drawn == 1
    assert rig.begin()
    rig.tell(1, 1, DESTROYED)
    assert rig.drawn == 1
    rig.tell(2, 2, INACTIVE)
    assert rig.drawn == 2
