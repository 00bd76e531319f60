"""Titles and app ids of a guest's windows say which VM they belong to.

The label is put in here, on the host, and what the guest says is cleared of all that could make it
look otherwise: control characters, and those that turn the direction of writing or stay invisible.
A window has its label from its first moment, whether the guest ever names it or not.
"""

import unicodedata
from functools import partial
from typing import Final, NamedTuple

from crossdomain.context.edits import REQUEST, Edit, Handlers, Passing, find
from crossdomain.context.rules import UNCHANGED_APP_ID, UNCHANGED_TITLE, Guest
from crossdomain.limits import MAX_TEXT
from crossdomain.wire.codec import decode_arguments, encode_message, integer, text

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


class _Window(NamedTuple):
    """A request that makes a window, and how the window is named."""

    interface: str
    request: str
    made: str
    app_id: str


_WINDOWS: Final = (
    _Window("xdg_surface", "get_toplevel", "xdg_toplevel", "set_app_id"),
    _Window("zxdg_surface_v6", "get_toplevel", "zxdg_toplevel_v6", "set_app_id"),
    _Window("wl_shell", "get_shell_surface", "wl_shell_surface", "set_class"),
)

_JOINERS: Final = "\u200c\u200d"
"""Of category Cf, but scripts and emoji need them, and they move nothing."""

_BLANK: Final = frozenset({"Cc", "Zl", "Zp"})
_GONE: Final = "Cf"


class Labels:
    """The labels of one client's windows."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        titles = {(name, REQUEST, request): partial(self._title, name, request) for name, request in _TITLES}
        ids = {(name, REQUEST, request): partial(self._app_id, name, request) for name, request in _APP_IDS}
        windows = {
            (window.interface, REQUEST, window.request): partial(self._window, window) for window in _WINDOWS
        }
        self.handlers: Final[Handlers] = {**titles, **ids, **windows}

    def title(self, said: str) -> str:
        """The title that stands for what the guest said."""
        return fill(self._guest.rules.title, self._guest.name, "{title}", said)

    def app_id(self, said: str) -> str:
        """The app id that stands for what the guest said."""
        return fill(self._guest.rules.app_id, self._guest.name, "{app_id}", said)

    def _title(self, interface: str, request: str, passing: Passing) -> Edit | None:
        if self._guest.rules.title == UNCHANGED_TITLE:
            return None
        return _say(interface, request, passing.object_id, self.title(_said(interface, request, passing)))

    def _app_id(self, interface: str, request: str, passing: Passing) -> Edit | None:
        if self._guest.rules.app_id == UNCHANGED_APP_ID:
            return None
        return _say(interface, request, passing.object_id, self.app_id(_said(interface, request, passing)))

    def _window(self, window: _Window, passing: Passing) -> Edit | None:
        rules = self._guest.rules
        # Its new_id is the first argument everywhere.
        values = decode_arguments(find(window.interface, REQUEST, window.request), passing.data)
        named = bytes(passing.data)
        if rules.title != UNCHANGED_TITLE:
            named += _say(window.made, "set_title", integer(values[0]), self.title("")).data
        if rules.app_id != UNCHANGED_APP_ID:
            named += _say(window.made, window.app_id, integer(values[0]), self.app_id("")).data
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


def _said(interface: str, request: str, passing: Passing) -> str:
    (said,) = decode_arguments(find(interface, REQUEST, request), passing.data)
    return text(said)


def _say(interface: str, request: str, object_id: int, value: str) -> Edit:
    return Edit(encode_message(find(interface, REQUEST, request), object_id, value))
