"""The X requests that the window manager sends, as bytes.

Names and order are those of the X11 protocol, "Requests".  Windows, atoms and other resources are
their numbers, positions and sizes px, times milliseconds of the server.  Extensions' requests take
the extension's major opcode first.
"""

from collections.abc import Iterable, Sequence
from struct import Struct, pack
from typing import Final

CURRENT_TIME: Final = 0
ANY_PROPERTY_TYPE: Final = 0
POINTER_ROOT: Final = 1

_WINDOW: Final = Struct("<BBHI")
_PAIR: Final = Struct("<BBHII")
_CREATE_WINDOW: Final = Struct("<BBHIIhhHHHHII")
_CHANGE_PROPERTY: Final = Struct("<BBHIIIBxxxI")
_GET_PROPERTY: Final = Struct("<BBHIIIII")
_CONFIGURE: Final = Struct("<BBHIHxx")
_FULL_SIZE: Final = 1 << 16
"""A request has fewer words than this."""

MAX_PROPERTY_PART: Final = (_FULL_SIZE - 64) * 4
"""Bytes that one ChangeProperty can carry."""


class EventMask:
    """SETofEVENT (X11 protocol, "Events")."""

    BUTTON_PRESS: Final = 1 << 2
    STRUCTURE_NOTIFY: Final = 1 << 17
    SUBSTRUCTURE_NOTIFY: Final = 1 << 19
    SUBSTRUCTURE_REDIRECT: Final = 1 << 20
    FOCUS_CHANGE: Final = 1 << 21
    PROPERTY_CHANGE: Final = 1 << 22
    OF_CLIENTS: Final = FOCUS_CHANGE | PROPERTY_CHANGE
    """What we hear of clients' windows."""


class StackMode:
    """How ConfigureWindow restacks."""

    ABOVE: Final = 0
    BELOW: Final = 1


def create_window(
    window: int,
    parent: int,
    rectangle: tuple[int, int, int, int],
    *,
    override_redirect: bool,
    event_mask: int,
) -> bytes:
    """CreateWindow: InputOutput, with the parent's depth and visual, never to be seen."""
    mask = 1 << 9 | 1 << 11
    header = _CREATE_WINDOW.pack(1, 0, 10, window, parent, *rectangle, 0, 1, 0, mask)
    return header + pack("<II", override_redirect, event_mask)


def create_input_window(
    window: int, parent: int, rectangle: tuple[int, int, int, int], *, event_mask: int
) -> bytes:
    """CreateWindow: InputOnly and override-redirect, so that nothing is ever drawn for it."""
    mask = 1 << 9 | 1 << 11
    header = _CREATE_WINDOW.pack(1, 0, 10, window, parent, *rectangle, 0, 2, 0, mask)
    return header + pack("<II", 1, event_mask)


def select_input(window: int, event_mask: int) -> bytes:
    """ChangeWindowAttributes of the event mask alone."""
    return pack("<BBHIII", 2, 0, 4, window, 1 << 11, event_mask)


def set_cursor(window: int, cursor: int) -> bytes:
    """ChangeWindowAttributes of the cursor alone."""
    return pack("<BBHIII", 2, 0, 4, window, 1 << 14, cursor)


def get_window_attributes(window: int) -> bytes:
    """GetWindowAttributes."""
    return _WINDOW.pack(3, 0, 2, window)


def destroy_window(window: int) -> bytes:
    """DestroyWindow."""
    return _WINDOW.pack(4, 0, 2, window)


def map_window(window: int) -> bytes:
    """MapWindow."""
    return _WINDOW.pack(8, 0, 2, window)


def unmap_window(window: int) -> bytes:
    """UnmapWindow."""
    return _WINDOW.pack(10, 0, 2, window)


