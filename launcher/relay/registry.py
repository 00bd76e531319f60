"""What the client sees of wl_registry: the policy's globals, nothing that can't be carried, and our own.

A global that the relay serves itself is announced to every wl_registry right behind the compositor's
global that it needs.  Its name is from a range that compositors, which count from 1, do not
reach; one that does has its global hidden.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import Identifier
from crossdomain.wire import Record
from crossdomain.wire.codec import encode_message
from crossdomain.wire.policy import Policy
from crossdomain.wire.registry import RegistryFilter
from crossdomain.wire.tables import load
from launcher.relay.host_globals import HostGlobal
from launcher.relay.messages import (
    DROP_EVENT,
    Anchor,
    EmulatedGlobal,
    EventHandler,
    RequestHandler,
    Route,
    ToClient,
    ToHost,
    message,
)

_FIRST_NAME: Final = 0xFD000000
_GLOBAL: Final = load().interface("wl_registry").events[0]
_NAME: Final = Struct("<8xI")
_BOUND: Final = Struct("<II")
"""The last words of wl_registry.bind: version and new_id."""


class _Own(NamedTuple):
    name: int
    version: int
    served: EmulatedGlobal


class Registry:
    """One client's view; a `messages.Part`."""

    def __init__(
        self, policy: Policy, emulated: Sequence[EmulatedGlobal] = (), used: Sequence[HostGlobal] = ()
    ) -> None:
        """`emulated` are the globals that can be served here; the policy says which are.

        `used` are those of the compositor's that somebody here needs.
        """
        self._used = used
        self._filter = RegistryFilter(policy)
        self._own: dict[int, _Own] = {}
        self._behind: dict[str, list[_Own]] = {}
        self._anchors: dict[str, int] = {}
        """The name of the global behind which others are announced: the first of its interface."""
        for name, served in enumerate(emulated, start=_FIRST_NAME):
            version = min(served.version, policy.emulated_version(served.interface))
            if version:
                self._own[name] = _Own(name, version, served)
                self._behind.setdefault(served.behind, []).append(self._own[name])

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {("wl_registry", "bind"): self._handle_bind}

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {
            ("wl_registry", "global"): self._handle_global,
            ("wl_registry", "global_remove"): self._handle_global_remove,
        }

    def _handle_bind(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        request = message(record, data)
        self._filter.check_bind(request)
        own = self._own.get(_NAME.unpack_from(request)[0])
        if own is None:
            return None
        version, object_id = _BOUND.unpack_from(request, len(request) - _BOUND.size)
        name = self._anchors[own.served.behind]
        anchor = Anchor(record.object_id, name, self._filter.version_of(name))
        return own.served.bind(object_id, version, anchor)

    def _handle_global(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        event = message(record, data)
        for used in self._used:
            used.note_global(event)
        (name,) = _NAME.unpack_from(event)
        shown = None if name in self._own else self._filter.handle_global(event)
        return DROP_EVENT if shown is None else ToClient(shown + self._announce(record.object_id, name))

    def _announce(self, registry_id: int, name: int) -> bytes:
        """Returns the events that announce what stands behind a global of the compositor's."""
        interface = self._filter.interface_of(name)
        behind = self._behind.get(interface) if interface is not None else None
        if interface is None or behind is None or self._anchors.setdefault(interface, name) != name:
            return b""
        for own in behind:
            self._filter.show(own.name, own.served.interface, own.version)
        return b"".join(
            encode_message(_GLOBAL, registry_id, own.name, own.served.interface, own.version)
            for own in behind
        )

    def _handle_global_remove(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        event = message(record, data)
        for used in self._used:
            used.note_global_remove(event)
        is_own = _NAME.unpack_from(event)[0] in self._own
        shown = None if is_own else self._filter.handle_global_remove(event)
        return DROP_EVENT if shown is None else ToClient(shown)
