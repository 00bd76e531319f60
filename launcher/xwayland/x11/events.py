"""X events and replies, decoded.

`parse_event` knows those that the window manager asks for; everything else is None.
"""

from struct import Struct, error, unpack_from
from typing import Final, NamedTuple, TypeAlias

from crossdomain.errors import HostFault
from launcher.xwayland.model.geometry import Rectangle, Size

_SEND_EVENT: Final = 0x80

_NOTIFY_GRAB: Final = 1
_NOTIFY_UNGRAB: Final = 2
"""FocusIn.mode."""
_NOTIFY_INFERIOR: Final = 2
_NOTIFY_POINTER: Final = 5
"""FocusIn.detail; those above are the root's only."""


class CreateNotify(NamedTuple):
    """A window was made; geometry in px, without the border."""

    parent: int
    window: int
    x: int
    y: int
    width: int
    height: int
    border_width: int
    override_redirect: bool


class DestroyNotify(NamedTuple):
    """A window is gone."""

    event: int
    window: int


class UnmapNotify(NamedTuple):
    """A window was unmapped, or asks to be withdrawn where `synthetic` (ICCCM 4.1.4)."""

    event: int
    window: int
    synthetic: bool


class MapNotify(NamedTuple):
    """A window was mapped."""

    event: int
    window: int
    override_redirect: bool


class MapRequest(NamedTuple):
    """A client wants a window mapped."""

    parent: int
    window: int


class ReparentNotify(NamedTuple):
    """A window has another parent."""

    window: int
    parent: int
    x: int
    y: int
    override_redirect: bool


class ConfigureNotify(NamedTuple):
    """A window's geometry is."""

    window: int
    x: int
    y: int
    width: int
    height: int
    border_width: int
    override_redirect: bool


class ConfigureRequest(NamedTuple):
    """A client wants another geometry; only what `mask` has is meant (bits as in ConfigureWindow)."""

    window: int
    sibling: int
    x: int
    y: int
    width: int
    height: int
    border_width: int
    mask: int
    stack_mode: int


class PropertyNotify(NamedTuple):
    """A property has changed."""

    window: int
    atom: int
    time: int
    deleted: bool


class SelectionClear(NamedTuple):
    """Somebody else owns the selection."""

    time: int
    owner: int
    selection: int


class SelectionRequest(NamedTuple):
    """Somebody wants a selection that we own."""

    time: int
    owner: int
    requestor: int
    selection: int
    target: int
    property: int


class SelectionNotify(NamedTuple):
    """A selection that we wanted; property 0 is a refusal."""

    time: int
    requestor: int
    selection: int
    target: int
    property: int


class ClientMessage(NamedTuple):
    """A message of another client; `data` has 5 words where the format is 32, and none otherwise."""

    window: int
    type: int
    data: tuple[int, ...]


class FocusChange(NamedTuple):
    """FocusIn or FocusOut."""

    window: int
    gained: bool
    mode: int
    detail: int

    @property
    def is_change(self) -> bool:
        """Whether the focus has come to the window or its inferiors, or has left all of these.

        Neither is true where the keyboard is grabbed, where the pointer decides, or an inferior gets it.
        """
        if self.mode in (_NOTIFY_GRAB, _NOTIFY_UNGRAB) or self.detail >= _NOTIFY_POINTER:
            return False
        return self.gained or self.detail != _NOTIFY_INFERIOR


class SelectionOwnerNotify(NamedTuple):
    """XFixes: a selection has another owner, 0 for none; `ended` where the last one is not there any more.

    `time` is the server's at the event, `selection_time` what the owner has named for its taking it.
    """

    owner: int
    selection: int
    time: int
    selection_time: int
    ended: bool


class ShapeNotify(NamedTuple):
    """Shape: a window's shape has changed; `kind` as in ShapeGetRectangles, `extents` px."""

    window: int
    kind: int
    extents: Size
    shaped: bool


class AlarmNotify(NamedTuple):
    """Sync: a counter has come to an alarm's value, or the alarm is gone; `value` is the counter's."""

    alarm: int
    value: int


Event: TypeAlias = (
    CreateNotify
    | DestroyNotify
    | UnmapNotify
    | MapNotify
    | MapRequest
    | ReparentNotify
    | ConfigureNotify
    | ConfigureRequest
    | PropertyNotify
    | SelectionClear
    | SelectionRequest
    | SelectionNotify
    | ClientMessage
    | FocusChange
    | SelectionOwnerNotify
    | ShapeNotify
    | AlarmNotify
)


class ExtensionEvents(NamedTuple):
    """First event codes of the extensions; 0 where one is missing."""

    xfixes: int = 0
    shape: int = 0
    sync: int = 0


