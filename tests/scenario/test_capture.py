"""Screenshots and recordings that clients in the guest make of a real host's screen."""

import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest

from crossdomain.vm import root
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from tests.fakes.capture import capture
from tests.fakes.client import FakeClient, Proxy
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import PATIENCE, RunningLauncher, running_launcher
from tests.fakes.painting import XRGB8888, solid_buffer
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import Pixels
from tests.fakes.windows import Buffer, Layout, Pool, Rectangle, Window
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
        running_daemon(folder, compositor, "--allow=screencopy", "--allow=toplevel-management") as daemon,
        running_launcher(folder, daemon.local_socket, f"--buffers={buffers}") as launcher,
    ):
        yield launcher
    shutil.rmtree(folder)


class Recording:
    """Frames of the only output in one buffer, each as soon as there is something new."""

    def __init__(self, client: FakeClient, size: tuple[int, int]) -> None:
        self.client = client
        self.output = client.bind("wl_output")
        width, height = size
        self.pool = Pool(client, client.bind("wl_shm"), 4 * width * height)
        self.layout = Layout(0, width, height, 4 * width, 4)

    def ask(self) -> Proxy:
        """Ask for the next frame."""
        raise NotImplementedError

    def get(self, frame: Proxy) -> Pixels:
        """The frame that was asked for."""
        self.client.wait(lambda: bool(frame.received("ready")), what="a frame")
        frame.send("destroy")
        shown = np.frombuffer(bytes(self.pool.memory), dtype=np.uint8)
        shown = shown.reshape(self.layout.height, self.layout.width, 4)
        return np.ascontiguousarray(shown[:, :, 2::-1])


class WlrRecording(Recording):
    """Through zwlr_screencopy_manager_v1."""

    def __init__(self, client: FakeClient, size: tuple[int, int]) -> None:
        super().__init__(client, size)
        self._manager = client.bind("zwlr_screencopy_manager_v1")
        self._buffer = Buffer(self.pool, self.layout, XRGB8888)

    def ask(self) -> Proxy:
        frame = self._manager.create("capture_output", 0, self.output)
        self.client.wait(lambda: bool(frame.received("buffer_done")), what="the frame's size")
        assert frame.received("buffer") == [(XRGB8888, *self.layout[1:4])]
        frame.send("copy_with_damage", self._buffer.proxy)
        self.client.round_trip()
        return frame


class ExtRecording(Recording):
    """Through ext_image_copy_capture_manager_v1."""

    def __init__(self, client: FakeClient, size: tuple[int, int], source: Proxy | None = None) -> None:
        """`source` is what is recorded; the output where None."""
        super().__init__(client, size)
        if source is None:
            sources = client.bind("ext_output_image_capture_source_manager_v1")
            source = sources.create("create_source", self.output)
        manager = client.bind("ext_image_copy_capture_manager_v1")
        self._session = manager.create("create_session", source, 0)
        client.wait(lambda: bool(self._session.received("done")), what="the session's size")
        assert self._session.received("buffer_size") == [size]
        assert (XRGB8888,) in self._session.received("shm_format")
        self._buffer = Buffer(self.pool, self.layout, XRGB8888)
        self._old = Rectangle(0, 0, *size)

    def ask(self) -> Proxy:
        frame = self._session.create("create_frame")
        frame.send("attach_buffer", self._buffer.proxy)
        frame.send("damage_buffer", *self._old)
        frame.send("capture")
        self._old = Rectangle(0, 0, 1, 1)
        self.client.round_trip()
        return frame


class Stage(NamedTuple):
    """A sway, a launcher on it, and a protocol that it has."""

    sway: Sway
    launcher: RunningLauncher
    recording: type[Recording]


STAGES: Final = [
    (name, recording, buffers)
    for name, recording in (("sway", WlrRecording), ("new_sway", ExtRecording))
    for buffers in BUFFERS
]


@pytest.fixture(scope="module", params=STAGES, ids=lambda param: f"{param[1].__name__}-{param[2]}")
def stage(request: pytest.FixtureRequest) -> Generator[Stage]:
    name, recording, buffers = request.param
    sway: Sway = request.getfixturevalue(name)
    with guest_of(sway.socket_path, buffers) as launcher:
        yield Stage(sway, launcher, recording)


