"""Follows Xwayland's input devices: whose the keyboard is, where pointers are, what was clicked last.
Fingers and pens are followed in `contacts`.

Surfaces of our own (decorations) get no events of their own devices: what happens on them comes to
Xwayland's, and is taken out here.
"""

import time
from typing import Final, Protocol, TypeAlias

from launcher.xwayland.wayland.entries import Call, Entry, Handler, Verdict
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.surfaces import Surface, Surfaces

PRESSED: Final = 1
"""wl_pointer.button_state."""
FRAME_SINCE: Final = 5
"""The version of wl_pointer from which on events end with wl_pointer.frame."""
_OTHERS: Final = (
    "axis", "axis_source", "axis_stop", "axis_discrete", "axis_value120", "axis_relative_direction", "frame",
)  # fmt: skip


Contact: TypeAlias = tuple[Entry, int]
"""Something that can be pressed: the device, and which of its fingers."""


class Listener(Protocol):
    """Who wants to know where the user is."""

    def pointer_entered(self, surface: Surface) -> bool:
        """A pointer has come to one of Xwayland's surfaces, or a finger, or a pen.

        Returns whether that has to be held back (`Verdict.HOLD`), until X has it where it is.
        """
        ...

    def pointer_used(self, surface: Surface) -> bool:
        """Something else has happened there, perhaps after another one was used elsewhere; as above."""
        ...

    def keyboard_entered(self, surface: Surface | None) -> None:
        """The keyboard is a surface's, or none's."""
        ...

    def key_came(self) -> bool:
        """A key was used; returns whether it has to be held back, until X knows whose the keyboard is."""
        ...

    def serial_came(self) -> None:
        """`Seats.last_serial` is another one."""
        ...


class Pointer:
    """One wl_pointer of Xwayland's.  Positions are surface-local, 24.8 fixed."""

    __slots__ = (
        "button_serial", "buttons", "enter_serial", "entry", "seat", "stand_in", "surface", "target",
        "target_buttons", "x", "y",
    )  # fmt: skip

    def __init__(self, entry: Entry, seat: Entry) -> None:
        self.entry = entry
        self.seat = seat
        self.target: Target | None = None
        """Who has the pointer, where it is on a surface of our own."""
        self.surface: Surface | None = None
        """Xwayland's surface that has the pointer."""
        self.stand_in: StandIn | None = None
        """Who has Xwayland's pointer in hand, while the compositor drags something with its own."""
        self.buttons: list[int] = []
        """Those that are pressed on Xwayland's surface, the first first."""
        self.target_buttons: list[int] = []
        """Those that are pressed on a surface of our own."""
        self.enter_serial = 0
        self.button_serial = 0
        self.x = 0
        self.y = 0


class StandIn(Protocol):
    """Decides what Xwayland gets of its pointer's events."""

    def handle_pointer(self, call: Call) -> Verdict:
        """Takes an event of the compositor's."""
        ...


class Target(Protocol):
    """A surface of our own that the pointer can be on."""

    @property
    def window_surface(self) -> Surface:
        """Xwayland's surface that it belongs to: who is given the keyboard here, has it there."""
        ...

    def pointer_moved(self, pointer: Pointer) -> None:
        """The pointer has come, or has moved."""
        ...

    def pointer_left(self, pointer: Pointer) -> None:
        """The pointer is elsewhere."""
        ...

    def pointer_button(self, pointer: Pointer, button: int, *, pressed: bool, time: int) -> None:
        """A button (linux/input-event-codes.h) was used; `time` in ms."""
        ...

    def contact_down(self, x: int, y: int, time: int) -> None:
        """A finger, or a pen, touches a point (surface-local, 24.8 fixed); `time` in ms."""
        ...

    def contact_moved(self, x: int, y: int) -> None:
        """It has moved, touching."""
        ...

    def contact_up(self, x: int, y: int) -> None:
        """It has left from there."""
        ...

    def contact_cancelled(self) -> None:
        """What it has done counts for nothing."""
        ...


