"""What an X client drags (XDND), shown to the compositor as a drag of ours (wl_data_device.start_drag).

The X client sees what it always sees: its pointer moves over windows that take drops.  Where the
compositor says that a surface of Xwayland's is below, that is the window, and the two X clients do
the rest themselves.  Everywhere else it is our own window (`stage`), which covers all others and
stands for whatever the compositor has there.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from crossdomain.wire.codec import Value, integer
from launcher.xwayland.model.properties import parse_words
from launcher.xwayland.timers import Patience
from launcher.xwayland.transfer import xdnd
from launcher.xwayland.transfer.devices import Offer, Source
from launcher.xwayland.transfer.drag_pointer import DragPointer
from launcher.xwayland.transfer.reader import PipeSink
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.transfer.targets import MAX_KINDS, mimes_of
from launcher.xwayland.wayland.seats import Pointer
from launcher.xwayland.wayland.stand_in import StandIn
from launcher.xwayland.wayland.surfaces import Surface
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.events import parse_property

_PATIENCE: Final = 5.0
"""Seconds in which the X client has to react to what its pointer does."""


class _Phase(Enum):
    ARMED = 0
    """Not known yet what is dragged."""
    DRAGGING = 1
    """The compositor drags it."""
    DROPPED = 2
    """Somebody gets it, or nobody."""
    OVER = 3


class DragFromX:
    """One drag, from an X client's taking XdndSelection to its end."""

    def __init__(self, stage: Stage, pointer: Pointer, surface: Surface, ended: Callable[[], None]) -> None:
        """`surface` is where the button was pressed; `ended` is called once."""
        self._stage = stage
        self._client = stage.client
        self._pressed = pointer
        self._serial = pointer.button_serial
        self._surface = surface
        self._ended = ended
        self._phase = _Phase.ARMED
        stand_in = StandIn(stage.mediator, stage.seats, pointer, surface, self._handle_lost)
        self._pointer = DragPointer(stage.client, stand_in, stage.window_of(surface))
        self._x_source = 0
        self._time = requests.CURRENT_TIME
        self._mimes: dict[str, str] | None = None
        self._actions: int | None = None
        self._suggested = 0
        self._source: Source | None = None
        self._target_accepts = False
        self._action = 0
        self._told = 0
        """The action that the X client was told last."""
        self._over: Surface | None = None
        """The surface of Xwayland's that it is over."""
        self._offer: Offer | None = None
        """Our own offer, there."""
        self._drop_came = False
        self._is_x_done = False
        """Whether the X client has nothing more to say."""
        self._result: int | None = None
        """The action that was taken, 0 for none, None while nobody knows."""
        self._patience = Patience(stage.transfers.loop, _PATIENCE, self._give_up)
        stage.cover(covers=True)

    @property
    def is_armed(self) -> bool:
        """Whether the compositor knows nothing of it yet."""
        return self._phase is _Phase.ARMED

    @property
    def is_dropped(self) -> bool:
        """Whether the user has let it go."""
        return self._phase is _Phase.DROPPED

    def abort(self) -> None:
        """Ends it, whatever is under way; may be called again."""
        if self._phase is _Phase.OVER:
            return
        self._phase = _Phase.OVER
        self._patience.end()
        self._drop_offer()
        if self._source is not None:
            self._source.destroy()
        self._pointer.end()
        self._stage.cover(covers=False)
        self._ended()

    # The X client, which takes us for a target.

    def handle_message(self, type_: str, data: Sequence[int]) -> None:
        """Takes an Xdnd message to our window."""
        if type_ == "XdndEnter":
            self._handle_enter(xdnd.parse_enter(data))
        elif data[0] != self._x_source:
            return
        elif type_ == "XdndPosition":
            self._handle_position(data[3], data[4])
        elif type_ == "XdndDrop":
            self._drop_came = True
            self._time = data[2]
            self._end_x()
        elif type_ == "XdndLeave" and self._pointer.is_released:
            self._end_x()

    def _handle_enter(self, enter: xdnd.Enter) -> None:
        is_first = not self._x_source
        self._x_source = enter.source
        if not is_first or self._phase is not _Phase.ARMED:
            return
        if enter.types is not None:
            self._stage.transfers.names.find_names(enter.types, self._take_types)
        else:
            self._ask_atoms("XdndTypeList", self._take_types)
        self._ask_atoms("XdndActionList", self._take_actions)

    def _take_types(self, names: list[str]) -> None:
        self._mimes = mimes_of(names)
        self._start()

    def _take_actions(self, names: list[str]) -> None:
        self._actions = xdnd.actions_of(names)
        self._start()

    def _ask_atoms(self, property_: str, found: Callable[[list[str]], None]) -> None:
        def take(reply: bytes) -> None:
            atoms = parse_words(parse_property(reply).value)
            self._stage.transfers.names.find_names(atoms, found)

        get = requests.get_property(self._x_source, self._client.atoms[property_], MAX_KINDS)
        self._client.ask(get, take, lambda _error: found([]))

    def _handle_position(self, time: int, action: int) -> None:
        self._time = time
        self._suggested = xdnd.actions_of([self._client.atoms.name(action)]) or xdnd.COPY
        self._start()
        self._told = self._chosen
        atom = self._client.atoms[xdnd.name_of(self._told)] if self._told else 0
        self._send_x("XdndStatus", xdnd.encode_status(self._stage.window, atom))
        if self._phase is _Phase.DROPPED:
            self._pointer.release(self._handle_released)

    def _send_x(self, type_: str, data: tuple[int, ...]) -> None:
        if self._x_source:
            self._stage.send(self._x_source, self._x_source, type_, data)

    def _handle_released(self) -> None:
        """The X client will know that its user has let go."""
        self._stage.cover(covers=False)
        self._patience.renew()
        self._finish()

    def _end_x(self) -> None:
        self._is_x_done = True
        self._patience.pause()
        self._finish()

    def _give_up(self) -> None:
        if not self._pointer.is_released:
            self._pointer.end()
            self._handle_released()
        else:
            self._end_x()

    # The compositor.

    @property
    def _chosen(self) -> int:
        """What the Wayland client below would do with it, 0 for nothing."""
        return self._action if self._target_accepts and self._over is None else 0

    def _start(self) -> None:
        """Begins the drag when all is known that it takes."""
        device = self._stage.device
        if self._phase is not _Phase.ARMED or device is None or not self._suggested:
            return
        if self._mimes is None or self._actions is None:
            return
        if not self._surface.alive or self._pressed.button_serial != self._serial:
            return
        self._phase = _Phase.DRAGGING
        mimes = self._mimes
        source = self._source = device.create_source(
            list(mimes), lambda mime, fd: self._send(mimes, mime, fd)
        )
        source.cancelled = self._handle_cancelled
        handlers = source.proxy.handlers
        handlers["target"] = self._handle_target
        handlers["action"] = self._handle_action
        handlers["dnd_drop_performed"] = lambda _values, _fds: self._handle_performed()
        handlers["dnd_finished"] = lambda _values, _fds: self._set_result(self._action)
        source.proxy.send("set_actions", xdnd.COPY | self._actions | self._suggested)
        device.proxy.send("start_drag", source.proxy, self._surface.entry, None, self._serial)

    def _send(self, mimes: dict[str, str], mime: str, fd: int) -> None:
        sink = PipeSink(self._stage.transfers.loop, fd)
        target = mimes.get(mime)
        if target is None:
            sink.finish()
            return
        self._stage.transfers.names.find_atoms(
            [target],
            lambda atoms: self._stage.transfers.read(self._stage.selection, atoms[0], sink, self._time),
        )

    def _handle_target(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._target_accepts = isinstance(values[0], str)
        self._tell()

    def _handle_action(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._action = integer(values[0])
        self._tell()

    def _tell(self) -> None:
        """Makes the X client ask again, where it would be told something else: it is told when it asks."""
        if self._phase is _Phase.DRAGGING and self._over is None and self._chosen != self._told:
            self._pointer.nudge()

    def _handle_performed(self) -> None:
        """Dropped on a Wayland client, or on Xwayland's surface, where `drop` says so."""
        if self._phase is _Phase.DRAGGING and self._over is None:
            self._let_go()

    def _handle_cancelled(self) -> None:
        """Nobody takes it: so says our window, and the X client's button goes up over that."""
        self._source = None
        self._target_accepts = False
        if self._phase is _Phase.DRAGGING:
            self._leave_x()
            self._let_go()
        self._set_result(0)

    def _let_go(self) -> None:
        """Releases the X client's button when it has been told what the Wayland client does with it."""
        self._phase = _Phase.DROPPED
        self._patience.renew()
        if self._told and self._told == self._chosen:
            self._pointer.release(self._handle_released)
        else:
            self._pointer.nudge()

    def _handle_lost(self) -> None:
        """Xwayland has its pointer back: nothing is dragged, or all is done."""
        if self._phase is not _Phase.DROPPED:
            self.abort()

    def _set_result(self, action: int) -> None:
        if self._result is None:
            self._result = action
        self._finish()

    def _finish(self) -> None:
        """Ends it when both sides have said all."""
        if self._phase is _Phase.DROPPED and self._pointer.is_released and self._is_x_done:
            if self._result is None:
                return
            if self._drop_came:
                action = self._client.atoms[xdnd.name_of(self._result)] if self._result else 0
                self._send_x("XdndFinished", xdnd.encode_finished(self._stage.window, action))
            self.abort()

    # Our own device.

    def enter(self, offer: Offer, serial: int, surface: Surface | None, x: int, y: int) -> None:
        """It is over a surface of this connection's; owns the offer.  Places are 24.8 fixed."""
        self._pointer.stand_in.take()
        self._drop_offer()
        self._offer = offer
        if surface is None or self._phase is not _Phase.DRAGGING:
            return
        self._over = surface
        self._told = 0
        offer.proxy.send("accept", serial, offer.mimes[0])
        offer.proxy.send("set_actions", offer.source_actions, offer.source_actions & -offer.source_actions)
        self._stage.cover(covers=False)
        self._stage.show(surface)
        self._pointer.enter(self._stage.window_of(surface), x, y)

    def move(self, x: int, y: int) -> None:
        """It is elsewhere on that surface."""
        if self._over is not None:
            self._pointer.move(self._stage.window_of(self._over), x, y)

    def leave(self) -> None:
        """It is over that surface no more."""
        if self._over is not None and self._phase is _Phase.DRAGGING:
            self._leave_x()
            self._pointer.nudge()
        self._drop_offer()

    def drop(self) -> None:
        """It was dropped on that surface: from here on it is a matter of the two X clients."""
        offer = self._offer
        if self._over is None or offer is None or self._phase is not _Phase.DRAGGING:
            return
        if offer.action:
            offer.proxy.send("finish")
        self._drop_offer()
        self._phase = _Phase.DROPPED
        self._result = 0
        self._is_x_done = True
        self._pointer.release(self._handle_released)

    def _leave_x(self) -> None:
        self._drop_offer()
        self._over = None
        self._told = 0
        self._stage.cover(covers=True)

    def _drop_offer(self) -> None:
        offer, self._offer = self._offer, None
        if offer is not None:
            offer.destroy()
