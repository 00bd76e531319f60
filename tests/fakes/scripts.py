"""Scripts for a client that is watched: each does the same in every run, as far as a compositor lets it.

A script returns when all that it caused has been heard and shown.  It takes pictures with `Shoot` under
names of its own.
"""

import os
from collections.abc import Callable
from typing import Final, TypeAlias

from crossdomain.vm.seat import KEY_LEFT_SHIFT
from tests.fakes.client import Proxy, Value, integer
from tests.fakes.painting import XRGB8888, layout_for, paint
from tests.fakes.recorder import Recorder
from tests.fakes.stage import Person
from tests.fakes.windows import Buffer, Pool, Rectangle, Surface, Window

Shoot: TypeAlias = Callable[[str], None]
Script: TypeAlias = "Callable[[Theatre], None]"

SIZE: Final = (640, 480)
"""Of the output that scripts need, px."""

KEY_A: Final = 30

_BOTTOM_RIGHT: Final = 8
"""xdg_positioner.anchor and .gravity."""
_ANY_ADJUSTMENT: Final = 63
"""xdg_positioner.constraint_adjustment."""


class Theatre:
    """What a script has to play with.

    Args:
        client: the client; its own until the end of the script.
        person: at the keyboard and the pointer.
        shoot: takes a picture of the screen under a name.
    """

    def __init__(self, client: Recorder, person: Person, shoot: Shoot) -> None:
        self.client = client
        self.person = person
        self.shoot = shoot
        self._pools: list[Pool] = []

    def close(self) -> None:
        """Give the memory of all pictures back; the compositor may still show them."""
        for pool in self._pools:
            pool.close()

    def buffer(self, width: int, height: int, seed: int) -> Buffer:
        """A picture of that size, px."""
        layout = layout_for(width, height, XRGB8888)
        pool = Pool(self.client, self.client.bind("wl_shm", 1), layout.end)
        self._pools.append(pool)
        made = Buffer(pool, layout, XRGB8888)
        paint(made, Rectangle(0, 0, width, height), seed=seed)
        return made

    def window(self, title: str, seed: int) -> Window:
        """A window that is shown and fills the output."""
        window = Window(self.client, title=title, fullscreen=True)
        window.show(self.buffer(*SIZE, seed))
        self.client.wait(lambda: window.size == SIZE, what="the whole output")
        window.show(self.buffer(*SIZE, seed))
        return window

    def show(self, surface: Surface, buffer: Buffer) -> None:
        """Put a picture on a surface; applied with its parent's state where it is synchronized."""
        surface.attach(buffer)
        surface.damage_all()
        surface.commit()

    def pointer(self) -> Proxy:
        """The seat's pointer."""
        return self.client.bind("wl_seat", 5).create("get_pointer")

    def keyboard(self) -> Proxy:
        """The seat's keyboard; its keymap goes into the record."""
        keyboard = self.client.bind("wl_seat", 5).create("get_keyboard")

        def read(values: tuple[Value, ...]) -> None:
            fd, size = integer(values[1]), integer(values[2])
            self.client.log.setdefault("keymap", []).append(os.pread(fd, size, 0).decode())
            os.close(fd)

        keyboard.handlers["keymap"] = read
        return keyboard


def windows(theatre: Theatre) -> None:
    """A window that is named, hidden, shown again and closed, and another one after it."""
    client = theatre.client
    first = theatre.window("first", 1)
    theatre.shoot("one window")
    first.toplevel.send("set_min_size", 100, 100)
    first.toplevel.send("set_max_size", 2000, 2000)
    first.toplevel.send("set_title", "the first one")
    theatre.show(first.surface, theatre.buffer(*SIZE, 2))
    first.surface.commit_and_show()
    theatre.shoot("another picture")
    first.surface.attach(None)
    first.surface.commit()
    client.round_trip()
    theatre.shoot("hidden")
    first.destroy()
    client.round_trip()
    theatre.window("second", 3)
    theatre.shoot("another window")


