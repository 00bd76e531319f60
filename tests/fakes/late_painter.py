"""A client in a VM whose pictures are finished after their commit: `python3 -m tests.fakes.late_painter`.

Its buffers are vgem's, with a fence of a device that draws until the client says so.  It prints `ready` when
two windows are on the screen, and answers each line on its standard input with one:

    WAY RRGGBB  commits a buffer of the wrong colour whose fence is pending, and answers `waiting` when the
                other window has shown that colour since.  WAY is how the fence is told: `implicit` (the
                dmabuf's own), `point` or `fence`
    end         the device paints the last colour that is not finished yet; answers `ended` at once
    finish      the same with the first one; answers `shown` when it is on the screen and released.  Then its
                buffer is painted over with a wrong colour, which nobody may see
    measure N   microseconds from a fence to the compositor's seeing the commit, and of a round trip
"""

import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from crossdomain.bridge import sync_file
from crossdomain.bridge.syncobj import SyncDevice, Timeline
from launcher.channel import drm
from tests.fakes.client import FakeClient, Proxy
from tests.fakes.painting import fourcc, solid_buffer
from tests.fakes.vgem import Vgem, VgemBuffer
from tests.fakes.windows import Rectangle, Window

WIDTH, HEIGHT = 64, 48
WRONG = "ff00ff"


def colour_bytes(colour: str) -> bytes:
    """One px."""
    return bytes.fromhex(colour)[::-1] + b"\xff"


class Picture:
    """One buffer of vgem's and its wl_buffer."""

    def __init__(self, vgem: Vgem, dmabuf: Proxy) -> None:
        self.memory: VgemBuffer = vgem.create(WIDTH, HEIGHT)
        params = dmabuf.create("create_params")
        params.send("add", self.memory.fd, 0, 0, self.memory.stride, 0, 0)
        self.proxy = params.create("create_immed", WIDTH, HEIGHT, fourcc("XR24"), 0)
        params.send("destroy")

    def paint(self, colour: str) -> None:
        """Fills it."""
        size = self.memory.size
        self.memory.pixels[:size] = colour_bytes(colour) * (size // 4)


class _Unfinished(NamedTuple):
    """What a device still draws into a buffer that is committed."""

    end: Callable[[], None]
    """It comes to its end."""
    check: Callable[[], None]
    """Returns when it is on the screen and released."""


class LatePainter:
    """Both windows, and what is not finished yet."""

    def __init__(self, client: FakeClient, vgem: Vgem) -> None:
        self._client = client
        self._vgem = vgem
        self._dmabuf = client.bind("zwp_linux_dmabuf_v1", 3)
        self._window = Window(client, title="late")
        self._other = Window(client, title="punctual")
        self._point = 0
        self._timeline: Timeline = next(
            filter(None, map(SyncDevice.open, drm.render_nodes()))
        ).create_timeline()
        self._unfinished: deque[_Unfinished] = deque()
        for window in (self._window, self._other):
            window.show(solid_buffer(client, WIDTH, HEIGHT, "0000ff"))

    def begin(self, way: str, colour: str) -> None:
        """Commits what is not finished."""
        picture = Picture(self._vgem, self._dmabuf)
        picture.paint(WRONG)
        surface = self._window.surface
        drawing = picture.memory.begin_writing()
        confirm = getattr(self, f"_tell_{way}")(picture)
        surface.proxy.send("attach", picture.proxy, 0, 0)
        surface.damage(Rectangle(0, 0, WIDTH, HEIGHT))
        frame = surface.frame()
        surface.commit()
        self._client.round_trip()
        self._other.show(solid_buffer(self._client, WIDTH, HEIGHT, colour))

        def end() -> None:
            picture.paint(colour)
            self._vgem.signal(drawing)
            if way == "point":
                self._timeline.signal(self._point)

        def check() -> None:
            frame.wait()
            confirm()
            picture.paint(WRONG)

        self._unfinished.append(_Unfinished(end, check))

    def end_last(self) -> None:
        """The device comes to the end of what it began last, before what it began first."""
        self._unfinished.pop().end()

    def finish(self) -> None:
        """The device comes to the end of what it began first."""
        first = self._unfinished.popleft()
        first.end()
        first.check()

    def measure(self, count: int) -> tuple[float, float]:
        """Medians in microseconds: from a fence to the compositor's seeing the commit; a round trip."""
        picture = Picture(self._vgem, self._dmabuf)
        presentation = self._client.bind("wp_presentation", 1)
        latencies: list[float] = []
        trips: list[float] = []
        for _ in range(count):
            drawing = picture.memory.begin_writing()
            surface = self._window.compositor.create("create_surface")
            # Of a surface that goes, behind its commit, the compositor tells at once that it was not shown.
            feedback = presentation.create("feedback", surface)
            surface.send("attach", picture.proxy, 0, 0)
            surface.send("commit")
            surface.send("destroy")
            self._client.round_trip()
            assert not feedback.events
            begin = time.perf_counter()
            self._vgem.signal(drawing)
            self._client.wait(partial(bool, feedback.events), what="commit")
            latencies.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            self._client.round_trip()
            trips.append(time.perf_counter() - begin)
        return statistics.median(latencies) * 1e6, statistics.median(trips) * 1e6

    def _tell_implicit(self, _picture: Picture) -> Callable[[], None]:
        return lambda: None

    def _tell_point(self, _picture: Picture) -> Callable[[], None]:
        self._point += 2
        manager = self._client.bind("wp_linux_drm_syncobj_manager_v1")
        fd = self._timeline.export()
        timeline = manager.create("import_timeline", fd)
        sync = manager.create("get_surface", self._window.surface.proxy)
        sync.send("set_acquire_point", timeline, 0, self._point)
        sync.send("set_release_point", timeline, 0, self._point + 1)
        released = self._timeline.fence(self._point + 1)

        def check() -> None:
            self._client.round_trip()
            assert not released.is_pending
            for proxy in (sync, timeline, manager):
                proxy.send("destroy")

        return check

    def _tell_fence(self, picture: Picture) -> Callable[[], None]:
        manager = self._client.bind("zwp_linux_explicit_synchronization_v1")
        sync = manager.create("get_synchronization", self._window.surface.proxy)
        fd = sync_file.written(picture.memory.fd)
        sync.send("set_acquire_fence", fd)
        release = sync.create("get_release")

        def check() -> None:
            self._client.wait(lambda: bool(release.received("immediate_release")), what="release")
            for proxy in (sync, manager):
                proxy.send("destroy")

        return check


def main() -> None:
    """Serves until the input ends."""
    with FakeClient() as client, Vgem() as vgem:
        painter = LatePainter(client, vgem)
        print("ready", flush=True)
        for line in sys.stdin:
            match line.split():
                case ["end"]:
                    painter.end_last()
                    print("ended", flush=True)
                case ["finish"]:
                    painter.finish()
                    print("shown", flush=True)
                case ["measure", count]:
                    print(*painter.measure(int(count)), flush=True)
                case [way, colour]:
                    painter.begin(way, colour)
                    print("waiting", flush=True)
                case _:
                    raise ValueError(line)


if __name__ == "__main__":
    main()
