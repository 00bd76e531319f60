"""Drag and drop: found out by who owns XdndSelection, and by what comes to our wl_data_device.

There is one drag at a time, and what was dropped and is not done yet.
"""

from collections.abc import Sequence
from typing import Final

from crossdomain.wire.codec import Value, integer
from launcher.xwayland.transfer import xdnd
from launcher.xwayland.transfer.answers import notify
from launcher.xwayland.transfer.devices import Device, Offer
from launcher.xwayland.transfer.drag_from_x import DragFromX
from launcher.xwayland.transfer.drag_to_x import DragToX
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.wayland.surfaces import Surfaces
from launcher.xwayland.x11.events import ClientMessage, SelectionOwnerNotify, SelectionRequest

_ACTIONS_SINCE: Final = 3
"""The version of wl_data_device that has actions, and an end."""
_TO_TARGET: Final = ("XdndEnter", "XdndPosition", "XdndLeave", "XdndDrop")
_TO_SOURCE: Final = ("XdndStatus", "XdndFinished")


class Drags:
    """All drags of a session."""

    def __init__(self, stage: Stage, surfaces: Surfaces) -> None:
        self._stage = stage
        self._surfaces = surfaces
        self._owner = 0
        self._from_x: DragFromX | None = None
        self._to_x: DragToX | None = None
        self._dropped: DragToX | None = None
        """What was let go over an X window that is not done with it."""
        self._unused: Offer | None = None
        """What is over a surface of ours that is no X window's."""

    def set_device(self, device: Device | None) -> None:
        """A seat has come, or gone."""
        self.close()
        if device is None or device.proxy.version < _ACTIONS_SINCE:
            self._stage.device = None
            return
        self._stage.device = device
        handlers = device.proxy.handlers
        handlers["enter"] = self._handle_enter
        handlers["leave"] = lambda _values, _fds: self._handle_leave()
        handlers["motion"] = self._handle_motion
        handlers["drop"] = lambda _values, _fds: self._handle_drop()

    def close(self) -> None:
        """Ends all of them."""
        for drag in (self._from_x, self._to_x, self._dropped):
            if drag is not None:
                drag.abort()

    # The X side.

    def handle_owner(self, event: SelectionOwnerNotify) -> None:
        """XdndSelection has another owner: that is how a drag begins."""
        self._stage.transfers.change_owner(event.selection, ended=event.ended)
        before, self._owner = self._owner, event.owner
        current = self._from_x
        if current is not None and (before == event.owner or (not event.owner and current.is_dropped)):
            return
        if current is not None:
            current.abort()
        if event.owner in (0, self._stage.window) or self._stage.device is None:
            return
        pointer = self._stage.seats.pressed_pointer()
        if pointer is not None and pointer.surface is not None and pointer.stand_in is None:
            self._from_x = DragFromX(self._stage, pointer, pointer.surface, self._end_from_x)

    def handle_request(self, request: SelectionRequest) -> None:
        """An X client wants what was dragged."""
        drag = self._dropped or self._to_x
        if drag is None:
            notify(self._stage.transfers, request, 0)
        else:
            drag.handle_request(request)

    def handle_message(self, event: ClientMessage, type_: str) -> None:
        """Takes an Xdnd message, or one that is none."""
        if event.window == self._stage.window and type_ in _TO_TARGET:
            if self._from_x is not None:
                self._from_x.handle_message(type_, event.data)
            else:
                self._refuse(type_, event.data)
        elif event.window == self._stage.window and type_ in _TO_SOURCE:
            for drag in (self._dropped, self._to_x):
                if drag is not None:
                    drag.handle_message(type_, event.data)

    def _refuse(self, type_: str, data: Sequence[int]) -> None:
        """Answers a source whose drag is over: it may wait for that."""
        stage = self._stage
        if type_ == "XdndPosition":
            stage.send(data[0], data[0], "XdndStatus", xdnd.encode_status(stage.window, 0))
        elif type_ == "XdndDrop":
            stage.send(data[0], data[0], "XdndFinished", xdnd.encode_finished(stage.window, 0))

    def _end_from_x(self) -> None:
        self._from_x = None

    def forget_window(self, window: int) -> None:
        """A window is gone."""
        for drag in (self._dropped, self._to_x):
            if drag is not None:
                drag.forget_window(window)

    # Our wl_data_device.

    def _handle_enter(self, values: Sequence[Value], _fds: list[int]) -> None:
        serial, surface_id, x, y, offer_id = (integer(value) for value in values)
        device = self._stage.device
        offer = None if device is None else device.take_offer(offer_id)
        if offer is None:
            return
        self._handle_leave()
        surface = self._surfaces.find_host(surface_id)
        window = None if surface is None else self._stage.window_of(surface)
        if offer.is_own and self._from_x is not None:
            self._from_x.enter(offer, serial, surface, x, y)
        elif offer.is_own or window is None:
            # Frames take nothing.  But an offer that is destroyed before its time ends the drag.
            self._unused = offer
        else:
            self._to_x = DragToX(self._stage, offer, serial, window, self._end_to_x)
            self._to_x.start(x, y)

    def _handle_motion(self, values: Sequence[Value], _fds: list[int]) -> None:
        time, x, y = (integer(value) for value in values)
        if self._to_x is not None:
            self._to_x.move(x, y, time)
        elif self._from_x is not None:
            self._from_x.move(x, y)

    def _handle_leave(self) -> None:
        unused, self._unused = self._unused, None
        if unused is not None:
            unused.destroy()
        if self._to_x is not None:
            self._to_x.leave()
        elif self._from_x is not None:
            self._from_x.leave()

    def _handle_drop(self) -> None:
        if self._to_x is not None:
            if self._dropped is not None:
                self._dropped.abort()
            self._dropped, self._to_x = self._to_x, None
            self._dropped.drop()
        elif self._from_x is not None:
            self._from_x.drop()

    def _end_to_x(self, drag: DragToX) -> None:
        if self._to_x is drag:
            self._to_x = None
        if self._dropped is drag:
            self._dropped = None
