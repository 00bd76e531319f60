"""Titles and app ids of a guest's windows say which VM they belong to.

The label is put in here, on the host, and what the guest says is cleared of all that could make it
look otherwise: control characters, and those that turn the direction of writing or stay invisible.
A window has its label from its first moment, whether the guest ever names it or not.
"""

import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

from crossdomain.context.edits import REQUEST, Edit, Messages, Passing, bound, find
from crossdomain.context.rules import UNCHANGED_APP_ID, UNCHANGED_TITLE, Guest
from crossdomain.limits import MAX_TEXT
from crossdomain.wire.codec import decode_arguments, encode_message, integer, text
from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import Message

_TITLES: Final = (
    ("xdg_toplevel", "set_title"),
    ("zxdg_toplevel_v6", "set_title"),
    ("wl_shell_surface", "set_title"),
)
_APP_IDS: Final = (
    ("xdg_toplevel", "set_app_id"),
    ("zxdg_toplevel_v6", "set_app_id"),
    ("wl_shell_surface", "set_class"),
    ("xdg_activation_token_v1", "set_app_id"),
)


_WINDOWS: Final = {
    ("xdg_surface", "get_toplevel"): ("xdg_toplevel", "set_app_id"),
    ("zxdg_surface_v6", "get_toplevel"): ("zxdg_toplevel_v6", "set_app_id"),
    ("wl_shell", "get_shell_surface"): ("wl_shell_surface", "set_class"),
}
"""Requests that make a window: its interface, and what sets its app id; set_title has one name everywhere."""


class _Window(NamedTuple):
    """How a window is made and named."""

    make: Message
    set_title: Message
    set_app_id: Message


_JOINERS: Final = "\u200c\u200d"
"""Of category Cf, but scripts and emoji need them, and they move nothing."""

_BLANK: Final = frozenset({"Cc", "Zl", "Zp"})
_GONE: Final = "Cf"


class Labels:
    """The labels of one client's windows."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def title(self, said: str) -> str:
        """The title that stands for what the guest said."""
        return fill(self._guest.rules.title, self._guest.name, "{title}", said)

    def app_id(self, said: str) -> str:
        """The app id that stands for what the guest said."""
        return fill(self._guest.rules.app_id, self._guest.name, "{app_id}", said)

    def handle_title(self, message: Message, passing: Passing) -> Edit | None:
        """A request that sets a window's title."""
        if self._guest.rules.title == UNCHANGED_TITLE:
            return None
        return Edit(encode_message(message, passing.object_id, self.title(_said(message, passing))))

    def handle_app_id(self, message: Message, passing: Passing) -> Edit | None:
        """A request that sets an app id."""
        if self._guest.rules.app_id == UNCHANGED_APP_ID:
            return None
        return Edit(encode_message(message, passing.object_id, self.app_id(_said(message, passing))))

    def handle_window(self, window: _Window, passing: Passing) -> Edit | None:
        """A request that makes a window."""
        rules = self._guest.rules
        # Its new_id is the first argument everywhere.
        new_id = integer(decode_arguments(window.make, passing.data)[0])
        named = bytes(passing.data)
        if rules.title != UNCHANGED_TITLE:
            named += encode_message(window.set_title, new_id, self.title(""))
        if rules.app_id != UNCHANGED_APP_ID:
            named += encode_message(window.set_app_id, new_id, self.app_id(""))
        return Edit(named) if len(named) > len(passing.data) else None


def fill(template: str, vm: str, place: str, said: str) -> str:
    """What a guest said, at its `place` in `template`; what is too long loses the guest's end.

    Without anything said, separators at the ends go too.
    """
    before, after = (part.replace("{vm}", vm) for part in template.split(place))
    room = MAX_TEXT - len((before + after).encode())
    cut = clear(said.encode(errors="replace")[:room].decode(errors="ignore"))
    return before + cut + after if cut else (before + after).strip(" .")


def clear(said: str) -> str:
    """Text without characters that are not seen, or that change how others are seen."""
    if said.isprintable():
        return said
    return "".join(map(_clear, said))


def _clear(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BLANK:
        return " "
    return "" if category == _GONE and character not in _JOINERS else character


def _said(message: Message, passing: Passing) -> str:
    (said,) = decode_arguments(message, passing.data)
    return text(said)


def _messages() -> Messages[Labels]:
    found: dict[tuple[str, Direction, str], Callable[[Labels, Passing], Edit | None]] = {}
    for interface, name in _TITLES:
        found[interface, REQUEST, name] = bound(Labels.handle_title, find(interface, REQUEST, name))
    for interface, name in _APP_IDS:
        found[interface, REQUEST, name] = bound(Labels.handle_app_id, find(interface, REQUEST, name))
    for (interface, name), (made, set_app_id) in _WINDOWS.items():
        make = find(interface, REQUEST, name)
        window = _Window(make, find(made, REQUEST, "set_title"), find(made, REQUEST, set_app_id))
        found[interface, REQUEST, name] = bound(Labels.handle_window, window)
    return found


HANDLERS: Final[Messages[Labels]] = _messages()
