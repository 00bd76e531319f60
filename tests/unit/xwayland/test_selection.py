"""Who owns the clipboard in X, where a Wayland client and an X client copy at the same time."""

import struct
from collections.abc import Generator
from typing import Final

import pytest

from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.transfer.devices import CLIPBOARD, Device
from launcher.xwayland.transfer.selection import Selection
from launcher.xwayland.transfer.transfers import Transfers
from launcher.xwayland.x11.atoms import NEEDED
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.events import SelectionOwnerNotify
from launcher.xwayland.x11.setup import Setup
from tests.unit.xwayland.test_stand_in import PointerRig

OURS, THEIRS, OFFER = 0x400001, 0x600001, 0xFF000001
SET_SELECTION_OWNER = 22
_DAY: Final = 24 * 60 * 60 * 1000
_HALF: Final = 1 << 31
"""Half of what is counted in 32 bits."""


class Owners:
    """What an X server keeps of one selection (dix/selection.c): who owns it, and since when."""

    def __init__(self) -> None:
        self.now = 1000
        """Its time, ms; clients see its lower 32 bits."""
        self.owner = 0
        self._changed = 0

    def set(self, owner: int, time: int) -> SelectionOwnerNotify | None:
        """SetSelectionOwner: what is told, None where the time is no good."""
        meant = self.now + (time - self.now + _HALF) % (2 * _HALF) - _HALF if time else self.now
        if not self._changed <= meant <= self.now:
            return None
        self.owner, self._changed = owner, meant
        return self._tell(ended=False)

    def leave(self) -> SelectionOwnerNotify:
        """The owner ends; what is told."""
        self.owner = 0
        return self._tell(ended=True)

    def _tell(self, *, ended: bool) -> SelectionOwnerNotify:
        return SelectionOwnerNotify(
            self.owner, 1, self.now % (2 * _HALF), self._changed % (2 * _HALF), ended=ended
        )


class SelectionRig(PointerRig):
    """A clipboard between a compositor and the owners in an X server."""

    def __init__(self) -> None:
        super().__init__()
        self.client = XClient(Connection(lambda _event: None), Setup(0x400000, 0x1FFFFF, 1, 1, 24, 1024, 768))
        for number, name in enumerate(NEEDED, 1000):
            self.client.atoms.add(name, number)
        registry = self.mediator.display.create("get_registry")
        manager = registry.bind(20, "wl_data_device_manager", 3)
        self.device = Device(self.mediator, manager, registry.bind(21, "wl_seat", 1), CLIPBOARD)
        self.loop = TimedLoop()
        self.selection = Selection(Transfers(self.client, self.loop), 1, OURS, self.seats)
        self.selection.set_device(self.device)
        self.owners = Owners()
        self._offers = OFFER

    def close(self) -> None:
        super().close()
        self.loop.close()

    def copy_in_x(self, time: int) -> SelectionOwnerNotify:
        """An X client copies something, for what its user did then; what is to be told of it."""
        told = self.owners.set(THEIRS, time)
        assert told is not None
        return told

    def tell(self, told: SelectionOwnerNotify) -> None:
        """The X server's word of it arrives."""
        self.client.saw_time(told.time)
        self.selection.handle_owner(told)

    def offer(self) -> None:
        """The compositor says that a Wayland client has the clipboard; its ids are used in turns."""
        device = self.device.proxy.entry.host_id
        self.event("wl_data_device", device, "data_offer", self._offers)
        self.event("wl_data_offer", self._offers, "offer", "text/plain")
        self.event("wl_data_device", device, "selection", self._offers)
        self._offers ^= 2
        self._serve_x()

    def _serve_x(self) -> None:
        """The X server does what it was asked; it is heard of at once."""
        outgoing = self.client.connection.outgoing
        while outgoing:
            size = 4 * struct.unpack_from("<H", outgoing, 2)[0]
            request = bytes(outgoing[:size])
            del outgoing[:size]
            if request[0] == SET_SELECTION_OWNER:
                owner, _, time = struct.unpack_from("<III", request, 4)
                told = self.owners.set(owner, time)
                if told is not None:
                    self.tell(told)


@pytest.fixture
def rig() -> Generator[SelectionRig]:
    made = SelectionRig()
    yield made
    made.close()


def test_what_a_wayland_client_copies_is_there_in_x(rig: SelectionRig) -> None:
    rig.offer()
    assert rig.owners.owner == OURS


@pytest.mark.parametrize("heard", [0, 1])
def test_an_x_client_that_copies_in_the_same_millisecond_keeps_it(rig: SelectionRig, heard: int) -> None:
    """Its copy is not heard of yet, and the offer may be an old one that comes with the keyboard."""
    rig.offer()
    rig.owners.now += 5
    rig.client.saw_time(rig.owners.now)
    told = rig.copy_in_x(rig.owners.now)
    rig.owners.now += heard
    rig.offer()
    assert rig.owners.owner == THEIRS
    rig.tell(told)
    rig.offer()
    assert rig.owners.owner == THEIRS


def test_an_x_client_that_copies_for_an_earlier_key_keeps_it(rig: SelectionRig) -> None:
    rig.offer()
    key = rig.owners.now = rig.owners.now + 5
    rig.owners.now += 50
    rig.client.saw_time(rig.owners.now)
    rig.copy_in_x(key)
    rig.offer()
    assert rig.owners.owner == THEIRS


@pytest.mark.parametrize("days", [0, 1, 24, 30, 60])
def test_a_wayland_client_gets_what_an_x_client_has_left_whenever_that_was(
    rig: SelectionRig, days: int
) -> None:
    rig.offer()
    rig.owners.now += 5
    rig.tell(rig.copy_in_x(rig.owners.now))
    rig.owners.now += days * _DAY
    rig.tell(rig.owners.leave())
    rig.offer()
    assert rig.owners.owner == OURS
