"""X clients that drag, and that take what is dragged (XDND), as plainly as the specification says it."""

from typing import Final

from Xlib import X

from tests.fakes.x11_client import XEvent, XTestClient

_VERSION: Final = 5
_INPUT: Final = X.ButtonPressMask | X.ButtonReleaseMask | X.PointerMotionMask


class XDragSource:
    """A window that can be dragged from, anywhere, as soon as the pointer moves with a button pressed."""

    def __init__(self, client: XTestClient, title: str, contents: dict[str, bytes], *actions: str) -> None:
        self.client = client
        self.window = client.create_window(title=title, mask=_INPUT)
        self.actions = actions or ("XdndActionCopy",)
        self._contents = contents
        self._is_pressed = False
        self._is_dragging = False
        self._target: int = 0
        self._accepted = False
        self._waits = False
        self._released = False
        self._place = (0, 0, 0)
        self._is_stale = False
        self.has_pointer = False
        self.heard: list[str] = []
        """What has happened: targets as they came, drops, the end."""
        self.finished: tuple[bool, str] | None = None
        """What XdndFinished said: whether it went well, and the action."""
        types = [client.atom(kind) for kind in contents]
        client.set_words(self.window, "XdndTypeList", "ATOM", types)
        client.set_words(self.window, "XdndActionList", "ATOM", [client.atom(name) for name in self.actions])

    @property
    def is_accepted(self) -> bool:
        """Whether what is below would take it."""
        return self._accepted and not self._waits

    def pump(self) -> None:
        """Handle what has come."""
        for kind, handle in (
            (X.ButtonPress, self._handle_press),
            (X.MotionNotify, self._handle_motion),
            (X.ClientMessage, self._handle_message),
            (X.ButtonRelease, self._handle_release),
            (X.SelectionRequest, self._handle_request),
        ):
            while (event := self.client.poll(kind)) is not None:
                handle(event)

    def _handle_press(self, _event: XEvent) -> None:
        self._is_pressed = True

    def _handle_motion(self, event: XEvent) -> None:
        self.has_pointer = True
        if not self._is_pressed:
            return
        if not self._is_dragging:
            self._is_dragging = True
            self.client.own("XdndSelection", self.window)
        self._place = (event.root_x, event.root_y, event.time)
        self._is_stale = True
        self._look()

    def _look(self) -> None:
        if self._waits or not self._is_stale:
            return
        self._is_stale = False
        x, y, time = self._place
        target = self._find(x, y)
        if target != self._target:
            self._send("XdndLeave")
            self._target, self._accepted = target, False
            self.heard.append(f"enter {target:#x}")
            types = [self.client.atom(kind) for kind in self._contents]
            self._send("XdndEnter", _VERSION << 24 | (len(types) > 3), *types[:3])
        if target:
            self._waits = True
            self._send("XdndPosition", 0, x << 16 | y, time, self.client.atom(self.actions[0]))

    def _find(self, x: int, y: int) -> int:
        window = self.client.root
        while window:
            window = self.client.child_at(window, x, y)
            if window and self.client.words(window, "XdndAware"):
                return window
        return 0

    def _handle_message(self, event: XEvent) -> None:
        data = event.data[1]
        type_ = self.client.name(event.client_type)
        if type_ == "XdndFinished":
            self.finished = (bool(data[1] & 1), self.client.name(data[2]) if data[2] else "")
            self.heard.append("finished")
        elif type_ == "XdndStatus" and data[0] == self._target:
            self._waits = False
            self._accepted = bool(data[1] & 1)
            self._look()
            self._drop()

    def _handle_release(self, _event: XEvent) -> None:
        if self._is_dragging:
            self._released = True
            self._is_pressed = self._is_dragging = False
            self._drop()

    def _drop(self) -> None:
        if not self._released or self._waits:
            return
        self._released = False
        self.heard.append("drop" if self._accepted else "nothing")
        if self._accepted:
            self._send("XdndDrop", 0, self._place[2])
        else:
            self._send("XdndLeave")
        self._target = 0

    def _handle_request(self, request: XEvent) -> None:
        kind = self.client.name(request.target)
        self.client.answer(request, kind, 8, self._contents[kind])

    def _send(self, type_: str, *data: int) -> None:
        if self._target:
            self.client.send_message(self._target, self._target, type_, self.window, *data)


