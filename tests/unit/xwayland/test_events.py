"""X events and replies, compared with python-xlib's definitions of them."""

import struct
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from Xlib import X
from Xlib.protocol import event as xevent
from Xlib.protocol import request as xrequest
from Xlib.protocol import rq

from crossdomain.errors import HostFault
from launcher.xwayland.model.geometry import Size
from launcher.xwayland.x11 import events
from launcher.xwayland.x11.events import ExtensionEvents, parse_event

W, P = 0x400001, 0x123
EXTENSIONS = ExtensionEvents(xfixes=87, shape=64, sync=83)


def wire(made: rq.Event, *, synthetic: bool = False) -> bytes:
    """An event as the server sends it."""
    data = bytearray(cast(Any, made)._binary)
    data[0] |= 0x80 if synthetic else 0
    return bytes(data)


CASES = [
    (
        xevent.CreateNotify(parent=P, window=W, x=-1, y=2, width=3, height=4, border_width=5, override=1),
        events.CreateNotify(P, W, -1, 2, 3, 4, 5, override_redirect=True),
    ),
    (xevent.DestroyNotify(event=P, window=W), events.DestroyNotify(P, W)),
    (xevent.UnmapNotify(event=P, window=W, from_configure=0), events.UnmapNotify(P, W, synthetic=False)),
    (xevent.MapNotify(event=P, window=W, override=0), events.MapNotify(P, W, override_redirect=False)),
    (xevent.MapRequest(parent=P, window=W), events.MapRequest(P, W)),
    (
        xevent.ReparentNotify(event=P, window=W, parent=5, x=-6, y=7, override=0),
        events.ReparentNotify(W, 5, -6, 7, override_redirect=False),
    ),
    (
        xevent.ConfigureNotify(
            event=P, window=W, above_sibling=0, x=-1, y=2, width=3, height=4, border_width=5, override=1
        ),
        events.ConfigureNotify(W, -1, 2, 3, 4, 5, override_redirect=True),
    ),
    (
        xevent.ConfigureRequest(
            parent=P,
            window=W,
            sibling=9,
            x=-1,
            y=2,
            width=3,
            height=4,
            border_width=5,
            value_mask=15,
            stack_mode=1,
        ),
        events.ConfigureRequest(W, 9, -1, 2, 3, 4, 5, 15, 1),
    ),
    (
        xevent.PropertyNotify(window=W, atom=39, time=77, state=X.PropertyDelete),
        events.PropertyNotify(W, 39, 77, deleted=True),
    ),
    (xevent.SelectionClear(time=7, window=W, atom=1), events.SelectionClear(7, W, 1)),
    (
        xevent.SelectionRequest(time=7, owner=P, requestor=W, selection=1, target=2, property=3),
        events.SelectionRequest(7, P, W, 1, 2, 3),
    ),
    (
        xevent.SelectionNotify(time=7, requestor=W, selection=1, target=2, property=3),
        events.SelectionNotify(7, W, 1, 2, 3),
    ),
    (
        xevent.ClientMessage(window=W, client_type=6, data=(32, [1, 2, 3, 4, 5])),
        events.ClientMessage(W, 6, (1, 2, 3, 4, 5)),
    ),
    (xevent.ClientMessage(window=W, client_type=6, data=(8, b"x" * 20)), events.ClientMessage(W, 6, ())),
    (xevent.FocusIn(detail=3, window=W, mode=1), events.FocusChange(W, gained=True, mode=1, detail=3)),
]


@pytest.mark.parametrize(("made", "event"), CASES, ids=lambda case: type(case).__name__)
def test_an_event_is_what_python_xlib_reads(made: rq.Event, event: events.Event) -> None:
    assert parse_event(wire(made), EXTENSIONS) == event


@pytest.mark.parametrize(
    ("gained", "mode", "detail", "is_change"),
    [
        pytest.param(True, X.NotifyNormal, X.NotifyNonlinear, True, id="to it"),
        pytest.param(True, X.NotifyWhileGrabbed, X.NotifyNonlinearVirtual, True, id="to a part of it"),
        pytest.param(False, X.NotifyNormal, X.NotifyNonlinear, True, id="elsewhere"),
        pytest.param(False, X.NotifyNormal, X.NotifyInferior, False, id="from it to a part of it"),
        pytest.param(True, X.NotifyGrab, X.NotifyNonlinear, False, id="grabbed"),
        pytest.param(False, X.NotifyUngrab, X.NotifyNonlinear, False, id="ungrabbed"),
        pytest.param(True, X.NotifyNormal, X.NotifyPointer, False, id="where the pointer is"),
    ],
)
def test_whether_the_focus_has_changed(*, gained: bool, mode: int, detail: int, is_change: bool) -> None:
    assert events.FocusChange(W, gained, mode, detail).is_change is is_change


def test_an_unmapping_that_a_client_made_up_is_told_apart() -> None:
    made = wire(xevent.UnmapNotify(event=P, window=W, from_configure=0), synthetic=True)
    assert parse_event(made, EXTENSIONS) == events.UnmapNotify(P, W, synthetic=True)


@pytest.mark.parametrize(("made", "expected"), CASES)
def test_of_what_clients_make_up_only_that_counts_which_they_have_to(
    made: rq.Event, expected: events.Event
) -> None:
    meant = (events.UnmapNotify, events.ConfigureRequest, events.SelectionNotify, events.ClientMessage)
    counts = parse_event(wire(made, synthetic=True), EXTENSIONS) is not None
    assert counts == isinstance(expected, meant)


