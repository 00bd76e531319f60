"""One message as a line of text, in the manner of WAYLAND_DEBUG.

What a person types is left out: keys and text are secrets in a log.
"""

from typing import Final

from crossdomain.wire.codec import Data, Value, decode_arguments, integer
from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import Argument, ArgumentKind, Interface, Message

MAX_STRING: Final = 80
"""Characters of a peer's string that are shown."""

_SECRET_INTERFACES: Final = ("wl_keyboard", "zwp_text_input", "zwp_input_method", "zwp_virtual_keyboard")
_SECRET_MESSAGES: Final = frozenset(
    {
        "key",
        "keysym",
        "commit_string",
        "preedit_string",
        "delete_surrounding_text",
        "set_surrounding_text",
        "surrounding_text",
    }
)


def trace(direction: Direction, interface: Interface, object_id: int, message: Message, data: Data) -> str:
    """Returns the whole message in `data`, e.g. `-> wl_surface#3.damage(0, 0, 64, 64)`.

    `->` goes to the compositor, `<-` to the client.  Raises WireFault where `data`
    does not hold the message.
    """
    arrow = "->" if direction is Direction.REQUEST else "<-"
    values = decode_arguments(message, data)
    if _is_secret(interface, message):
        shown = "..."
    else:
        pairs = zip(message.arguments, values, strict=True)
        shown = ", ".join(_show(argument, value) for argument, value in pairs)
    return f"{arrow} {interface.name}#{object_id}.{message.name}({shown})"


def _is_secret(interface: Interface, message: Message) -> bool:
    return message.name in _SECRET_MESSAGES and interface.name.startswith(_SECRET_INTERFACES)


def _show(argument: Argument, value: Value) -> str:
    match argument.kind:
        case ArgumentKind.FD:
            return "fd"
        case ArgumentKind.ARRAY:
            return f"array[{len(value) if isinstance(value, bytes) else 0}]"
        case ArgumentKind.FIXED:
            return f"{integer(value) / 256:.8g}"
        case ArgumentKind.OBJECT | ArgumentKind.NEW_ID:
            new = "new id " if argument.kind is ArgumentKind.NEW_ID else ""
            return f"{new}{argument.interface or 'object'}#{integer(value)}" if value else "nil"
        case ArgumentKind.STRING:
            return _cut(value) if isinstance(value, str) else "nil"
        case ArgumentKind.INT | ArgumentKind.UINT:
            return str(integer(value))


def _cut(string: str) -> str:
    shown = string[:MAX_STRING]
    return ascii(shown) if shown == string else f"{shown!a}..."