def popups(theatre: Theatre) -> None:
    """A menu, a menu of the menu, and a click beside both, after which the client closes them."""
    client = theatre.client
    pointer = theatre.pointer()
    window = theatre.window("with menus", 3)
    theatre.person.click(50, 40)
    client.wait(lambda: len(pointer.received("button")) == 2, what="a click")
    serial = pointer.received("button")[0][0]
    menu = Popup(theatre, window.xdg_surface, Rectangle(40, 30, 20, 20), 4, serial)
    theatre.shoot("menu")
    inner = Popup(theatre, menu.xdg_surface, Rectangle(100, 60, 10, 10), 5, None)
    theatre.shoot("menu of a menu")
    theatre.person.click(600, 460)
    client.wait(lambda: len(pointer.received("button")) == 4, what="a click beside")
    inner.destroy()
    menu.destroy()
    window.show(theatre.buffer(*SIZE, 6))
    theatre.shoot("no menu")


class Popup:
    """A menu at a part of its parent, once it is shown.  It grabs where it is given a serial."""

    def __init__(self, theatre: Theatre, parent: Proxy, anchor: Rectangle, seed: int, serial: Value) -> None:
        client = theatre.client
        base = client.bind("xdg_wm_base", 2)
        positioner = base.create("create_positioner")
        positioner.send("set_size", 160, 120)
        positioner.send("set_anchor_rect", *anchor)
        positioner.send("set_anchor", _BOTTOM_RIGHT)
        positioner.send("set_gravity", _BOTTOM_RIGHT)
        positioner.send("set_constraint_adjustment", _ANY_ADJUSTMENT)
        self.surface = Surface(client, client.bind("wl_compositor", 4))
        self.xdg_surface = base.create("get_xdg_surface", self.surface.proxy)
        self.popup = self.xdg_surface.create("get_popup", parent, positioner)
        if serial is not None:
            self.popup.send("grab", client.bind("wl_seat", 5), serial)
        self.surface.commit()
        client.wait(lambda: bool(self.xdg_surface.received("configure")), what="the menu's place")
        self.xdg_surface.send("ack_configure", self.xdg_surface.received("configure")[-1][0])
        theatre.show(self.surface, theatre.buffer(160, 120, seed))
        self.surface.commit_and_show()

    def destroy(self) -> None:
        """Close it."""
        self.popup.send("destroy")
        self.xdg_surface.send("destroy")
        self.surface.destroy()


def subsurfaces(theatre: Theatre) -> None:
    """Two pictures in a window: moved, restacked, synchronized and not."""
    client = theatre.client
    window = theatre.window("with parts", 6)
    compositor = client.bind("wl_compositor", 4)
    factory = client.bind("wl_subcompositor")
    parts: list[tuple[Surface, Proxy]] = []
    for place in (30, 90):
        surface = Surface(client, compositor)
        part = factory.create("get_subsurface", surface.proxy, window.surface.proxy)
        part.send("set_position", place, place)
        theatre.show(surface, theatre.buffer(200, 100, 7 + place))
        parts.append((surface, part))
    window.surface.commit_and_show()
    theatre.shoot("parts")
    (first, lower), (second, upper) = parts
    upper.send("place_below", first.proxy)
    lower.send("set_position", 120, 60)
    window.surface.commit_and_show()
    theatre.shoot("restacked")
    upper.send("set_desync")
    theatre.show(second, theatre.buffer(200, 100, 9))
    second.commit_and_show()
    theatre.shoot("on its own")
    lower.send("destroy")
    window.surface.commit_and_show()
    theatre.shoot("one part")


def viewports(theatre: Theatre) -> None:
    """A part of a picture, enlarged; then all of it, made small."""
    window = theatre.window("cropped", 10)
    viewport = theatre.client.bind("wp_viewporter").create("get_viewport", window.surface.proxy)
    viewport.send("set_source", 100 * 256, 80 * 256, 160 * 256, 120 * 256)
    viewport.send("set_destination", *SIZE)
    window.show(theatre.buffer(*SIZE, 10))
    theatre.shoot("a part")
    viewport.send("set_source", -256, -256, -256, -256)
    viewport.send("set_destination", 320, 240)
    window.show(theatre.buffer(*SIZE, 10))
    theatre.shoot("small")
    viewport.send("destroy")
    window.show(theatre.buffer(*SIZE, 10))
    theatre.shoot("as it was")


