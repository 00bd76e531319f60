"""Window properties, decoded.  Their bytes come from any client, so no length or number is believed.

Each function takes the bytes of a property whose type and format were right, and returns a value
that is always usable; what is missing at its end counts as not given (ICCCM 4.1.2, EWMH 1.5).
"""

import struct
from enum import Enum, IntFlag
from typing import Final, NamedTuple

from launcher.xwayland.limits import MAX_CLASS, MAX_ICON_IMAGES, MAX_ICON_SIDE, MAX_SIDE
from launcher.xwayland.model.geometry import Aspect, Extents, Gravity, Rectangle, Size, SizeHints


class _SizeFlag(IntFlag):
    """XSizeHints.flags."""

    US_POSITION = 1
    US_SIZE = 2
    P_POSITION = 4
    P_SIZE = 8
    P_MIN_SIZE = 16
    P_MAX_SIZE = 32
    P_RESIZE_INC = 64
    P_ASPECT = 128
    P_BASE_SIZE = 256
    P_WIN_GRAVITY = 512


class _WmFlag(IntFlag):
    """XWMHints.flags."""

    INPUT = 1
    STATE = 2
    WINDOW_GROUP = 64
    URGENCY = 256


class InitialState(Enum):
    """How a window wants to begin."""

    NORMAL = 1
    ICONIC = 3


class WmHints(NamedTuple):
    """WM_HINTS (ICCCM 4.1.2.4)."""

    accepts_input: bool = True
    initial_state: InitialState = InitialState.NORMAL
    group: int = 0
    urgent: bool = False


class MotifFunction(IntFlag):
    """What a window lets its user do (MwmHints.functions)."""

    ALL = 1
    RESIZE = 2
    MOVE = 4
    MINIMIZE = 8
    MAXIMIZE = 16
    CLOSE = 32


class MotifDecoration(IntFlag):
    """What a window wants around it (MwmHints.decorations)."""

    ALL = 1
    BORDER = 2
    RESIZE_HANDLES = 4
    TITLE = 8
    MENU = 16
    MINIMIZE = 32
    MAXIMIZE = 64


EVERY_FUNCTION: Final = (
    MotifFunction.RESIZE
    | MotifFunction.MOVE
    | MotifFunction.MINIMIZE
    | MotifFunction.MAXIMIZE
    | MotifFunction.CLOSE
)
EVERY_DECORATION: Final = (
    MotifDecoration.BORDER
    | MotifDecoration.RESIZE_HANDLES
    | MotifDecoration.TITLE
    | MotifDecoration.MENU
    | MotifDecoration.MINIMIZE
    | MotifDecoration.MAXIMIZE
)


class MotifHints(NamedTuple):
    """_MOTIF_WM_HINTS; None: the client says nothing of it."""

    functions: MotifFunction | None = None
    decorations: MotifDecoration | None = None
    modal: bool = False

    def allows(self, function: MotifFunction) -> bool:
        """Whether the user may do that."""
        return self.functions is None or bool(self.functions & function)


class WmClass(NamedTuple):
    """WM_CLASS."""

    instance: str
    name: str


class IconImage(NamedTuple):
    """One image of _NET_WM_ICON: `pixels` are height x width words 0xAARRGGBB, not premultiplied."""

    width: int
    height: int
    pixels: bytes


_SIZE_HINTS_WORDS: Final = 18
_WM_HINTS_WORDS: Final = 9
_MOTIF_WORDS: Final = 5
_MOTIF_FUNCTIONS: Final = 1
_MOTIF_DECORATIONS: Final = 2
_MOTIF_INPUT_MODE: Final = 4


def parse_words(value: bytes) -> tuple[int, ...]:
    """Returns the CARD32s of a property of format 32."""
    return struct.unpack(f"<{len(value) // 4}I", value[: len(value) & ~3])


def parse_size_hints(value: bytes) -> SizeHints:
    """WM_NORMAL_HINTS (ICCCM 4.1.2.3), also in the form of X11R3, which has no base size and gravity."""
    words = _signed(value, _SIZE_HINTS_WORDS)
    flags = _SizeFlag(words[0] & 0x3FF)
    if len(value) < 4 * _SIZE_HINTS_WORDS:
        flags &= ~(_SizeFlag.P_BASE_SIZE | _SizeFlag.P_WIN_GRAVITY)
    base = Size(_side(words[15], 0), _side(words[16], 0))
    minimum = Size(_side(words[5], 1), _side(words[6], 1))
    if not flags & _SizeFlag.P_MIN_SIZE:
        minimum = (
            Size(max(1, base.width), max(1, base.height)) if flags & _SizeFlag.P_BASE_SIZE else Size(1, 1)
        )
    maximum = Size(MAX_SIDE, MAX_SIDE)
    if flags & _SizeFlag.P_MAX_SIZE:
        # 0 is how some say that there is none.
        maximum = Size(_side(words[7] or MAX_SIDE, 1), _side(words[8] or MAX_SIDE, 1))
        maximum = Size(max(maximum.width, minimum.width), max(maximum.height, minimum.height))
    increment = Size(1, 1)
    if flags & _SizeFlag.P_RESIZE_INC:
        increment = Size(_side(words[9], 1), _side(words[10], 1))
    smallest, largest = (
        (_aspect(words[11], words[12]), _aspect(words[13], words[14]))
        if flags & _SizeFlag.P_ASPECT
        else (None, None)
    )
    return SizeHints(
        minimum=minimum,
        maximum=maximum,
        base=base if flags & _SizeFlag.P_BASE_SIZE else Size(0, 0),
        has_base=bool(flags & _SizeFlag.P_BASE_SIZE),
        increment=increment,
        smallest_aspect=smallest,
        largest_aspect=largest,
        gravity=_gravity(words[17]) if flags & _SizeFlag.P_WIN_GRAVITY else Gravity.NORTH_WEST,
        positioned=bool(flags & (_SizeFlag.US_POSITION | _SizeFlag.P_POSITION)),
        sized_by_user=bool(flags & _SizeFlag.US_SIZE),
    )


