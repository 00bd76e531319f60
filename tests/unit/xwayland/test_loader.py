"""Properties that are read while they change: what the window's record says in the end is what X does."""

from collections import deque
from struct import pack, unpack_from

import pytest

from launcher.xwayland.association import Association
from launcher.xwayland.model.frame import FrameMetrics
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.window import Window
from launcher.xwayland.x11.atoms import NEEDED
from launcher.xwayland.x11.client import Extensions, XClient
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.dispatch import Dispatch
from launcher.xwayland.x11.events import PROPERTY_NOTIFY, Extension, ExtensionEvents
from launcher.xwayland.x11.server_time import ServerTime
from launcher.xwayland.x11.setup import Setup
from tests.fakes.x11_ports import FakeShell, FakeX

ROOT, OURS, WINDOW = 0x100, 0x200000, 0x400001
UNMAP_WINDOW, GET_PROPERTY = 10, 20


class Server:
    """An X server with one window, which carries requests out when it is told to."""

    def __init__(self) -> None:
        self.connection = Connection(self._handle_event)
        client = XClient(self.connection, Setup(OURS, 0x1FFFFF, ROOT, 0x21, 24, 1024, 768))
        client.extensions = Extensions(*[Extension(0, 0)] * len(Extensions._fields))
        client.events = ExtensionEvents()
        for number, name in enumerate(NEEDED, 1000):
            client.atoms.add(name, number)
        self.atoms = client.atoms
        self.manager = Manager(FakeX(), FakeShell(), FrameMetrics(title_height=28, border=1))
        association = Association(self.manager.set_surface)
        self._dispatch = Dispatch(client, self.manager, association, ServerTime(client, OURS))
        self._values: dict[int, tuple[str, int, bytes]] = {}
        """Of properties, by their atoms: type, format and data."""
        self._requests: deque[bytes] = deque()
        self._sequence = 0
        self.reads = 0
        self.unmapped = 0

    def _handle_event(self, data: bytes) -> None:
        self._dispatch.handle(data)

    def create(self) -> None:
        """A client makes a menu."""
        self.connection.receive(pack("<BxHIIhhHHHB9x", 16, 0, ROOT, WINDOW, 0, 0, 100, 100, 0, 1))

    def ask_frame(self) -> None:
        """It wants to know of its frame beforehand."""
        atom = self.atoms["_NET_REQUEST_FRAME_EXTENTS"]
        self.connection.receive(pack("<BBHII20x", 33, 32, self._sequence & 0xFFFF, WINDOW, atom))

    def show(self) -> Window:
        """It has it shown."""
        self.connection.receive(pack("<BxHIIB19x", 19, 0, ROOT, WINDOW, 1))
        return self.manager.windows[WINDOW]

    def map(self) -> Window:
        """It does both."""
        self.create()
        return self.show()

    def create_framed(self) -> FakeX:
        """A client makes a window that is the window manager's to map; returns what that asks of X."""
        self.connection.receive(pack("<BxHIIhhHHHB9x", 16, 0, ROOT, WINDOW, 0, 0, 100, 100, 0, 0))
        assert isinstance(self.manager.x, FakeX)
        return self.manager.x

    def ask_to_show(self) -> None:
        """It wants that window mapped."""
        self.connection.receive(pack("<BxHII20x", 20, 0, ROOT, WINDOW))

    def withdraw(self) -> None:
        """It says that it does not any more (ICCCM 4.1.4): X tells of no window that is not mapped."""
        self.connection.receive(pack("<BxHII20x", 18 | 0x80, 0, ROOT, WINDOW))

    def set_title(self, text: bytes) -> None:
        """The client names it."""
        self.set_property("_NET_WM_NAME", "UTF8_STRING", 8, text)

    def set_property(self, name: str, type_: str, format_: int, value: bytes) -> None:
        """The client writes a property."""
        atom = self.atoms[name]
        self._values[atom] = (type_, format_, value)
        self.send(pack("<BxHIIIB15x", PROPERTY_NOTIFY, self.sequence, WINDOW, atom, 1, 0))

    def send(self, event: bytes) -> None:
        """The server sends an event."""
        self.connection.receive(event)

    @property
    def sequence(self) -> int:
        """The number of the last request that was carried out, as events tell it."""
        return self._sequence & 0xFFFF

    def carry_out(self, most: int = 1000) -> None:
        """Answers requests in their order, that many at most."""
        for _ in range(most):
            self._take_requests()
            if not self._requests:
                return
            self._sequence += 1
            request = self._requests.popleft()
            if request[0] == GET_PROPERTY:
                self._answer(*unpack_from("<II", request, 4))
            self.unmapped += request[0] == UNMAP_WINDOW

    def _take_requests(self) -> None:
        outgoing = self.connection.outgoing
        while outgoing:
            size = 4 * int.from_bytes(outgoing[2:4], "little")
            self._requests.append(bytes(outgoing[:size]))
            del outgoing[:size]

    def _answer(self, _window: int, atom: int) -> None:
        self.reads += 1
        type_, format_, value = self._values.get(atom, ("", 0, b""))
        padded = value + bytes(-len(value) % 4)
        units = len(value) // (format_ // 8) if format_ else 0
        header = pack(
            "<BBHIIII12x",
            1,
            format_,
            self.sequence,
            len(padded) // 4,
            self.atoms[type_] if type_ else 0,
            0,
            units,
        )
        self.connection.receive(header + padded)


