"""Drag and drop: between X11 windows, from them to Wayland windows, and back."""

import contextlib
import itertools
import os
from collections.abc import Callable, Generator
from typing import Final

import pytest

from crossdomain.errors import HostFault
from crossdomain.vm.seat import View
from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.painting import solid_buffer
from tests.fakes.selections import Offered
from tests.fakes.windows import Window
from tests.fakes.x11 import X11Desktop
from tests.fakes.x11_client import XTestClient
from tests.fakes.xdnd import XDragSource, XDropTarget

FILES: Final = b"file:///tmp/a%20b\r\n"
CONTENTS: Final = {
    "text/uri-list": FILES,
    "text/plain": b"a b",
    "image/png": os.urandom(100000),
    "application/x-more": b"more",
}
COPY: Final = 1
MOVE: Final = 2
ASK: Final = 4
_LOOKS: Final = 25
"""How often is looked before the pointer moves on: who answers each motion has to get done with one."""


class WaylandSide:
    """A Wayland window that drags, and takes drops."""

    def __init__(self, desktop: X11Desktop) -> None:
        self.client = FakeClient(desktop.launcher.socket)
        self.manager = self.client.bind("wl_data_device_manager")
        seat = self.client.bind("wl_seat")
        self.device = self.manager.create("get_data_device", seat)
        self.pointer = seat.create("get_pointer")
        self.window = Window(self.client, title="wayland")
        self._buffer = solid_buffer(self.client, 200, 100, "806040")
        self.window.show(self._buffer)

    def handle(self) -> None:
        """Handle what has come."""
        self.client.round_trip()

    def button_serial(self) -> int:
        """The serial of the press that came last."""
        self.client.wait(lambda: bool(self.pointer.received("button")), what="a button")
        return integer(self.pointer.received("button")[-1][0])

    def start(self, serial: int, actions: int = COPY) -> Offered:
        """Begin to drag."""
        source = self.manager.create("create_data_source")
        offered = Offered(source, CONTENTS)
        source.send("set_actions", actions)
        self.device.send("start_drag", source, self.window.surface.proxy, None, serial)
        self.client.round_trip()
        return offered

    def accept(self, kind: str | None, action: int) -> Proxy:
        """Answer what is dragged over the window."""
        serial, *_, offer = self.device.received("enter")[-1]
        assert isinstance(offer, Proxy)
        offer.send("accept", serial, kind)
        offer.send("set_actions", action, action)
        self.client.round_trip()
        return offer

    def close(self) -> None:
        """Leave."""
        self.client.close()
        self._buffer.pool.close()


@pytest.fixture
def wayland(desktop: X11Desktop) -> Generator[WaylandSide]:
    side = WaylandSide(desktop)
    yield side
    side.close()


