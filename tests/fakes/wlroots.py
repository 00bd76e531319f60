"""Protocols of wlroots that tests use from outside: input that no device makes, and screenshots."""

import os
import time
from pathlib import Path
from typing import Final

import numpy as np

from crossdomain.vm.seat import BUTTON_LEFT, KEY_LEFT_ALT, KEY_LEFT_CONTROL, KEY_LEFT_SHIFT, keystrokes
from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.weston import Pixels
from tests.fakes.windows import Buffer, Layout, Pool

_KEYMAP: Final = b"""\
xkb_keymap {
xkb_keycodes { include "evdev+aliases(qwerty)" };
xkb_types { include "complete" };
xkb_compat { include "complete" };
xkb_symbols { include "pc+%s+inet(evdev)" };
};
\0"""
"""A keyboard of some layout; the compositor reads what it includes."""

_XKB_V1: Final = 1
_WHEEL: Final = 0
_MODIFIERS: Final = {KEY_LEFT_SHIFT: 1, KEY_LEFT_CONTROL: 4, KEY_LEFT_ALT: 8}
"""Which bit of the XKB modifiers a key is."""

_CLICK: Final = 15.0
"""What a wheel's click scrolls, px."""


class VirtualSeat:
    """The keyboard and the pointer of a wlroots compositor, for as long as this connection lasts.

    Args:
        socket_path: the compositor's.
        width: of the whole screen, px.
        height: of the whole screen, px.
    """

    def __init__(self, socket_path: Path, width: int, height: int) -> None:
        self._extent = (width, height)
        self._held = 0
        self._client = FakeClient(str(socket_path))
        seat = self._client.bind("wl_seat")
        keyboards = self._client.bind("zwp_virtual_keyboard_manager_v1")
        pointers = self._client.bind("zwlr_virtual_pointer_manager_v1")
        self._keyboard = keyboards.create("create_virtual_keyboard", seat)
        self._pointer = pointers.create("create_virtual_pointer", seat)
        self.set_layout("us")

    def close(self) -> None:
        """Unplug both."""
        self._client.close()

    def set_layout(self, layout: str) -> None:
        """Make it a keyboard of another country (xkb symbols: us, de)."""
        keymap = _KEYMAP % layout.encode()
        fd = os.memfd_create("keymap", os.MFD_CLOEXEC)
        try:
            os.write(fd, keymap)
            self._keyboard.send("keymap", _XKB_V1, fd, len(keymap))
        finally:
            os.close(fd)
        self._client.round_trip()

    def key(self, code: int, *, pressed: bool) -> None:
        """Press or release the key of an evdev code."""
        self._keyboard.send("key", _now(), code, int(pressed))
        mask = _MODIFIERS.get(code, 0)
        if mask:
            # A virtual keyboard's keys change no modifiers by themselves.
            self._held = self._held | mask if pressed else self._held & ~mask
            self._keyboard.send("modifiers", self._held, 0, 0, 0)
        self._client.round_trip()

    def tap(self, code: int) -> None:
        """Press and release a key."""
        self.key(code, pressed=True)
        self.key(code, pressed=False)

    def type(self, text: str) -> None:
        """Type ASCII text."""
        for code, pressed in keystrokes(text):
            self.key(code, pressed=pressed)

    def move_pointer(self, x: int, y: int) -> None:
        """Move the pointer there, in the screen's coordinates (px)."""
        self._point("motion_absolute", x, y, *self._extent)

    def nudge_pointer(self, x: float, y: float) -> None:
        """Move the pointer by that much (px)."""
        self._point("motion", round(x * 256), round(y * 256))

    def button(self, code: int = BUTTON_LEFT, *, pressed: bool) -> None:
        """Press or release a button of the pointer."""
        self._point("button", code, int(pressed))

    def click(self, x: int, y: int, code: int = BUTTON_LEFT) -> None:
        """Click at a place."""
        self.move_pointer(x, y)
        self.button(code, pressed=True)
        self.button(code, pressed=False)

    def scroll(self, value: float, *, horizontal: bool = False) -> None:
        """Turn the wheel by `value`, 15 a click, positive towards the user or the right."""
        self._pointer.send("axis_source", _WHEEL)
        self._point("axis_discrete", int(horizontal), round(value * 256), round(value / _CLICK))

    def _point(self, request: str, *values: int) -> None:
        self._pointer.send(request, _now(), *values)
        self._pointer.send("frame")
        self._client.round_trip()


def _now() -> int:
    """Milliseconds for input events."""
    return int(time.monotonic() * 1000) & 0xFFFFFFFF


def screencopy(socket_path: Path, output: str | None = None, *, seconds: float = 20.0) -> Pixels:
    """What an output shows now, without the pointer.

    Args:
        socket_path: the compositor's.
        output: its name; the first where None.
        seconds: how long the compositor may take.
    """
    with FakeClient(str(socket_path)) as client:
        manager = client.bind("zwlr_screencopy_manager_v1")
        frame = manager.create("capture_output", 0, _output(client, output))
        client.wait(lambda: bool(frame.received("buffer")), what="the screenshot's size", seconds=seconds)
        code, width, height, stride = (integer(value) for value in frame.received("buffer")[0])
        pool = Pool(client, client.bind("wl_shm"), stride * height)
        frame.send("copy", Buffer(pool, Layout(0, width, height, stride, 4), code).proxy)
        client.wait(lambda: _ended(frame), what="a screenshot", seconds=seconds)
        assert frame.received("ready"), "the compositor could not copy its output"
        shown = np.frombuffer(bytes(pool.memory), dtype=np.uint8).reshape(height, stride // 4, 4)
        pool.close()
    return np.ascontiguousarray(shown[:, :width, 2::-1])


def _output(client: FakeClient, name: str | None) -> Proxy:
    for entry in client.globals:
        if entry.interface == "wl_output":
            output = client.bind_name(entry.name, "wl_output", 4)
            client.round_trip()
            if name in (None, *(values[0] for values in output.received("name"))):
                return output
    raise LookupError(f"there is no output {name}")


def _ended(frame: Proxy) -> bool:
    return bool(frame.received("ready") or frame.received("failed"))
