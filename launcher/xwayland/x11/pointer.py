"""What the pointer looks like on windows that do not say: an arrow, as large as the screen is dense."""

from typing import Final, NamedTuple

from launcher.xwayland.x11 import render, requests
from launcher.xwayland.x11.client import XClient

_LEFT_POINTER: Final = 68
"""Glyph of the font "cursor" (X11 protocol, appendix B)."""


class Arrow(NamedTuple):
    """A picture of a pointer."""

    side: int
    """px of its width and height."""
    spot: tuple[int, int]
    """The hot spot, px."""
    pixels: bytes
    """Premultiplied ARGB."""


def set_root_cursor(client: XClient, arrow: Arrow) -> None:
    """Gives the root window the arrow, and a small one of the server's where it has no RENDER."""
    font, cursor = client.new_id(), client.new_id()
    client.request(requests.open_font(font, b"cursor"))
    client.request(requests.create_glyph_cursor(cursor, font, _LEFT_POINTER))
    client.request(requests.set_cursor(client.root, cursor))
    major = client.extensions.render.major_opcode
    if not major:
        return

    def answered(reply: bytes) -> None:
        format_ = render.find_argb(reply)
        if format_:
            client.request(requests.set_cursor(client.root, _create(client, arrow, format_)))

    client.request(render.query_version(major))
    client.ask(render.query_pict_formats(major), answered)


def _create(client: XClient, arrow: Arrow, format_: int) -> int:
    """Returns a cursor of coloured pixels."""
    major = client.extensions.render.major_opcode
    pixmap, gc, picture, cursor = (client.new_id() for _ in range(4))
    client.request(render.create_pixmap(pixmap, client.root, arrow.side))
    client.request(render.create_gc(gc, pixmap))
    client.request(render.put_image(pixmap, gc, arrow.side, arrow.pixels))
    client.request(render.create_picture(major, picture, pixmap, format_))
    client.request(render.create_cursor(major, cursor, picture, arrow.spot))
    client.request(render.free_picture(major, picture))
    client.request(render.free_gc(gc))
    client.request(render.free_pixmap(pixmap))
    return cursor
