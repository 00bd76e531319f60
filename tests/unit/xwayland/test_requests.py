"""X requests, compared with python-xlib's definitions of them."""

import struct
from collections.abc import Callable
from typing import Any, cast

import pytest
from Xlib import X
from Xlib.ext import composite, res, shape, xfixes
from Xlib.protocol import event as xevent
from Xlib.protocol import request as xrequest
from Xlib.protocol import rq

from launcher.xwayland.x11 import requests

W = 0x400001
MAJOR = 140


def expected(kind: type[rq.Request] | type[rq.ReplyRequest], **fields: object) -> bytes:
    """What python-xlib sends."""
    definition: rq.Struct = cast(Any, kind)._request
    return definition.to_binary(**fields)


CASES: list[tuple[bytes, Callable[[], bytes]]] = [
    (
        requests.create_window(W, 5, (-1, -2, 3, 4), override_redirect=True, event_mask=7),
        lambda: expected(
            xrequest.CreateWindow,
            depth=0,
            wid=W,
            parent=5,
            x=-1,
            y=-2,
            width=3,
            height=4,
            border_width=0,
            window_class=X.InputOutput,
            visual=0,
            attrs={"override_redirect": 1, "event_mask": 7},
        ),
    ),
    (
        requests.create_input_window(W, 5, (0, 0, 32767, 32767), event_mask=7),
        lambda: expected(
            xrequest.CreateWindow,
            depth=0,
            wid=W,
            parent=5,
            x=0,
            y=0,
            width=32767,
            height=32767,
            border_width=0,
            window_class=X.InputOnly,
            visual=0,
            attrs={"override_redirect": 1, "event_mask": 7},
        ),
    ),
    (
        requests.select_input(W, 0x123),
        lambda: expected(xrequest.ChangeWindowAttributes, window=W, attrs={"event_mask": 0x123}),
    ),
    (
        requests.set_cursor(W, 9),
        lambda: expected(xrequest.ChangeWindowAttributes, window=W, attrs={"cursor": 9}),
    ),
    (requests.get_window_attributes(W), lambda: expected(xrequest.GetWindowAttributes, window=W)),
    (requests.destroy_window(W), lambda: expected(xrequest.DestroyWindow, window=W)),
    (requests.map_window(W), lambda: expected(xrequest.MapWindow, window=W)),
    (requests.unmap_window(W), lambda: expected(xrequest.UnmapWindow, window=W)),
    (
        requests.configure_window(W, x=5, y=6, width=7, height=8, border_width=0),
        lambda: expected(
            xrequest.ConfigureWindow,
            window=W,
            attrs={"x": 5, "y": 6, "width": 7, "height": 8, "border_width": 0},
        ),
    ),
    (
        requests.configure_window(W, sibling=9, stack_mode=requests.StackMode.BELOW),
        lambda: expected(xrequest.ConfigureWindow, window=W, attrs={"sibling": 9, "stack_mode": X.Below}),
    ),
    (
        requests.get_image(W, -1, -2, 30, 40),
        lambda: expected(
            xrequest.GetImage,
            format=X.ZPixmap,
            drawable=W,
            x=-1,
            y=-2,
            width=30,
            height=40,
            plane_mask=0xFFFFFFFF,
        ),
    ),
    (requests.get_geometry(W), lambda: expected(xrequest.GetGeometry, drawable=W)),
    (requests.query_tree(W), lambda: expected(xrequest.QueryTree, window=W)),
    (
        requests.intern_atom(b"WM_STATE"),
        lambda: expected(xrequest.InternAtom, name="WM_STATE", only_if_exists=0),
    ),
    (requests.get_atom_name(7), lambda: expected(xrequest.GetAtomName, atom=7)),
    (
        requests.change_property(W, 3, 4, 8, b"hello"),
        lambda: expected(
            xrequest.ChangeProperty,
            mode=X.PropModeReplace,
            window=W,
            property=3,
            type=4,
            data=(8, b"hello"),
        ),
    ),
    (
        requests.change_property(W, 3, 4, 32, requests.encode_words((1, -1)), append=True),
        lambda: expected(
            xrequest.ChangeProperty,
            mode=X.PropModeAppend,
            window=W,
            property=3,
            type=4,
            data=(32, [1, 0xFFFFFFFF]),
        ),
    ),
    (requests.delete_property(W, 3), lambda: expected(xrequest.DeleteProperty, window=W, property=3)),
    (
        requests.get_property(W, 3, 100, offset=5, delete=True),
        lambda: expected(
            xrequest.GetProperty, delete=1, window=W, property=3, type=0, long_offset=5, long_length=100
        ),
    ),
    (requests.list_properties(W), lambda: expected(xrequest.ListProperties, window=W)),
    (
        requests.set_selection_owner(W, 1, 9),
        lambda: expected(xrequest.SetSelectionOwner, window=W, selection=1, time=9),
    ),
    (requests.get_selection_owner(1), lambda: expected(xrequest.GetSelectionOwner, selection=1)),
    (
        requests.convert_selection(W, 1, 2, 3, 4),
        lambda: expected(xrequest.ConvertSelection, requestor=W, selection=1, target=2, property=3, time=4),
    ),
    (
        requests.send_event(W, 5, requests.encode_client_message(W, 6, (1, 2, 3))),
        lambda: expected(
            xrequest.SendEvent,
            propagate=0,
            destination=W,
            event_mask=5,
            event=xevent.ClientMessage(window=W, client_type=6, data=(32, [1, 2, 3, 0, 0])),
        ),
    ),
    (
        requests.send_event(W, 5, requests.encode_configure_notify(W, (-1, 2, 3, 4), 5)),
        lambda: expected(
            xrequest.SendEvent,
            propagate=0,
            destination=W,
            event_mask=5,
            event=xevent.ConfigureNotify(
                event=W, window=W, above_sibling=0, x=-1, y=2, width=3, height=4, border_width=5, override=0
            ),
        ),
    ),
    (
        requests.send_event(W, 0, requests.encode_selection_notify(W, 1, 2, 3, 4)),
        lambda: expected(
            xrequest.SendEvent,
            propagate=0,
            destination=W,
            event_mask=0,
            event=xevent.SelectionNotify(time=4, requestor=W, selection=1, target=2, property=3),
        ),
    ),
    (
        requests.translate_coordinates(W, 5, -1, 2),
        lambda: expected(xrequest.TranslateCoords, src_wid=W, dst_wid=5, src_x=-1, src_y=2),
    ),
    (requests.query_pointer(W), lambda: expected(xrequest.QueryPointer, window=W)),
    (
        requests.set_input_focus(W, 9),
        lambda: expected(xrequest.SetInputFocus, revert_to=X.RevertToPointerRoot, focus=W, time=9),
    ),
    (requests.get_input_focus(), lambda: expected(xrequest.GetInputFocus)),
    (requests.open_font(W, b"cursor"), lambda: expected(xrequest.OpenFont, fid=W, name="cursor")),
    (
        requests.create_glyph_cursor(W, 5, 68),
        lambda: expected(
            xrequest.CreateGlyphCursor,
            cid=W,
            source=5,
            mask=5,
            source_char=68,
            mask_char=69,
            fore_red=0,
            fore_green=0,
            fore_blue=0,
            back_red=0xFFFF,
            back_green=0xFFFF,
            back_blue=0xFFFF,
        ),
    ),
    (requests.query_extension(b"SHAPE"), lambda: expected(xrequest.QueryExtension, name="SHAPE")),
    (requests.kill_client(W), lambda: expected(xrequest.KillClient, resource=W)),
    (
        requests.composite_query_version(MAJOR),
        lambda: expected(composite.QueryVersion, opcode=MAJOR, major_version=0, minor_version=4),
    ),
    (
        requests.composite_redirect_subwindows(MAJOR, W),
        lambda: expected(composite.RedirectSubwindows, opcode=MAJOR, window=W, update=1),
    ),
    (
        requests.xfixes_query_version(MAJOR),
        lambda: expected(xfixes.QueryVersion, opcode=MAJOR, major_version=6, minor_version=0),
    ),
    (
        requests.xfixes_set_client_disconnect_mode(MAJOR),
        # XFixes 6.0, newer than python-xlib: opcode, minor, length in words, TerminateAtReset.
        lambda: struct.pack("<BBHI", MAJOR, 33, 2, 1),
    ),
    (
        requests.xfixes_select_selection_input(MAJOR, W, 3),
        lambda: expected(xfixes.SelectSelectionInput, opcode=MAJOR, window=W, selection=3, mask=7),
    ),
    (
        requests.shape_select_input(MAJOR, W),
        lambda: expected(shape.SelectInput, opcode=MAJOR, destination_window=W, enable=1),
    ),
    (
        requests.shape_query_extents(MAJOR, W),
        lambda: expected(shape.QueryExtents, opcode=MAJOR, destination_window=W),
    ),
    (
        requests.shape_get_rectangles(MAJOR, W, 2),
        lambda: expected(shape.GetRectangles, opcode=MAJOR, window=W, source_kind=2),
    ),
    (
        requests.res_query_version(MAJOR),
        lambda: expected(res.QueryVersion, opcode=MAJOR, client_major=1, client_minor=2),
    ),
    (
        requests.res_query_pid(MAJOR, W),
        lambda: expected(res.QueryClientIds, opcode=MAJOR, specs=[{"client": W, "mask": 2}]),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=range(len(CASES)))
def test_a_request_is_what_python_xlib_sends(ours: bytes, theirs: Callable[[], bytes]) -> None:
    assert ours.hex(" ") == theirs().hex(" ")


def test_a_negative_position_is_an_int16() -> None:
    assert requests.configure_window(W, x=-5)[12:14] == (-5).to_bytes(2, "little", signed=True)


def test_every_request_says_how_long_it_is() -> None:
    sync = [
        requests.sync_initialize(MAJOR),
        requests.sync_create_alarm(MAJOR, W, 5, 1 << 33),
        requests.sync_destroy_alarm(MAJOR, W),
    ]
    for request in sync:
        assert int.from_bytes(request[2:4], "little") * 4 == len(request)


def test_the_largest_part_of_a_property_fits_a_request() -> None:
    request = requests.change_property(W, 1, 2, 8, bytes(requests.MAX_PROPERTY_PART))
    assert int.from_bytes(request[2:4], "little") * 4 == len(request)
