"""Where Xwayland hears that its outputs are."""

import pytest

from launcher.xwayland.wayland.arrangement import Arrangement
from tests.unit.xwayland.test_mediator import TABLES, Rig, only_values

OUTPUTS = {"first": (4, 6), "second": (5, 7)}
"""Xwayland's wl_output and zxdg_output_v1."""


class OutputRig(Rig):
    """One in which Xwayland has asked for the places of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.arrangement = Arrangement(self.mediator)
        self.changes = 0
        self.arrangement.changed = self._count_change
        self.request("wl_display", 1, "get_registry", 2)
        self.request("wl_registry", 2, "bind", 1, "zxdg_output_manager_v1", 3, 3)
        for output, described in OUTPUTS.values():
            self.request("wl_registry", 2, "bind", output, "wl_output", 4, output)
            self.request("zxdg_output_manager_v1", 3, "get_xdg_output", described, output)
        self.places: dict[str, tuple[object, ...]] = {}

    def _count_change(self) -> None:
        self.changes += 1

    def size(self, name: str, width: int, height: int) -> None:
        """The compositor gives an output that size."""
        entry = self.mediator.find_client(OUTPUTS[name][1])
        assert entry is not None
        self.event("zxdg_output_v1", entry.host_id, "logical_size", width, height)
        self.to_client.data.clear()

    def rectangles(self) -> list[tuple[int, int, int, int]]:
        """Where outputs are on the X screen."""
        return list(self.arrangement.rectangles)

    def place(self, name: str, x: int, y: int) -> None:
        """The compositor puts an output there; what Xwayland hears goes to `places`."""
        entry = self.mediator.find_client(OUTPUTS[name][1])
        assert entry is not None
        self.event("zxdg_output_v1", entry.host_id, "logical_position", x, y)
        self.listen()

    def listen(self) -> None:
        """Take what Xwayland was told."""
        names = {numbers[1]: name for name, numbers in OUTPUTS.items()}
        done = {numbers[0] for numbers in OUTPUTS.values()}
        position = next(
            message.opcode
            for message in TABLES.interface("zxdg_output_v1").events
            if message.name == "logical_position"
        )
        data = bytes(self.to_client.data)
        while data:
            number, size = int.from_bytes(data[:4], "little"), int.from_bytes(data[6:8], "little")
            self.to_client.data[:] = data[:size]
            if number not in done:
                assert data[4] == position
                self.places[names[number]] = only_values(
                    self.to_client, "zxdg_output_v1", "logical_position", "events"
                )
            data = data[size:]
        self.to_client.data.clear()


@pytest.fixture
def rig() -> OutputRig:
    return OutputRig()


def test_outputs_that_are_on_the_screen_stay_where_they_are(rig: OutputRig) -> None:
    rig.place("first", 0, 0)
    rig.place("second", 1024, 300)
    assert rig.places == {"first": (0, 0), "second": (1024, 300)}


def test_outputs_left_of_the_screen_and_above_it_are_moved_with_all_others(rig: OutputRig) -> None:
    rig.place("first", 0, 0)
    rig.place("second", -1024, -300)
    assert rig.places == {"first": (1024, 300), "second": (0, 0)}
    rig.place("second", 0, -500)
    assert rig.places == {"first": (0, 500), "second": (0, 0)}


def test_what_goes_gives_its_room_back(rig: OutputRig) -> None:
    rig.place("first", 0, 0)
    rig.place("second", -1024, -300)
    rig.request("zxdg_output_v1", OUTPUTS["second"][1], "destroy")
    rig.listen()
    assert rig.places["first"] == (0, 0)


def test_who_wants_to_know_hears_where_outputs_are_on_the_x_screen(rig: OutputRig) -> None:
    rig.place("first", 0, 0)
    rig.size("first", 1024, 640)
    assert rig.rectangles() == [(0, 0, 1024, 640)]
    rig.size("second", 800, 600)
    before = rig.changes
    rig.place("second", -800, 0)
    assert rig.changes > before
    assert rig.rectangles() == [(800, 0, 1024, 640), (0, 0, 800, 600)]
    before = rig.changes
    rig.request("zxdg_output_v1", OUTPUTS["first"][1], "destroy")
    assert rig.changes > before
    assert rig.rectangles() == [(0, 0, 800, 600)]
