"""Signatures of protocols that the tables don't have, written by hand in a line per message."""

from crossdomain.wire.tables import Argument, ArgumentKind, Interface, Message

_KINDS = {
    "i": ArgumentKind.INT,
    "u": ArgumentKind.UINT,
    "f": ArgumentKind.FIXED,
    "s": ArgumentKind.STRING,
    "o": ArgumentKind.OBJECT,
    "n": ArgumentKind.NEW_ID,
    "a": ArgumentKind.ARRAY,
    "h": ArgumentKind.FD,
}
"""The letters of libwayland's `wl_message.signature`."""


def interface(name: str, version: int, *, requests: str = "", events: str = "") -> Interface:
    """An interface of that name.

    Args:
        name: on the wire.
        version: the newest one.
        requests: a line per message, in order of opcodes: its name, then its arguments, each a letter
            of libwayland's signatures, with `?` before it where it may be null and `:INTERFACE` after
            it where it is an object.  A request called `destroy` is a destructor.
        events: the same.
    """
    return Interface(name, version, _messages(requests), _messages(events))


def _messages(text: str) -> tuple[Message, ...]:
    lines = [line.split() for line in text.strip().splitlines()]
    return tuple(
        Message(name, opcode, 1, name == "destroy", tuple(_argument(word) for word in words))
        for opcode, (name, *words) in enumerate(lines)
    )


def _argument(word: str) -> Argument:
    kind, _, interface_name = word.removeprefix("?").partition(":")
    return Argument(_KINDS[kind], interface_name or None, word.startswith("?"))
