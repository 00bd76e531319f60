"""Clocks: a launcher whose machine's clocks are a day ahead of the host's, without a virtual machine.

A time namespace (time_namespaces(7)) shifts CLOCK_MONOTONIC and its kin by a known number of seconds, so
the error of each translated time is known exactly.
"""

import json
import re
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.fakes.capture import capture
from tests.fakes.client import FakeClient, Proxy
from tests.fakes.compositor import FakeCompositor, Peer, Request, Resource, served
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import running_launcher
from tests.fakes.pacing import MS, SECOND, PacedWindow, nanoseconds, triple
from tests.fakes.pictures import EVIDENCE
from tests.fakes.weston import Weston
from tests.fakes.weston16 import running_weston16

DAY: Final = 86_400 * SECOND
WRAPPER: Final = ("unshare", "--time", f"--monotonic={DAY // SECOND}", f"--boottime={DAY // SECOND}")

MAX_ERROR: Final = MS
"""Nanoseconds: what the local channel promises."""
ATTEMPTS: Final = 50


class Stage(NamedTuple):
    """A client of a shifted launcher, on a compositor in the test's hands."""

    compositor: FakeCompositor
    peer: Peer
    client: FakeClient

    def request(self, name: str, count: int = 1) -> Request:
        """The `count`th request of that name, as it arrived."""
        self.client.flush()
        self.compositor.wait(lambda: len(self.peer.named(name)) == count, what=f"{name} {count}")
        return self.peer.named(name)[-1]

    def hear(self, proxy: Proxy, count: int) -> None:
        """Return when an object of the client's has had so many events."""
        self.client.wait(lambda: len(proxy.events) == count, what=f"{count} events of {proxy}")


@pytest.fixture
def stage(runtime_dir: Path) -> Generator[Stage]:
    globals_ = {
        "wl_compositor": 5,
        "wl_seat": 8,
        "wp_presentation": 2,
        "wp_commit_timing_manager_v1": 1,
        "zwp_input_timestamps_manager_v1": 1,
    }
    with (
        FakeCompositor(runtime_dir / "host", globals_) as compositor,
        running_daemon(runtime_dir, compositor.path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket, wrapper=WRAPPER) as launcher,
    ):
        with served(compositor):
            client = FakeClient(launcher.socket)
        with client:
            yield Stage(compositor, compositor.peers[-1], client)
            launcher.assert_alive()


def record(name: str, errors: list[int]) -> None:
    """Keep the errors (ns), for a person to look at."""
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"largest_us": max(map(abs, errors)) / 1000, "times": len(errors)})
    (EVIDENCE / f"clock-error-{name}.json").write_text(text + "\n")
    print(f"{name}: {text}")


def test_a_frames_time_is_right_to_a_millisecond(stage: Stage) -> None:
    client = stage.client
    presentation, compositor = client.bind("wp_presentation"), client.bind("wl_compositor")
    surface = compositor.create("create_surface")
    errors: list[int] = []
    for count in range(1, ATTEMPTS + 1):
        feedback = presentation.create("feedback", surface)
        shown = stage.request("feedback", count).arguments[-1]
        assert isinstance(shown, Resource)
        if count == 1:
            stage.peer.bound["wp_presentation"].send("clock_id", time.CLOCK_MONOTONIC)
        now = time.monotonic_ns()
        shown.send("presented", *triple(now), 16 * MS, 0, count, 1)
        stage.hear(feedback, 1)
        (values,) = feedback.received("presented")
        assert values[3:] == (16 * MS, 0, count, 1)
        errors.append(nanoseconds(values) - DAY - now)
    record("frames-local", errors)
    assert max(map(abs, errors)) < MAX_ERROR


def test_a_target_is_right_to_a_millisecond(stage: Stage) -> None:
    client = stage.client
    surface = client.bind("wl_compositor").create("create_surface")
    timer = client.bind("wp_commit_timing_manager_v1").create("get_timer", surface)
    errors: list[int] = []
    for count in range(1, ATTEMPTS + 1):
        target = time.monotonic_ns() + DAY + 50 * MS
        timer.send("set_timestamp", *triple(target))
        theirs = [
            value for value in stage.request("set_timestamp", count).arguments if isinstance(value, int)
        ]
        errors.append(nanoseconds(tuple(theirs)) + DAY - target)
    record("targets-local", errors)
    assert max(map(abs, errors)) < MAX_ERROR


