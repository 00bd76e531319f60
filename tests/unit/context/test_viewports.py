"""Source rectangles with a fraction never stay behind in a compositor that unsets the width alone."""

import pytest

from crossdomain.errors import LimitExceeded
from crossdomain.limits import MAX_VIEWPORTS
from tests.unit.context.test_requests import announce
from tests.unit.context.world import World, request

UNSET = (-256, -256, -256, -256)
COMPOSITOR, VIEWPORTER, SURFACE, VIEWPORT, ANOTHER = 3, 4, 5, 6, 7
WHOLE = request("wp_viewport", "set_source", VIEWPORT, 0, 0, 256, 256)


def set_source(*source: int) -> bytes:
    """In 24.8 fixed numbers."""
    return request("wp_viewport", "set_source", VIEWPORT, *source)


DESTROY = request("wp_viewport", "destroy", VIEWPORT)
COMMIT = request("wl_surface", "commit", SURFACE)
DESTROY_SURFACE = request("wl_surface", "destroy", SURFACE)


@pytest.fixture
async def viewport(client: World) -> World:
    """A client with a viewport, all of whose requests so far have passed."""
    await announce(client, (1, "wl_compositor", 4), (2, "wp_viewporter", 1))
    requests = (
        request("wl_registry", "bind", 2, 1, "wl_compositor", 4, COMPOSITOR),
        request("wl_registry", "bind", 2, 2, "wp_viewporter", 1, VIEWPORTER),
        request("wl_compositor", "create_surface", COMPOSITOR, SURFACE),
        request("wp_viewporter", "get_viewport", VIEWPORTER, VIEWPORT, SURFACE),
    )
    for each in requests:
        client.send(each)
    await client.host.receive(sum(map(len, requests)))
    return client


async def passed(client: World, *requests: bytes) -> list[bytes]:
    """What the compositor gets of these requests, sent as one batch, cut as `requests` and WHOLE are."""
    client.send(b"".join((*requests, COMMIT)))
    data = b""
    while not data.endswith(COMMIT):
        data += await client.host.receive(8)
    found: list[bytes] = []
    while len(data) > len(COMMIT):
        size = int.from_bytes(data[6:8], "little")
        found.append(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("end", [set_source(*UNSET), DESTROY])
@pytest.mark.parametrize("source", [(0, 0, 256, 384), (0, 0, 384, 256), (0, 0, 257, 257)])
async def test_a_fraction_is_replaced_before_its_end(
    viewport: World, end: bytes, source: tuple[int, int, int, int]
) -> None:
    sent = set_source(*source)
    assert await passed(viewport, sent, end) == [sent, WHOLE, end]


@pytest.mark.parametrize("end", [set_source(*UNSET), DESTROY])
async def test_whole_pixels_end_as_the_client_says(viewport: World, end: bytes) -> None:
    sent = set_source(128, 128, 512, 256)
    assert await passed(viewport, sent, end) == [sent, end]


async def test_a_fraction_that_was_replaced_is_forgotten(viewport: World) -> None:
    sent = (set_source(0, 0, 384, 384), set_source(0, 0, 256, 256), DESTROY)
    assert await passed(viewport, *sent) == list(sent)


async def test_a_fraction_is_replaced_once(viewport: World) -> None:
    unset = set_source(*UNSET)
    sent = set_source(0, 0, 384, 384)
    assert await passed(viewport, sent, unset, unset, DESTROY) == [sent, WHOLE, unset, unset, DESTROY]


async def test_a_fraction_is_remembered_across_batches(viewport: World) -> None:
    await passed(viewport, set_source(0, 0, 384, 384))
    assert await passed(viewport) == []
    assert await passed(viewport, DESTROY) == [WHOLE, DESTROY]


async def test_nothing_is_said_about_a_surface_that_is_gone(viewport: World) -> None:
    """Every request but destroy is an error then."""
    viewport.send(set_source(0, 0, 384, 384) + DESTROY_SURFACE + DESTROY)
    sent = set_source(0, 0, 384, 384) + DESTROY_SURFACE + DESTROY
    assert await viewport.host.receive(len(sent)) == sent


async def test_an_id_that_is_taken_while_it_is_in_use_is_the_compositors_to_refuse(viewport: World) -> None:
    requests = (
        set_source(0, 0, 384, 384),
        request("wl_compositor", "create_surface", COMPOSITOR, ANOTHER),
        request("wp_viewporter", "get_viewport", VIEWPORTER, VIEWPORT, ANOTHER),
        DESTROY,
        DESTROY_SURFACE,
    )
    viewport.send(b"".join(requests))
    assert await viewport.host.receive(sum(map(len, requests))) == b"".join(requests)


async def test_the_viewports_of_one_client_are_bounded(viewport: World) -> None:
    # The first is the fixture's.
    for first in range(VIEWPORT + 1, VIEWPORT + MAX_VIEWPORTS, 2048):
        ids = range(first, min(first + 2048, VIEWPORT + MAX_VIEWPORTS))
        batch = (request("wp_viewporter", "get_viewport", VIEWPORTER, new, SURFACE) for new in ids)
        viewport.send(b"".join(batch))
    with pytest.raises(LimitExceeded, match="viewports"):
        viewport.send(request("wp_viewporter", "get_viewport", VIEWPORTER, VIEWPORT + MAX_VIEWPORTS, SURFACE))
