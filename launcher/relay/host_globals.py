"""Globals of the compositor's that the relay uses itself, beside what it shows to the client."""

from crossdomain.wire.codec import Data, decode_arguments, encode_message, integer, text
from crossdomain.wire.tables import load
from launcher.relay.messages import Anchor

_REGISTRY = load().interface("wl_registry")
_GLOBAL, _GLOBAL_REMOVE = _REGISTRY.events
_BIND = _REGISTRY.requests[0]
_NONE = 0
"""Names count from 1."""


class HostGlobal:
    """The compositor's global of one interface."""

    __slots__ = ("_interface", "_name", "_pattern", "_version")

    def __init__(self, interface: str, version: int) -> None:
        """Of the first one that has that version at least."""
        self._interface = interface
        self._pattern = interface.encode()
        self._version = version
        self._name = _NONE

    def note_global(self, event: Data) -> None:
        """wl_registry.global, of whatever interface."""
        if self._name != _NONE or self._pattern not in bytes(event):
            return
        name, interface, version = decode_arguments(_GLOBAL, event)
        if text(interface) == self._interface and integer(version) >= self._version:
            self._name = integer(name)

    def note_global_remove(self, event: Data) -> None:
        """wl_registry.global_remove."""
        if decode_arguments(_GLOBAL_REMOVE, event)[0] == self._name:
            self._name = _NONE

    def bind(self, anchor: Anchor, object_id: int) -> bytes | None:
        """Returns what binds it in the place of the client's own; None where the compositor has none."""
        if self._name == _NONE:
            return None
        values = (self._name, self._interface, self._version, object_id)
        return encode_message(_BIND, anchor.registry_id, *values)
