"""XDND, version 5: what its messages say, and which windows take them.

Each message is a ClientMessage of five 32-bit words.  The first names the window of the other side.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from launcher.xwayland.model.properties import parse_words
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import parse_property, parse_translation

VERSION: Final = 5
_OLDEST: Final = 3
"""Older ones tell no types, or no actions; nobody speaks them."""
_MAX_DEPTH: Final = 16
"""Windows in windows that are looked into: toolkits that nest deeper have the property further out."""
TYPES_IN_ENTER: Final = 3
COPY: Final = 1
MOVE: Final = 2
ASK: Final = 4
"""wl_data_device_manager.dnd_action; Wayland has nothing like XdndActionLink."""

_ACTIONS: Final = {"XdndActionCopy": COPY, "XdndActionMove": MOVE, "XdndActionAsk": ASK}
_NAMES: Final = {action: name for name, action in _ACTIONS.items()}


class Enter(NamedTuple):
    """XdndEnter; `types` is None where there are more: they stand in XdndTypeList then."""

    source: int
    version: int
    types: tuple[int, ...] | None


class Status(NamedTuple):
    """XdndStatus; `action` is an atom."""

    target: int
    accepted: bool
    action: int


class Target(NamedTuple):
    """A window that takes drops; its messages go to `receiver`."""

    window: int
    receiver: int
    version: int


def parse_enter(data: Sequence[int]) -> Enter:
    """Returns the words of an XdndEnter as what they say."""
    types = None if data[1] & 1 else tuple(atom for atom in data[2:5] if atom)
    return Enter(data[0], data[1] >> 24, types)


def encode_enter(source: int, version: int, types: Sequence[int]) -> tuple[int, ...]:
    """Returns the words of an XdndEnter."""
    return (source, version << 24 | (len(types) > TYPES_IN_ENTER), *types[:TYPES_IN_ENTER])


def encode_position(source: int, x: int, y: int, time: int, action: int) -> tuple[int, ...]:
    """Returns the words of an XdndPosition at a place on the root window."""
    return (source, 0, (x & 0xFFFF) << 16 | y & 0xFFFF, time, action)


def parse_status(data: Sequence[int]) -> Status:
    """Returns the words of an XdndStatus as what they say."""
    return Status(data[0], bool(data[1] & 1), data[4])


def encode_status(target: int, action: int) -> tuple[int, ...]:
    """Returns the words of an XdndStatus that wants to hear of all motion; action 0 is a refusal."""
    return (target, 3 if action else 2, 0, 0, action)


def encode_finished(target: int, action: int) -> tuple[int, ...]:
    """Returns the words of an XdndFinished; action 0 is a failure."""
    return (target, 1 if action else 0, action)


def is_success(data: Sequence[int], version: int) -> bool:
    """Whether an XdndFinished says so; before version 5 it had no way to say anything else."""
    return version < VERSION or bool(data[1] & 1)


def actions_of(names: Sequence[str | None]) -> int:
    """Returns the set of dnd_actions that atoms' names stand for."""
    found = 0
    for name in names:
        found |= _ACTIONS.get(name or "", 0)
    return found


def name_of(action: int) -> str:
    """Returns the name of the atom for a dnd_action; what we do not know is a copy."""
    return _NAMES.get(action, "XdndActionCopy")


class Finder:
    """Finds who takes drops at a place."""

    def __init__(self, client: XClient) -> None:
        self._client = client

    def find(self, window: int, x: int, y: int, found: Callable[[Target | None], None]) -> None:
        """Looks at a window and what is in it at a place on the root; `found` gets the outermost target."""
        _Search(self._client, (x, y), found).look(window, 0)


class _Search:
    def __init__(
        self, client: XClient, place: tuple[int, int], found: Callable[[Target | None], None]
    ) -> None:
        self._client = client
        self._place = place
        self._found = found

    def look(self, window: int, depth: int) -> None:
        self._ask_word(window, "XdndProxy", lambda words: self._check_proxy(window, words, depth))

    def _check_proxy(self, window: int, proxy: Sequence[int], depth: int) -> None:
        if not any(proxy):
            self._ask_version(window, window, depth)
            return
        # Only a window that names itself is a proxy: others can be the rest of one that is gone.
        self._ask_word(
            proxy[0],
            "XdndProxy",
            lambda own: self._ask_version(window, proxy[0] if own == proxy else window, depth),
        )

    def _ask_version(self, window: int, receiver: int, depth: int) -> None:
        def take(words: Sequence[int]) -> None:
            if words and words[0] >= _OLDEST:
                self._found(Target(window, receiver, min(VERSION, words[0])))
            elif depth < _MAX_DEPTH:
                self._look_inside(window, depth)
            else:
                self._found(None)

        self._ask_word(receiver, "XdndAware", take)

    def _look_inside(self, window: int, depth: int) -> None:
        def take(reply: bytes) -> None:
            child = parse_translation(reply)
            if child:
                self.look(child, depth + 1)
            else:
                self._found(None)

        request = requests.translate_coordinates(self._client.root, window, *self._place)
        self._client.ask(request, take, lambda _error: self._found(None))

    def _ask_word(self, window: int, name: str, take: Callable[[Sequence[int]], None]) -> None:
        def reply(data: bytes) -> None:
            take(parse_words(parse_property(data).value))

        def failed(_error: XError) -> None:
            take(())

        self._client.ask(requests.get_property(window, self._client.atoms[name], 1), reply, failed)
