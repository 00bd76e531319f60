"""Fingers and pens: which window they are on, and what they do on surfaces of our own.

Like a pointer's events, those on our own surfaces (decorations) come to Xwayland's devices, and are taken
out here.
"""

import time
from typing import Final

from launcher.xwayland.wayland.entries import Call, Entry, Verdict
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.seats import Listener, Seats, Target
from launcher.xwayland.wayland.surfaces import Surface, Surfaces

_PEN_OTHERS: Final = ("pressure", "distance", "tilt", "rotation", "slider", "wheel", "button", "frame")
_PEN: Final = -1
"""The number of a pen's contact: it has one; fingers are counted from 0."""


class _Contact:
    """A finger or a pen on a surface of our own.  Positions are surface-local, 24.8 fixed."""

    __slots__ = ("is_down", "target", "x", "y")

    def __init__(self, target: Target, x: int, y: int) -> None:
        self.target = target
        self.x = x
        self.y = y
        self.is_down = False


class Contacts:
    """All of a session."""

    def __init__(self, mediator: Mediator, surfaces: Surfaces, seats: Seats, listener: Listener) -> None:
        self._mediator = mediator
        self._surfaces = surfaces
        self._seats = seats
        self._listener = listener
        self._contacts: dict[tuple[Entry, int], _Contact] = {}
        """By wl_touch or zwp_tablet_tool_v2, and the finger's number."""
        self._tool_seats: dict[int, Entry] = {}
        """The wl_seat of each tool, by the compositor's id of that."""
        mediator.request_routes["wl_seat", "get_touch"] = self._handle_device
        mediator.request_routes["zwp_tablet_manager_v2", "get_tablet_seat"] = self._handle_device
        mediator.event_routes.update(
            {
                ("wl_touch", "down"): self._handle_finger_down,
                ("wl_touch", "motion"): self._handle_finger_motion,
                ("wl_touch", "up"): self._handle_finger_up,
                ("wl_touch", "shape"): self._handle_finger_other,
                ("wl_touch", "orientation"): self._handle_finger_other,
                ("wl_touch", "cancel"): self._handle_cancel,
                ("zwp_tablet_seat_v2", "tool_added"): self._handle_tool,
                ("zwp_tablet_tool_v2", "proximity_in"): self._handle_proximity_in,
                ("zwp_tablet_tool_v2", "proximity_out"): self._handle_proximity_out,
                ("zwp_tablet_tool_v2", "motion"): self._handle_pen_motion,
                ("zwp_tablet_tool_v2", "down"): self._handle_pen_down,
                ("zwp_tablet_tool_v2", "up"): self._handle_pen_up,
            }
        )
        for name in _PEN_OTHERS:
            mediator.event_routes["zwp_tablet_tool_v2", name] = self._handle_pen_other

    # Where they come from.

    def _handle_device(self, call: Call) -> Verdict:
        """wl_seat.get_touch, zwp_tablet_manager_v2.get_tablet_seat(id, seat)."""
        is_touch = call.entry.interface == "wl_seat"
        seat = call.entry if is_touch else self._mediator.find_client(call.number(1))

        def created(entry: Entry) -> None:
            entry.state = seat

        self._mediator.expect(call.number(0), created)
        return Verdict.PASS

    def _handle_tool(self, call: Call) -> Verdict:
        if isinstance(call.entry.state, Entry):
            self._tool_seats[call.number(0)] = call.entry.state
        return Verdict.PASS

    def _come(self, surface: Surface) -> Verdict:
        """One is on a surface of Xwayland's."""
        return Verdict.HOLD if self._listener.pointer_entered(surface) else Verdict.PASS

    def _press(self, contact: _Contact, milliseconds: int) -> None:
        contact.is_down = True
        contact.target.contact_down(contact.x, contact.y, milliseconds)

    # Fingers.

    def _handle_finger_down(self, call: Call) -> Verdict:
        serial, milliseconds, host_id, finger, x, y = (call.number(position) for position in range(6))
        surface = self._surfaces.find_host(host_id)
        if surface is not None and self._come(surface) is Verdict.HOLD:
            return Verdict.HOLD
        self._contacts.pop((call.entry, finger), None)
        if isinstance(call.entry.state, Entry):
            self._seats.note_press((call.entry, finger), call.entry.state, serial)
        if surface is not None:
            return Verdict.PASS
        target = self._seats.find_target(host_id)
        if target is not None:
            contact = self._contacts[call.entry, finger] = _Contact(target, x, y)
            self._press(contact, milliseconds)
        return Verdict.DROP

    def _handle_finger_motion(self, call: Call) -> Verdict:
        contact = self._contacts.get((call.entry, call.number(1)))
        return Verdict.PASS if contact is None else _move(contact, call.number(2), call.number(3))

    def _handle_finger_up(self, call: Call) -> Verdict:
        self._seats.note_release((call.entry, call.number(2)))
        contact = self._contacts.pop((call.entry, call.number(2)), None)
        return Verdict.PASS if contact is None else _lift(contact)

    def _handle_finger_other(self, call: Call) -> Verdict:
        return Verdict.DROP if (call.entry, call.number(0)) in self._contacts else Verdict.PASS

    def _handle_cancel(self, call: Call) -> Verdict:
        self._seats.note_cancel(call.entry)
        for key in [key for key in self._contacts if key[0] is call.entry]:
            self._contacts.pop(key).target.contact_cancelled()
        return Verdict.PASS

    # Pens.

    def _handle_proximity_in(self, call: Call) -> Verdict:
        surface = self._surfaces.find_host(call.number(2))
        self._contacts.pop((call.entry, _PEN), None)
        if surface is not None:
            return self._come(surface)
        target = self._seats.find_target(call.number(2))
        if target is not None:
            self._contacts[call.entry, _PEN] = _Contact(target, 0, 0)
        return Verdict.DROP

    def _handle_proximity_out(self, call: Call) -> Verdict:
        self._seats.note_release((call.entry, _PEN))
        contact = self._contacts.pop((call.entry, _PEN), None)
        if contact is None:
            return Verdict.PASS
        contact.target.contact_cancelled()
        return Verdict.DROP

    def _handle_pen_motion(self, call: Call) -> Verdict:
        contact = self._contacts.get((call.entry, _PEN))
        return Verdict.PASS if contact is None else _move(contact, call.number(0), call.number(1))

    def _handle_pen_down(self, call: Call) -> Verdict:
        seat = self._tool_seats.get(call.entry.host_id)
        if seat is not None:
            self._seats.note_press((call.entry, _PEN), seat, call.number(0))
        contact = self._contacts.get((call.entry, _PEN))
        if contact is None:
            return Verdict.PASS
        self._press(contact, time.monotonic_ns() // 1_000_000)
        return Verdict.DROP

    def _handle_pen_up(self, call: Call) -> Verdict:
        self._seats.note_release((call.entry, _PEN))
        contact = self._contacts.get((call.entry, _PEN))
        return Verdict.PASS if contact is None else _lift(contact)

    def _handle_pen_other(self, call: Call) -> Verdict:
        return Verdict.DROP if (call.entry, _PEN) in self._contacts else Verdict.PASS


def _move(contact: _Contact, x: int, y: int) -> Verdict:
    contact.x, contact.y = x, y
    if contact.is_down:
        contact.target.contact_moved(x, y)
    return Verdict.DROP


def _lift(contact: _Contact) -> Verdict:
    if contact.is_down:
        contact.is_down = False
        contact.target.contact_up(contact.x, contact.y)
    return Verdict.DROP