class Scene:
    """Windows side by side, whose clients are served while something is waited for."""

    def __init__(self, desktop: X11Desktop, *pumps: Callable[[], None]) -> None:
        self.desktop = desktop
        self.seat = desktop.seat
        self._pumps = pumps

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Serve the clients until a condition holds."""

        def look() -> bool:
            for pump in self._pumps:
                pump()
            return condition()

        self.desktop.wait(look, what)

    def place(self, *titles: str) -> list[View]:
        """Where the windows with these titles are now."""
        shown = [self.desktop.window(title) for title in titles]
        return [self.desktop.place(view, 50 + 320 * number, 200) for number, view in enumerate(shown)]

    def press(self, view: View) -> None:
        """Press the button in a window."""
        self.seat.move_pointer(view.x + 20, view.y + 20)
        self.seat.button(pressed=True)

    def move(self, view: View, until: Callable[[], bool], what: str) -> None:
        """Move the pointer about in a window, now and then, until something comes of it."""
        looks = itertools.count()

        def moved() -> bool:
            if next(looks) % _LOOKS == 0:
                for x in (47, 50):
                    self.seat.move_pointer(view.x + x, view.y + 40)
            return until()

        self.wait(moved, what)

    def begin(self, source: XDragSource, view: View) -> None:
        """Begin to drag from a window of X."""
        source.has_pointer = False
        self.move(view, lambda: source.has_pointer, "the pointer")
        self.press(view)
        self.move(view, lambda: bool(source.heard), "the drag")

    def read(self, offer: Proxy, kind: str) -> bytes:
        """What was dropped on the Wayland window."""
        reading, writing = os.pipe()
        offer.send("receive", kind, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        data = bytearray()

        def at_end() -> bool:
            with contextlib.suppress(BlockingIOError):
                part = os.read(reading, 1 << 20)
                data.extend(part)
                return not part
            return False

        self.wait(at_end, "the data")
        os.close(reading)
        return bytes(data)


def relative(target: XDropTarget) -> tuple[int, int]:
    """Where something is dragged over a window, in the window."""
    place = target.client.window(target.window).translate_coords(target.client.root, *target.place)
    return place.x, place.y


def wanted(offered: Offered) -> bool:
    """Whether what is dragged would be taken where it is, for something."""
    return bool(
        offered.source.received("target")
        and offered.source.received("target")[-1][0]
        and offered.source.received("action")
        and offered.source.received("action")[-1][0]
    )


@pytest.fixture(autouse=True)
def released(desktop: X11Desktop) -> Generator[None]:
    """Let go of the button also where a test has failed."""
    yield
    with contextlib.suppress(HostFault):
        desktop.seat.button(pressed=False)


@pytest.fixture
def one(desktop: X11Desktop) -> Generator[XTestClient]:
    with desktop.client() as client:
        yield client


@pytest.fixture
def other(desktop: X11Desktop) -> Generator[XTestClient]:
    with desktop.client() as client:
        yield client


def test_between_x_clients(desktop: X11Desktop, one: XTestClient, other: XTestClient) -> None:
    source, target = XDragSource(one, "source", CONTENTS), XDropTarget(other, "target", "image/png")
    scene = Scene(desktop, source.pump, target.pump)
    begin, end = scene.place("source", "target")
    scene.begin(source, begin)
    scene.move(end, lambda: source.is_accepted and relative(target) == (50, 40), "the target")
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.finished is not None, "the end")
    assert target.contents == CONTENTS["image/png"]
    assert target.kinds == list(CONTENTS)
    assert source.finished == (True, "XdndActionCopy")


@pytest.mark.parametrize("name", ["XdndActionAsk", "XdndActionLink", "XdndActionPrivate"])
def test_what_is_to_be_done_is_a_matter_of_the_two_x_clients(
    name: str, desktop: X11Desktop, one: XTestClient, other: XTestClient
) -> None:
    source = XDragSource(one, "source", CONTENTS, name)
    target = XDropTarget(other, "target", "text/plain", name)
    scene = Scene(desktop, source.pump, target.pump)
    begin, end = scene.place("source", "target")
    scene.begin(source, begin)
    scene.move(end, lambda: source.is_accepted and relative(target) == (50, 40), "the target")
    assert target.suggested == name
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.finished is not None, "the end")
    assert source.finished == (True, name)


def test_a_wayland_window_asks_what_to_do_with_what_comes_from_x(
    desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    source = XDragSource(one, "source", CONTENTS, "XdndActionAsk", "XdndActionCopy", "XdndActionMove")
    scene = Scene(desktop, source.pump, wayland.handle)
    begin, end = scene.place("source", "wayland")
    scene.begin(source, begin)
    scene.move(end, lambda: bool(wayland.device.received("enter")), "the Wayland window")
    offer = wayland.accept("text/plain", ASK)
    scene.wait(lambda: source.is_accepted, "that it is wanted")
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(wayland.device.received("drop")), "the drop")
    assert offer.received("action")[-1] == (ASK,)
    assert scene.read(offer, "text/plain") == CONTENTS["text/plain"]
    offer.send("set_actions", MOVE, MOVE)
    offer.send("finish")
    scene.wait(lambda: source.finished is not None, "the end")
    assert source.finished == (True, "XdndActionMove")


def test_an_x_window_asks_what_to_do_with_what_comes_from_wayland(
    desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    target = XDropTarget(one, "target", "image/png", "XdndActionAsk", done="XdndActionMove")
    scene = Scene(desktop, target.pump, wayland.handle)
    begin, end = scene.place("wayland", "target")
    scene.press(begin)
    offered = wayland.start(wayland.button_serial(), COPY | MOVE | ASK)
    scene.move(end, lambda: wanted(offered), "the X window")
    scene.wait(lambda: offered.source.received("action")[-1] == (ASK,), "the question")
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(offered.source.received("dnd_finished")), "the end")
    assert offered.source.received("action")[-1] == (MOVE,)
    assert target.contents == CONTENTS["image/png"]


def test_an_x_window_that_takes_nothing_gets_nothing(
    desktop: X11Desktop, one: XTestClient, other: XTestClient
) -> None:
    source = XDragSource(one, "source", CONTENTS)
    target = XDropTarget(other, "target", "image/png", takes=False)
    scene = Scene(desktop, source.pump, target.pump)
    begin, end = scene.place("source", "target")
    scene.begin(source, begin)
    scene.move(end, lambda: "XdndPosition" in target.heard, "the target")
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.heard[-1] == "nothing", "the end")
    scene.wait(lambda: target.heard[-1] == "XdndLeave", "that it has left")


@pytest.mark.parametrize(("name", "action"), [("XdndActionCopy", COPY), ("XdndActionMove", MOVE)])
def test_from_x_to_wayland(
    name: str, action: int, desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    source = XDragSource(one, "source", CONTENTS, name)
    scene = Scene(desktop, source.pump, wayland.handle)
    begin, end = scene.place("source", "wayland")
    scene.begin(source, begin)
    scene.move(end, lambda: bool(wayland.device.received("enter")), "the Wayland window")
    offer = wayland.accept("image/png", action)
    scene.wait(lambda: source.is_accepted, "that it is wanted")
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(wayland.device.received("drop")), "the drop")
    assert {values[0] for values in offer.received("offer")} >= set(CONTENTS)
    for kind, contents in CONTENTS.items():
        assert scene.read(offer, kind) == contents
    assert source.finished is None
    offer.send("finish")
    scene.wait(lambda: source.finished is not None, "the end")
    assert source.finished == (True, name)


def test_a_wayland_window_that_does_not_want_it_gets_nothing(
    desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    source = XDragSource(one, "source", CONTENTS)
    scene = Scene(desktop, source.pump, wayland.handle)
    begin, end = scene.place("source", "wayland")
    scene.begin(source, begin)
    scene.move(end, lambda: bool(wayland.device.received("enter")), "the Wayland window")
    wayland.accept(None, 0)
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.heard[-1] == "nothing", "the end")
    assert not wayland.device.received("drop")


def test_a_drag_from_x_that_comes_back_is_x_alone_again(
    desktop: X11Desktop, one: XTestClient, other: XTestClient, wayland: WaylandSide
) -> None:
    source, target = XDragSource(one, "source", CONTENTS), XDropTarget(other, "target", "text/plain")
    scene = Scene(desktop, source.pump, target.pump, wayland.handle)
    begin, middle, end = scene.place("source", "wayland", "target")
    scene.begin(source, begin)
    scene.move(middle, lambda: bool(wayland.device.received("enter")), "the Wayland window")
    wayland.accept("text/plain", COPY)
    scene.wait(lambda: source.is_accepted, "that it is wanted")
    scene.move(end, lambda: source.is_accepted and "XdndPosition" in target.heard, "the X window")
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.finished is not None, "the end")
    assert target.contents == b"a b"


def test_the_pointer_is_as_before_after_a_drag_to_nowhere(
    desktop: X11Desktop, one: XTestClient, other: XTestClient
) -> None:
    source, target = XDragSource(one, "source", CONTENTS), XDropTarget(other, "target", "text/plain")
    scene = Scene(desktop, source.pump, target.pump)
    begin, end = scene.place("source", "target")
    scene.begin(source, begin)
    scene.seat.move_pointer(900, 700)
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.heard[-1] == "nothing", "the end")
    source.heard.clear()
    scene.begin(source, begin)
    scene.move(end, lambda: source.is_accepted, "the target")
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.finished is not None, "the end")
    assert target.contents == b"a b"


def test_a_client_that_quits_while_it_drags_ends_the_drag(
    desktop: X11Desktop, other: XTestClient, wayland: WaylandSide
) -> None:
    with desktop.client() as client:
        source = XDragSource(client, "source", CONTENTS)
        scene = Scene(desktop, source.pump, wayland.handle)
        begin, end = scene.place("source", "wayland")
        scene.begin(source, begin)
        scene.move(end, lambda: bool(wayland.device.received("enter")), "the Wayland window")
    scene = Scene(desktop, wayland.handle)
    scene.wait(lambda: bool(wayland.device.received("leave")), "the end of the drag")
    scene.seat.button(pressed=False)
    source, target = XDragSource(other, "next", CONTENTS), XDropTarget(other, "target", "text/plain")
    scene = Scene(desktop, source.pump)
    (begin,) = scene.place("next")
    scene.begin(source, begin)
    scene.seat.button(pressed=False)
    scene.wait(lambda: source.heard[-1] == "nothing", "the end")
    assert not target.heard


@pytest.mark.parametrize(("name", "action"), [("XdndActionCopy", COPY), ("XdndActionMove", MOVE)])
def test_from_wayland_to_x(
    name: str, action: int, desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    target = XDropTarget(one, "target", "image/png", name)
    scene = Scene(desktop, target.pump, wayland.handle)
    begin, end = scene.place("wayland", "target")
    scene.press(begin)
    offered = wayland.start(wayland.button_serial(), action)
    scene.move(end, lambda: wanted(offered), "the X window")
    assert offered.source.received("action")[-1] == (action,)
    scene.wait(lambda: (relative(target), target.suggested) == ((50, 40), name), "the place and the action")
    assert set(target.kinds) >= set(CONTENTS)
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(offered.source.received("dnd_finished")), "the end")
    assert target.contents == CONTENTS["image/png"]


def test_a_part_of_an_x_window_takes_what_is_dropped_on_it(
    desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    target = XDropTarget(one, "target", "text/plain")
    target.move_inside((100, 30, 60, 40))
    scene = Scene(desktop, target.pump, wayland.handle)
    begin, end = scene.place("wayland", "target")
    scene.press(begin)
    offered = wayland.start(wayland.button_serial())
    scene.move(end, lambda: bool(wayland.device.received("leave")), "the X window")
    scene.seat.move_pointer(end.x + 120, end.y + 50)
    scene.wait(lambda: wanted(offered), "the part")
    assert relative(target) == (20, 20)
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(offered.source.received("dnd_finished")), "the end")
    assert target.contents == b"a b"


def test_an_x_window_with_a_proxy_takes_drops(
    desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    target = XDropTarget(one, "target", "text/plain")
    target.use_proxy()
    scene = Scene(desktop, target.pump, wayland.handle)
    begin, end = scene.place("wayland", "target")
    scene.press(begin)
    offered = wayland.start(wayland.button_serial())
    scene.move(end, lambda: wanted(offered), "the X window")
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(offered.source.received("dnd_finished")), "the end")
    assert target.contents == b"a b"


def test_an_x_window_is_left_again(desktop: X11Desktop, one: XTestClient, wayland: WaylandSide) -> None:
    target = XDropTarget(one, "target", "image/png")
    scene = Scene(desktop, target.pump, wayland.handle)
    begin, end = scene.place("wayland", "target")
    scene.press(begin)
    wayland.start(wayland.button_serial())
    scene.move(end, lambda: "XdndPosition" in target.heard, "the X window")
    scene.seat.move_pointer(900, 700)
    scene.wait(lambda: target.heard[-1] == "XdndLeave", "that it has left")
    scene.seat.button(pressed=False)
    assert target.contents is None


def test_an_x_window_without_xdnd_takes_nothing(
    desktop: X11Desktop, one: XTestClient, wayland: WaylandSide
) -> None:
    one.create_window(title="deaf")
    scene = Scene(desktop, wayland.handle)
    begin, end = scene.place("wayland", "deaf")
    scene.press(begin)
    offered = wayland.start(wayland.button_serial())
    scene.move(end, lambda: bool(wayland.device.received("leave")), "the X window")
    scene.seat.button(pressed=False)
    scene.wait(lambda: bool(offered.source.received("cancelled")), "the end")


def test_a_target_that_quits_after_the_drop_ends_the_drag(desktop: X11Desktop, wayland: WaylandSide) -> None:
    with desktop.client() as client:
        target = XDropTarget(client, "target", "image/png")
        scene = Scene(desktop, target.pump, wayland.handle)
        begin, end = scene.place("wayland", "target")
        scene.press(begin)
        offered = wayland.start(wayland.button_serial())
        scene.move(end, lambda: wanted(offered), "the X window")
        scene = Scene(desktop, wayland.handle)
        scene.seat.button(pressed=False)
        scene.wait(lambda: bool(offered.source.received("dnd_drop_performed")), "the drop")
    scene.wait(lambda: bool(offered.source.received("cancelled")), "the end")
