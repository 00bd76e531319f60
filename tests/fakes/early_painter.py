"""A client whose commits reach the compositor before they are finished.

`python3 -m tests.fakes.early_painter DISPLAY CASE...` looks at that display's screen.  It synchronizes by
wp_linux_drm_syncobj_v1, has dmabufs (udmabuf) that a compositor can read in place, and prints each case that
holds.  The cases are the functions.
"""

import fcntl
import mmap
import os
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

from crossdomain.abi import udmabuf
from crossdomain.bridge.fences import Fence
from crossdomain.bridge.syncobj import SyncDevice, Timeline
from tests.fakes.client import FakeClient, Proxy
from tests.fakes.painting import fourcc
from tests.fakes.screenshot import look
from tests.fakes.windows import Window

WIDTH, HEIGHT = 256, 64
"""64 KiB: the least that is read in place."""
SIZE: Final = WIDTH * HEIGHT * 4
_ROUNDS: Final = 9
NOTES: Final = "UDMABUF_NOTES"
"""The variable with a folder where it is noted which file a udmabuf is of, for `tests.fakes.guest_kernel`."""
OLD, WRONG, RED, GREEN, BLUE = "316191", "c111c1", "c11111", "11c111", "1111c1"


class Picture:
    """A udmabuf in one colour."""

    def __init__(self, client: FakeClient, dmabuf: Proxy, *, height: int = HEIGHT) -> None:
        self._file = os.memfd_create("picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._file, SIZE)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.memory = mmap.mmap(self._file, SIZE)
        self.fd = _make_dmabuf(self._file)
        params = dmabuf.create("create_params")
        params.send("add", self.fd, 0, 0, WIDTH * 4, 0, 0)
        self.proxy = params.create("create_immed", WIDTH, height, fourcc("XR24"), 0)
        params.send("destroy")
        client.flush()

    def paint(self, colour: str) -> None:
        """Fills it."""
        self.memory[:] = (bytes.fromhex(colour)[::-1] + b"\xff") * (SIZE // 4)


def _make_dmabuf(file: int) -> int:
    request = udmabuf.CREATE_LIST.pack(udmabuf.UDMABUF_FLAGS_CLOEXEC, 1)
    request += udmabuf.CREATE_ITEM.pack(file, 0, 0, SIZE)
    device = os.open(udmabuf.DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        made = int(fcntl.ioctl(device, udmabuf.UDMABUF_CREATE_LIST, bytearray(request)))
    finally:
        os.close(device)
    if NOTES in os.environ:
        note = Path(os.environ[NOTES], str(os.fstat(made).st_ino))
        note.symlink_to(f"/proc/{os.getpid()}/fd/{file}")
    return made


class Unfinished:
    """What is still drawn into a picture that is committed."""

    def __init__(self, timeline: Timeline, released: Fence) -> None:
        self._timeline = timeline
        self._released = released

    def finish(self) -> None:
        """It is drawn."""
        self._timeline.signal(1)

    @property
    def is_released(self) -> bool:
        """Whether the picture may be drawn into again."""
        return not self._released.is_pending


class Points:
    """wp_linux_drm_syncobj_v1: each commit has timelines of its own."""

    def __init__(self, client: FakeClient) -> None:
        self._manager = client.bind("wp_linux_drm_syncobj_manager_v1")
        device = SyncDevice.find()
        assert device is not None
        self._device = device

    def follow(self, surface: Proxy) -> Proxy:
        """The object for a surface."""
        return self._manager.create("get_surface", surface)

    def begin(self, sync: Proxy) -> Unfinished:
        """What the next commit waits for."""
        acquire, release = self._device.create_timeline(), self._device.create_timeline()
        for timeline, name, point in ((acquire, "set_acquire_point", 1), (release, "set_release_point", 2)):
            fd = timeline.export()
            imported = self._manager.create("import_timeline", fd)
            sync.send(name, imported, 0, point)
            imported.send("destroy")
            self._manager.client.flush()
            os.close(fd)
        return Unfinished(acquire, release.fence(2))


class EarlyPainter:
    """A fullscreen window that shows OLD, of a picture that the compositor reads in place."""

    def __init__(self, client: FakeClient, display: str) -> None:
        self.client = client
        self.display = display
        self._dmabuf = client.bind("zwp_linux_dmabuf_v1", 3)
        self.points = Points(client)
        self.window = Window(client, title="early", fullscreen=True)
        self.sync = self.points.follow(self.window.surface.proxy)
        picture = self.picture(OLD)
        for _ in range(4):
            # Until it is known whether such a picture is read in place.
            self._show(picture)

    def picture(self, colour: str, *, height: int = HEIGHT) -> Picture:
        """A new one."""
        made = Picture(self.client, self._dmabuf, height=height)
        made.paint(colour)
        return made

    def begin(self) -> Unfinished:
        """The window's next picture is not finished."""
        return self.points.begin(self.sync)

    def commit(self, picture: Picture) -> None:
        """Shows a picture in the window."""
        self.window.surface.proxy.send("attach", picture.proxy, 0, 0)
        self.window.surface.damage_all()
        self.window.surface.commit()
        self.client.round_trip()

    def show(self, colour: str) -> Unfinished:
        """A picture in a colour, finished and on the screen."""
        return self._show(self.picture(colour))

    def _show(self, picture: Picture) -> Unfinished:
        finished = self.begin()
        finished.finish()
        frame = self.window.surface.frame()
        self.commit(picture)
        frame.wait()
        return finished

    def is_seen_early(self, *, height: int = HEIGHT) -> bool:
        """Whether the compositor gets a commit before it is finished.

        Of a surface that goes, behind its commit, it tells at once that it was not shown.
        """
        picture = self.picture(WRONG, height=height)
        surface = self.window.compositor.create("create_surface")
        sync = self.points.follow(surface)
        unfinished = self.points.begin(sync)
        feedback = self.client.bind("wp_presentation", 1).create("feedback", surface)
        surface.send("attach", picture.proxy, 0, 0)
        surface.send("commit")
        sync.send("destroy")
        surface.send("destroy")
        self.client.round_trip()
        self.client.round_trip()
        early = bool(feedback.events)
        unfinished.finish()
        self.client.wait(lambda: bool(feedback.events), what="the commit")
        return early

    def has(self, colour: str) -> bool:
        """Whether that is all that a window of ours shows, on the screen."""
        shown = look(self.display)
        counts = {other: shown.count(other) for other in (OLD, WRONG, RED, GREEN, BLUE)}
        return counts == dict.fromkeys(counts, 0) | {colour: WIDTH * HEIGHT}


def early(painter: EarlyPainter) -> None:
    """The compositor has a commit before its fence is over."""
    assert painter.is_seen_early()


def copied(painter: EarlyPainter) -> None:
    """Where pixels are copied it has not: they are copied when they are finished."""
    assert not painter.is_seen_early(height=HEIGHT - 1)
    assert painter.is_seen_early()


def late(painter: EarlyPainter) -> None:
    """What is not finished is not shown; what is, is."""
    painter.show(OLD)
    picture = painter.picture(WRONG)
    unfinished = painter.begin()
    frame = painter.window.surface.frame()
    painter.commit(picture)
    assert painter.has(OLD)
    picture.paint(RED)
    unfinished.finish()
    frame.wait()
    assert painter.has(RED)


def out_of_order(painter: EarlyPainter) -> None:
    """Two frames that are finished in the other order are shown in theirs."""
    painter.show(OLD)
    pictures = [painter.picture(WRONG) for _ in range(2)]
    unfinished: list[Unfinished] = []
    for picture in pictures:
        unfinished.append(painter.begin())
        painter.commit(picture)
    frame = painter.window.surface.frame()
    painter.window.surface.commit()
    pictures[1].paint(BLUE)
    unfinished[1].finish()
    painter.client.round_trip()
    assert painter.has(OLD)
    pictures[0].paint(GREEN)
    unfinished[0].finish()
    frame.wait()
    painter.client.wait(lambda: painter.has(BLUE), what="the second")


def released(painter: EarlyPainter) -> None:
    """A picture is released when the next one is shown, and not before."""
    first = painter.show(GREEN)
    painter.client.round_trip()
    assert painter.has(GREEN)
    assert not first.is_released
    painter.show(RED)
    painter.client.wait(lambda: first.is_released, what="a release")
    assert painter.has(RED)


def never(painter: EarlyPainter) -> None:
    """A fence that nobody ends costs the window a frame, and no more."""
    painter.show(OLD)
    picture = painter.picture(RED)
    painter.begin()
    frame = painter.window.surface.frame()
    painter.commit(picture)
    assert painter.has(OLD)
    frame.wait()
    painter.show(GREEN)
    assert painter.has(GREEN)


def latency(painter: EarlyPainter) -> None:
    """Prints microseconds from a fence's end to word of the commit behind it, and those of a round trip."""
    client, surface = painter.client, painter.window.surface
    presentation = client.bind("wp_presentation", 1)
    picture = painter.picture(GREEN)
    latencies: list[float] = []
    trips: list[float] = []
    for _ in range(_ROUNDS):
        unfinished = painter.begin()
        feedback = presentation.create("feedback", surface.proxy)
        painter.commit(picture)
        # What is behind it takes its place, and it is told that it was not shown.
        surface.commit()
        client.round_trip()
        assert not feedback.events
        start = time.perf_counter()
        unfinished.finish()
        client.wait(partial(bool, feedback.events), what="the commit")
        latencies.append(time.perf_counter() - start)
        start = time.perf_counter()
        client.round_trip()
        trips.append(time.perf_counter() - start)
    print(*(f"{statistics.median(times) * 1e6:.0f}" for times in (latencies, trips)), flush=True)


CASES: Final = {case.__name__: case for case in (early, copied, late, out_of_order, released, never, latency)}


def main(arguments: list[str]) -> int:
    """Carries out the cases."""
    display, *names = arguments
    with FakeClient() as client:
        painter = EarlyPainter(client, display)
        for name in names:
            CASES[name](painter)
            print(name, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