def configure_window(
    window: int,
    *,
    x: int | None = None,
    y: int | None = None,
    width: int | None = None,
    height: int | None = None,
    border_width: int | None = None,
    sibling: int | None = None,
    stack_mode: int | None = None,
) -> bytes:
    """ConfigureWindow of what is not None."""
    values = (x, y, width, height, border_width, sibling, stack_mode)
    mask = sum(1 << bit for bit, value in enumerate(values) if value is not None)
    words = b"".join(pack("<I", value & 0xFFFFFFFF) for value in values if value is not None)
    return _CONFIGURE.pack(12, 0, 3 + len(words) // 4, window, mask) + words


def get_geometry(drawable: int) -> bytes:
    """GetGeometry."""
    return _WINDOW.pack(14, 0, 2, drawable)


def query_tree(window: int) -> bytes:
    """QueryTree."""
    return _WINDOW.pack(15, 0, 2, window)


def intern_atom(name: bytes) -> bytes:
    """InternAtom, which makes it where it is not there yet."""
    return pack("<BBHHxx", 16, 0, 2 + (len(name) + 3) // 4, len(name)) + _padded(name)


def get_atom_name(atom: int) -> bytes:
    """GetAtomName."""
    return _WINDOW.pack(17, 0, 2, atom)


def change_property(
    window: int, name: int, type_: int, format_: int, data: bytes, *, append: bool = False
) -> bytes:
    """ChangeProperty; at most MAX_PROPERTY_PART bytes, a whole number of elements of `format_` bits."""
    units = len(data) * 8 // format_
    words = 6 + (len(data) + 3) // 4
    return _CHANGE_PROPERTY.pack(
        18, 2 if append else 0, words, window, name, type_, format_, units
    ) + _padded(data)


def delete_property(window: int, name: int) -> bytes:
    """DeleteProperty."""
    return _PAIR.pack(19, 0, 3, window, name)


def get_property(window: int, name: int, words: int, *, offset: int = 0, delete: bool = False) -> bytes:
    """GetProperty of any type: at most `words` 32-bit words of it, from word `offset` on."""
    return _GET_PROPERTY.pack(20, delete, 6, window, name, ANY_PROPERTY_TYPE, offset, words)


def list_properties(window: int) -> bytes:
    """ListProperties."""
    return _WINDOW.pack(21, 0, 2, window)


def set_selection_owner(owner: int, selection: int, time: int) -> bytes:
    """SetSelectionOwner."""
    return pack("<BBHIII", 22, 0, 4, owner, selection, time)


def get_selection_owner(selection: int) -> bytes:
    """GetSelectionOwner."""
    return _WINDOW.pack(23, 0, 2, selection)


def convert_selection(requestor: int, selection: int, target: int, property_: int, time: int) -> bytes:
    """ConvertSelection."""
    return pack("<BBHIIIII", 24, 0, 6, requestor, selection, target, property_, time)


def send_event(destination: int, event_mask: int, event: bytes) -> bytes:
    """SendEvent of 32 bytes, without propagation."""
    return pack("<BBHII", 25, 0, 11, destination, event_mask) + event


def translate_coordinates(source: int, destination: int, x: int, y: int) -> bytes:
    """TranslateCoordinates."""
    return pack("<BBHIIhh", 40, 0, 4, source, destination, x, y)


def query_pointer(window: int) -> bytes:
    """QueryPointer."""
    return _WINDOW.pack(38, 0, 2, window)


def set_input_focus(window: int, time: int) -> bytes:
    """SetInputFocus; where the window goes away, the focus goes to the pointer's window."""
    return pack("<BBHII", 42, POINTER_ROOT, 3, window, time)


def get_input_focus() -> bytes:
    """GetInputFocus."""
    return pack("<BBH", 43, 0, 1)


def open_font(font: int, name: bytes) -> bytes:
    """OpenFont."""
    return pack("<BBHIHxx", 45, 0, 3 + (len(name) + 3) // 4, font, len(name)) + _padded(name)


def create_glyph_cursor(cursor: int, font: int, glyph: int) -> bytes:
    """CreateGlyphCursor of a glyph and the mask behind it: black with a white edge."""
    colours = (0, 0, 0, 0xFFFF, 0xFFFF, 0xFFFF)
    return pack("<BBHIIIHHHHHHHH", 94, 0, 8, cursor, font, font, glyph, glyph + 1, *colours)


def get_image(drawable: int, x: int, y: int, width: int, height: int) -> bytes:
    """GetImage of all planes, as ZPixmap."""
    return pack("<BBHIhhHHI", 73, 2, 5, drawable, x, y, width, height, 0xFFFFFFFF)


def query_extension(name: bytes) -> bytes:
    """QueryExtension."""
    return pack("<BBHHxx", 98, 0, 2 + (len(name) + 3) // 4, len(name)) + _padded(name)


def kill_client(resource: int) -> bytes:
    """KillClient."""
    return _WINDOW.pack(113, 0, 2, resource)


# Composite.


def composite_query_version(major: int) -> bytes:
    """QueryVersion of Composite 0.4."""
    return pack("<BBHII", major, 0, 3, 0, 4)


def composite_redirect_subwindows(major: int, window: int) -> bytes:
    """RedirectSubwindows, drawn by nobody but the compositor."""
    return pack("<BBHIBxxx", major, 2, 3, window, 1)


# XFixes.


def xfixes_query_version(major: int) -> bytes:
    """QueryVersion of XFixes 6.0."""
    return pack("<BBHII", major, 0, 3, 6, 0)


def xfixes_set_client_disconnect_mode(major: int) -> bytes:
    """SetClientDisconnectMode: a server that ends with its last client does not wait for this one."""
    return pack("<BBHI", major, 33, 2, 1)


def xfixes_select_selection_input(major: int, window: int, selection: int) -> bytes:
    """SelectSelectionInput: a new owner, or none any more."""
    return pack("<BBHIII", major, 2, 4, window, selection, 7)


# Shape.


def shape_select_input(major: int, window: int) -> bytes:
    """ShapeSelectInput."""
    return pack("<BBHIBxxx", major, 6, 3, window, 1)


def shape_query_extents(major: int, window: int) -> bytes:
    """ShapeQueryExtents."""
    return _WINDOW.pack(major, 5, 2, window)


def shape_get_rectangles(major: int, window: int, kind: int) -> bytes:
    """ShapeGetRectangles; `kind` 0 is the bounding shape, 2 the input shape."""
    return pack("<BBHIBxxx", major, 8, 3, window, kind)


# Sync.


def sync_initialize(major: int) -> bytes:
    """Initialize of Sync 3.1."""
    return pack("<BBHBBxx", major, 0, 2, 3, 1)


def sync_create_alarm(major: int, alarm: int, counter: int, value: int) -> bytes:
    """CreateAlarm: an event when the counter comes to `value` or beyond."""
    # counter, value-type absolute, value (high, low), test-type PositiveComparison, delta 0, events.
    mask = 1 | 2 | 4 | 8 | 16 | 32
    high, low = value >> 32, value & 0xFFFFFFFF
    return pack("<BBHIIIIiIIiII", major, 8, 11, alarm, mask, counter, 0, high, low, 2, 0, 0, 1)


def sync_destroy_alarm(major: int, alarm: int) -> bytes:
    """DestroyAlarm."""
    return _WINDOW.pack(major, 11, 2, alarm)


# XRes.


def res_query_version(major: int) -> bytes:
    """QueryVersion of X-Resource 1.2."""
    return pack("<BBHBBxx", major, 0, 2, 1, 2)


def res_query_pid(major: int, resource: int) -> bytes:
    """QueryClientIds: the local process id of the client that made a resource."""
    return pack("<BBHIII", major, 4, 4, 1, resource, 2)


# Data of properties.


def encode_words(words: Iterable[int]) -> bytes:
    """Returns CARD32s, or INT32s, as a property of format 32 has them."""
    values = [word & 0xFFFFFFFF for word in words]
    return pack(f"<{len(values)}I", *values)


def encode_client_message(window: int, type_: int, data: Sequence[int]) -> bytes:
    """Returns a ClientMessage of format 32 with up to five words."""
    words = [word & 0xFFFFFFFF for word in (*data, 0, 0, 0, 0, 0)[:5]]
    return pack("<BBHII5I", 33, 32, 0, window, type_, *words)


def encode_configure_notify(window: int, rectangle: tuple[int, int, int, int], border_width: int) -> bytes:
    """Returns a synthetic ConfigureNotify (ICCCM 4.1.5)."""
    return pack("<BxHIIIhhHHHBxxxxx", 22, 0, window, window, 0, *rectangle, border_width, 0)


def encode_selection_notify(requestor: int, selection: int, target: int, property_: int, time: int) -> bytes:
    """Returns a SelectionNotify; property 0 is a refusal."""
    return pack("<BxHIIIIIxxxxxxxx", 31, 0, time, requestor, selection, target, property_)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
