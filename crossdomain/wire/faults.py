"""Faults of the Wayland wire format, with what wl_display.error needs to report them."""

from enum import IntEnum

from crossdomain.errors import GuestFault


class DisplayError(IntEnum):
    """Codes of wl_display.error that are not an interface's own (wl_display.error enum)."""

    INVALID_OBJECT = 0
    INVALID_METHOD = 1
    NO_MEMORY = 2
    IMPLEMENTATION = 3


class WireFault(GuestFault):
    """A message that the protocol does not allow.

    `object_id`, `code` and `text` are the arguments of the wl_display.error that
    tells the client.
    """

    def __init__(self, object_id: int, code: int, text: str) -> None:
        super().__init__(text)
        self.object_id = object_id
        self.code = code
        self.text = text
