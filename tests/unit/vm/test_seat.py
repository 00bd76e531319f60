"""The person at the keyboard, before a compositor's module that only writes down what it is told."""

import socket
import threading
from collections.abc import Generator

import pytest

from crossdomain.errors import HostFault, LocalError
from crossdomain.vm.seat import Seat, View


class Module:
    """The module's end of the socket; answers from a thread until its peer hangs up."""

    def __init__(self, connection: socket.socket) -> None:
        self.heard: list[str] = []
        self.answers: dict[str, str] = {}
        self._connection = connection
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with self._connection:
            while command := self._connection.recv(4096).decode():
                self.heard.append(command)
                self._connection.send(self.answers.get(command, "ok").encode())


@pytest.fixture
def pair() -> Generator[tuple[Seat, Module]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    seat, module = Seat(ours), Module(theirs)
    yield seat, module
    seat.close()
    module.thread.join()


def test_text_is_typed_key_by_key_with_shift_where_it_takes_it(pair: tuple[Seat, Module]) -> None:
    seat, module = pair
    seat.type("aB!\n")
    assert module.heard == [
        "key 30 1", "key 30 0",
        "key 42 1", "key 48 1", "key 48 0", "key 42 0",
        "key 42 1", "key 2 1", "key 2 0", "key 42 0",
        "key 28 1", "key 28 0",
    ]  # fmt: skip


def test_every_printable_character_can_be_typed(pair: tuple[Seat, Module]) -> None:
    seat, module = pair
    seat.type("".join(map(chr, range(32, 127))))
    assert len([command for command in module.heard if command.endswith(" 1")]) > 95


def test_a_character_that_is_not_on_the_keyboard_is_refused(pair: tuple[Seat, Module]) -> None:
    seat, _ = pair
    with pytest.raises(LocalError, match="not on the keyboard"):
        seat.type("é")


def test_a_click_moves_presses_and_releases(pair: tuple[Seat, Module]) -> None:
    seat, module = pair
    seat.click(10, 20.5)
    assert module.heard == ["motion 10 20.5", "button 272 1", "button 272 0"]


def test_views_are_taken_apart_whatever_their_titles_are(pair: tuple[Seat, Module]) -> None:
    seat, module = pair
    module.answers["views"] = "ok\n0x1 1 -2 300 400 top-level window 'a b' of c\n0x2 0 0 9 9 \n"
    assert seat.views() == [
        View("0x1", 1, -2, 300, 400, "top-level window 'a b' of c"),
        View("0x2", 0, 0, 9, 9, ""),
    ]
    assert seat.find_view("'a b'") == seat.views()[0]
    assert seat.find_view("nothing") is None


def test_a_refusal_is_an_error(pair: tuple[Seat, Module]) -> None:
    seat, module = pair
    module.answers["button 272 0"] = "error: not pressed"
    with pytest.raises(HostFault, match="not pressed"):
        seat.button(pressed=False)


def test_a_compositor_that_is_gone_is_an_error() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    seat = Seat(ours)
    theirs.close()
    with pytest.raises(HostFault):
        seat.views()
    seat.close()