_CREATE: Final = Struct("<4xIIhhHHHB")
_TWO: Final = Struct("<4xII")
_MAP: Final = Struct("<4xIIB")
_REPARENT: Final = Struct("<4xIIIhhB")
_CONFIGURE: Final = Struct("<4xIIIhhHHHB")
_CONFIGURE_REQUEST: Final = Struct("<xB2xIIIhhHHHH")
_PROPERTY: Final = Struct("<4xIIIB")
_SELECTION_CLEAR: Final = Struct("<4xIII")
_SELECTION_REQUEST: Final = Struct("<4xIIIIII")
_SELECTION_NOTIFY: Final = Struct("<4xIIIII")
_CLIENT_MESSAGE: Final = Struct("<xB2xII5I")
_FOCUS: Final = Struct("<xB2xIB")
_XFIXES_SELECTION: Final = Struct("<xB2xIIIII")
_SHAPE: Final = Struct("<xB2xIhhHHIB")
_ALARM: Final = Struct("<4xIiI")

_RECTANGLE: Final = Struct("<hhHH")
_REPLY_SIZE: Final = 32
"""Bytes of a reply before its list."""
_OPAQUE_DEPTH: Final = 24
_ALPHA_DEPTH: Final = 32

_SENT: Final = frozenset({18, 23, 31, 33})
"""Codes of what clients are to send: UnmapNotify (ICCCM 4.1.4), ConfigureRequest (4.1.5), SelectionNotify and
ClientMessage.  All others tell what the server does, and count from nobody else."""
_FOCUS_IN: Final = 9
_FOCUS_OUT: Final = 10
PROPERTY_NOTIFY: Final = 28
"""Code of the event that there may be storms of."""
_WORD_FORMAT: Final = 32
_PROPERTY_DELETED: Final = 1
_SET_SELECTION_OWNER: Final = 0
"""XFixes: the other two reasons are that the owner's window, or the owner, is gone."""


def event_code(data: bytes) -> int:
    """Returns an event's code, whoever sent it."""
    return data[0] & ~_SEND_EVENT


def parse_event(data: bytes, extensions: ExtensionEvents) -> Event | None:  # noqa: PLR0912 (a table of codes)
    """Returns the event in 32 bytes, or None where it is none that counts."""
    code = event_code(data)
    if data[0] & _SEND_EVENT and code not in _SENT:
        return None
    match code:
        case 9 | 10:
            detail, window, mode = _FOCUS.unpack_from(data)
            return FocusChange(window, code == _FOCUS_IN, mode, detail)
        case 16:
            parent, window, x, y, width, height, border, override = _CREATE.unpack_from(data)
            return CreateNotify(parent, window, x, y, width, height, border, bool(override))
        case 17:
            return DestroyNotify(*_TWO.unpack_from(data))
        case 18:
            event, window = _TWO.unpack_from(data)
            return UnmapNotify(event, window, bool(data[0] & _SEND_EVENT))
        case 19:
            event, window, override = _MAP.unpack_from(data)
            return MapNotify(event, window, bool(override))
        case 20:
            return MapRequest(*_TWO.unpack_from(data))
        case 21:
            _, window, parent, x, y, override = _REPARENT.unpack_from(data)
            return ReparentNotify(window, parent, x, y, bool(override))
        case 22:
            _, window, _, x, y, width, height, border, override = _CONFIGURE.unpack_from(data)
            return ConfigureNotify(window, x, y, width, height, border, bool(override))
        case 23:
            mode, _, window, sibling, x, y, width, height, border, mask = _CONFIGURE_REQUEST.unpack_from(data)
            return ConfigureRequest(window, sibling, x, y, width, height, border, mask, mode)
        case 28:
            window, atom, time, state = _PROPERTY.unpack_from(data)
            return PropertyNotify(window, atom, time, state == _PROPERTY_DELETED)
        case 29:
            return SelectionClear(*_SELECTION_CLEAR.unpack_from(data))
        case 30:
            return SelectionRequest(*_SELECTION_REQUEST.unpack_from(data))
        case 31:
            return SelectionNotify(*_SELECTION_NOTIFY.unpack_from(data))
        case 33:
            format_, window, type_, *words = _CLIENT_MESSAGE.unpack_from(data)
            return ClientMessage(window, type_, tuple(words) if format_ == _WORD_FORMAT else ())
        case _:
            return _parse_extension_event(code, data, extensions)


def _parse_extension_event(code: int, data: bytes, extensions: ExtensionEvents) -> Event | None:
    if extensions.xfixes and code == extensions.xfixes:
        reason, _, owner, selection, time, selection_time = _XFIXES_SELECTION.unpack_from(data)
        return SelectionOwnerNotify(owner, selection, time, selection_time, reason != _SET_SELECTION_OWNER)
    if extensions.shape and code == extensions.shape:
        kind, window, _, _, width, height, _, shaped = _SHAPE.unpack_from(data)
        return ShapeNotify(window, kind, Size(width, height), bool(shaped))
    if extensions.sync and code == extensions.sync + 1:
        alarm, high, low = _ALARM.unpack_from(data)
        return AlarmNotify(alarm, high << 32 | low)
    return None


# Replies.


class Property(NamedTuple):
    """A property, as far as it was asked for; `format` 0: there is none.

    `value` is a whole number of elements of `format` bits; `remaining` counts the bytes behind it.
    """

    type: int
    format: int
    value: bytes
    remaining: int


