"""What clients do in a soak: each activity connects, does what programs do all day, and leaves nothing.

An activity may leave in any way that programs leave, a clean one or not.
"""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Final, TypeAlias

import pytest

from tests.fakes.client import FakeClient, ProtocolError, Proxy, Value, integer
from tests.fakes.clipboard import Copier, Paster
from tests.fakes.painting import XRGB8888, layout_for, solid_buffer
from tests.fakes.stream import read, write
from tests.fakes.windows import Buffer, Pool, Rectangle, Surface, Window
from tests.soak.applications import browse, use_a_terminal
from tests.soak.desk import Desk

Activity: TypeAlias = Callable[[Desk, int], None]
"""Gets the number of the round, so that rounds differ, in the same way in every run."""

_FRAMES: Final = 4
_POPUPS: Final = 4
_PASTED: Final = 300_000
"""Bytes: more than all pipes on the way hold."""


def draw_and_resize(desk: Desk, number: int) -> None:
    """A window is drawn into by damage, in two buffers that take turns, and resized, its pool too."""
    with FakeClient(desk.proxied(number)) as client:
        window = Window(client, title=f"window {number}")
        pool = Pool(client, client.bind("wl_shm"), 4096)
        for step in range(3):
            width, height = 64 + 16 * (number % 5) + 32 * step, 48 + 16 * step
            first = layout_for(width, height, XRGB8888)
            second = layout_for(width, height, XRGB8888, offset=first.end)
            if second.end > pool.size:
                pool.resize(second.end)
            buffers = [Buffer(pool, layout, XRGB8888) for layout in (first, second)]
            for frame in range(_FRAMES):
                window.surface.attach(buffers[frame % 2])
                window.surface.damage(Rectangle(frame, frame, 16, 16))
                window.surface.commit_and_show()
            for buffer in buffers:
                buffer.destroy()
        window.destroy()
        client.round_trip()
        pool.close()


def open_menus(desk: Desk, number: int) -> None:
    """Popups of a window, each of which replaces the one before."""
    with FakeClient(desk.proxied(number)) as client:
        window = Window(client, title="menus")
        buffer = solid_buffer(client, 64, 64, "204080")
        window.show(buffer)
        for step in range(_POPUPS):
            _open_menu(client, window, buffer, step)
        window.destroy()
        client.round_trip()
        buffer.pool.close()


def _open_menu(client: FakeClient, window: Window, buffer: Buffer, step: int) -> None:
    positioner = window.base.create("create_positioner")
    positioner.send("set_size", 64, 64)
    positioner.send("set_anchor_rect", step, step, 8, 8)
    surface = Surface(client, window.compositor)
    xdg_surface = window.base.create("get_xdg_surface", surface.proxy)
    popup = xdg_surface.create("get_popup", window.xdg_surface, positioner)
    positioner.send("destroy")
    surface.commit()
    client.wait(lambda: bool(xdg_surface.received("configure")), what="xdg_surface.configure")
    xdg_surface.send("ack_configure", xdg_surface.received("configure")[-1][0])
    surface.attach(buffer)
    surface.damage_all()
    surface.commit_and_show()
    for proxy in (popup, xdg_surface, surface.proxy):
        proxy.send("destroy")


def copy_and_paste(desk: Desk, number: int) -> None:
    """A paste to the guest in one round, to the host in the next."""
    displays = [desk.direct, desk.proxied(number)][:: 1 if number % 2 else -1]
    with closing(Copier(displays[0])) as copier, closing(Paster(displays[1])) as paster:
        copier.copy()
        paster.wait_offer()
        reading = paster.paste()
        (writing,) = copier.wait_asked()
        writer = threading.Thread(target=_write_and_close, args=(writing,))
        writer.start()
        assert read(reading) == _PASTED
        writer.join()
        os.close(reading)


def _write_and_close(fd: int) -> None:
    write(fd, _PASTED)
    os.close(fd)


def paste_and_lose_interest(desk: Desk, number: int) -> None:
    """Readers that never read, writers that never write: their clients leave, and so do they."""
    displays = [desk.direct, desk.proxied(number)][:: 1 if number % 2 else -1]
    with closing(Copier(displays[0])) as copier, closing(Paster(displays[1])) as paster:
        copier.copy()
        paster.wait_offer()
        reading = [paster.paste() for _ in range(4)]
        writing = copier.wait_asked(4)
        for fd in writing[:2]:
            os.write(fd, bytes(65536))
        for fd in (*reading, *writing):
            os.close(fd)


def read_keymaps(desk: Desk, number: int) -> None:
    """Keyboards come and go, each with its keymap."""
    with FakeClient(desk.proxied(number)) as client:
        seat = client.bind("wl_seat")
        for _ in range(5):
            keyboard = seat.create("get_keyboard")
            keyboard.handlers["keymap"] = _close_keymap
            client.round_trip()
            keyboard.send("release")
        client.round_trip()


def _close_keymap(values: tuple[Value, ...]) -> None:
    os.close(integer(values[1]))


def come_and_go(desk: Desk, number: int) -> None:
    """Several clients at once, which leave in the middle of a message or of their objects' lives."""
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(FakeClient(desk.proxied(number)))
            surface = client.bind("wl_compositor").create("create_surface")
            surface.send("damage", 0, 0, 1, 1)
            client.send_raw(b"\1\0\0\0\0\0")


def break_the_protocol(desk: Desk, number: int) -> None:
    """A client that is thrown out."""
    with FakeClient(desk.proxied(number)) as client:
        surface = client.bind("wl_compositor").create("create_surface")
        surface.send("attach", client.registry, 0, 0)
        with pytest.raises(ProtocolError):
            client.round_trip()


class Resident:
    """A client that stays for all rounds, with a window and objects of every kind in each of them."""

    def __init__(self, desk: Desk) -> None:
        self.client = FakeClient(desk.copying.socket)
        self._window = Window(self.client, title="resident")
        self._buffers = [solid_buffer(self.client, 80, 80, colour) for colour in ("805020", "205080")]
        self._compositor = self.client.bind("wl_compositor")

    def live(self, number: int) -> None:
        """One round: a hundred regions, and a frame that shows another buffer than the last."""
        for _ in range(100):
            region: Proxy = self._compositor.create("create_region")
            region.send("add", 0, 0, 1, 1)
            region.send("destroy")
        self._window.show(self._buffers[number % 2])
        self.client.round_trip()

    def close(self) -> None:
        """Leave."""
        self.client.close()
        for buffer in self._buffers:
            buffer.pool.close()


MIX: Final[Sequence[Activity]] = (
    use_a_terminal,
    browse,
    draw_and_resize,
    open_menus,
    copy_and_paste,
    paste_and_lose_interest,
    read_keymaps,
    come_and_go,
    break_the_protocol,
)
