"""X clients that grab the keyboard get the keys that the compositor has shortcuts on, where it lets them.

Xwayland tells of such grabs with zwp_xwayland_keyboard_grab_v1, which compositors have for an Xwayland of
their own.  Any client of theirs may ask for the same with zwp_keyboard_shortcuts_inhibit_manager_v1.
"""

from launcher.xwayland.wayland.entries import Call, Entry, Verdict
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy


class KeyboardGrabs:
    """All of a session."""

    def __init__(self, mediator: Mediator, found: Globals, inhibitors: Proxy) -> None:
        """`inhibitors` is the compositor's manager of them; before Xwayland's first request."""
        self._mediator = mediator
        self._inhibitors = inhibitors
        self._held: dict[Entry, tuple[int, int]] = {}
        """Grabs that stop shortcuts, by their object: on which surface, and of which seat."""
        found.emulate("zwp_xwayland_keyboard_grab_manager_v1", 1, self._handle_manager)

    def _handle_manager(self, call: Call) -> Verdict:
        if call.message.name == "grab_keyboard":
            grab = self._mediator.create_local(
                "zwp_xwayland_keyboard_grab_v1", call.entry.version, call.number(0), self._handle_grab
            )
            surface = self._mediator.find_client(call.number(1))
            seat = self._mediator.find_client(call.number(2))
            if surface is not None and seat is not None and surface.host_id and seat.host_id:
                self._inhibit(grab, surface, seat)
        return Verdict.DROP

    def _inhibit(self, grab: Entry, surface: Entry, seat: Entry) -> None:
        place = (surface.host_id, seat.host_id)
        # A second one for the same place would be a protocol error (already_inhibited).
        if place not in self._held.values():
            grab.state = self._inhibitors.create("inhibit_shortcuts", surface, seat)
            self._held[grab] = place

    def _handle_grab(self, call: Call) -> Verdict:
        """The grab's only request: it ends."""
        if isinstance(call.entry.state, Proxy):
            call.entry.state.send("destroy")
            del self._held[call.entry]
        return Verdict.DROP
