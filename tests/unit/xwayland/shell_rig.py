"""A window manager before a compositor that the test plays."""

import os
from collections.abc import Callable, Generator, Mapping
from typing import Final

import pytest

from crossdomain.wire.codec import Value, decode_arguments, decode_header
from launcher.xwayland.model.frame import FrameMetrics
from launcher.xwayland.model.geometry import Rectangle, Screen, Size
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.shell.shell import Shell
from launcher.xwayland.shell.toplevel import ToplevelRole
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.scaling import Scaling
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface, Surfaces
from launcher.xwayland.x11.events import Picture
from tests.fakes.x11_ports import FakeX
from tests.unit.xwayland.test_mediator import TABLES, Listener, Rig
from tests.unit.xwayland.test_stand_in import User

NEEDED: Final = {"wl_compositor": 4, "wl_subcompositor": 1, "wl_shm": 1, "xdg_wm_base": 3}
"""The globals that there are on any compositor that can show windows."""
_FIRST_SURFACE: Final = 10
"""Xwayland's ids below that are those of its registry (2), wl_compositor (3) and so on."""
_FIRST_BUFFER: Final = 1000

Said = tuple[str, tuple[Value, ...]]


class Unseen:
    """`shell.painting.Images`: nobody is shown anything."""

    def fetch(self, window: Window, size: Size, take: Callable[[Picture | None], None]) -> None:
        raise AssertionError(f"{window} is looked at, {size}, {take}")


class ShellRig(Rig):
    """A compositor with some globals, and the window manager before it."""

    def __init__(self, offered: Mapping[str, int], *, scale: float = 1.0) -> None:
        """`offered`: its globals, each with its version."""
        super().__init__()
        self.listener = Listener()
        self.surfaces = Surfaces(self.mediator, self.listener)
        self.seats = Seats(self.mediator, self.surfaces, User())
        self._next_buffer = _FIRST_BUFFER
        self._numbers = {name: number for number, name in enumerate(offered, 1)}
        found = Globals(self.mediator, TABLES)
        found.start(lambda: None)
        registry = self.sent()[0][0] + 1
        for name, number in self._numbers.items():
            self.event("wl_registry", registry, "global", number, name, offered[name])
        self.mediator.scale(Scaling(scale))
        self.request("wl_display", 1, "get_registry", 2)
        self.bind("wl_compositor", offered["wl_compositor"], 3)
        objects = self.objects = Objects(found)
        if scale != 1.0:
            self.surfaces.viewporter = objects.find("wp_viewporter")
        shell = Shell(self.mediator, objects, self.seats, Unseen(), scale)
        self.manager = Manager(FakeX(), shell, FrameMetrics.scaled(scale))
        self.manager.screen = Screen(1024, 768)
        shell.manager = self.manager

    def close(self) -> None:
        """Gives the memory up that the compositor was shown."""
        for fd in self.to_host.fds:
            os.close(fd)

    def bind(self, interface: str, version: int, new: int) -> None:
        """Xwayland binds a global, as `new`."""
        self.request("wl_registry", 2, "bind", self._numbers[interface], interface, version, new)

    def open(self, number: int, *, transient_for: int = 0) -> Window:
        """A window that is mapped, with a surface."""
        window = self.manager.create(number, Rectangle(0, 0, 200, 100), 0, override_redirect=False)
        window.transient_for = transient_for
        self.manager.request_map(window)
        self.manager.map(window, override_redirect=False)
        self.request("wl_compositor", 3, "create_surface", _FIRST_SURFACE + number)
        self.manager.set_surface(window, self.surface(number))
        return window

    def surface(self, number: int) -> Surface:
        """Of a window."""
        return self.listener.surfaces[number - 1]

    def configure(self, window: Window, size: Size, *states: int) -> None:
        """The compositor configures a toplevel."""
        assert window.role is not None
        port = window.role.port
        assert isinstance(port, ToplevelRole)
        data = b"".join(state.to_bytes(4, "little") for state in states)
        self.event("xdg_toplevel", port.toplevel.entry.host_id, "configure", *size, data)
        self.event("xdg_surface", port.xdg_surface.entry.host_id, "configure", 7)

    def draw(self, number: int, size: Size, pool: int) -> None:
        """Xwayland shows a window's contents, of that size, in a buffer out of a wl_shm_pool of its own."""
        surface, buffer = _FIRST_SURFACE + number, self._next_buffer
        self._next_buffer += 1
        self.request("wl_shm_pool", pool, "create_buffer", buffer, 0, *size, size.width * 4, 0)
        self.request("wl_surface", surface, "attach", buffer, 0, 0)
        self.request("wl_surface", surface, "damage", 0, 0, *size)
        self.request("wl_surface", surface, "commit")

    def said(self, interfaces: tuple[str, ...]) -> list[Said]:
        """What the compositor was told of such objects since the last time."""
        return [(name, values) for _, name, values in self.said_to(interfaces)]

    def said_to(self, interfaces: tuple[str, ...]) -> list[tuple[int, str, tuple[Value, ...]]]:
        """As `said`, with the compositor's id of each object in front."""
        found: list[tuple[int, str, tuple[Value, ...]]] = []
        data, position = bytes(self.to_host.data), 0
        while (header := decode_header(data, position)) is not None:
            entry = self.mediator.find_host(header.object_id)
            message = (
                None if entry is None else self.mediator.describe(entry.interface).requests[header.opcode]
            )
            if entry is not None and message is not None and entry.interface in interfaces:
                arguments = decode_arguments(message, data[position : position + header.size])
                found.append((header.object_id, message.name, tuple(arguments)))
            position += header.size
        self.to_host.data.clear()
        return found


def rig_before(offered: Mapping[str, int]) -> Callable[[], Generator[ShellRig]]:
    """Returns a fixture, `rig`: one before a compositor with these globals."""

    @pytest.fixture(name="rig")
    def make() -> Generator[ShellRig]:
        made = ShellRig(offered)
        yield made
        made.close()

    return make
