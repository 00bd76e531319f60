"""A drag with an X server that does what it is asked: what the tests of both directions share."""

import struct

from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.transfer.devices import CLIPBOARD, Device, Offer
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.transfer.transfers import Transfers
from launcher.xwayland.x11.atoms import NEEDED
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.setup import Setup
from tests.unit.xwayland.test_connection import reply
from tests.unit.xwayland.test_stand_in import PointerRig

TEXT, OFFER = 5000, 0xFF000001
MAP, INTERN_ATOM, GET_PROPERTY, SEND_EVENT, GET_INPUT_FOCUS = 8, 16, 20, 25, 43


class DragRig(PointerRig):
    """What is dragged is text, and windows take drops where `aware` says so."""

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
        self.stage = Stage(transfers, self.mediator, self.seats, lambda _surface: None, lambda _surface: None)
        self.stage.device = self.device
        self.aware: set[int] = set()
        self.ended = 0
        self._sequence = 0
        self._atoms = 7000

    def close(self) -> None:
        super().close()
        self.loop.close()

    def end(self) -> None:
        self.ended += 1

    def offer(self) -> Offer:
        """What the compositor offers with a drag."""
        self.event("wl_data_device", self.device.proxy.entry.host_id, "data_offer", OFFER)
        self.event("wl_data_offer", OFFER, "offer", "text/plain")
        offer = self.device.take_offer(OFFER)
        assert offer is not None
        return offer

    def serve_x(self) -> list[tuple[int, bytes]]:
        """Answer what the X server was asked; all of it, by opcode."""
        outgoing = self.client.connection.outgoing
        asked: list[tuple[int, bytes]] = []
        answers: list[bytes] = []
        while outgoing:
            size = 4 * struct.unpack_from("<H", outgoing, 2)[0]
            asked.append((outgoing[0], bytes(outgoing[:size])))
            self._sequence += 1
            answers.append(self._answer(*asked[-1]))
            del outgoing[:size]
        for answer in answers:
            self.client.connection.receive(answer)
        return asked

    def _answer(self, opcode: int, request: bytes) -> bytes:
        if opcode == GET_PROPERTY:
            window, name = struct.unpack_from("<II", request, 4)
            if name == self.client.atoms["XdndAware"] and window in self.aware:
                return struct.pack("<BBHIIII12xI", 1, 32, self._sequence & 0xFFFF, 1, 4, 0, 1, 5)
        if opcode == INTERN_ATOM:
            self._atoms += 1
            return struct.pack("<BBHII20x", 1, 0, self._sequence & 0xFFFF, 0, self._atoms)
        return reply(self._sequence) if opcode in (GET_PROPERTY, GET_INPUT_FOCUS) else b""
