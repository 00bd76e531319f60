"""Screenshots and recordings that clients in the guest make of a real host's screen."""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from tests.fakes.capture import capture
from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.painting import solid_buffer
from tests.fakes.sway import Sway
from tests.fakes.weston import Pixels
from tests.fakes.windows import Buffer, Layout, Pool, Rectangle
from tests.fakes.wlroots import screencopy
from tests.scenario.test_sway import filling_window

BUFFERS: Final = ("auto", "copy")
"""Whether the compositor writes into the client's own memory, where that can be, or into a mirror."""
CORNER: Final = Rectangle(8, 8, 24, 16)


@contextmanager
def guest_of(compositor: Path, buffers: str) -> Generator[RunningLauncher]:
    """A launcher whose host lets it copy the screen; `buffers` is its option of that name."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        running_daemon(folder, compositor, "--allow=screencopy") as daemon,
        running_launcher(folder, daemon.local_socket, f"--buffers={buffers}") as launcher,
    ):
        yield launcher
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=BUFFERS)
def on_sway(sway: Sway, request: pytest.FixtureRequest) -> Generator[RunningLauncher]:
    with guest_of(sway.socket_path, request.param) as launcher:
        yield launcher


class Recording:
    """Frames of the only output in one buffer, each as soon as there is something new."""

    def __init__(self, client: FakeClient, size: tuple[int, int]) -> None:
        self.client = client
        self.manager = client.bind("zwlr_screencopy_manager_v1")
        self.output = client.bind("wl_output")
        width, height = size
        self.pool = Pool(client, client.bind("wl_shm"), 4 * width * height)
        self.layout = Layout(0, width, height, 4 * width, 4)
        self.buffer: Buffer | None = None

    def ask(self) -> Proxy:
        """Ask for the next frame."""
        frame = self.manager.create("capture_output", 0, self.output)
        self.client.wait(lambda: bool(frame.received("buffer_done")), what="the frame's size")
        if self.buffer is None:
            self.buffer = Buffer(self.pool, self.layout, integer(frame.received("buffer")[0][0]))
        frame.send("copy_with_damage", self.buffer.proxy)
        self.client.round_trip()
        return frame

    def get(self, frame: Proxy) -> Pixels:
        """The frame that was asked for."""
        self.client.wait(lambda: bool(frame.received("ready")), what="a frame")
        frame.send("destroy")
        shown = np.frombuffer(bytes(self.pool.memory), dtype=np.uint8)
        shown = shown.reshape(self.layout.height, self.layout.width, 4)
        return np.ascontiguousarray(shown[:, :, 2::-1])


def test_a_screenshot_on_sway(on_sway: RunningLauncher, sway: Sway) -> None:
    with FakeClient(on_sway.socket) as client, filling_window(client, sway):
        expected = sway.screenshot()
        assert np.array_equal(screencopy(Path(on_sway.socket)), expected)


def test_a_recording_on_sway_sees_each_change(on_sway: RunningLauncher, sway: Sway) -> None:
    with FakeClient(on_sway.socket) as client, filling_window(client, sway) as window:
        recording = Recording(client, sway.size)
        before = recording.get(recording.ask())
        frame = recording.ask()
        changed = solid_buffer(client, *sway.size, "3366cc")
        for row in range(CORNER.y, CORNER.y + CORNER.height):
            changed.write_row(row, CORNER.x, bytes(4 * CORNER.width))
        window.surface.attach(changed)
        window.surface.damage_buffer(CORNER)
        window.surface.commit_and_show()
        after = recording.get(frame)
        assert np.array_equal(after, sway.screenshot())
        assert (before != after).any(axis=2).sum() == CORNER.width * CORNER.height
        recording.pool.close()
        changed.pool.close()


@pytest.mark.parametrize("buffers", BUFFERS)
def test_a_screenshot_on_weston(debian: Image, buffers: str) -> None:
    with (
        HeadlessWeston(debian, width=640, height=480) as weston,
        guest_of(weston.socket_path, buffers) as launcher,
    ):
        assert np.array_equal(capture(Path(launcher.socket)), capture(weston.socket_path))
