"""X clients of tests' own, on python-xlib: they do what no toolkit would."""

import contextlib
import os
import struct
import time
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, cast
from unittest import mock

from Xlib import X
from Xlib.display import Display
from Xlib.error import BadWindow
from Xlib.ext import xinput
from Xlib.protocol import event as xevent

_PATIENCE: Final = 30.0
_GENERIC_EVENT: Final = 35
_MAP_WINDOW: Final = 8
"""The opcode."""
_RAW_HEADER: Final = struct.Struct("<HIIHHI4x")
"""XIRawEvent (XI2proto) from its deviceid on: device, time, detail, source, words of the mask, flags."""

XEvent: TypeAlias = Any
"""An event of python-xlib's, which has no types."""
XWindow: TypeAlias = Any
"""A window of python-xlib's."""


class XTestClient:
    """One X connection.  Windows are their numbers; events come in order to whoever asks for their kind."""

    def __init__(self, display: str, authority: str) -> None:
        with mock.patch.dict(os.environ, XAUTHORITY=authority):
            self.display: Any = cast(Any, Display)(display)
        self.root = int(self.display.screen().root.id)
        self._pending: list[Any] = []
        self._windows: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave, with all windows."""
        self.display.close()

    def atom(self, name: str) -> int:
        """An atom's number; the server is asked once."""
        return int(self.display.get_atom(name))

    def name(self, atom: int) -> str:
        """An atom's name."""
        return str(self.display.get_atom_name(atom))

    def create_window(self, *, width: int = 200, height: int = 100, mask: int = 0, title: str = "") -> int:
        """A window, with a title also shown."""
        screen = self.display.screen()
        made = screen.root.create_window(
            0, 0, width, height, 0, screen.root_depth, background_pixel=0x336699, event_mask=mask
        )
        if title:
            made.set_wm_name(title)
            made.map()
        self.display.sync()
        self._windows.append(int(made.id))
        return self._windows[-1]

    def destroy_all(self) -> None:
        """Destroy what `create_window` has made, and forget what has happened there."""
        for window in self._windows:
            self.window(window).destroy()
        self._windows.clear()
        self.forget_events()

    def forget_events(self) -> None:
        """Let nobody have what has come until now."""
        self.display.sync()
        while self.display.pending_events():
            self.display.next_event()
        self._pending.clear()

    def create_child(self, parent: int, place: tuple[int, int, int, int]) -> int:
        """A window in another one, shown; `place` is x, y, width and height, px."""
        depth = self.display.screen().root_depth
        made = self.window(parent).create_window(*place, 0, depth, background_pixel=0x993366)
        made.map()
        self.display.sync()
        return int(made.id)

    def create_menu(self, parent: int, place: tuple[int, int, int, int], *, mask: int = 0) -> int:
        """A window that nobody manages, shown; `place` is relative to the window that it belongs to."""
        origin = self.window(parent).translate_coords(self.root, 0, 0)
        x, y, width, height = place
        screen = self.display.screen()
        made = screen.root.create_window(
            x - int(origin.x), y - int(origin.y), width, height, 0, screen.root_depth,
            background_pixel=0x993366, event_mask=mask, override_redirect=True,
        )  # fmt: skip
        made.map()
        self.display.sync()
        self._windows.append(int(made.id))
        return self._windows[-1]

    def create_bare(self, count: int) -> list[int]:
        """So many windows of 10 x 10 px that nobody manages."""
        screen = self.display.screen()
        made = [
            screen.root.create_window(
                0, 0, 10, 10, 0, screen.root_depth, background_pixel=0, override_redirect=True
            )
            for _ in range(count)
        ]
        return [int(window.id) for window in made]

    def map_at_once(self, windows: list[int]) -> None:
        """Map windows, anybody's; python-xlib would take as long for each as others take to answer."""
        self.display.flush()
        core: Any = self.display.display
        core.socket.sendall(b"".join(struct.pack("=BxHI", _MAP_WINDOW, 2, window) for window in windows))
        core.request_serial = (core.request_serial + len(windows)) % 65536
        self.display.sync()

    def window(self, window: int) -> XWindow:
        """A window, with python-xlib's methods."""
        return self.display.create_resource_object("window", window)

    def own(self, selection: str, window: int) -> None:
        """Own a selection."""
        self.window(window).set_selection_owner(self.atom(selection), X.CurrentTime)
        self.display.sync()

    def owner(self, selection: str) -> int:
        """Who owns a selection, 0 for nobody."""
        found = self.display.get_selection_owner(self.atom(selection))
        return int(found.id) if found else 0

    def send(self, window: int, event: XEvent) -> None:
        """Send an event to a window's client."""
        self.window(window).send_event(event)
        self.display.flush()

    def send_message(self, to: int, about: int, type_: str, *data: int) -> None:
        """Send a client message of 32-bit words."""
        words = (*data, 0, 0, 0, 0, 0)[:5]
        message = cast(Any, xevent.ClientMessage)(
            window=about, client_type=self.atom(type_), data=(32, list(words))
        )
        self.send(to, message)

    def ask_manager(self, about: int, type_: str, *data: int) -> None:
        """Send the window manager a client message (EWMH: to the root window)."""
        words = (*data, 0, 0, 0, 0, 0)[:5]
        message = cast(Any, xevent.ClientMessage)(
            window=about, client_type=self.atom(type_), data=(32, list(words))
        )
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self.window(self.root).send_event(message, event_mask=mask)
        self.display.flush()

    def withdraw(self, window: int) -> None:
        """Unmap a window, and tell the window manager so (ICCCM 4.1.4)."""
        self.window(window).unmap()
        unmapped = cast(Any, xevent.UnmapNotify)(window=window, event=self.root, from_configure=False)
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self.window(self.root).send_event(unmapped, event_mask=mask)
        self.display.flush()

    def names(self, window: int, property_: str) -> set[str]:
        """The names of a property's atoms."""
        return {self.name(atom) for atom in self.words(window, property_)}

    def set_words(self, window: int, property_: str, type_: str, words: list[int]) -> None:
        """Write a property of format 32."""
        self.window(window).change_property(self.atom(property_), self.atom(type_), 32, words)
        self.display.flush()

    def words(self, window: int, property_: str) -> list[int]:
        """The words of a property, none where there is none."""
        try:
            # In one piece: what becomes shorter between two is BadValue, which python-xlib mistakes.
            found = self.window(window).get_property(self.atom(property_), X.AnyPropertyType, 0, 1 << 20)
        except BadWindow:
            return []
        return [] if found is None else list(found.value)

    def title(self, window: int) -> str:
        """The title of a window, the modern one first."""
        for name in ("_NET_WM_NAME", "WM_NAME"):
            found = self.window(window).get_full_property(self.atom(name), X.AnyPropertyType)
            if found is not None:
                return bytes(found.value).decode(errors="replace")
        return ""

    def child_at(self, window: int, x: int, y: int) -> int:
        """The child of a window at a place on the root window, 0 for none."""
        child = self.window(window).translate_coords(self.root, x, y).child
        return int(child.id) if child else 0

    def under_pointer(self) -> str:
        """The title of the window that the pointer is on, as far as X knows."""
        child = self.window(self.root).query_pointer().child
        return str(child.get_wm_name()) if child else ""

    def pointer_place(self) -> tuple[int, int]:
        """Where the pointer is on the X screen."""
        found = self.window(self.root).query_pointer()
        return int(found.root_x), int(found.root_y)

    def focused(self) -> int:
        """The window that X sends keys to, 0 where it is none."""
        return int(getattr(self.display.get_input_focus().focus, "id", 0))

    def active_title(self) -> str:
        """The title of the window that has the keyboard, as far as the window manager has said."""
        for window in self.words(self.root, "_NET_ACTIVE_WINDOW"):
            with contextlib.suppress(BadWindow):
                return str(self.window(window).get_wm_name()) if window else ""
        return ""

    def poll(self, kind: int, *, seconds: float = 0) -> XEvent | None:
        """The next event of a kind, None where none has come, or comes so soon."""
        deadline = time.monotonic() + seconds
        while True:
            while self.display.pending_events():
                self._pending.append(self.display.next_event())
            for event in self._pending:
                if event.type == kind:
                    self._pending.remove(event)
                    return event
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.005)

    def wait(self, kind: int, what: str) -> XEvent:
        """The next event of a kind.

        Raises:
            TimeoutError: none came.
        """
        event = self.poll(kind, seconds=_PATIENCE)
        if event is None:
            raise TimeoutError(f"no {what} within {_PATIENCE} s")
        return event

    # What games do.

    def set_mode(self, width: int, height: int) -> None:
        """Set the first output to another mode (RandR), for this client."""
        found = self.window(self.root).xrandr_get_screen_resources()
        (crtc,) = found.crtcs[:1]
        outputs = self.display.xrandr_get_crtc_info(crtc, found.config_timestamp).outputs
        mode = next(mode.id for mode in found.modes if (mode.width, mode.height) == (width, height))
        rotate_0 = 1
        self.display.xrandr_set_crtc_config(crtc, found.config_timestamp, 0, 0, mode, rotate_0, list(outputs))
        self.display.sync()

    def hide_cursor(self, window: int) -> None:
        """Hide the cursor while the pointer is on a window."""
        self.display.xfixes_query_version()
        self.window(window).xfixes_hide_cursor()

    def show_cursor(self, window: int) -> None:
        """Undo that."""
        self.window(window).xfixes_show_cursor()

    def begin_xinput(self) -> None:
        """Ask for XInput 2.2: with python-xlib's 2.0 fingers are a mouse, and whoever has a grab has all."""
        display: Any = self.display.display
        opcode = display.get_extension_major(xinput.extname)
        cast(Any, xinput.XIQueryVersion)(display=display, opcode=opcode, major_version=2, minor_version=2)

    def select_raw_motion(self) -> None:
        """Hear of what mice do, wherever the pointer is."""
        self.begin_xinput()
        root = self.display.screen().root
        root.xinput_select_events([(xinput.AllMasterDevices, xinput.RawMotionMask)])
        self.display.sync()

    def poll_raw_motion(self, *, seconds: float) -> tuple[float, ...] | None:
        """By how much a mouse was moved, as it tells itself; None where none was for so long."""
        event = self.poll(_GENERIC_EVENT, seconds=seconds)
        return None if event is None else _raw_values(bytes(event.data))

    # The owner of a selection.

    def answer(self, request: XEvent, type_: str, format_: int, data: bytes | list[int]) -> None:
        """Give a requestor what it asks for."""
        self.window(request.requestor.id).change_property(request.property, self.atom(type_), format_, data)
        self._notify(request, request.property)

    def answer_targets(self, request: XEvent, *targets: str) -> None:
        """Tell a requestor what there is."""
        self.answer(request, "ATOM", 32, [self.atom(target) for target in targets])

    def _notify(self, request: XEvent, property_: int) -> None:
        notify = cast(Any, xevent.SelectionNotify)(
            time=request.time,
            requestor=request.requestor.id,
            selection=request.selection,
            target=request.target,
            property=property_,
        )
        self.send(request.requestor.id, notify)


def _raw_values(data: bytes) -> tuple[float, ...]:
    """The unaccelerated values of an XIRawEvent: 32.32 fixed, behind as many accelerated ones."""
    words = _RAW_HEADER.unpack_from(data)[4]
    mask = int.from_bytes(data[_RAW_HEADER.size : _RAW_HEADER.size + 4 * words], "little")
    count = mask.bit_count()
    numbers = struct.unpack_from(f"<{4 * count}i", data, _RAW_HEADER.size + 4 * words)[2 * count :]
    return tuple(
        whole + (part & 0xFFFFFFFF) / 2**32 for whole, part in zip(numbers[::2], numbers[1::2], strict=True)
    )
