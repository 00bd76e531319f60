"""Commits that wait for a buffer that is still drawn into, and what waits behind them."""

import os

import pytest

from crossdomain.limits import MAX_HELD_BYTES
from launcher.relay import waiting
from tests.unit.launcher.drawing import SIZE, HostIds, Painter, end, requests_in
from tests.unit.launcher.fake_channel import RelayedClient, event


def arrived(client: RelayedClient) -> list[tuple[int, str]]:
    """Object and name of each request that the host got, in order."""
    client.serve()
    return [(object_id, name) for object_id, name, _ in requests_in(client.channel.sent)]


def commits(client: RelayedClient, *surfaces: int) -> list[int]:
    """The surfaces whose commits arrived, in order."""
    return [object_id for object_id, name in arrived(client) if name == "commit" and object_id in surfaces]


def names(client: RelayedClient, object_id: int) -> list[str]:
    """What arrived for one object, in order."""
    return [name for found, name in arrived(client) if found == object_id]


def pixel(client: RelayedClient) -> int:
    """The first byte of what the compositor would show of the newest buffer."""
    return client.channel.memories[-1].buffer[0]


def test_a_commit_arrives_when_its_buffer_is_finished(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    painter.paint(buffer, 1)
    painter.show(surface, buffer)
    assert commits(client, surface) == []
    painter.paint(buffer, 2)
    end(drawing)
    assert commits(client, surface) == [surface]
    assert pixel(client) == 2


def test_a_finished_buffer_waits_for_nothing(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    end(drawing)
    painter.show(surface, buffer)
    assert commits(client, surface) == [surface]


def test_nothing_is_copied_before(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    buffer, _never = painter.buffer()
    painter.paint(buffer, 1)
    painter.show(surface, buffer)
    client.serve()
    assert pixel(client) == 0


def test_other_surfaces_go_on(painter: Painter, client: RelayedClient) -> None:
    stuck, other = painter.surface(), painter.surface()
    painter.show(stuck, painter.buffer()[0])
    painter.show(other, painter.buffer(drawn=False)[0])
    assert commits(client, stuck, other) == [other]


def test_fences_may_signal_in_any_order(painter: Painter, client: RelayedClient) -> None:
    surfaces = [painter.surface() for _ in range(3)]
    drawings: list[int] = []
    for surface in surfaces:
        buffer, drawing = painter.buffer()
        painter.show(surface, buffer)
        drawings.append(drawing)
    for index in (2, 0, 1):
        end(drawings[index])
        client.serve()
    assert commits(client, *surfaces) == [surfaces[2], surfaces[0], surfaces[1]]


def test_what_follows_on_the_surface_stays_in_order(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    first, drawing = painter.buffer()
    second, later = painter.buffer()
    painter.show(surface, first)
    before = len(arrived(client))
    painter.say(surface, "set_buffer_scale", 2)
    painter.show(surface, second)
    painter.say(surface, "set_buffer_scale", 1)
    assert len(arrived(client)) == before
    end(drawing)
    assert names(client, surface)[-4:] == ["commit", "set_buffer_scale", "attach", "damage"]
    end(later)
    assert names(client, surface)[-2:] == ["commit", "set_buffer_scale"]


def test_a_callback_that_waits_keeps_its_place_among_the_ids(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    callback = painter.make("wl_callback", surface, "frame")
    other = painter.surface()
    assert (1, "sync") in arrived(client)
    # The host answers the stand-in, of which the client hears nothing.
    stand_in = event("wl_callback", "done", callback, 7) + event("wl_display", "delete_id", 1, callback)
    client.channel.deliver(stand_in)
    assert client.hear() == b""
    end(drawing)
    assert names(client, surface)[-2:] == ["commit", "frame"]
    client.channel.deliver(stand_in)
    assert client.hear() == stand_in
    assert painter.kinds[other] == "wl_surface"


def test_a_callback_that_goes_on_before_its_stand_in_has_ended_is_told_right(
    painter: Painter, client: RelayedClient
) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    callback = painter.make("wl_callback", surface, "frame")
    end(drawing)
    client.serve()
    stand_in = event("wl_callback", "done", callback, 7) + event("wl_display", "delete_id", 1, callback)
    real = event("wl_callback", "done", callback, 8) + event("wl_display", "delete_id", 1, callback)
    client.channel.deliver(stand_in + real)
    assert client.hear() == real


def test_what_the_relay_makes_for_a_request_that_has_waited_takes_no_id_of_the_client(
    painter: Painter, client: RelayedClient
) -> None:
    surface = painter.surface()
    one, two = painter.buffer(drawn=False)[0], painter.buffer(drawn=False)[0]
    for buffer in (one, two, one):
        painter.show(surface, buffer)
        client.channel.deliver(event("wl_buffer", "release", buffer))
    late, drawing = painter.buffer()
    painter.show(surface, late)
    # It shares the late one's mirror, and has to leave it when that is shown: with a pool of the relay's.
    painter.show(surface, two)
    others = [painter.surface() for _ in range(3)]
    end(drawing)
    for other in others:
        painter.say(other, "commit")
    assert names(client, two) == ["destroy"]
    HostIds().hear(client.channel.sent)


def test_what_a_waiting_request_names_is_not_destroyed_before(
    painter: Painter, client: RelayedClient
) -> None:
    surface = painter.surface()
    first, drawing = painter.buffer()
    second, _ = painter.buffer(drawn=False)
    painter.show(surface, first)
    region = painter.make("wl_region", painter.globals["wl_compositor"], "create_region")
    painter.say(region, "add", 0, 0, 1, 1)
    painter.say(surface, "set_opaque_region", region)
    painter.say(region, "add", 1, 1, 1, 1)
    painter.say(region, "destroy")
    painter.show(surface, second)
    painter.say(second, "destroy")
    assert names(client, region) == ["add"]
    assert "destroy" not in names(client, second)
    end(drawing)
    order = arrived(client)
    assert order.index((surface, "set_opaque_region")) < order.index((region, "destroy"))
    assert names(client, region) == ["add", "add", "destroy"]
    assert names(client, second) == ["destroy"]


def test_the_buffer_of_a_waiting_commit_is_not_destroyed_before(
    painter: Painter, client: RelayedClient
) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    painter.say(buffer, "destroy")
    assert "destroy" not in names(client, buffer)
    end(drawing)
    order = arrived(client)
    assert order.index((surface, "commit")) < order.index((buffer, "destroy"))


def window(painter: Painter) -> tuple[int, int, int]:
    """A surface, its xdg_surface and its xdg_toplevel."""
    surface = painter.surface()
    xdg_surface = painter.make("xdg_surface", painter.globals["xdg_wm_base"], "get_xdg_surface", surface)
    return surface, xdg_surface, painter.make("xdg_toplevel", xdg_surface, "get_toplevel")


def test_the_window_of_a_surface_waits_with_it(painter: Painter, client: RelayedClient) -> None:
    surface, xdg_surface, toplevel = window(painter)
    viewport = painter.make("wp_viewport", painter.globals["wp_viewporter"], "get_viewport", surface)
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    before = len(arrived(client))
    painter.say(xdg_surface, "ack_configure", 5)
    painter.say(toplevel, "set_min_size", 10, 10)
    painter.say(viewport, "set_destination", 10, 10)
    painter.say(surface, "commit")
    assert len(arrived(client)) == before
    end(drawing)
    assert [name for _, name in arrived(client)[before:]] == [
        "commit", "ack_configure", "set_min_size", "set_destination", "commit",
    ]  # fmt: skip


def test_a_popup_waits_with_its_parent(painter: Painter, client: RelayedClient) -> None:
    surface, parent, _toplevel = window(painter)
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    wm_base = painter.globals["xdg_wm_base"]
    positioner = painter.make("xdg_positioner", wm_base, "create_positioner")
    menu = painter.surface()
    xdg_surface = painter.make("xdg_surface", wm_base, "get_xdg_surface", menu)
    popup = painter.make("xdg_popup", xdg_surface, "get_popup", parent, positioner)
    painter.say(positioner, "destroy")
    painter.say(menu, "commit")
    assert commits(client, menu) == []
    end(drawing)
    order = [
        found
        for found in arrived(client)
        if found
        in [(surface, "commit"), (menu, "commit"), (xdg_surface, "get_popup"), (positioner, "destroy")]
    ]
    assert order == [
        (surface, "commit"),
        (xdg_surface, "get_popup"),
        (positioner, "destroy"),
        (menu, "commit"),
    ]
    painter.say(popup, "destroy")
    assert names(client, popup) == ["destroy"]


def test_an_object_made_while_its_surface_waits_waits_too(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    viewport = painter.make("wp_viewport", painter.globals["wp_viewporter"], "get_viewport", surface)
    painter.say(viewport, "set_destination", 1, 1)
    painter.say(viewport, "destroy")
    assert names(client, viewport) == []
    end(drawing)
    assert names(client, viewport) == ["set_destination", "destroy"]


def test_what_names_an_object_that_waits_waits_too(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    _other, _xdg_surface, dialog = window(painter)
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    xdg_surface = painter.make("xdg_surface", painter.globals["xdg_wm_base"], "get_xdg_surface", surface)
    toplevel = painter.make("xdg_toplevel", xdg_surface, "get_toplevel")
    painter.say(dialog, "set_parent", toplevel)
    assert names(client, dialog) == []
    end(drawing)
    assert names(client, dialog) == ["set_parent"]


def tree(painter: Painter) -> tuple[int, int, int]:
    """A surface, a subsurface and its wl_subsurface, synchronized as at first."""
    parent, child = painter.surface(), painter.surface()
    role = painter.make("wl_subsurface", painter.globals["wl_subcompositor"], "get_subsurface", child, parent)
    return parent, child, role


def test_a_parent_waits_for_its_synchronized_child(painter: Painter, client: RelayedClient) -> None:
    parent, child, _role = tree(painter)
    buffer, drawing = painter.buffer()
    painter.show(child, buffer)
    painter.show(parent, painter.buffer(drawn=False)[0])
    assert commits(client, parent, child) == []
    end(drawing)
    assert commits(client, parent, child) == [child, parent]


def test_a_synchronized_child_waits_for_its_parent(painter: Painter, client: RelayedClient) -> None:
    parent, child, _role = tree(painter)
    buffer, drawing = painter.buffer()
    painter.show(parent, buffer)
    painter.show(child, painter.buffer(drawn=False)[0])
    assert commits(client, parent, child) == []
    end(drawing)
    assert commits(client, parent, child) == [parent, child]


def test_a_desynchronized_child_and_its_parent_go_on_alone(painter: Painter, client: RelayedClient) -> None:
    parent, child, role = tree(painter)
    painter.say(role, "set_desync")
    buffer, drawing = painter.buffer()
    painter.show(child, buffer)
    painter.say(parent, "commit")
    assert commits(client, parent, child) == [parent]
    painter.say(role, "set_position", 3, 3)
    assert "set_position" not in names(client, role)
    end(drawing)
    assert names(client, role) == ["set_desync", "set_position"]


def test_a_child_of_a_synchronized_child_is_synchronized(painter: Painter, client: RelayedClient) -> None:
    parent, child, _role = tree(painter)
    grandchild = painter.surface()
    subcompositor = painter.globals["wl_subcompositor"]
    role = painter.make("wl_subsurface", subcompositor, "get_subsurface", grandchild, child)
    painter.say(role, "set_desync")
    buffer, drawing = painter.buffer()
    painter.show(grandchild, buffer)
    painter.say(child, "commit")
    painter.say(parent, "commit")
    assert commits(client, parent, child, grandchild) == []
    end(drawing)
    assert commits(client, parent, child, grandchild) == [grandchild, child, parent]


def test_surfaces_that_become_a_tree_while_both_wait_stay_in_order(
    painter: Painter, client: RelayedClient
) -> None:
    parent, child = painter.surface(), painter.surface()
    (first, one), (second, two) = painter.buffer(), painter.buffer()
    painter.show(parent, first)
    painter.show(child, second)
    painter.make("wl_subsurface", painter.globals["wl_subcompositor"], "get_subsurface", child, parent)
    painter.say(parent, "commit")
    end(two)
    client.serve()
    assert commits(client, parent, child) == []
    end(one)
    assert commits(client, parent, child) == [parent, child, parent]


def test_a_fence_that_never_signals_costs_one_frame_of_its_surface(
    painter: Painter,
    client: RelayedClient,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(waiting, "FENCE_SECONDS", 0.01)
    surface, other = painter.surface(), painter.surface()
    good, _ = painter.buffer(drawn=False)
    painter.show(surface, good)
    painter.show(surface, painter.buffer()[0])
    painter.say(surface, "set_buffer_scale", 2)
    client.loop.drain(lambda: "set_buffer_scale" not in names_sent(client, surface), 30)
    painter.say(surface, "commit")
    painter.show(other, good)
    assert commits(client, surface, other) == [surface, other]
    assert f"surface {surface} loses a frame" in capfd.readouterr().err
    painter.show(surface, painter.buffer(drawn=False)[0])
    assert commits(client, surface, other) == [surface, other, surface]
    assert not client.closed


def names_sent(client: RelayedClient, object_id: int) -> list[str]:
    """As `names`, without serving."""
    return [name for found, name, _ in requests_in(client.channel.sent) if found == object_id]


def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(
    painter: Painter, client: RelayedClient
) -> None:
    surface = painter.surface()
    painter.show(surface, painter.buffer()[0])
    painter.make("wl_callback", surface, "frame")
    client.socket.close()
    client.serve()
    assert client.closed
    assert client.channel.closed
    assert commits(client, surface) == []


def test_a_mistake_among_what_waits_ends_the_client(painter: Painter, client: RelayedClient) -> None:
    surface = painter.surface()
    buffer, drawing = painter.buffer()
    painter.show(surface, buffer)
    os.ftruncate(painter.file(buffer), 0)
    end(drawing)
    assert b"SHM" in client.hear()
    assert client.closed


def test_a_client_with_too_much_that_waits_has_to_wait_as_a_whole(
    painter: Painter, client: RelayedClient
) -> None:
    stuck, other = painter.surface(), painter.surface()
    buffer, drawing = painter.buffer()
    painter.show(stuck, buffer)
    for _ in range(MAX_HELD_BYTES // 256):
        painter.say(stuck, "damage", 0, 0, SIZE, SIZE)
    painter.say(other, "commit")
    assert commits(client, stuck, other) == []
    end(drawing)
    assert commits(client, stuck, other) == [stuck, other]


def test_one_of_a_hundred_surfaces_that_hangs_stops_no_other(painter: Painter, client: RelayedClient) -> None:
    surfaces = [painter.surface() for _ in range(100)]
    buffer, drawing = painter.buffer()
    painter.show(surfaces[50], buffer)
    good, _ = painter.buffer(drawn=False)
    others = surfaces[:50] + surfaces[51:]
    for surface in others:
        painter.show(surface, good)
    assert commits(client, *surfaces) == others
    end(drawing)
    assert commits(client, *surfaces) == [*others, surfaces[50]]
