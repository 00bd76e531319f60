"""A client that keeps all that it hears, in a form in which two runs can be compared.

Objects are called by their interface and in which order they were made.  Serials, times and fds have no
value in the record.
"""

from typing import Final

from crossdomain.wire import policy
from crossdomain.wire.tables import ArgumentKind, Message
from tests.fakes.client import FakeClient, Proxy, Value, integer

_VOLATILE: Final = {
    ("wl_callback", "done"): {0},
    ("wl_display", "delete_id"): {0},
    ("wl_registry", "global"): {0},
    ("wl_registry", "global_remove"): {0},
    ("wl_keyboard", "enter"): {0},
    ("wl_keyboard", "leave"): {0},
    ("wl_keyboard", "key"): {0, 1},
    ("wl_keyboard", "modifiers"): {0},
    ("wl_keyboard", "keymap"): {1},
    ("wl_pointer", "enter"): {0},
    ("wl_pointer", "leave"): {0},
    ("wl_pointer", "motion"): {0},
    ("wl_pointer", "button"): {0, 1},
    ("wl_pointer", "axis"): {0},
    ("wl_pointer", "axis_stop"): {0},
    ("wl_data_device", "enter"): {0},
    ("wl_data_device", "motion"): {0},
    ("wl_data_source", "send"): {1},
    ("xdg_surface", "configure"): {0},
    ("xdg_wm_base", "ping"): {0},
    ("wp_presentation_feedback", "presented"): {0, 1, 2, 3, 4, 5},
}
"""The arguments that differ from run to run, by message."""

_BY_MACHINE: Final = {"zwp_linux_explicit_synchronization_v1"}
"""Globals that pass where the kernels have fences that can be shared."""


class Recorder(FakeClient):
    """See the module; everything else is the client's."""

    def __init__(self, display: str) -> None:
        self.log: dict[str, list[str]] = {}
        """What each object heard, by its label."""
        self.order: list[str] = []
        """All of it, as it came."""
        self._labels: dict[int, str] = {}
        self._named: list[Proxy] = []
        super().__init__(display)

    def hear(self, target: Proxy, message: Message, values: tuple[Value, ...]) -> None:
        """Record an event, and go on as every client does."""
        if self._is_for_guests(message, values):
            volatile = _VOLATILE.get((target.interface.name, message.name), set[int]())
            shown = [
                "*" if position in volatile else self._show(message, position, value)
                for position, value in enumerate(values)
            ]
            label, event = self.label(target), " ".join([message.name, *shown])
            self.log.setdefault(label, []).append(event)
            self.order.append(f"{label}: {event}")
        super().hear(target, message, values)

    def label(self, proxy: Proxy) -> str:
        """What an object is called in the record."""
        if id(proxy) not in self._labels:
            self._named.append(proxy)  # as long as it is kept, nothing else has its address
            name = proxy.interface.name
            number = sum(known.interface.name == name for known in self._named)
            self._labels[id(proxy)] = f"{name} {number}"
        return self._labels[id(proxy)]

    def allocate(self, interface: str, version: int) -> Proxy:
        """A new object, which is named at once."""
        new = super().allocate(interface, version)
        self.label(new)
        return new

    def _show(self, message: Message, position: int, value: Value) -> str:
        if isinstance(value, Proxy):
            return self.label(value)
        if isinstance(value, bytes):
            return value.hex()
        if message.arguments[position].kind is ArgumentKind.FD:
            return "an fd"
        if message.name == "global" and position == 2:
            return str(policy.load().visible_version(self._offered, integer(value)))
        return repr(value)

    def _is_for_guests(self, message: Message, values: tuple[Value, ...]) -> bool:
        """False for a global that not every guest sees; the others are recorded in the guest's version."""
        if message.name != "global":
            return True
        self._offered = str(values[1])
        is_visible = policy.load().visible_version(self._offered, integer(values[2])) > 0
        return is_visible and self._offered not in _BY_MACHINE