def parse_wm_hints(value: bytes) -> WmHints:
    """WM_HINTS."""
    words = _unsigned(value, _WM_HINTS_WORDS)
    flags = words[0]
    return WmHints(
        accepts_input=bool(words[1]) if flags & _WmFlag.INPUT else True,
        initial_state=InitialState.ICONIC
        if flags & _WmFlag.STATE and words[2] == InitialState.ICONIC.value
        else InitialState.NORMAL,
        group=words[8] if flags & _WmFlag.WINDOW_GROUP else 0,
        urgent=bool(flags & _WmFlag.URGENCY),
    )


def parse_motif_hints(value: bytes) -> MotifHints:
    """_MOTIF_WM_HINTS (Motif's MwmUtil.h)."""
    flags, functions, decorations, input_mode, _ = _unsigned(value, _MOTIF_WORDS)
    return MotifHints(
        _motif_functions(functions) if flags & _MOTIF_FUNCTIONS else None,
        _motif_decorations(decorations) if flags & _MOTIF_DECORATIONS else None,
        bool(flags & _MOTIF_INPUT_MODE) and input_mode in (1, 2, 3),
    )


def parse_class(value: bytes) -> WmClass:
    """WM_CLASS: two Latin 1 strings with NULs behind them; the second may be missing."""
    instance, _, rest = value.partition(b"\0")
    name = rest.partition(b"\0")[0]
    return WmClass(instance[:MAX_CLASS].decode("latin-1"), name[:MAX_CLASS].decode("latin-1"))


def parse_extents(value: bytes) -> Extents | None:
    """_GTK_FRAME_EXTENTS, None where there are none that a window can have."""
    words = parse_words(value)
    if len(words) < 4 or any(word > MAX_SIDE // 4 for word in words[:4]):
        return None
    return Extents(*words[:4])


def parse_modes(value: bytes) -> tuple[Rectangle, ...]:
    """_XWAYLAND_RANDR_EMU_MONITOR_RECTS: those that a window can have."""
    words = parse_words(value)
    found = (Rectangle(*words[offset : offset + 4]) for offset in range(0, len(words) - 3, 4))
    return tuple(mode for mode in found if mode.width and mode.height and max(mode) <= MAX_SIDE)


def parse_icons(value: bytes) -> list[IconImage]:
    """_NET_WM_ICON: the images of a size that is shown, in their order; it ends where a length is wrong."""
    icons: list[IconImage] = []
    offset = 0
    for _ in range(MAX_ICON_IMAGES):
        if len(value) - offset < 8:
            break
        width, height = struct.unpack_from("<II", value, offset)
        size = width * height * 4
        offset += 8
        if not size or size > len(value) - offset:
            break
        if width <= MAX_ICON_SIDE and height <= MAX_ICON_SIDE:
            icons.append(IconImage(width, height, value[offset : offset + size]))
        offset += size
    return icons


def choose_icon(icons: list[IconImage], side: int) -> IconImage | None:
    """Returns the smallest image that is at least `side` px wide and high, else the largest."""
    large = [icon for icon in icons if min(icon.width, icon.height) >= side]
    if large:
        return min(large, key=lambda icon: icon.width * icon.height)
    return max(icons, key=lambda icon: icon.width * icon.height, default=None)


def _signed(value: bytes, count: int) -> tuple[int, ...]:
    """Returns the first `count` INT32s; those that are missing are 0."""
    return struct.unpack(f"<{count}i", value[: 4 * count].ljust(4 * count, b"\0"))


def _unsigned(value: bytes, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}I", value[: 4 * count].ljust(4 * count, b"\0"))


def _side(number: int, lowest: int) -> int:
    return max(lowest, min(number, MAX_SIDE))


def _aspect(numerator: int, denominator: int) -> Aspect | None:
    return Aspect(numerator, denominator) if numerator > 0 and denominator > 0 else None


def _gravity(number: int) -> Gravity:
    return Gravity(number) if 1 <= number <= Gravity.STATIC else Gravity.NORTH_WEST


def _motif_functions(functions: int) -> MotifFunction:
    given = MotifFunction(functions & 0x3F)
    # With ALL the others are those to leave out.
    return EVERY_FUNCTION & ~given if given & MotifFunction.ALL else given


def _motif_decorations(decorations: int) -> MotifDecoration:
    given = MotifDecoration(decorations & 0x7F)
    return EVERY_DECORATION & ~given if given & MotifDecoration.ALL else given
