"""Points of timelines as they are told."""

import pytest

from crossdomain.abi.cross_domain import encode_read, parse_event
from crossdomain.abi.points import POINTS, Point, encode_points, most_points, parse_points

SOME = [Point(3, 1), Point(0xFFFFFFFF, (1 << 64) - 1)]


def test_points_come_back_as_they_were_told() -> None:
    assert list(parse_points(encode_points(SOME))) == SOME
    assert list(parse_points(b"")) == []


@pytest.mark.parametrize("rest", range(1, 16))
def test_what_is_left_over_is_no_point(rest: int) -> None:
    assert list(parse_points(encode_points(SOME) + bytes(rest))) == SOME


@pytest.mark.parametrize(("room", "most"), [(0, 0), (39, 0), (40, 1), (55, 1), (56, 2), (4096, 254)])
def test_a_read_has_as_many_as_there_is_room_for(room: int, most: int) -> None:
    assert most_points(room) == most
    event = encode_read(POINTS, encode_points([SOME[0]] * most))
    assert len(event) <= max(room, 24)
    assert parse_event(event) is not None