def test_input_is_right_to_a_millisecond_and_its_two_times_agree(stage: Stage) -> None:
    client = stage.client
    pointer = client.bind("wl_seat").create("get_pointer")
    manager = client.bind("zwp_input_timestamps_manager_v1")
    timestamps = manager.create("get_pointer_timestamps", pointer)
    stage.request("get_pointer_timestamps")
    theirs = stage.peer.objects_of("zwp_input_timestamps_v1")[0]
    their_pointer = stage.peer.objects_of("wl_pointer")[0]
    errors: list[int] = []
    for count in range(1, ATTEMPTS + 1):
        now = time.monotonic_ns()
        theirs.send("timestamp", *triple(now))
        their_pointer.send("motion", now // MS & 0xFFFFFFFF, 256, 256)
        stage.hear(pointer, count)
        ours = nanoseconds(timestamps.received("timestamp")[-1])
        assert pointer.received("motion")[-1][0] == ours // MS & 0xFFFFFFFF
        errors.append(ours - DAY - now)
    record("input-local", errors)
    assert max(map(abs, errors)) < MAX_ERROR


# On a real compositor: Weston 16, whose presentation clock is CLOCK_MONOTONIC_RAW.


class Ways(NamedTuple):
    """Sockets that lead to one Weston 16: its own, and that of a launcher with shifted clocks."""

    direct: str
    proxied: str


@pytest.fixture(scope="module", params=["pixman", "gl"])
def ways(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Ways]:
    """With pixman, which reads a buffer while it is shown, and GL, which gives it back once uploaded."""
    folder = tmp_path_factory.mktemp("w16")
    (folder / "weston").mkdir()
    with (
        running_weston16(folder / "weston", renderer=request.param) as weston,
        running_daemon(folder, weston.socket_path) as daemon,
        # Buffers are copied, as from a virtual machine: a copy has to last as long as its frame waits.
        running_launcher(folder, daemon.local_socket, "--buffers=copy", wrapper=WRAPPER) as launcher,
    ):
        yield Ways(str(weston.socket_path), launcher.socket)
        launcher.assert_alive()


@contextmanager
def paced_window(socket: str, ahead: int) -> Generator[PacedWindow]:
    with FakeClient(socket) as client, closing(PacedWindow(client, ahead=ahead)) as window:
        yield window


def test_each_frame_is_shown_after_its_commit_and_before_it_is_heard_of(ways: Ways) -> None:
    for socket, ahead in ((ways.direct, 0), (ways.proxied, DAY)):
        with paced_window(socket, ahead) as window:
            frames = [window.show() for _ in range(20)]
        for frame in frames:
            assert frame.committed - MAX_ERROR <= frame.shown <= frame.heard + MAX_ERROR
        assert [frame.shown for frame in frames] == sorted({frame.shown for frame in frames})


@pytest.mark.parametrize("fifo", [True, False])
def test_a_burst_is_shown_frame_by_frame_only_with_fifo(ways: Ways, fifo: bool) -> None:
    with paced_window(ways.direct, 0) as window:
        direct = window.burst(fifo=fifo)
    with paced_window(ways.proxied, DAY) as window:
        proxied = window.burst(fifo=fifo)
    assert proxied == direct
    assert ("discarded" not in proxied) == fifo


def test_a_frame_is_not_shown_before_its_target(ways: Ways) -> None:
    for socket, ahead in ((ways.direct, 0), (ways.proxied, DAY)):
        with paced_window(socket, ahead) as window:
            window.show()
            for wait in (100, 250):
                target, frame = window.show_after(wait * MS)
                # A target of another day would be shown at once, or never.
                assert target - MAX_ERROR <= frame.shown <= frame.heard < target + 10 * SECOND


def test_frames_that_wait_are_shown_as_they_were_committed(ways: Ways) -> None:
    """Two frames wait at once: what the second one is drawn with must not show in the first."""
    with paced_window(ways.proxied, DAY) as window:
        timer = window.client.bind("wp_commit_timing_manager_v1").create(
            "get_timer", window.window.surface.proxy
        )
        colours = ("c81414", "14c814", "1414c8")
        start = window.now()
        waiting: list[Proxy] = []
        for number, colour in enumerate(colours, start=1):
            timer.send("set_timestamp", *triple(start + number * SECOND))
            waiting.append(window.commit(colour))
        seen: list[list[str]] = []
        for feedback in waiting:
            assert window.fate(feedback) == "presented"
            shown = {bytes(pixel).hex() for row in capture(Path(ways.direct)) for pixel in row}
            seen.append([colour for colour in colours if colour in shown])
    assert seen == [[colour] for colour in colours]


def test_weston_10_presents_too(weston: Weston, runtime_dir: Path) -> None:
    with (
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket, wrapper=WRAPPER) as launcher,
        paced_window(launcher.socket, DAY) as window,
    ):
        for frame in (window.show() for _ in range(5)):
            assert frame.committed - MAX_ERROR <= frame.shown <= frame.heard + MAX_ERROR


def test_a_program_measures_what_it_would_without_us(weston: Weston, runtime_dir: Path) -> None:
    """weston-presentation-shm tells how long each frame took from commit to presentation (c2p)."""
    script = 'echo "$WAYLAND_DISPLAY"; stdbuf -oL weston-presentation-shm & cat >/dev/null; kill $!'
    with (
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(
            runtime_dir, daemon.local_socket, wrapper=WRAPPER, command=("sh", "-c", script)
        ) as launcher,
    ):
        lines = [launcher.read_line() for _ in range(20)]
    waits = [int(milliseconds) for line in lines for milliseconds in re.findall(r"c2p +(-?\d+) ms", line)]
    assert len(waits) == len(lines), lines
    # With the host's times it would be a day, one way or the other.
    assert all(0 <= wait < 10_000 for wait in waits), lines