def test_events_of_extensions() -> None:
    selection = struct.pack("<BBHIIIII8x", 87, 0, 0, P, W, 1, 5, 4)
    assert parse_event(selection, EXTENSIONS) == events.SelectionOwnerNotify(W, 1, 5, 4, ended=False)
    ended = struct.pack("<BBHIIIII8x", 87, 2, 0, P, 0, 1, 5, 4)
    assert parse_event(ended, EXTENSIONS) == events.SelectionOwnerNotify(0, 1, 5, 4, ended=True)
    shaped = struct.pack("<BBHIhhHHIB11x", 64, 2, 0, W, 0, 0, 5, 5, 9, 1)
    assert parse_event(shaped, EXTENSIONS) == events.ShapeNotify(W, 2, Size(5, 5), shaped=True)
    alarm = struct.pack("<BBHIiIiIIB3x", 84, 1, 0, 0x99, 1, 2, 0, 0, 0, 0)
    assert parse_event(alarm, EXTENSIONS) == events.AlarmNotify(0x99, (1 << 32) + 2)


def test_without_the_extensions_their_codes_mean_nothing() -> None:
    assert parse_event(bytes([87]) + bytes(31), ExtensionEvents()) is None


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_an_event_or_none(data: bytes) -> None:
    parse_event(data, EXTENSIONS)


def reply(kind: type[rq.ReplyRequest], **fields: object) -> bytes:
    """A reply as the server sends it."""
    definition: rq.Struct = cast(Any, kind)._reply
    return definition.to_binary(**fields)


def property_reply(format_: int, type_: int, units: int, value: bytes, remaining: int = 0) -> bytes:
    """GetProperty's reply."""
    header = struct.pack("<BBHIIII12x", 1, format_, 0, len(value) // 4, type_, remaining, units)
    return header + value + bytes(-len(value) % 4)


def test_a_property() -> None:
    data = property_reply(8, 31, 5, b"hello", 3)
    theirs, _ = cast(Any, xrequest.GetProperty)._reply.parse_binary(data, None, rawdict=True)
    assert (theirs["property_type"], theirs["bytes_after"]) == (31, 3)
    assert events.parse_property(data) == events.Property(31, 8, b"hello", 3)


@pytest.mark.parametrize("format_", [0, 1, 7, 24, 64, 255])
def test_a_property_of_an_impossible_format_is_none(format_: int) -> None:
    assert events.parse_property(property_reply(format_, 31, 5, b"hello")) == events.NO_PROPERTY


@given(st.binary(min_size=32, max_size=80))
def test_any_reply_is_some_property(data: bytes) -> None:
    assert len(events.parse_property(data).value) <= len(data) - 32


def test_lists() -> None:
    atoms = struct.pack("<BxHIH22x", 1, 0, 3, 3) + struct.pack("<III", 7, 8, 9)
    assert events.parse_atoms(atoms) == (7, 8, 9)
    tree = struct.pack("<BxHIIIH14x", 1, 0, 2, P, 0, 2) + struct.pack("<II", 5, 6)
    assert events.parse_children(tree) == (5, 6)


def test_a_list_longer_than_its_reply_is_the_servers_fault() -> None:
    with pytest.raises(HostFault):
        events.parse_atoms(struct.pack("<BxHIH22x", 1, 0, 0, 3))


def test_the_other_replies() -> None:
    translated = struct.pack("<BBHIIhh16x", 1, 1, 0, 0, W, -1, 2)
    assert events.parse_translation(translated) == W
    geometry = struct.pack("<BBHIIhhHHH10x", 1, 24, 0, 0, P, -1, 2, 3, 4, 5)
    assert events.parse_geometry(geometry) == events.Geometry(-1, 2, 3, 4, 5)
    attributes = reply(
        xrequest.GetWindowAttributes,
        backing_store=0,
        sequence_number=0,
        visual=1,
        win_class=X.InputOnly,
        bit_gravity=0,
        win_gravity=0,
        backing_bit_planes=0,
        backing_pixel=0,
        save_under=0,
        map_is_installed=0,
        map_state=X.IsViewable,
        override_redirect=1,
        colormap=0,
        all_event_masks=0,
        your_event_mask=0,
        do_not_propagate_mask=0,
    )
    assert events.parse_attributes(attributes) == events.Attributes(
        input_only=True, viewable=True, override_redirect=True
    )
    present = struct.pack("<BxHIBBBB20x", 1, 0, 0, 1, 142, 87, 3)
    assert events.parse_extension(present) == events.Extension(142, 87)
    assert events.parse_extension(struct.pack("<BxHIBBBB20x", 1, 0, 0, 0, 142, 87, 3)).major_opcode == 0
    name = struct.pack("<BxHIH22x", 1, 0, 2, 5) + b"ATOMS\0\0\0"
    assert events.parse_atom_name(name) == b"ATOMS"
    pid = struct.pack("<BxHII20xIIII", 1, 0, 4, 1, W, 2, 4, 4321)
    assert events.parse_pid(pid) == 4321
    assert events.parse_pid(struct.pack("<BxHII20x", 1, 0, 0, 0)) == 0
