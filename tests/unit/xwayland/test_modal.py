"""Modal dialogs (xdg_wm_dialog_v1): the messages, when they are sent and when not."""

import os
from collections.abc import Callable, Generator

import pytest

from crossdomain.wire.codec import Value, decode_arguments, decode_header
from launcher.xwayland.model.frame import FrameMetrics
from launcher.xwayland.model.geometry import Rectangle, Screen, Size
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.names import State
from launcher.xwayland.model.properties import MotifHints
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.shell.shell import Shell
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface, Surfaces
from launcher.xwayland.x11.events import Picture
from tests.fakes.x11_ports import FakeX
from tests.unit.xwayland.test_mediator import TABLES, Listener, Rig, bind_compositor
from tests.unit.xwayland.test_stand_in import User

GLOBALS = {
    "wl_compositor": 4, "wl_subcompositor": 1, "wl_shm": 1, "xdg_wm_base": 3, "xdg_wm_dialog_v1": 1,
}  # fmt: skip
DIALOG = ("xdg_wm_dialog_v1", "xdg_dialog_v1")
Said = tuple[str, tuple[Value, ...]]


class Unseen:
    """`shell.painting.Images`: nobody is shown anything."""

    def fetch(self, window: Window, size: Size, take: Callable[[Picture | None], None]) -> None:
        raise AssertionError(f"{window} is looked at, {size}, {take}")


class ShellRig(Rig):
    """A compositor with dialogs, and the window manager before it."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = Listener()
        self.surfaces = Surfaces(self.mediator, self.listener)
        self.seats = Seats(self.mediator, self.surfaces, User())
        found = Globals(self.mediator, TABLES)
        found.start(lambda: None)
        registry = self.sent()[0][0] + 1
        for number, (name, version) in enumerate(GLOBALS.items(), 1):
            self.event("wl_registry", registry, "global", number, name, version)
        bind_compositor(self)
        shell = Shell(self.mediator, Objects(found), self.seats, Unseen())
        self.manager = Manager(FakeX(), shell, FrameMetrics())
        self.manager.screen = Screen(1024, 768)
        shell.manager = self.manager

    def open(self, number: int, *, transient_for: int = 0) -> Window:
        """A window that is mapped, with a surface."""
        window = self.manager.create(number, Rectangle(0, 0, 200, 100), 0, override_redirect=False)
        window.transient_for = transient_for
        self.manager.request_map(window)
        self.manager.map(window, override_redirect=False)
        self.request("wl_compositor", 3, "create_surface", 3 + number)
        self.manager.set_surface(window, self.surface(number))
        return window

    def surface(self, number: int) -> Surface:
        """Of a window."""
        return self.listener.surfaces[number - 1]

    def said(self, interfaces: tuple[str, ...]) -> list[Said]:
        """What the compositor was told of such objects since the last time."""
        found: list[Said] = []
        data, position = bytes(self.to_host.data), 0
        while (header := decode_header(data, position)) is not None:
            entry = self.mediator.find_host(header.object_id)
            message = (
                None if entry is None else self.mediator.describe(entry.interface).requests[header.opcode]
            )
            if entry is not None and message is not None and entry.interface in interfaces:
                arguments = decode_arguments(message, data[position : position + header.size])
                found.append((message.name, tuple(arguments)))
            position += header.size
        self.to_host.data.clear()
        return found


@pytest.fixture
def rig() -> Generator[ShellRig]:
    """With a main window and a dialog of it."""
    made = ShellRig()
    yield made
    for fd in made.to_host.fds:
        os.close(fd)


def test_a_modal_dialog_is_one_for_the_compositor_too(rig: ShellRig) -> None:
    rig.open(1)
    dialog = rig.open(2, transient_for=1)
    assert rig.said(DIALOG) == []
    dialog.states.add(State.MODAL)
    rig.manager.refresh(dialog)
    assert [name for name, _ in rig.said(DIALOG)] == ["get_xdg_dialog", "set_modal"]
    rig.manager.refresh(dialog)
    assert rig.said(DIALOG) == []
    dialog.states.clear()
    rig.manager.refresh(dialog)
    assert rig.said(DIALOG) == [("unset_modal", ())]


def test_motif_has_its_own_word_for_modal(rig: ShellRig) -> None:
    rig.open(1)
    dialog = rig.open(2, transient_for=1)
    dialog.motif = MotifHints(modal=True)
    rig.manager.refresh(dialog)
    assert [name for name, _ in rig.said(DIALOG)] == ["get_xdg_dialog", "set_modal"]


def test_a_window_that_is_modal_for_nobody_is_none(rig: ShellRig) -> None:
    window = rig.open(1)
    window.states.add(State.MODAL)
    rig.manager.refresh(window)
    assert rig.said(DIALOG) == []


def test_a_dialog_that_goes_says_so_before_its_window(rig: ShellRig) -> None:
    rig.open(1)
    dialog = rig.open(2, transient_for=1)
    dialog.states.add(State.MODAL)
    rig.manager.refresh(dialog)
    rig.said(DIALOG)
    rig.manager.unmap(dialog)
    assert rig.said(DIALOG) == [("destroy", ())]
