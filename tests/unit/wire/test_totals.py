"""What several connections have together."""

import pytest

from crossdomain.limits import IDS_PER_OBJECT
from crossdomain.wire.engine import Direction, Walker
from crossdomain.wire.native import NativeWalker
from crossdomain.wire.tables import load
from crossdomain.wire.totals import Totals
from crossdomain.wire.walker import PythonWalker
from tests.unit.context.world import delete_id, request, sync

KINDS = pytest.mark.parametrize("kind", [NativeWalker, PythonWalker])
OPENING = request("wl_display", "get_registry", 1, 2) + request(
    "wl_registry", "bind", 2, 1, "wl_compositor", 6, 3
)


def surface(new_id: int) -> bytes:
    return request("wl_compositor", "create_surface", 3, new_id)


def opened(kind: type[Walker], totals: Totals) -> Walker:
    walker: Walker = kind(load(), (), strict=False)
    walker.limit(1000, 1000)
    walker.join(totals)
    assert walker.walk(Direction.REQUEST, OPENING).fault is None
    return walker


@KINDS
def test_what_all_have_is_counted_until_it_is_destroyed_or_its_client_leaves(kind: type[Walker]) -> None:
    totals = Totals()
    first, second = opened(kind, totals), opened(kind, totals)
    first.walk(Direction.REQUEST, surface(4) + surface(5))
    second.walk(Direction.REQUEST, surface(4))
    assert (totals.objects, totals.surfaces) == (9, 3)
    first.walk(Direction.REQUEST, request("wl_surface", "destroy", 4))
    assert (totals.objects, totals.surfaces) == (9, 2)
    first.walk(Direction.EVENT, delete_id(4))
    assert (totals.objects, totals.surfaces) == (8, 2)
    first.leave()
    first.leave()
    assert (totals.objects, totals.surfaces) == (4, 1)
    assert first.walk(Direction.REQUEST, surface(6)).fault is None
    assert (totals.objects, totals.surfaces) == (4, 1)


@KINDS
def test_who_asks_for_more_than_all_may_have_is_refused(kind: type[Walker]) -> None:
    totals = Totals()
    first, second = opened(kind, totals), opened(kind, totals)
    totals.limit(8, 1)
    assert first.walk(Direction.REQUEST, surface(4)).fault is None
    refused = second.walk(Direction.REQUEST, surface(4))
    assert "(quota vm.surfaces)" in str(refused.fault)
    assert second.walk(Direction.REQUEST, sync(4)).fault is None
    refused = first.walk(Direction.REQUEST, sync(5))
    assert "(quota vm.objects)" in str(refused.fault)
    second.leave()
    assert first.walk(Direction.REQUEST, sync(5)).fault is None


@KINDS
def test_ids_count_where_their_objects_are_gone(kind: type[Walker]) -> None:
    totals = Totals()
    first, second = opened(kind, totals), opened(kind, totals)
    assert totals.ids == 8
    totals.limit(7, 1)
    for object_id in range(4, 23):
        assert first.walk(Direction.REQUEST, sync(object_id)).fault is None
        first.walk(Direction.EVENT, delete_id(object_id))
    second.own(4)
    assert (totals.objects, totals.ids) == (6, 7 * IDS_PER_OBJECT)
    refused = first.walk(Direction.REQUEST, sync(23))
    assert "(quota vm.objects)" in str(refused.fault)
    assert first.walk(Direction.REQUEST, sync(22)).fault is None
    first.leave()
    assert totals.ids == 5
    assert second.walk(Direction.REQUEST, sync(5)).fault is None


def test_a_walker_that_is_gone_has_left_and_totals_may_go_first() -> None:
    totals = Totals()
    first, second = opened(NativeWalker, totals), opened(NativeWalker, totals)
    del first
    assert totals.objects == 3
    del totals
    assert second.walk(Direction.REQUEST, surface(4)).fault is None
