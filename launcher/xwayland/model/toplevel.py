"""The life of one toplevel: what the compositor configures, and what Xwayland commits.

xdg_surface wants a Configure to be answered (ack) by the commit that carries it out, and the very
first one to come before any buffer.  X knows nothing of that: a window is resized, and some time
later Xwayland commits a buffer of the new size.  So each Configure waits here for its commit.
"""

from typing import Final, NamedTuple, Protocol

from launcher.xwayland.model.frame import FrameMetrics, extents_of
from launcher.xwayland.model.geometry import (
    NO_EXTENTS,
    Extents,
    Rectangle,
    Screen,
    Size,
    constrain,
    on_screen,
)
from launcher.xwayland.model.ports import Configure, ShellState, ToplevelPort, XPort
from launcher.xwayland.model.window import Window

_EXACT: Final = frozenset({ShellState.MAXIMIZED, ShellState.FULLSCREEN})
"""States in which the compositor's size has to be kept."""


class ToplevelHost(Protocol):
    """Who has the windows; `manager.Manager` is it."""

    screen: Screen
    """Of the X server."""

    def toplevel_ready(self, window: Window) -> None:
        """The toplevel is configured: others may be put on top of it."""
        ...

    def toplevel_configured(self, window: Window, states: frozenset[ShellState]) -> None:
        """The compositor has set these states."""
        ...


class _Pending(NamedTuple):
    """A Configure that waits for a buffer of that size; serial 0: it was none, but a reason of our own."""

    serial: int
    size: Size
    shown: Size
    """How large that is shown: Xwayland stretches what its client has another mode for."""
    extents: Extents


