"""From properties to what the model knows of a window."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple, TypeVar

from launcher.xwayland.limits import MAX_ICON_WORDS, MAX_PROPERTY_WORDS, MAX_STARTUP_ID
from launcher.xwayland.model.geometry import NO_HINTS
from launcher.xwayland.model.names import BY_CLIENTS, Protocol, State, WindowType
from launcher.xwayland.model.properties import (
    MotifHints,
    WmClass,
    WmHints,
    parse_class,
    parse_extents,
    parse_icons,
    parse_modes,
    parse_motif_hints,
    parse_size_hints,
    parse_wm_hints,
    parse_words,
)
from launcher.xwayland.model.text import clean_title, decode_compound, decode_latin1, decode_utf8
from launcher.xwayland.model.window import Window
from launcher.xwayland.x11.atoms import Atoms
from launcher.xwayland.x11.events import Property

FRAME_PROPERTIES: Final = ("_MOTIF_WM_HINTS", "_GTK_FRAME_EXTENTS", "WM_TRANSIENT_FOR", "_NET_WM_WINDOW_TYPE")
"""What decides about a window's frame."""

_OPAQUE: Final = 0xFFFFFFFF
_Named = TypeVar("_Named", bound=Enum)

Setter = Callable[[Window, Property, Atoms], None]


class _Reading(NamedTuple):
    """How a property is read: into what, its format (0: any), and how many words of it at most."""

    set: Setter
    format: int
    words: int = MAX_PROPERTY_WORDS


def words_of(name: str) -> int:
    """Returns how many 32-bit words of a property are asked for; 0: it does not matter."""
    reading = _READINGS.get(name)
    return 0 if reading is None else reading.words


def names() -> tuple[str, ...]:
    """Returns the properties that matter, in the order in which they should be read."""
    return tuple(_READINGS)


def apply(window: Window, name: str, found: Property, atoms: Atoms) -> None:
    """Takes in a property; one of a wrong format, or none (format 0), resets what it says."""
    reading = _READINGS[name]
    if reading.format and found.format != reading.format:
        found = Property(0, 0, b"", 0)
    reading.set(window, found, atoms)


def decode_text(found: Property, atoms: Atoms) -> str:
    """Returns the text of a property whose type says how it is encoded."""
    match atoms.name(found.type):
        case "UTF8_STRING":
            return decode_utf8(found.value)
        case "COMPOUND_TEXT":
            return decode_compound(found.value)
        case _:
            return decode_latin1(found.value)


def _set_name(window: Window, found: Property, atoms: Atoms) -> None:
    window.name = clean_title(decode_text(found, atoms)) if found.format == 8 else ""


def _set_net_name(window: Window, found: Property, _atoms: Atoms) -> None:
    window.net_name = clean_title(decode_utf8(found.value))


def _set_class(window: Window, found: Property, _atoms: Atoms) -> None:
    window.wm_class = parse_class(found.value) if found.format else WmClass("", "")


def _set_size_hints(window: Window, found: Property, _atoms: Atoms) -> None:
    window.hints = parse_size_hints(found.value) if found.format else NO_HINTS


def _set_wm_hints(window: Window, found: Property, _atoms: Atoms) -> None:
    window.wm_hints = parse_wm_hints(found.value) if found.format else WmHints()


def _set_motif(window: Window, found: Property, _atoms: Atoms) -> None:
    window.motif = parse_motif_hints(found.value) if found.format else MotifHints()


def _set_transient(window: Window, found: Property, _atoms: Atoms) -> None:
    window.transient_for = _first(found)


def _set_leader(window: Window, found: Property, _atoms: Atoms) -> None:
    window.leader = _first(found)


def _set_protocols(window: Window, found: Property, atoms: Atoms) -> None:
    window.protocols = frozenset(_named(found, atoms, _PROTOCOLS))


def _set_types(window: Window, found: Property, atoms: Atoms) -> None:
    window.types = tuple(_named(found, atoms, _TYPES))


def _set_states(window: Window, found: Property, atoms: Atoms) -> None:
    # Once the window is mapped the property is ours to write.
    if not window.is_ready and not window.mapped:
        window.states = {*_named(found, atoms, _STATES)} & BY_CLIENTS


def _set_gtk_extents(window: Window, found: Property, _atoms: Atoms) -> None:
    window.gtk_extents = parse_extents(found.value) if found.format else None


def _set_modes(window: Window, found: Property, _atoms: Atoms) -> None:
    window.modes = parse_modes(found.value)


def _set_icons(window: Window, found: Property, _atoms: Atoms) -> None:
    window.icons = tuple(parse_icons(found.value))


def _set_pid(window: Window, found: Property, _atoms: Atoms) -> None:
    window.pid = _first(found)


def _set_startup_id(window: Window, found: Property, _atoms: Atoms) -> None:
    window.startup_id = decode_utf8(found.value).split("\0", 1)[0][:MAX_STARTUP_ID]


def _set_counter(window: Window, found: Property, _atoms: Atoms) -> None:
    window.sync_counter = _first(found)


def _set_opacity(window: Window, found: Property, _atoms: Atoms) -> None:
    window.opacity = _first(found) / _OPAQUE if found.format else 1.0


_READINGS: Final[Mapping[str, _Reading]] = {
    "WM_CLASS": _Reading(_set_class, 8),
    "WM_NAME": _Reading(_set_name, 8),
    "_NET_WM_NAME": _Reading(_set_net_name, 8),
    "WM_NORMAL_HINTS": _Reading(_set_size_hints, 32),
    "WM_HINTS": _Reading(_set_wm_hints, 32),
    "WM_TRANSIENT_FOR": _Reading(_set_transient, 32),
    "WM_PROTOCOLS": _Reading(_set_protocols, 32),
    "WM_CLIENT_LEADER": _Reading(_set_leader, 32),
    "_NET_WM_WINDOW_TYPE": _Reading(_set_types, 32),
    "_NET_WM_STATE": _Reading(_set_states, 32),
    "_MOTIF_WM_HINTS": _Reading(_set_motif, 32),
    "_GTK_FRAME_EXTENTS": _Reading(_set_gtk_extents, 32),
    "_NET_WM_PID": _Reading(_set_pid, 32),
    "_NET_STARTUP_ID": _Reading(_set_startup_id, 8),
    "_NET_WM_SYNC_REQUEST_COUNTER": _Reading(_set_counter, 32),
    "_NET_WM_WINDOW_OPACITY": _Reading(_set_opacity, 32),
    "_XWAYLAND_RANDR_EMU_MONITOR_RECTS": _Reading(_set_modes, 32),
    "_NET_WM_ICON": _Reading(_set_icons, 32, MAX_ICON_WORDS),
}


def _first(found: Property) -> int:
    words = parse_words(found.value)
    return words[0] if words else 0


def _named(found: Property, atoms: Atoms, known: Mapping[str, _Named]) -> list[_Named]:
    """Returns the members of an enumeration whose atoms are in a list."""
    found_names = (atoms.name(number) for number in parse_words(found.value))
    return [known[name] for name in found_names if name is not None and name in known]


_PROTOCOLS: Final = {protocol.value: protocol for protocol in Protocol}
_STATES: Final = {state.value: state for state in State}
_TYPES: Final = {type_.value: type_ for type_ in WindowType}