@pytest.fixture
def server() -> Server:
    """With nothing on its screen."""
    return Server()


def test_a_window_that_is_shown_has_been_read(server: Server) -> None:
    window = server.map()
    server.set_title(b"first")
    server.carry_out()
    assert (window.is_ready, window.title) == (True, "first")


@pytest.mark.parametrize("answered", range(40))
def test_a_title_that_changes_while_a_window_is_read_is_not_missed(server: Server, answered: int) -> None:
    server.create()
    server.set_title(b"first")
    window = server.show()
    server.carry_out(answered)
    server.set_title(b"second")
    server.carry_out()
    assert (window.is_ready, window.title) == (True, "second")


@pytest.mark.parametrize("answered", range(40))
def test_nor_where_its_frame_is_asked_for_meanwhile(server: Server, answered: int) -> None:
    server.create()
    server.set_title(b"first")
    server.ask_frame()
    window = server.show()
    server.carry_out(answered)
    server.set_title(b"second")
    server.carry_out()
    assert (window.is_ready, window.title) == (True, "second")


def test_nobody_reads_what_changes_before_a_window_is_shown(server: Server) -> None:
    server.create()
    server.set_title(b"first")
    server.carry_out()
    assert server.reads == 0


def test_a_window_that_ends_while_it_is_read_is_read_no_more(server: Server) -> None:
    server.map()
    server.carry_out(3)
    server.connection.receive(pack("<BxHII20x", 17, 0, ROOT, WINDOW))
    server.set_title(b"late")
    server.carry_out()
    asked = server.reads
    server.set_title(b"later")
    server.carry_out()
    assert server.reads == asked


def test_a_window_that_is_withdrawn_while_it_is_read_stays_away(server: Server) -> None:
    x = server.create_framed()
    server.ask_to_show()
    server.carry_out(3)
    server.withdraw()
    server.carry_out()
    assert ("map", WINDOW) not in x.asked
    server.ask_to_show()
    server.carry_out()
    assert x.asked.count(("map", WINDOW)) == 1


def test_a_window_that_is_withdrawn_while_it_is_mapped_is_unmapped(server: Server) -> None:
    x = server.create_framed()
    server.ask_to_show()
    server.carry_out()
    assert ("map", WINDOW) in x.asked
    server.withdraw()
    server.carry_out()
    assert server.unmapped == 1


def test_a_window_that_is_withdrawn_and_wanted_again_while_it_is_read_is_mapped_once(server: Server) -> None:
    x = server.create_framed()
    server.ask_to_show()
    server.carry_out(3)
    server.withdraw()
    server.ask_to_show()
    server.carry_out()
    assert x.asked.count(("map", WINDOW)) == 1
