"""What a Wayland client drags over an X window: we are the source (XDND) that the X client sees."""

from collections.abc import Callable, Sequence
from typing import Final

from launcher.xwayland.model.window import Window
from launcher.xwayland.timers import Patience
from launcher.xwayland.transfer import xdnd
from launcher.xwayland.transfer.answers import Answers
from launcher.xwayland.transfer.devices import Offer
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.transfer.targets import targets_of
from launcher.xwayland.transfer.xdnd import Finder, Target
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.events import SelectionRequest

_STATUS_PATIENCE: Final = 5.0
"""Seconds in which an X client has to say whether it takes a drop."""
_PATIENCE: Final = 120.0
"""Seconds in which an X client has to ask for something, or to be done with it, after a drop."""
_FIXED: Final = 256
_FIRST, _LAST = -0x8000, 0x7FFF
"""Places of the X protocol."""


class DragToX:
    """One drag, from its coming over an X window to its leaving it or being done."""

    def __init__(
        self, stage: Stage, offer: Offer, serial: int, window: Window, ended: Callable[["DragToX"], None]
    ) -> None:
        """Owns the offer, which came with a wl_data_device.enter of `serial`; `ended` is called once."""
        self._stage = stage
        self._client = stage.client
        self._offer = offer
        self._serial = serial
        self._window = window
        self._ended = ended
        self._finder = Finder(stage.client)
        self._types: list[int] = []
        self._answers = Answers(stage.transfers, offer, stage.client.now())
        self._target: Target | None = None
        self._place = (0, 0)
        self._time = requests.CURRENT_TIME
        self._is_looking = False
        self._waits_for_status = False
        self._is_stale = False
        """Whether what the X client was told last, place or action, is no longer so."""
        self._suggested = ""
        """The name of the action that it was asked about last."""
        self._accepted = 0
        """The action that the X client would take, 0 for none."""
        self._is_dropped = False
        self._is_over = False
        self._patience = Patience(stage.transfers.loop, _STATUS_PATIENCE, self._give_up)
        offer.action_changed = self._tell_action

    @property
    def is_dropped(self) -> bool:
        """Whether the user has let it go."""
        return self._is_dropped

    def start(self, x: int, y: int) -> None:
        """It is over the window; places are 24.8 fixed, of the window's surface."""
        self._client.request(
            requests.set_selection_owner(self._stage.window, self._stage.selection, requests.CURRENT_TIME)
        )
        actions = self._offer.source_actions & (xdnd.COPY | xdnd.MOVE | xdnd.ASK)
        self._offer.proxy.send("set_actions", actions, actions & -actions)

        def found(atoms: list[int]) -> None:
            self._types = atoms
            self._client.set_words(self._stage.window, "XdndTypeList", "ATOM", atoms)
            self._go_on()

        # Kept until the types are known: where it goes meanwhile is later than this.
        self.move(x, y, self._time)
        self._stage.transfers.names.find_atoms(list(targets_of(self._offer.mimes)), found)

    def move(self, x: int, y: int, time: int) -> None:
        """It is elsewhere on the window; `time` is the event's, ms."""
        rectangle = self._window.rectangle
        self._place = (_on_root(rectangle.x + x // _FIXED), _on_root(rectangle.y + y // _FIXED))
        self._time = time
        self._is_stale = True
        self._go_on()

    def leave(self) -> None:
        """It is over the window no more; after a drop that means nothing."""
        if not self._is_dropped:
            self._end(leaves=True)

    def drop(self) -> None:
        """The user has let it go."""
        self._is_dropped = True
        self._patience.renew()
        self._go_on()

    def abort(self) -> None:
        """Ends it, whatever is under way; may be called again."""
        self._end(leaves=True)

    def forget_window(self, window: int) -> None:
        """A window is gone: if it was the target, nobody takes it any more."""
        if window != self._window.window and (self._target is None or window != self._target.window):
            return
        if self._is_dropped:
            self._end(leaves=False)
        else:
            self._target = None
            self._waits_for_status = False
            self._handle_status(xdnd.Status(0, accepted=False, action=0))

    def handle_request(self, request: SelectionRequest) -> None:
        """The X client wants the data."""
        if self._is_dropped:
            self._patience.renew()
        self._answers.handle(request)

    def handle_message(self, type_: str, data: Sequence[int]) -> None:
        """Takes an Xdnd message to the source."""
        target = self._target
        if target is None or data[0] != target.window or self._is_over:
            return
        if type_ == "XdndStatus":
            self._waits_for_status = False
            self._handle_status(xdnd.parse_status(data))
            self._go_on()
        elif type_ == "XdndFinished" and self._is_dropped:
            if xdnd.is_success(data, target.version) and self._offer.action and self._accepted:
                self._finish(data[2])
            self._end(leaves=False)

    def _finish(self, done: int) -> None:
        """The X client has done something with it; `done` is the atom of what, as far as it says."""
        offer = self._offer
        if offer.action == xdnd.ASK:
            # It has asked its user, and the compositor wants to hear what came of that.
            possible = offer.source_actions & (xdnd.COPY | xdnd.MOVE)
            action = xdnd.actions_of([self._client.atoms.name(done)]) & possible or possible & -possible
            if not action:
                return
            offer.proxy.send("set_actions", action, action)
        offer.proxy.send("finish")

    def _handle_status(self, status: xdnd.Status) -> None:
        name = self._client.atoms.name(status.action)
        actions = self._offer.source_actions
        # A target may answer with a copy whatever it was asked for.
        action = (xdnd.actions_of([name]) or xdnd.COPY) & actions if status.accepted else 0
        if action == self._accepted or self._is_dropped:
            return
        self._accepted = action
        self._offer.proxy.send("accept", self._serial, self._offer.mimes[0] if action else None)
        # What is asked about comes down to one of the others in the end.
        actions = actions & (xdnd.COPY | xdnd.MOVE) | action if action == xdnd.ASK else action
        self._offer.proxy.send("set_actions", actions, action)

    def _tell_action(self) -> None:
        """The compositor has chosen another action: an X client that lies still is asked about it, too."""
        if self._target is not None and xdnd.name_of(self._offer.action) != self._suggested:
            self._is_stale = True
            self._go_on()

    # One step after the other: who is below, what does it say, and only then the next.

    def _go_on(self) -> None:
        if self._is_over or self._is_looking or self._waits_for_status or not self._types:
            return
        if self._is_stale:
            self._is_stale = False
            self._is_looking = True
            self._finder.find(self._window.window, *self._place, self._take_target)
        elif self._is_dropped:
            self._drop()

    def _take_target(self, target: Target | None) -> None:
        self._is_looking = False
        if self._is_over:
            return
        if target != self._target:
            self._send("XdndLeave", (self._stage.window,))
            self._target = target
            if target is not None:
                self._send("XdndEnter", xdnd.encode_enter(self._stage.window, target.version, self._types))
        if target is None:
            self._handle_status(xdnd.Status(0, accepted=False, action=0))
            self._go_on()
            return
        self._suggested = xdnd.name_of(self._offer.action)
        action = self._client.atoms[self._suggested]
        self._waits_for_status = True
        self._patience.renew()
        x, y = self._place
        self._send("XdndPosition", xdnd.encode_position(self._stage.window, x, y, self._time, action))

    def _drop(self) -> None:
        if self._target is None or not self._accepted:
            self._end(leaves=True)
            return
        self._patience.end()
        self._patience = Patience(self._stage.transfers.loop, _PATIENCE, self._give_up)
        self._patience.renew()
        # Nothing more is asked for: what comes now is XdndFinished.
        self._types = []
        self._send("XdndDrop", (self._stage.window, 0, self._time))

    def _send(self, type_: str, data: tuple[int, ...]) -> None:
        if self._target is not None:
            self._stage.send(self._target.receiver, self._target.window, type_, data)

    def _give_up(self) -> None:
        """The X client does not answer: it gets no more, and the compositor hears that nobody takes it."""
        if self._is_dropped:
            self._end(leaves=True)
        else:
            self._handle_status(xdnd.Status(0, accepted=False, action=0))

    def _end(self, *, leaves: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._patience.end()
        if leaves:
            self._send("XdndLeave", (self._stage.window,))
        self._offer.destroy()
        self._ended(self)


def _on_root(place: int) -> int:
    return max(_FIRST, min(place, _LAST))
