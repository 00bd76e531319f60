"""What the compositor offers: to us, and to Xwayland.

Xwayland sees what the compositor has and what the signature tables know, and globals that we
serve ourselves.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from crossdomain.errors import GuestFault
from crossdomain.wire.codec import Value, integer, text
from crossdomain.wire.tables import Tables
from launcher.xwayland.wayland.entries import Call, Handler, Verdict
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy

_FIRST_EMULATED: Final = 0xFFFF0000
"""Names of our own globals: compositors count theirs from 1."""
_HIDDEN: Final = frozenset(
    {"xwayland_shell_v1", "zwp_xwayland_keyboard_grab_manager_v1", "wp_drm_lease_device_v1"}
)
"""The first two are ours to serve; the last makes Xwayland wait for a device that is not there."""


class Global(NamedTuple):
    """One global of the compositor's."""

    name: int
    interface: str
    version: int


class _Emulated(NamedTuple):
    interface: str
    version: int
    handler: Handler


class Globals:
    """The globals of one connection."""

    def __init__(self, mediator: Mediator, tables: Tables) -> None:
        self._mediator = mediator
        self._tables = tables
        self._found: dict[int, Global] = {}
        self._hidden = set(_HIDDEN)
        self._emulated: dict[int, _Emulated] = {}
        self.added: list[Callable[[Global], None]] = []
        """Called for each global that appears."""
        self.removed: list[Callable[[Global], None]] = []
        """Called for each global that disappears."""
        self._registry: Proxy | None = None
        mediator.request_routes["wl_display", "get_registry"] = self._handle_get_registry
        mediator.request_routes["wl_registry", "bind"] = self._handle_bind
        mediator.event_routes["wl_registry", "global"] = self._handle_client_global

    def start(self, ready: Callable[[], None]) -> None:
        """Asks what there is; `ready` is called when it is known."""
        registry = self._mediator.display.create("get_registry")
        registry.handlers["global"] = self._handle_global
        registry.handlers["global_remove"] = self._handle_global_remove
        self._registry = registry
        self._mediator.settle(ready)

    def emulate(self, interface: str, version: int, handler: Handler) -> None:
        """Offers Xwayland a global that `handler` serves; before its first request."""
        self._emulated[_FIRST_EMULATED + len(self._emulated)] = _Emulated(interface, version, handler)

    def find(self, interface: str) -> Global | None:
        """Returns the first global of that interface."""
        for found in self._found.values():
            if found.interface == interface:
                return found
        return None

    def find_all(self, interface: str) -> list[Global]:
        """Returns all globals of that interface."""
        return [found for found in self._found.values() if found.interface == interface]

    def hide(self, interface: str) -> None:
        """Keeps a global from Xwayland; before its first request."""
        self._hidden.add(interface)

    def bind(self, interface: str, version: int) -> Proxy | None:
        """Binds the first global of that interface, in `version` or what there is below it."""
        found = self.find(interface)
        return None if found is None else self.bind_global(found, version)

    def bind_global(self, found: Global, version: int) -> Proxy | None:
        """Binds a global, in `version` or what there is below it."""
        known = self._tables.find(found.interface)
        if self._registry is None or known is None:
            return None
        version = min(version, found.version, self._tables.at(known).version)
        return self._registry.bind(found.name, found.interface, version)

    def _handle_global(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        found = Global(integer(values[0]), text(values[1]), integer(values[2]))
        self._found[found.name] = found
        for listener in self.added:
            listener(found)

    def _handle_global_remove(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        found = self._found.pop(integer(values[0]), None)
        if found is not None:
            for listener in self.removed:
                listener(found)

    def _handle_get_registry(self, call: Call) -> Verdict:
        for name, emulated in self._emulated.items():
            self._mediator.send_event(
                "wl_registry", call.number(0), "global", name, emulated.interface, emulated.version
            )
        return Verdict.PASS

    def _handle_client_global(self, call: Call) -> Verdict:
        index = self._tables.find(call.text(1))
        if index is None or call.text(1) in self._hidden:
            return Verdict.DROP
        call.values[2] = min(call.number(2), self._tables.at(index).version)
        return Verdict.CHANGED

    def _handle_bind(self, call: Call) -> Verdict:
        emulated = self._emulated.get(call.number(0))
        if emulated is None:
            if self._tables.find(call.text(1)) is None:
                raise GuestFault(f"Xwayland bound the unknown interface {call.text(1)!r:.80}")
            return Verdict.PASS
        self._mediator.create_local(emulated.interface, call.number(2), call.number(3), emulated.handler)
        return Verdict.DROP
