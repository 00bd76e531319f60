"""Tablets and touch pads, which no headless compositor has: a fake one tells of them as a real one would."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.fakes.client import FakeClient, Proxy, Value
from tests.fakes.compositor import FakeCompositor, Peer, served
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import running_launcher

OFFERED = {"wl_compositor": 5, "wl_seat": 9, "zwp_tablet_manager_v2": 1, "zwp_pointer_gestures_v1": 3}

PEN_TYPE = 0x140


class Sides(NamedTuple):
    """A client of the guest, the compositor, and how that one sees the client."""

    client: FakeClient
    compositor: FakeCompositor
    peer: Peer

    def settle(self) -> None:
        """Return when the compositor has seen all that the client asked for."""
        with served(self.compositor):
            self.client.round_trip()


@contextmanager
def sides(folder: Path) -> Generator[Sides]:
    """A client through launcher and daemon."""
    with (
        FakeCompositor(folder / "host", OFFERED) as compositor,
        running_daemon(folder, compositor.path) as daemon,
        running_launcher(folder, daemon.local_socket) as launcher,
    ):
        with served(compositor):
            client = FakeClient(launcher.socket)
        with client:
            yield Sides(client, compositor, compositor.peers[-1])


def made(values: list[tuple[Value, ...]]) -> Proxy:
    """The object that the only event of its kind brought."""
    ((new,),) = values
    assert isinstance(new, Proxy)
    return new


def test_a_pen_comes_draws_and_goes(runtime_dir: Path) -> None:
    with sides(runtime_dir) as (client, compositor, peer):
        both = Sides(client, compositor, peer)
        surface = client.bind("wl_compositor").create("create_surface")
        tablet_seat = client.bind("zwp_tablet_manager_v2").create("get_tablet_seat", client.bind("wl_seat"))
        both.settle()
        (seat,) = peer.objects_of("zwp_tablet_seat_v2")
        (drawn_on,) = peer.objects_of("wl_surface")
        tablet = seat.create("tablet_added")
        tablet.send("name", "Wide tablet")
        tablet.send("done")
        tool = seat.create("tool_added")
        tool.send("type", PEN_TYPE)
        tool.send("done")
        tool.send("proximity_in", 1, tablet, drawn_on)
        tool.send("motion", 10 * 256, 20 * 256)
        tool.send("pressure", 30000)
        tool.send("frame", 5)
        client.wait(lambda: bool(tablet_seat.received("tool_added")), what="a pen")
        pen, pad = made(tablet_seat.received("tool_added")), made(tablet_seat.received("tablet_added"))
        client.wait(lambda: bool(pen.received("frame")), what="what the pen does")
        assert pad.received("name") == [("Wide tablet",)]
        assert pen.received("proximity_in") == [(1, pad, surface)]
        assert pen.received("motion") == [(10 * 256, 20 * 256)]
        assert pen.received("pressure") == [(30000,)]
        pen.send("set_cursor", 1, surface, 2, 3)
        tool.send("removed")
        client.wait(lambda: bool(pen.received("removed")), what="the pen's end")
        pen.send("destroy")
        both.settle()
        (cursor,) = peer.named("set_cursor")
        assert cursor.arguments == (1, drawn_on, 2, 3)
        assert [request.resource for request in peer.named("destroy")] == [tool]
        # The same id may come again, for another pen.
        tool.alive = False
        again = seat.create("tool_added")
        again.send("type", PEN_TYPE)
        client.wait(lambda: len(tablet_seat.received("tool_added")) == 2, what="another pen")


def test_two_fingers_pinch_and_swipe(runtime_dir: Path) -> None:
    with sides(runtime_dir) as (client, compositor, peer):
        surface = client.bind("wl_compositor").create("create_surface")
        pointer = client.bind("wl_seat").create("get_pointer")
        gestures = client.bind("zwp_pointer_gestures_v1")
        pinch = gestures.create("get_pinch_gesture", pointer)
        swipe = gestures.create("get_swipe_gesture", pointer)
        Sides(client, compositor, peer).settle()
        (on,) = peer.objects_of("wl_surface")
        (pinching,) = peer.objects_of("zwp_pointer_gesture_pinch_v1")
        (swiping,) = peer.objects_of("zwp_pointer_gesture_swipe_v1")
        pinching.send("begin", 1, 1000, on, 2)
        pinching.send("update", 1010, 256, -256, 512, 128)
        pinching.send("end", 2, 1020, 0)
        swiping.send("begin", 3, 1030, on, 3)
        swiping.send("update", 1040, 100, -100)
        swiping.send("end", 4, 1050, 1)
        client.wait(lambda: bool(swipe.received("end")), what="both gestures")
        assert pinch.received("begin")[0][0::2] == (1, surface)
        assert pinch.received("update")[0][1:] == (256, -256, 512, 128)
        assert swipe.received("begin")[0][3] == 3
        assert swipe.received("end")[0][2] == 1
