"""Requests of RENDER and the core that make a cursor, and the reply that tells the formats."""

import struct
from typing import Any, cast

import pytest
from Xlib import X
from Xlib.protocol import request as xrequest
from Xlib.protocol import rq

from launcher.xwayland.x11 import render

MAJOR, PIXMAP, GC, PICTURE = 139, 0x200001, 0x200002, 0x200003
ARGB = (16, 255, 8, 255, 0, 255, 24, 255)


def expected(kind: type[rq.Request], **fields: object) -> bytes:
    """What python-xlib sends."""
    definition: rq.Struct = cast(Any, kind)._request
    return definition.to_binary(**fields)


def reply_of(*formats: tuple[int, int, int, tuple[int, ...]], count: int | None = None) -> bytes:
    """QueryPictFormats' reply: identity, type, depth, shifts and masks of each format."""
    told = len(formats) if count is None else count
    made = struct.pack("<BxHIIIIII4x", 1, 7, 0, told, 0, 0, 0, 0)
    for identity, kind, depth, masks in formats:
        made += struct.pack("<IBBxx8HI", identity, kind, depth, *masks, 0)
    return made


def test_core_requests_are_those_of_the_protocol() -> None:
    assert render.create_pixmap(PIXMAP, 5, 24) == expected(
        xrequest.CreatePixmap, depth=32, pid=PIXMAP, drawable=5, width=24, height=24
    )
    assert render.create_gc(GC, PIXMAP) == expected(xrequest.CreateGC, cid=GC, drawable=PIXMAP, attrs={})
    assert render.free_gc(GC) == expected(xrequest.FreeGC, gc=GC)
    assert render.free_pixmap(PIXMAP) == expected(xrequest.FreePixmap, pixmap=PIXMAP)
    pixels = bytes(range(16))
    assert render.put_image(PIXMAP, GC, 2, pixels) == expected(
        xrequest.PutImage,
        format=X.ZPixmap,
        drawable=PIXMAP,
        gc=GC,
        width=2,
        height=2,
        dst_x=0,
        dst_y=0,
        left_pad=0,
        depth=32,
        data=pixels,
    )


def test_requests_of_the_extension_are_whole() -> None:
    made = (
        render.query_version(MAJOR),
        render.query_pict_formats(MAJOR),
        render.create_picture(MAJOR, PICTURE, PIXMAP, 38),
        render.free_picture(MAJOR, PICTURE),
        render.create_cursor(MAJOR, 0x200004, PICTURE, (4, 2)),
    )
    assert [request[:2] for request in made] == [bytes((MAJOR, minor)) for minor in (0, 1, 4, 7, 27)]
    assert all(int.from_bytes(request[2:4], "little") * 4 == len(request) for request in made)


def test_the_format_with_alpha_is_found() -> None:
    formats = (
        (37, 1, 24, (16, 255, 8, 255, 0, 255, 0, 0)),
        (38, 0, 32, ARGB),
        (39, 1, 32, (0, 255, 8, 255, 16, 255, 24, 255)),
        (40, 1, 32, ARGB),
    )
    assert render.find_argb(reply_of(*formats)) == 40


@pytest.mark.parametrize("count", [0, 1, 0xFFFFFFFF])
def test_without_the_format_there_is_none(count: int) -> None:
    assert render.find_argb(reply_of((37, 1, 24, ARGB), count=count)) == 0