class XDropTarget:
    """A window that takes drops of one kind."""

    def __init__(
        self,
        client: XTestClient,
        title: str,
        kind: str,
        action: str = "XdndActionCopy",
        *,
        takes: bool = True,
        done: str = "",
    ) -> None:
        """It takes drops for `action`, and has `done` something else with them where that is to be asked."""
        self.client = client
        self.outer = self.window = client.create_window(title=title)
        self._kind = kind
        self._action = action
        self._done = done or action
        self.takes = takes
        self._source = 0
        self.kinds: list[str] = []
        """What is dragged here."""
        self.place = (0, 0)
        """Where, on the root window."""
        self.suggested = ""
        """The action that the source would like."""
        self.heard: list[str] = []
        self.contents: bytes | None = None
        """What was dropped."""
        client.set_words(self.window, "XdndAware", "ATOM", [_VERSION])

    def move_inside(self, place: tuple[int, int, int, int]) -> None:
        """Let only a part of the window take drops, which is a window of its own."""
        self.client.window(self.outer).delete_property(self.client.atom("XdndAware"))
        self.window = self.client.create_child(self.outer, place)
        self.client.set_words(self.window, "XdndAware", "ATOM", [_VERSION])
        self.client.display.sync()

    def use_proxy(self) -> None:
        """Let another window get the messages (XdndProxy)."""
        proxy = self.client.create_window()
        for window in (self.window, proxy):
            self.client.set_words(window, "XdndProxy", "WINDOW", [proxy])
        self.client.window(self.window).delete_property(self.client.atom("XdndAware"))
        self.client.set_words(proxy, "XdndAware", "ATOM", [_VERSION])
        self.client.display.sync()

    def pump(self) -> None:
        """Handle what has come."""
        while (event := self.client.poll(X.ClientMessage)) is not None:
            type_ = self.client.name(event.client_type)
            self.heard.append(type_)
            handle = {
                "XdndEnter": self._handle_enter,
                "XdndPosition": self._handle_position,
                "XdndDrop": self._handle_drop,
            }.get(type_)
            if handle is not None:
                handle(event.data[1])
        while self.client.poll(X.SelectionNotify) is not None:
            self._take()

    def _handle_enter(self, data: list[int]) -> None:
        self._source = data[0]
        atoms = self.client.words(self._source, "XdndTypeList") if data[1] & 1 else data[2:5]
        self.kinds = [self.client.name(atom) for atom in atoms if atom]

    def _handle_position(self, data: list[int]) -> None:
        self.place = (data[2] >> 16, data[2] & 0xFFFF)
        self.suggested = self.client.name(data[4])
        action = self.client.atom(self._action) if self.takes else 0
        self._send("XdndStatus", 3 if self.takes else 2, 0, 0, action)

    def _handle_drop(self, data: list[int]) -> None:
        client = self.client
        client.window(self.window).convert_selection(
            client.atom("XdndSelection"), client.atom(self._kind), client.atom("DROPPED"), data[2]
        )
        client.display.flush()

    def _take(self) -> None:
        found = self.client.window(self.window).get_full_property(
            self.client.atom("DROPPED"), X.AnyPropertyType
        )
        self.contents = b"" if found is None else bytes(found.value)
        self._send("XdndFinished", 1, self.client.atom(self._done))

    def _send(self, type_: str, *data: int) -> None:
        self.client.send_message(self._source, self._source, type_, self.window, *data)
