"""Where a new window goes that we have drawn a frame around: Weston finds a place for its contents alone."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from crossdomain.wire.codec import Value
from launcher.xwayland.decorations.canvas import ARGB, Buffer
from launcher.xwayland.model.geometry import Extents, Size
from launcher.xwayland.model.properties import MotifDecoration, MotifHints
from launcher.xwayland.model.window import Window
from tests.unit.xwayland.shell_rig import NEEDED, ShellRig

WESTON = {**NEEDED, "wp_viewporter": 1, "zwp_input_timestamps_manager_v1": 1}
WESTON_14 = {**WESTON, "wl_compositor": 5}
MAXIMIZED, FULLSCREEN = 1, 2
SIZE = Size(200, 100)
EVERYTHING = ("damage", (0, 0, 0x7FFFFFFF, 0x7FFFFFFF))
CONTENTS = ("damage", (0, 0, *SIZE))
OURS, BUFFER = "a buffer of ours", "Xwayland's"
POOL = 6


class ClaimRig(ShellRig):
    """One in which Xwayland has memory for its buffers (POOL)."""

    def __init__(self, offered: Mapping[str, int], *, scale: float = 1.0) -> None:
        super().__init__(offered, scale=scale)
        self.bind("wl_shm", 1, 5)
        reading, self._writing = os.pipe()
        self.request("wl_shm", 5, "create_pool", POOL, None, 1 << 20, fds=(reading,))

    def show(self, window: Window, *states: int) -> list[tuple[object, ...]]:
        """Has the only window configured and drawn; returns what was said of it by what was drawn."""
        self.configure(window, Size(0, 0), *states)
        self.told_of_it()
        self.draw(1, SIZE, POOL)
        return self.told_of_it()

    def told_of_it(self) -> list[tuple[object, ...]]:
        """What was said of the first window's surface and viewport since the last time."""
        surface = self.surface(1).entry.host_id
        ours = {surface}
        told: list[tuple[object, ...]] = []
        for number, name, values in self.said_to(("wl_surface", "wp_viewporter", "wp_viewport")):
            if name == "get_viewport" and values[1] == surface:
                ours.add(int(str(values[0])))
                told.append((name,))
            elif number in ours:
                told.append((name, self._named(values) if name == "attach" else values))
        return told

    def _named(self, values: tuple[Value, ...]) -> tuple[object, ...]:
        entry = self.mediator.find_host(int(str(values[0])))
        return (None if entry is None else BUFFER if entry.client_id else OURS, *values[1:])

    def close(self) -> None:
        """Gives the memory up."""
        super().close()
        os.close(self._writing)


@contextmanager
def weston(offered: Mapping[str, int] = WESTON, *, scale: float = 1.0) -> Generator[ClaimRig]:
    """One compositor."""
    made = ClaimRig(offered, scale=scale)
    try:
        yield made
    finally:
        made.close()


def claim(width: int, height: int) -> list[tuple[object, ...]]:
    """A window of that size is placed, and nothing is in it yet."""
    return [
        ("get_viewport",),
        ("set_source", (-256,) * 4),
        ("set_destination", (width, height)),
        ("attach", (OURS, 0, 0)),
        EVERYTHING,
        ("commit", ()),
    ]


def test_a_place_is_found_for_the_frame_too_and_the_contents_are_inside() -> None:
    with weston() as rig:
        told = rig.show(rig.open(1))
        assert told == [
            *claim(202, 129),
            ("destroy", ()),
            EVERYTHING,
            ("attach", (BUFFER, 1, 28)),
            CONTENTS,
            ("commit", ()),
        ]
        rig.draw(1, SIZE, POOL)
        assert rig.told_of_it() == [("attach", (BUFFER, 0, 0)), CONTENTS, ("commit", ())]


def test_a_newer_surface_has_a_request_for_that() -> None:
    with weston(WESTON_14) as rig:
        told = rig.show(rig.open(1))
        assert told[-4:] == [("offset", (1, 28)), ("attach", (BUFFER, 0, 0)), CONTENTS, ("commit", ())]


