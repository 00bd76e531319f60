"""What one client may see and bind of the compositor's wl_registry."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from crossdomain.limits import MAX_REMOVED_GLOBALS
from crossdomain.wire.codec import Data, decode_arguments, decode_header, encode_message, integer, text
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.policy import Policy
from crossdomain.wire.tables import load

_REGISTRY: Final = load().interface("wl_registry")
_GLOBAL: Final = _REGISTRY.events[0]
_GLOBAL_REMOVE: Final = _REGISTRY.events[1]
_BIND: Final = _REGISTRY.requests[0]


class _Global(NamedTuple):
    interface: str
    version: int


class RegistryFilter:
    """One connection's view of the globals, whatever number of wl_registry objects it makes.

    Globals are remembered as the client saw them.  A removed one stays known for a
    while, because a client may bind it before it reads of the removal; the compositor
    then answers as it would without us.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._visible: dict[int, _Global] = {}
        self._removed: OrderedDict[int, _Global] = OrderedDict()

    def pass_too(self, interfaces: Iterable[str]) -> None:
        """Globals of these interfaces that the compositor tells of from now on are shown, as it has them."""
        self._policy = self._policy.passing(interfaces)

    def show(self, name: int, interface: str, version: int) -> None:
        """The client is shown a global that the compositor does not have, under a name for us alone."""
        self._visible[name] = _Global(interface, version)

    def interface_of(self, name: int) -> str | None:
        """Returns the interface of a global that the client sees; None where there is none of that name."""
        found = self._visible.get(name)
        return None if found is None else found.interface

    def version_of(self, name: int) -> int:
        """Returns the version in which the client sees a global; 0 where there is none of that name."""
        found = self._visible.get(name)
        return 0 if found is None else found.version

    def handle_global(self, event: Data) -> bytes | None:
        """Takes a whole wl_registry.global; returns what the client gets, None if nothing.

        The event comes back with a lower version where the policy caps it.
        Raises WireFault where it is malformed.
        """
        values = decode_arguments(_GLOBAL, event)
        name, interface, offered = integer(values[0]), text(values[1]), integer(values[2])
        version = self._policy.visible_version(interface, offered)
        if version == 0:
            return None
        self._removed.pop(name, None)
        self._visible[name] = _Global(interface, version)
        if version == offered:
            return bytes(event)
        return encode_message(_GLOBAL, _object_id(event), name, interface, version)

    def handle_global_remove(self, event: Data) -> bytes | None:
        """Takes a whole wl_registry.global_remove; returns it, or None if the client must not get it.

        Raises WireFault where it is malformed.
        """
        name = integer(decode_arguments(_GLOBAL_REMOVE, event)[0])
        found = self._visible.pop(name, None)
        if found is not None:
            self._removed[name] = found
            if len(self._removed) > MAX_REMOVED_GLOBALS:
                self._removed.popitem(last=False)
        # Every wl_registry of the client is told of the removal.
        return bytes(event) if name in self._removed else None

    def check_bind(self, request: Data) -> None:
        """Takes a whole wl_registry.bind; raises WireFault where the client may not bind that.

        The fault is the one with which libwayland answers.
        """
        values = decode_arguments(_BIND, request)
        name, interface, version = integer(values[0]), text(values[1]), integer(values[2])
        found = self._visible.get(name) or self._removed.get(name)
        if found is None:
            raise _invalid(request, f"invalid global {interface!r:.80} ({name})")
        if interface != found.interface:
            reason = f"invalid interface for global {name}: have {found.interface}, wanted {interface!r:.80}"
            raise _invalid(request, reason)
        if not 1 <= version <= found.version:
            reason = (
                f"invalid version for global {interface} ({name}): have {found.version}, wanted {version}"
            )
            raise _invalid(request, reason)


def _object_id(message: Data) -> int:
    header = decode_header(message)
    return 0 if header is None else header.object_id


def _invalid(request: Data, reason: str) -> WireFault:
    return WireFault(_object_id(request), DisplayError.INVALID_OBJECT, reason)