def test_a_screenshot_on_sway(stage: Stage) -> None:
    with FakeClient(stage.launcher.socket) as client, filling_window(client, stage.sway):
        expected = stage.sway.screenshot()
        assert np.array_equal(screencopy(Path(stage.launcher.socket)), expected)


def test_a_recording_on_sway_sees_each_change(stage: Stage) -> None:
    sway = stage.sway
    with FakeClient(stage.launcher.socket) as client, filling_window(client, sway) as window:
        recording = stage.recording(client, sway.size)
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


def catch_up(recording: Recording, frame: Proxy, sway: Sway) -> None:
    """Record until the last frame is what the screen shows; where it is not, there is one more."""
    while not np.array_equal(recording.get(frame), sway.screenshot()):
        frame = recording.ask()


@pytest.mark.parametrize("transform", ["90", "flipped-270"])
def test_a_recording_of_a_turned_screen_sees_each_change(
    debian: Image, runtime_dir: Path, transform: str
) -> None:
    folder = runtime_dir / "sway"
    folder.mkdir()
    with (
        running_sway(debian, folder, configuration=f"output * transform {transform}\n") as sway,
        guest_of(sway.socket_path, "copy") as launcher,
        FakeClient(launcher.socket) as client,
        FakeClient(str(sway.socket_path)) as host,
    ):
        window = Window(host, title="turned")
        buffer = solid_buffer(host, 300, 200, "3366cc")
        window.show(buffer)
        recording = WlrRecording(client, sway.size)
        catch_up(recording, recording.ask(), sway)
        for corner in (Rectangle(0, 0, 20, 10), Rectangle(250, 150, 30, 40), Rectangle(100, 20, 5, 5)):
            frame = recording.ask()
            for row in range(corner.y, corner.y + corner.height):
                buffer.write_row(row, corner.x, bytes(4 * corner.width))
            window.surface.attach(buffer)
            window.surface.damage_buffer(corner)
            window.surface.commit_and_show()
            catch_up(recording, frame, sway)
        for pool in (recording.pool, buffer.pool):
            pool.close()


def test_grim_in_the_guest_takes_a_picture_of_the_host(stage: Stage, debian: Image, tmp_path: Path) -> None:
    picture = tmp_path / "picture.ppm"
    with FakeClient(str(stage.sway.socket_path)) as host, filling_window(host, stage.sway):
        subprocess.run(
            debian.command(["grim", "-t", "ppm", str(picture)]),
            env=root.program_environment({"WAYLAND_DISPLAY": stage.launcher.socket}),
            check=True,
            timeout=PATIENCE,
        )
        width, height = stage.sway.size
        header = b"P6\n%d %d\n255\n" % (width, height)
        assert picture.read_bytes() == header + stage.sway.screenshot().tobytes()


@pytest.mark.parametrize("buffers", BUFFERS)
def test_a_window_of_the_host_can_be_recorded_alone(new_sway: Sway, buffers: str) -> None:
    with (
        guest_of(new_sway.socket_path, buffers) as launcher,
        FakeClient(launcher.socket) as client,
        FakeClient(str(new_sway.socket_path)) as host,
        filling_window(host, new_sway),
    ):
        windows = client.bind("ext_foreign_toplevel_list_v1")
        client.wait(lambda: bool(windows.received("toplevel")), what="a window")
        sources = client.bind("ext_foreign_toplevel_image_capture_source_manager_v1")
        source = sources.create("create_source", windows.received("toplevel")[0][0])
        recording = ExtRecording(client, new_sway.size, source)
        shown = recording.get(recording.ask())
        recording.pool.close()
        assert (shown == (0x33, 0x66, 0xCC)).all()


@pytest.mark.parametrize("buffers", BUFFERS)
def test_a_screenshot_on_weston(debian: Image, buffers: str) -> None:
    with (
        HeadlessWeston(debian, width=640, height=480) as weston,
        guest_of(weston.socket_path, buffers) as launcher,
    ):
        assert np.array_equal(capture(Path(launcher.socket)), capture(weston.socket_path))