class Seats:
    """All wl_seats that Xwayland uses."""

    def __init__(self, mediator: Mediator, surfaces: Surfaces, listener: Listener) -> None:
        self._mediator = mediator
        self._surfaces = surfaces
        self._listener = listener
        self._targets: dict[int, Target] = {}
        self._pointers: set[Pointer] = set()
        self._seat: Entry | None = None
        self._serial = 0
        self.last_serial = 0
        """The serial of the last event that gives a right to the clipboard, 0 where there was none."""
        self._keyboards: dict[Entry, Surface] = {}
        self._held: dict[Contact, tuple[Entry, int]] = {}
        """What is pressed now, what came last at the end: the seat, and the serial of when that began."""
        mediator.request_routes["wl_seat", "get_pointer"] = self._handle_get_pointer
        mediator.request_routes["wl_pointer", "release"] = self._handle_release_pointer
        mediator.request_routes["wl_keyboard", "release"] = self._handle_release_keyboard
        mediator.event_routes.update(
            {
                ("wl_pointer", "enter"): self._shown(self._handle_enter),
                ("wl_pointer", "leave"): self._shown(self._handle_leave),
                ("wl_pointer", "motion"): self._shown(self._handle_motion),
                ("wl_pointer", "button"): self._shown(self._handle_button),
                ("wl_keyboard", "enter"): self._handle_keyboard_enter,
                ("wl_keyboard", "leave"): self._handle_keyboard_leave,
                ("wl_keyboard", "key"): self._handle_key,
            }
        )
        for name in _OTHERS:
            mediator.event_routes["wl_pointer", name] = self._shown(self._handle_other)

    @property
    def last_input(self) -> tuple[Entry, int] | None:
        """The seat and the serial of what the user did last, None where there was nothing."""
        return None if self._seat is None or self._seat.zombie else (self._seat, self._serial)

    @property
    def held(self) -> tuple[Entry, int] | None:
        """The seat and the serial of what the user holds down: a button, a finger or a pen; None for nothing.

        With that a compositor lets its user drag a window (xdg_toplevel.move); without, it would ignore
        that, or drag the window with a pointer that nobody holds.
        """
        return next((self._held[contact] for contact in reversed(self._held) if not contact[0].zombie), None)

    @property
    def keyboard_surface(self) -> Surface | None:
        """Xwayland's surface with the keyboard of any seat."""
        return next((surface for surface in self._keyboards.values() if surface.alive), None)

    def add_target(self, surface: Proxy, target: Target) -> None:
        """From now on `target` gets what happens on a wl_surface of our own."""
        self._targets[surface.entry.host_id] = target

    def find_target(self, host_id: int) -> Target | None:
        """Returns who gets what happens on the surface that the compositor calls `host_id`."""
        return self._targets.get(host_id)

    def note_press(self, contact: Contact, seat: Entry, serial: int) -> None:
        """The user has pressed something: a button, a finger or a pen."""
        self._held = {known: began for known, began in self._held.items() if not known[0].zombie}
        self._held.setdefault(contact, (seat, serial))
        self._seat, self._serial = seat, serial
        self._take_serial(serial)

    def note_release(self, contact: Contact) -> None:
        """It is not pressed any more."""
        self._held.pop(contact, None)

    def note_cancel(self, device: Entry) -> None:
        """The compositor has taken over what is pressed on a device."""
        self._held = {known: began for known, began in self._held.items() if known[0] is not device}

    def remove_target(self, surface: Proxy) -> None:
        """The surface goes away."""
        target = self._targets.pop(surface.entry.host_id, None)
        for pointer in self._pointers:
            # No wl_pointer.leave can name it.
            if pointer.target is target:
                pointer.target = None

    def pressed_pointer(self) -> Pointer | None:
        """Returns the pointer with a button pressed on one of Xwayland's surfaces."""
        for pointer in self._pointers:
            if pointer.buttons and pointer.surface is not None and pointer.surface.alive:
                return pointer
        return None

    def repeat_enter(self, call: Call) -> None:
        """Handles a wl_pointer.enter that a stand-in had kept, as if it came now."""
        pointer, surface = call.entry.state, self._surfaces.find_host(call.number(1))
        if not isinstance(pointer, Pointer):
            return
        self._note_enter(pointer, call)
        if surface is not None:
            self._listener.pointer_entered(surface)
            self._send_enter(pointer, surface)
            if call.entry.version >= FRAME_SINCE:
                self._mediator.send_event("wl_pointer", call.entry.client_id, "frame")

    # Pointers.

    def _shown(self, handler: Handler) -> Handler:
        """Returns a handler of what no stand-in takes."""

        def handle(call: Call) -> Verdict:
            pointer = call.entry.state
            if isinstance(pointer, Pointer) and pointer.stand_in is not None:
                verdict = pointer.stand_in.handle_pointer(call)
                if verdict is Verdict.DROP:
                    return verdict
            return handler(call)

        return handle

    def _handle_get_pointer(self, call: Call) -> Verdict:
        seat = call.entry

        def created(entry: Entry) -> None:
            pointer = Pointer(entry, seat)
            entry.state = pointer
            self._pointers.add(pointer)

        self._mediator.expect(call.number(0), created)
        return Verdict.PASS

    def _handle_release_pointer(self, call: Call) -> Verdict:
        pointer = call.entry.state
        if isinstance(pointer, Pointer):
            self._pointers.discard(pointer)
            if pointer.target is not None:
                pointer.target.pointer_left(pointer)
                pointer.target = None
        return Verdict.PASS

    def _handle_enter(self, call: Call) -> Verdict:
        pointer = call.entry.state
        if not isinstance(pointer, Pointer):
            return Verdict.PASS
        surface = self._surfaces.find_host(call.number(1))
        if surface is not None and self._listener.pointer_entered(surface):
            return Verdict.HOLD
        self._note_enter(pointer, call)
        if surface is not None:
            self._send_enter(pointer, surface)
        return Verdict.DROP

    def _note_enter(self, pointer: Pointer, call: Call) -> None:
        pointer.enter_serial, pointer.x, pointer.y = call.number(0), call.number(2), call.number(3)
        pointer.surface = self._surfaces.find_host(call.number(1))
        pointer.buttons.clear()
        self._forget_buttons(pointer)
        pointer.target = None if pointer.surface is not None else self._targets.get(call.number(1))
        if pointer.target is not None:
            pointer.target.pointer_moved(pointer)

    def _send_enter(self, pointer: Pointer, surface: Surface) -> None:
        """Tells Xwayland where the pointer has come to.

        It would add to that what it has heard of relative motion since the last wl_pointer.motion: wlroots
        tells the way to another surface so.
        """
        client_id, place = pointer.entry.client_id, (pointer.x, pointer.y)
        serial, surface_id = pointer.enter_serial, surface.entry.client_id
        self._mediator.send_event("wl_pointer", client_id, "enter", serial, surface_id, *place)
        now = time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF
        self._mediator.send_event("wl_pointer", client_id, "motion", now, *place)

    def _handle_leave(self, call: Call) -> Verdict:
        pointer = call.entry.state
        if not isinstance(pointer, Pointer):
            return Verdict.PASS
        pointer.surface = None
        target, pointer.target = pointer.target, None
        if target is not None:
            target.pointer_left(pointer)  # who may still use what is held
        self._forget_buttons(pointer)
        return Verdict.PASS if target is None else Verdict.DROP

    def _handle_motion(self, call: Call) -> Verdict:
        pointer = call.entry.state
        if not isinstance(pointer, Pointer):
            return Verdict.PASS
        pointer.x, pointer.y = call.number(1), call.number(2)
        if pointer.target is None:
            return self._use(pointer)
        pointer.target.pointer_moved(pointer)
        return Verdict.DROP

    def _handle_button(self, call: Call) -> Verdict:
        pointer = call.entry.state
        if not isinstance(pointer, Pointer):
            return Verdict.PASS
        pressed = call.number(3) == PRESSED
        if pressed and pointer.target is None and self._use(pointer) is Verdict.HOLD:
            return Verdict.HOLD
        if pressed:
            pointer.button_serial = call.number(0)
            self.note_press((pointer.entry, 0), pointer.seat, call.number(0))
        counted = pointer.buttons if pointer.target is None else pointer.target_buttons
        _count_button(counted, call.number(2), pressed=pressed)
        if not counted:
            self.note_release((pointer.entry, 0))
        if pointer.target is None:
            return Verdict.PASS
        pointer.target.pointer_button(pointer, call.number(2), pressed=pressed, time=call.number(1))
        return Verdict.DROP

    def _forget_buttons(self, pointer: Pointer) -> None:
        """The pointer is elsewhere: the compositor has taken over what was pressed."""
        pointer.target_buttons.clear()
        self.note_cancel(pointer.entry)

    def _use(self, pointer: Pointer) -> Verdict:
        surface = pointer.surface
        held = surface is not None and surface.alive and self._listener.pointer_used(surface)
        return Verdict.HOLD if held else Verdict.PASS

    def _handle_other(self, call: Call) -> Verdict:
        pointer = call.entry.state
        return Verdict.DROP if isinstance(pointer, Pointer) and pointer.target is not None else Verdict.PASS

    # Keyboards.

    def _handle_keyboard_enter(self, call: Call) -> Verdict:
        surface = self._surfaces.find_host(call.number(1))
        target = self._targets.get(call.number(1))
        if surface is None and target is not None:
            # Compositors give it to the part of the window that was clicked.
            surface = target.window_surface
        if surface is None:
            return Verdict.DROP
        self._keyboards[call.entry] = surface
        self._take_serial(call.number(0))
        self._listener.keyboard_entered(surface)
        call.values[1] = surface.entry.host_id
        return Verdict.CHANGED

    def _handle_keyboard_leave(self, call: Call) -> Verdict:
        surface = self._keyboards.pop(call.entry, None)
        if surface is None:
            return Verdict.DROP
        if not self._keyboards:
            self._listener.keyboard_entered(None)
        call.values[1] = surface.entry.host_id
        return Verdict.CHANGED

    def _handle_release_keyboard(self, call: Call) -> Verdict:
        self._keyboards.pop(call.entry, None)
        return Verdict.PASS

    def _handle_key(self, call: Call) -> Verdict:
        if self._listener.key_came():
            return Verdict.HOLD
        self._take_serial(call.number(0))
        if self._seat is not None:
            self._serial = call.number(0)
        return Verdict.PASS

    def _take_serial(self, serial: int) -> None:
        self.last_serial = serial
        self._listener.serial_came()


def _count_button(buttons: list[int], button: int, *, pressed: bool) -> None:
    if pressed:
        buttons.append(button)
    elif button in buttons:
        buttons.remove(button)
