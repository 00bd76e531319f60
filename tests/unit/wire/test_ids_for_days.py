"""Ten million objects of each side come and go in the two walkers on a client's way, and nothing grows.

Regions are objects of the client's, freed by wl_display.delete_id; tablets that are plugged in and out
are the compositor's, which uses their ids again without a word.
"""

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.context.policy import ClientPolicy
from crossdomain.context.rules import Guest, Rules
from crossdomain.wire import Direction, Walker, load, policy
from tests.unit.launcher.fake_channel import RelayedClient, event, request

CYCLES: Final = 10_000_000
"""Of an object of the client's and one of the compositor's each."""
CROWD: Final = 4000
"""Objects that live at a time, of either kind."""
FIRST_REGION: Final = 10
FIRST_TABLET: Final = 0xFF000000
_GLOBALS: Final = ("wl_compositor", "wl_seat", "zwp_tablet_manager_v2")

Pass = Callable[[Direction, bytes], None]
"""Lets bytes pass in a direction."""


def through_the_relay() -> Generator[Pass]:
    """The walker of the launcher, with all that its parts want to see."""
    client = RelayedClient()
    walker = Walker(load(), client.connection.parts.interest, strict=True)
    client.close()

    def let_pass(direction: Direction, data: bytes) -> None:
        view = memoryview(data)
        while view:
            walk = walker.walk(direction, view)
            assert walk.fault is None
            view = view[walk.consumed :]

    yield let_pass
    assert walker.next_id() == FIRST_REGION + CROWD


def through_the_host() -> Generator[Pass]:
    """All that the host's policy does."""
    client = ClientPolicy(load(), policy.load(), Guest("test", Rules()))

    def let_pass(direction: Direction, data: bytes) -> None:
        handle = client.to_host if direction is Direction.REQUEST else client.to_guest
        assert len(handle(data).data) == len(data)

    yield let_pass


@pytest.fixture(params=[through_the_relay, through_the_host])
def let_pass(request: pytest.FixtureRequest) -> Generator[Pass]:
    yield from request.param()


def resident() -> int:
    """Bytes of memory that this process has touched."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def set_up() -> tuple[bytes, bytes, bytes]:
    """Registry, globals, and what is bound: a compositor as 3, a seat's tablets as 6."""
    asked = request("wl_display", "get_registry", 1, 2)
    told = b"".join(event("wl_registry", "global", 2, 1 + n, name, 1) for n, name in enumerate(_GLOBALS))
    bound = b"".join(
        request("wl_registry", "bind", 2, 1 + n, name, 1, 3 + n) for n, name in enumerate(_GLOBALS)
    )
    bound += request("zwp_tablet_manager_v2", "get_tablet_seat", 5, 6, 4)
    bound += b"".join(request("wl_display", "sync", 1, object_id) for object_id in range(7, FIRST_REGION))
    return asked, told, bound


def test_ten_million_objects_leave_nothing(let_pass: Pass) -> None:
    asked, told, bound = set_up()
    let_pass(Direction.REQUEST, asked)
    let_pass(Direction.EVENT, told)
    let_pass(Direction.REQUEST, bound)
    regions = range(FIRST_REGION, FIRST_REGION + CROWD)
    tablets = range(FIRST_TABLET, FIRST_TABLET + CROWD)
    made = b"".join(request("wl_compositor", "create_region", 3, region) for region in regions)
    destroyed = b"".join(request("wl_region", "destroy", region) for region in regions)
    destroyed += b"".join(request("zwp_tablet_v2", "destroy", tablet) for tablet in tablets)
    added = b"".join(
        event("zwp_tablet_seat_v2", "tablet_added", 6, tablet) + event("zwp_tablet_v2", "done", tablet)
        for tablet in tablets
    )
    deleted = b"".join(event("wl_display", "delete_id", 1, region) for region in regions)

    def cycle() -> None:
        let_pass(Direction.REQUEST, made)
        let_pass(Direction.EVENT, added)
        let_pass(Direction.REQUEST, destroyed)
        let_pass(Direction.EVENT, deleted)

    cycle()
    before = resident()
    for _ in range(CYCLES // CROWD):
        cycle()
    assert resident() < before + (1 << 20)
