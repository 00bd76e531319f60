"""A million objects through the real launcher, daemon and Weston: nothing grows with them."""

import struct
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.fakes.client import FakeClient
from tests.fakes.daemon import Footprint, RunningDaemon, running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.painting import XRGB8888
from tests.fakes.weston import Weston
from tests.fakes.windows import Buffer, Layout, Pool

PATIENCE: Final = 120.0
CROWD: Final = 2000
"""Objects that live at a time."""
_DELETE_ID: Final = 1


class Way(NamedTuple):
    """The way to Weston."""

    daemon: RunningDaemon
    launcher: RunningLauncher

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes of launcher and daemon that are theirs alone."""
        return Footprint.of(self.launcher.process.pid).anonymous, self.daemon.footprint.anonymous


@pytest.fixture
def way(weston: Weston, runtime_dir: Path) -> Generator[Way]:
    with (
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
    ):
        yield Way(daemon, launcher)
        launcher.assert_alive()
        daemon.assert_alive()


def wait_deleted(client: FakeClient, count: int) -> None:
    """Return when so many ids are free again; what else comes is passed over."""
    deadline = time.monotonic() + PATIENCE
    while count:
        assert client.endpoint.receive(deadline - time.monotonic()), f"{count} ids were not deleted"
        for message in client.endpoint.messages():
            object_id, word = struct.unpack_from("<II", message)
            count -= object_id == 1 and word & 0xFFFF == _DELETE_ID


def test_a_million_regions_come_and_go(way: Way) -> None:
    with FakeClient(way.launcher.socket) as client:
        compositor = client.bind("wl_compositor").object_id
        client.round_trip()
        first = compositor + 2
        ids = range(first, first + CROWD)
        cycle = b"".join(
            struct.pack("<IHHIIHH", compositor, 1, 12, object_id, object_id, 0, 8) for object_id in ids
        )
        # libwayland keeps delete_ids back until there is an event too.
        cycle += struct.pack("<IHHI", 1, 0, 12, first + CROWD)
        client.send_raw(cycle)
        wait_deleted(client, CROWD + 1)
        before = way.memory
        for _ in range(1_000_000 // CROWD):
            client.send_raw(cycle)
            wait_deleted(client, CROWD + 1)
        assert all(now < then + (1 << 20) for now, then in zip(way.memory, before, strict=True))


def test_thousands_of_everything_that_the_proxy_looks_at_come_and_go(way: Way) -> None:
    with FakeClient(way.launcher.socket) as client:
        makers = [client.bind(name) for name in ("wl_compositor", "wp_viewporter", "wl_data_device_manager")]
        pool = Pool(client, client.bind("wl_shm"), 64 * 64 * 4)

        def cycle() -> None:
            """One of each, used, and destroyed in an order that programs choose too."""
            compositor, viewporter, manager = makers
            surface = compositor.create("create_surface")
            viewport = viewporter.create("get_viewport", surface)
            viewport.send("set_source", 0, 0, 256 + 128, 256)
            buffer = Buffer(pool, Layout(0, 8, 8, 32, 4), XRGB8888)
            surface.send("attach", buffer.proxy, 0, 0)
            surface.send("damage", 0, 0, 8, 8)
            source = manager.create("create_data_source")
            source.send("offer", "text/plain")
            buffer.destroy()
            surface.send("destroy")
            viewport.send("destroy")
            source.send("destroy")

        def run(cycles: int) -> None:
            for number in range(cycles):
                cycle()
                if number % 100 == 99:
                    client.round_trip()

        run(1000)
        before = way.memory
        run(5000)
        pool.close()
        assert all(now < then + (1 << 20) for now, then in zip(way.memory, before, strict=True))