def outputs(theatre: Theatre) -> None:
    """What is told of the output and of a surface on it."""
    client = theatre.client
    output = client.bind("wl_output", 3)
    client.bind("zxdg_output_manager_v1", 2).create("get_xdg_output", output)
    client.round_trip()
    window = theatre.window("somewhere", 11)
    client.wait(lambda: bool(window.surface.proxy.received("enter")), what="the window's output")
    output.send("release")
    client.round_trip()


def seats(theatre: Theatre) -> None:
    """Keys and modifiers, motions, clicks and the wheel; a cursor of the client's own."""
    client, person = theatre.client, theatre.person
    keyboard, pointer = theatre.keyboard(), theatre.pointer()
    theatre.window("in focus", 12)
    client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard")
    person.move_pointer(200, 100)
    client.wait(lambda: bool(pointer.received("enter")), what="the pointer")
    cursor = Surface(client, client.bind("wl_compositor", 4))
    pointer.send("set_cursor", pointer.received("enter")[-1][0], cursor.proxy, 4, 4)
    theatre.show(cursor, theatre.buffer(24, 24, 13))
    client.round_trip()
    person.key(KEY_LEFT_SHIFT, pressed=True)
    person.tap(KEY_A)
    person.key(KEY_LEFT_SHIFT, pressed=False)
    person.click(300, 200)
    person.scroll(15)
    client.wait(lambda: len(keyboard.received("key")) == 4, what="four changes of keys")
    client.wait(lambda: len(pointer.received("button")) == 2, what="a click")
    client.wait(lambda: bool(pointer.received("axis")), what="the wheel")
    client.round_trip()


def data_device(theatre: Theatre) -> None:
    """Copy and paste with oneself, through a pipe."""
    client, person = theatre.client, theatre.person
    seat = client.bind("wl_seat", 5)
    keyboard = theatre.keyboard()
    manager = client.bind("wl_data_device_manager", 3)
    device = manager.create("get_data_device", seat)
    theatre.window("a clipboard", 14)
    client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard")
    person.tap(KEY_A)
    client.wait(lambda: len(keyboard.received("key")) == 2, what="a key")
    source = manager.create("create_data_source")
    for kind in ("text/plain", "image/png"):
        source.send("offer", kind)
    sent: list[Value] = []

    def send(values: tuple[Value, ...]) -> None:
        write_data(values)
        sent.append(values[0])

    source.handlers["send"] = send
    device.send("set_selection", source, keyboard.received("key")[0][0])
    client.wait(lambda: bool(offers(device)), what="the client's own offer")
    client.round_trip()
    before = len(sent)  # Weston keeps a copy for when its owner ends
    reading, writing = os.pipe()
    offers(device)[-1].send("receive", "image/png", writing)
    os.close(writing)
    client.wait(lambda: len(sent) > before, what="the request for what was copied")
    with os.fdopen(reading, "rb") as pipe:
        client.log["pasted"] = [pipe.read().decode()]


def offers(device: Proxy) -> list[Proxy]:
    """What the clipboard held so far."""
    return [value for (value,) in device.received("selection") if isinstance(value, Proxy)]


def write_data(values: tuple[Value, ...]) -> None:
    """Answer wl_data_source.send."""
    with os.fdopen(integer(values[1]), "wb") as pipe:
        pipe.write(f"pasted as {values[0]!r}, ".encode() * 100)  # a pipe holds that much


SCRIPTS: Final[tuple[Script, ...]] = (
    windows,
    popups,
    subsurfaces,
    viewports,
    outputs,
    seats,
    data_device,
)