class Geometry(NamedTuple):
    """Of a drawable; px."""

    x: int
    y: int
    width: int
    height: int
    border_width: int


class Attributes(NamedTuple):
    """What of a window's attributes matters to us."""

    input_only: bool
    viewable: bool
    override_redirect: bool


class Extension(NamedTuple):
    """Where an extension's requests and events are; opcode 0: it is not there."""

    major_opcode: int
    first_event: int


class Picture(NamedTuple):
    """Pixels, row by row, 4 bytes each: blue, green, red and, where it has that, alpha (premultiplied)."""

    size: Size
    pixels: bytes
    has_alpha: bool


class PointerPosition(NamedTuple):
    """QueryPointer: `child` of the asked window that the pointer is in, and where it is; px."""

    child: int
    root_x: int
    root_y: int


NO_PROPERTY: Final = Property(0, 0, b"", 0)


def parse_property(reply: bytes) -> Property:
    """Returns GetProperty's reply; a malformed one is like no property."""
    format_, type_, remaining, units = unpack_from("<xB6xIII", reply)
    if format_ not in (8, 16, 32):
        return NO_PROPERTY
    size = units * format_ // 8
    return Property(type_, format_, reply[32 : 32 + size], remaining)


def parse_words(reply: bytes, count_offset: int, *, half: bool = False) -> tuple[int, ...]:
    """Returns a reply's list of words, whose length is at `count_offset`, in 16 bits where `half`.

    Raises HostFault where it is longer than the reply.
    """
    (count,) = unpack_from("<H" if half else "<I", reply, count_offset)
    try:
        return unpack_from(f"<{count}I", reply, 32)
    except error:
        raise HostFault("the X server sent a list that is longer than its reply") from None


def parse_atoms(reply: bytes) -> tuple[int, ...]:
    """Returns ListProperties' reply."""
    return parse_words(reply, 8, half=True)


def parse_children(reply: bytes) -> tuple[int, ...]:
    """Returns QueryTree's children, the lowest first."""
    return parse_words(reply, 16, half=True)


def parse_atom(reply: bytes) -> int:
    """Returns InternAtom's reply, or GetSelectionOwner's, or GetInputFocus's window."""
    (atom,) = unpack_from("<8xI", reply)
    return int(atom)


def parse_atom_name(reply: bytes) -> bytes:
    """Returns GetAtomName's reply."""
    (size,) = unpack_from("<8xH", reply)
    return reply[32 : 32 + size]


def parse_geometry(reply: bytes) -> Geometry:
    """Returns GetGeometry's reply."""
    return Geometry(*unpack_from("<12xhhHHH", reply))


def parse_attributes(reply: bytes) -> Attributes:
    """Returns GetWindowAttributes' reply."""
    class_, map_state, override = unpack_from("<12xH12xBB", reply)
    return Attributes(class_ == 2, map_state == 2, bool(override))


def parse_extension(reply: bytes) -> Extension:
    """Returns QueryExtension's reply."""
    present, major, first_event = unpack_from("<8xBBB", reply)
    return Extension(major, first_event) if present else Extension(0, 0)


def parse_pointer(reply: bytes) -> PointerPosition:
    """Returns QueryPointer's reply."""
    child, root_x, root_y = unpack_from("<12xIhh", reply)
    return PointerPosition(child, root_x, root_y)


def parse_translation(reply: bytes) -> int:
    """Returns the child in TranslateCoordinates' reply, 0 where there is none."""
    (child,) = unpack_from("<8xI", reply)
    return int(child)


def parse_shape_extents(reply: bytes) -> Size | None:
    """Returns the size of the bounding shape in ShapeQueryExtents' reply, None where the window has none."""
    shaped, width, height = unpack_from("<8xB7xHH", reply)
    return Size(width, height) if shaped else None


def parse_rectangles(reply: bytes, limit: int) -> tuple[Rectangle, ...] | None:
    """Returns ShapeGetRectangles' reply, None where there are more than `limit`."""
    (count,) = unpack_from("<8xI", reply)
    if count > limit or len(reply) < _REPLY_SIZE + count * _RECTANGLE.size:
        return None
    return tuple(Rectangle(*found) for found in _RECTANGLE.iter_unpack(reply[_REPLY_SIZE:][: count * 8]))


def parse_image(reply: bytes, size: Size) -> Picture | None:
    """Returns GetImage's reply as a picture of that size, None where it is none of four bytes a pixel."""
    pixels = reply[_REPLY_SIZE : _REPLY_SIZE + size.width * size.height * 4]
    if len(pixels) != size.width * size.height * 4 or reply[1] not in (_OPAQUE_DEPTH, _ALPHA_DEPTH):
        return None
    return Picture(size, pixels, has_alpha=reply[1] == _ALPHA_DEPTH)


def parse_pid(reply: bytes) -> int:
    """Returns the process id in QueryClientIds' reply, 0 where the server does not know it."""
    (count,) = unpack_from("<8xI", reply)
    if not count or len(reply) < 32 + 16:
        return 0
    _, _, size, pid = unpack_from("<IIII", reply, 32)
    return int(pid) if size == 4 else 0
