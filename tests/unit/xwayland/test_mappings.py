"""Clients that map windows which are mapped already: the RECORD extension tells of them."""

import socket
import struct
from collections.abc import Generator
from typing import Any, cast

import pytest
from Xlib.ext import record as xrecord

from launcher.xwayland.mappings import Mappings
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.x11 import record
from tests.unit.xwayland.test_connection import reply

OWN, OTHER = 0x200000, 0x400000
WINDOW = 0x400007
MAJOR = 146


def told(*windows: int, base: int = OTHER, order: str = "<") -> bytes:
    """What the server tells of one client's requests."""
    requests = b"".join(struct.pack(f"{order}BxHI", 8, 2, window) for window in windows)
    header = struct.pack("<BBHIBBxxIII8x", 1, 1, 3, len(requests) // 4, 0, order == ">", base, 99, 1)
    return header + requests


def encode(kind: object, **fields: object) -> bytes:
    """A request as python-xlib writes it."""
    definition = cast(Any, kind)._request
    return bytes(definition.to_binary(opcode=MAJOR, context=7, **fields))


def test_requests_are_what_python_xlib_makes_of_them() -> None:
    pairs = dict.fromkeys(("core_replies", "delivered_events", "device_events", "errors"), (0, 0))
    quadruples = dict.fromkeys(("ext_requests", "ext_replies"), (0, 0, 0, 0))
    ends = {"client_started": False, "client_died": False}
    ranges = [{"core_requests": (8, 8), **pairs, **quadruples, **ends}]
    created = encode(xrecord.CreateContext, element_header=0, clients=[xrecord.AllClients], ranges=ranges)
    assert record.create_context(MAJOR, 7) == created
    assert record.enable_context(MAJOR, 7) == encode(xrecord.EnableContext)


@pytest.mark.parametrize("order", ["<", ">"])
def test_clients_of_either_byte_order_are_understood(order: str) -> None:
    assert record.parse_mapped(told(1, WINDOW, order=order), OWN) == [1, WINDOW]


def test_our_own_windows_are_nobodys_wish() -> None:
    assert record.parse_mapped(told(WINDOW, base=OWN), OWN) == []


def test_what_is_no_request_says_nothing() -> None:
    assert record.parse_mapped(struct.pack("<BBHI24x", 1, 4, 3, 0), OWN) == []
    assert record.parse_mapped(told(WINDOW)[:-1], OWN) == []


class ServerRig:
    """An X server's socket, and who listens."""

    def __init__(self) -> None:
        self.loop = TimedLoop()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("")
        self.listener.listen()
        self.mappings = Mappings(self.loop, self.listener.fileno(), b"cookie")
        self.mappings.own = OWN
        self.mapped: list[int] = []
        self.mappings.mapped = self.mapped.append
        self.done: list[str] = []

    def do(self, what: str) -> None:
        """Something that may wait."""
        self.mappings.when_heard(lambda: self.done.append(what))

    def accept(self) -> socket.socket:
        """The server's end."""
        server, _ = self.listener.accept()
        server.settimeout(30)
        return server

    def begin(self, server: socket.socket) -> None:
        """The server takes the client, and tells what it can."""
        screen = struct.pack("<IIIIIHHHHHHIBBBB", 1, 2, 0, 0, 0, 800, 600, 1, 1, 1, 1, 3, 0, 0, 24, 0)
        rest = struct.pack("<IIIIHHBBBBBBBBI", 0, 0x600000, 0x1FFFFF, 0, 0, 65535, 1, 0, *[0] * 6, 0) + screen
        server.recv(4096)
        server.send(struct.pack("<BBHHH", 1, 0, 11, 0, len(rest) // 4) + rest)
        self.loop.poll()
        server.recv(4096)

    def close(self) -> None:
        """Gives all up."""
        self.mappings.close()
        self.listener.close()
        self.loop.close()


@pytest.fixture
def rig() -> Generator[ServerRig]:
    made = ServerRig()
    yield made
    made.close()


def test_what_may_be_answered_by_a_mapping_waits_until_that_is_heard(rig: ServerRig) -> None:
    rig.do("before")
    rig.mappings.listen(wanted=True)
    rig.do("tell it")
    with rig.accept() as server:
        rig.begin(server)
        server.send(struct.pack("<BBHIBBB21x", 1, 0, 1, 0, 1, MAJOR, 0))
        rig.loop.poll()
        server.recv(4096)
        assert rig.done == ["before"]
        server.send(struct.pack("<BBHI24x", 1, 4, 3, 0))
        rig.loop.poll()
        assert rig.done == ["before", "tell it"]
        for _ in range(2):
            server.send(told(WINDOW))
            rig.loop.poll()
        assert rig.mapped == [WINDOW, WINDOW]
        rig.mappings.listen(wanted=False)
        assert server.recv(1) == b""


def test_a_server_without_the_extension_keeps_nobody_waiting(rig: ServerRig) -> None:
    rig.mappings.listen(wanted=True)
    rig.do("tell it")
    with rig.accept() as server:
        rig.begin(server)
        server.send(reply(1))
        rig.loop.poll()
        assert server.recv(1) == b""
    assert rig.done == ["tell it"]


def test_a_server_that_takes_nobody_keeps_nobody_waiting(rig: ServerRig) -> None:
    rig.mappings.listen(wanted=True)
    rig.do("tell it")
    rig.accept().close()
    rig.loop.poll()
    assert rig.done == ["tell it"]
