"""Every cap on what an X client may make us do, each with its reason."""

from typing import Final

MAX_PROPERTY_WORDS: Final = 4096
"""32-bit words of an ordinary property: lists of atoms and hints have a few dozen; a title has 1 KiB."""

MAX_ICON_WORDS: Final = 1 << 20
"""32-bit words of _NET_WM_ICON, 4 MiB: all sizes up to 512 px together have less."""

MAX_ICON_SIDE: Final = 512
"""px of an icon's side: larger ones are passed over, no panel shows them."""

MAX_ICON_IMAGES: Final = 32
"""Images in one _NET_WM_ICON that are looked at."""

MAX_TITLE: Final = 1000
"""Characters of a title; a Wayland message, which has 4096 bytes in libwayland, takes four bytes for each."""

MAX_CLASS: Final = 200
"""Characters of a window's class, which becomes its app id: names of desktop files have at most 255 bytes."""

MAX_STARTUP_ID: Final = 200
"""Characters of a startup id: tokens of compositors have a few dozen."""

MAX_WINDOWS: Final = 600
"""Windows that are shown at a time; more can only be an accident.  A frame has five surfaces, and the host
allows 4,096 to a client: with these and MAX_SURFACES it is never asked for more."""

MAX_SURFACES: Final = 1000
"""Surfaces of Xwayland's that the compositor knows of at a time: those of MAX_WINDOWS, and of windows that
are only just mapped."""

MAX_SIDE: Final = 32767
"""px of a window's side: the X protocol's coordinates are signed 16-bit numbers."""

MAX_SHAPE_RECTANGLES: Final = 8192
"""Rectangles of a window's shape: a disc has one for each row; what has more is shown as a rectangle."""

MAX_SHAPE_AREA: Final = 1 << 23
"""px of a shape's extents: half of them can be rectangles of 8 bytes each in the reply that tells them."""

MAX_PICTURE: Final = 1 << 22
"""px of contents that are drawn once more to be transparent, 16 MiB, which a frame takes some 20 ms for."""

MAX_TREE_DEPTH: Final = 64
"""Windows in a row that are transient for each other; a longer row, or a circle, is cut."""

MAX_KEPT: Final = 16 << 20
"""Bytes of a clipboard that are kept for when its owner quits: texts, and pictures of a screen."""

MAX_KEPT_KINDS: Final = 16
"""Kinds of data of such a clipboard: each is asked for, and browsers offer a dozen of one picture."""
