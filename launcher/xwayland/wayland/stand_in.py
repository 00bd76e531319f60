"""Moves Xwayland's pointer while the compositor drags something with its own.

From wl_data_device.start_drag on Xwayland gets no pointer any more, but the X client that drags lives
on motion, and on the release of the button.  So it gets them from here.  Xwayland takes a
wl_pointer.enter as the end of all pressed buttons, so there is none: what is on another surface is
told as a place relative to the surface that the drag began on.
"""

import time
from collections.abc import Callable
from typing import Final

from launcher.xwayland.wayland.entries import Call, Verdict
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.seats import FRAME_SINCE, Pointer, Seats
from launcher.xwayland.wayland.surfaces import Surface

_WORD: Final = 0xFFFFFFFF


class StandIn:
    """Has one pointer in hand until `end`."""

    def __init__(
        self, mediator: Mediator, seats: Seats, pointer: Pointer, surface: Surface, lost: Callable[[], None]
    ) -> None:
        """`lost` is called where the compositor goes on with the pointer instead: nothing is dragged then."""
        self._mediator = mediator
        self._seats = seats
        self._pointer = pointer
        self._surface = surface
        self._lost = lost
        self._buttons = list(pointer.buttons)
        self._is_taken = False
        self._kept: Call | None = None
        self.x = pointer.x
        """Where the pointer is on the surface that the drag began on, 24.8 fixed."""
        self.y = pointer.y
        pointer.stand_in = self

    def take(self) -> None:
        """The compositor has the pointer now, and Xwayland's is where it was left."""
        if not self._is_taken:
            self._is_taken = True
            self.x, self.y = self._pointer.x, self._pointer.y

    def move(self, x: int, y: int) -> None:
        """Moves it, to a place relative to the surface that the drag began on; 24.8 fixed."""
        self.x, self.y = x, y
        if self._surface.alive:
            self._send("motion", _now(), x, y)
            self._end_frame()

    def release(self) -> None:
        """Releases the buttons that the drag began with; the compositor does, where it has not taken over."""
        if not self._is_taken:
            return
        for button in self._buttons:
            self._send("button", self._pointer.button_serial, _now(), button, 0)
            self._end_frame()
        self._buttons.clear()

    def end(self) -> None:
        """Gives it back; may be called again."""
        if self._pointer.stand_in is not self:
            return
        self._pointer.stand_in = None
        if self._is_taken:
            self._pointer.buttons.clear()
            if self._surface.alive:
                self._send("leave", self._pointer.enter_serial, self._surface.entry.client_id)
                self._end_frame()
        kept, self._kept = self._kept, None
        if kept is not None:
            self._seats.repeat_enter(kept)

    # `seats.StandIn`.

    def handle_pointer(self, call: Call) -> Verdict:
        """See `seats.StandIn`."""
        name = call.message.name
        if not self._is_taken:
            if name == "leave":
                self.take()
                return Verdict.DROP
            if name == "button":
                self._lost()
            return Verdict.PASS
        if name == "enter":
            # The compositor is done with its drag; perhaps Xwayland is not yet.
            self._kept = call
            self._lost()
        elif name == "leave":
            self._kept = None
        return Verdict.DROP

    def _send(self, name: str, *values: int) -> None:
        if not self._pointer.entry.zombie:
            self._mediator.send_event("wl_pointer", self._pointer.entry.client_id, name, *values)

    def _end_frame(self) -> None:
        if self._pointer.entry.version >= FRAME_SINCE:
            self._send("frame")


def _now() -> int:
    return time.monotonic_ns() // 1_000_000 & _WORD