def test_the_compositor_is_told_in_its_own_px() -> None:
    with weston(scale=2.0) as rig:
        told = rig.show(rig.open(1))
        assert told == [
            *claim(102, 79),
            EVERYTHING,
            ("attach", (BUFFER, 1, 28)),
            ("damage", (0, 0, *SIZE)),
            ("set_source", (-256,) * 4),
            ("set_destination", (100, 50)),
            ("commit", ()),
        ]


def test_contents_that_were_held_back_come_behind() -> None:
    with weston() as rig:
        window = rig.open(1)
        rig.draw(1, SIZE, POOL)
        rig.told_of_it()
        rig.configure(window, Size(0, 0))
        assert rig.told_of_it() == [
            *claim(202, 129),
            ("destroy", ()),
            EVERYTHING,
            ("attach", (BUFFER, 1, 28)),
            EVERYTHING,
            ("commit", ()),
            ("commit", ()),
        ]


def test_a_window_is_placed_once_for_each_time_that_it_is_mapped() -> None:
    with weston() as rig:
        window = rig.open(1)
        assert ("attach", (BUFFER, 1, 28)) in rig.show(window)
        rig.manager.set_surface(window, None)
        rig.manager.set_surface(window, rig.surface(1))
        rig.told_of_it()
        rig.configure(window, Size(0, 0))
        assert ("attach", (BUFFER, 1, 28)) in rig.told_of_it()


@pytest.mark.parametrize(
    "offered",
    [
        {**WESTON, "zxdg_decoration_manager_v1": 1},
        {**NEEDED, "wp_viewporter": 1},
        {**NEEDED, "zwp_input_timestamps_manager_v1": 1},
    ],
    ids=["draws frames", "is not Weston", "can't stretch"],
)
def test_other_compositors_see_contents_alone(offered: Mapping[str, int]) -> None:
    with weston(offered) as rig:
        told = rig.show(rig.open(1))
        assert told == [("attach", (BUFFER, 0, 0)), CONTENTS, ("commit", ())]


@pytest.mark.parametrize("state", [MAXIMIZED, FULLSCREEN])
def test_a_window_that_has_the_screen_to_itself_needs_no_place(state: int) -> None:
    with weston() as rig:
        told = rig.show(rig.open(1), state)
        assert told[-3:] == [("attach", (BUFFER, 0, 0)), CONTENTS, ("commit", ())]
        assert ("get_viewport",) not in told


def test_a_window_without_our_frame_is_placed_as_it_is() -> None:
    with weston() as rig:
        window = rig.open(1)
        window.gtk_extents = Extents(20, 20, 20, 20)
        rig.manager.refresh(window)
        assert ("get_viewport",) not in rig.show(window)


def test_a_border_counts_as_well() -> None:
    with weston() as rig:
        window = rig.open(1)
        window.motif = MotifHints(decorations=MotifDecoration.BORDER)
        rig.manager.refresh(window)
        assert ("attach", (BUFFER, 1, 1)) in rig.show(window)


def test_xwaylands_own_viewport_is_left_alone() -> None:
    """A second one would be a protocol error."""
    with weston() as rig:
        window = rig.open(1)
        rig.bind("wp_viewporter", 1, 8)
        rig.request("wp_viewporter", 8, "get_viewport", 9, 11)
        assert ("attach", (BUFFER, 0, 0)) in rig.show(window)


class Painted:
    """`wayland.surfaces.Painter`: of something else than the contents."""

    def contents_changed(self) -> None:
        pass


def test_what_is_painted_comes_behind_as_well() -> None:
    with weston() as rig:
        window = rig.open(1)
        surface = rig.surface(1)
        surface.painter = Painted()
        assert rig.show(window) == [CONTENTS, ("commit", ())]
        picture = Buffer(rig.objects["wl_shm"], *SIZE, ARGB)
        surface.show(picture.proxy)
        assert rig.told_of_it() == [
            *claim(202, 129),
            ("destroy", ()),
            EVERYTHING,
            ("attach", (OURS, 1, 28)),
            EVERYTHING,
            ("commit", ()),
        ]