class Toplevel:
    """A window's xdg_toplevel."""

    __slots__ = (
        "_delayed",
        "_exact",
        "_extents",
        "_host",
        "_is_drawing",
        "_is_urgent",
        "_last",
        "_metrics",
        "_minimizing",
        "_mode",
        "_normal",
        "_pending",
        "_shown",
        "_x",
        "configured",
        "port",
        "window",
    )

    def __init__(
        self, window: Window, port: ToplevelPort, x: XPort, host: ToplevelHost, metrics: FrameMetrics
    ) -> None:
        self.window = window
        self.port = port
        self._x = x
        self._host = host
        self._metrics = metrics
        self.configured = False
        """Whether contents may be committed, and children put on top."""
        self._last = Configure(0, Size(0, 0), frozenset())
        self._pending: _Pending | None = None
        self._delayed: tuple[Configure, frozenset[ShellState]] | None = None
        self._is_drawing = False
        self._is_urgent = False
        self._minimizing = 0
        """How often it was minimised without the compositor having heard of that."""
        self._normal: Size | None = None
        self._mode: Rectangle | None = None
        """What the window has of the X screen, where its client has set its output to another mode."""
        self._extents = NO_EXTENTS
        self._exact: Size | None = None
        """What contents the compositor insists on since the last answer, if it does."""
        self._shown: tuple[Size, Extents, frozenset[ShellState]] | None = None

    @property
    def extents(self) -> Extents:
        """What is shown around the contents."""
        return self._extents

    @property
    def is_exact(self) -> bool:
        """Whether the compositor insists on the window's size."""
        return bool(self._last.states & _EXACT)

    @property
    def states(self) -> frozenset[ShellState]:
        """What the compositor has set."""
        return self._last.states

    def configure(self, configure: Configure) -> None:
        """Takes what the compositor wants; one after the other, while the client tells how far it is."""
        told = configure.states
        if self._minimizing:
            # It was activated before, as compositors do with new windows: nobody has taken it up again.
            told -= {ShellState.ACTIVATED}
        if self._is_drawing:
            self._delayed = (configure, told)
        else:
            self._take(configure, told)

    def _take(self, configure: Configure, told: frozenset[ShellState]) -> None:
        if configure.states & _EXACT and not self.is_exact:
            self._normal = self.window.rectangle.size
        leaving = self.is_exact and not configure.states & _EXACT
        self._last = configure
        self._mode = self._wanted_mode()
        extents = self._wanted_extents()
        wanted = self._wanted_size(configure, extents, leaving=leaving)
        self._pending = self._answer(configure.serial, wanted, extents)
        self._host.toplevel_configured(self.window, told)
        self._resize(self._pending.size)
        self._x.set_frame_extents(self.window.window, _visible(extents))

    def drawn(self) -> None:
        """The client has drawn the size that it got last, or was waited for long enough."""
        self._is_drawing = False
        delayed, self._delayed = self._delayed, None
        if delayed is not None:
            self._take(*delayed)

    def minimize(self) -> None:
        """Gets the window out of the way."""
        self.port.set_minimized(self._heard_of_minimizing)
        self._minimizing += 1

    def _heard_of_minimizing(self) -> None:
        self._minimizing -= 1

    def demand_attention(self, *, urgent: bool) -> None:
        """The client wants its window to be looked at, or no more."""
        if urgent and not self._is_urgent:
            self.port.demand_attention()
        self._is_urgent = urgent

    def refresh(self) -> None:
        """What the window wants around it has changed."""
        if not self.configured:
            return
        extents, pending, mode = self._wanted_extents(), self._pending, self._wanted_mode()
        if mode == self._mode and extents == (self._extents if pending is None else pending.extents):
            return
        self._mode = mode
        size = self.window.rectangle.size
        if self.is_exact:
            size = self._wanted_size(self._last, extents, leaving=False)
        serial = 0 if pending is None else pending.serial
        self._pending = self._answer(serial, size, extents)
        self._x.set_frame_extents(self.window.window, _visible(extents))
        if pending is None or self._pending.size != pending.size:
            self._resize(self._pending.size)

    def client_resized(self, size: Size) -> None:
        """The client has chosen a size for itself, and got it."""
        if self._pending is not None and not self.is_exact:
            self._pending = self._pending._replace(size=size, shown=size)

    def commits(self, size: Size) -> None:
        """Xwayland commits contents of that size, which may be held back still."""
        pending = self._pending
        if pending is not None and pending.size == size:
            self._apply(pending)
        elif self.configured:
            # An override-redirect window takes any size, and who is maximised with a wrong one is ended.
            self._show(size if self._exact is None else self._exact)
        elif pending is not None:
            # It will draw the size that it was given only after it was told that this one was shown.
            self.port.pulse()

    def _wanted_extents(self) -> Extents:
        return extents_of(self.window, self.port.frame_kind(), self._last.states, self._metrics)

    def _wanted_size(self, configure: Configure, extents: Extents, *, leaving: bool) -> Size:
        current = self.window.rectangle.size
        if leaving and self._normal is not None:
            current = self._normal
        width = configure.size.width - extents.left - extents.right if configure.size.width else current.width
        height = (
            configure.size.height - extents.top - extents.bottom if configure.size.height else current.height
        )
        exactly = bool(configure.states & _EXACT)
        if not configure.size.width and not configure.size.height and not exactly:
            # Nobody asked for another size, so the client's own is right whatever its hints say.
            return current
        return constrain(Size(width, height), self.window.hints, exactly=exactly)

    def _wanted_mode(self) -> Rectangle | None:
        """Returns what a window in full screen has where Xwayland stretches it: it does so there alone."""
        if ShellState.FULLSCREEN not in self._last.states:
            return None
        output = self._host.screen.part_for(self.window.rectangle)
        return next((mode for mode in self.window.modes if mode[:2] == output[:2]), None)

    def _answer(self, serial: int, wanted: Size, extents: Extents) -> _Pending:
        return _Pending(serial, wanted if self._mode is None else self._mode.size, wanted, extents)

    def _resize(self, size: Size) -> None:
        """Gives the window its size, and goes on at once where it has it."""
        window = self.window
        place = Rectangle(window.rectangle.x, window.rectangle.y, *size)
        place = on_screen(place, self._host.screen) if self._mode is None else self._mode
        if size != window.rectangle.size:
            window.rectangle = place
            if self.configured and window.tells_drawn:
                self._is_drawing = self._x.begin_resize(window.window, window.sync_counter)
            self._x.configure_window(window.window, window.rectangle)
            if not self.configured:
                self.port.pulse()
        elif self._pending is not None:
            if self._mode is not None and place != window.rectangle:
                window.rectangle = place
                self._x.move_window(window.window, place.x, place.y)
            self._apply(self._pending)
            self.port.commit()

    def _apply(self, pending: _Pending) -> None:
        """Answers a Configure with what is committed next."""
        self._pending = None
        self._extents = pending.extents
        self._exact = pending.shown if self.is_exact else None
        if pending.serial:
            self.port.ack(pending.serial)
        self._show(pending.shown)
        if not self.configured:
            self.configured = True
            self.port.release()
            self._host.toplevel_ready(self.window)

    def _show(self, content: Size) -> None:
        shown = (content, self._extents, self._last.states)
        if shown != self._shown:
            self._shown = shown
            self.port.show(*shown)


def _visible(extents: Extents) -> Extents:
    """Returns what _NET_FRAME_EXTENTS says: nothing where the window draws its own shadow."""
    return extents if min(extents) >= 0 else NO_EXTENTS
