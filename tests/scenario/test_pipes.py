"""Copy and paste through the real launcher, daemon and Weston: nothing is lost, and nobody else waits.

One client is direct on Weston, the other one behind the proxy, in both roles.
"""

import os
import select
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from crossdomain.vm import image
from crossdomain.vm.headless import HeadlessWeston
from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.clipboard import Copier, Paster
from tests.fakes.daemon import Footprint, RunningDaemon, running_daemon
from tests.fakes.endpoint import Disconnected
from tests.fakes.launcher import RUN, RunningLauncher, environment, running_launcher
from tests.fakes.programs import PYTHON
from tests.fakes.stream import pattern
from tests.fakes.weston import wait_until

GIB = 1 << 30
MIB = 1 << 20
PATIENCE = 120.0
STREAM = (*PYTHON, "tests.fakes.stream")
PROMPT = 5.0
"""Seconds within which somebody who does not wait for anybody is served, on a loaded machine."""
PIPE = 65536
"""Bytes that a Linux pipe takes, and that may be on the way in one of ours."""


class Desk(NamedTuple):
    """A desktop with a keyboard, and the way to it."""

    weston: HeadlessWeston
    daemon: RunningDaemon
    launcher: RunningLauncher

    @property
    def direct(self) -> str:
        """The display without a proxy."""
        return str(self.weston.socket_path)

    @property
    def proxied(self) -> str:
        """The display behind it."""
        return self.launcher.socket

    @property
    def footprints(self) -> tuple[Footprint, Footprint]:
        """What launcher and daemon hold."""
        return Footprint.of(self.launcher.process.pid), self.daemon.footprint


@contextmanager
def running_way(weston: HeadlessWeston) -> Generator[Desk]:
    """A daemon and a launcher before a desktop."""
    with tempfile.TemporaryDirectory(prefix="xd-") as folder, ExitStack() as stack:
        daemon = stack.enter_context(running_daemon(Path(folder), weston.socket_path))
        launcher = stack.enter_context(running_launcher(Path(folder), daemon.local_socket))
        yield Desk(weston, daemon, launcher)


@pytest.fixture(scope="module")
def desk() -> Generator[Desk]:
    with HeadlessWeston(image.obtain(image.Recipe())) as weston, running_way(weston) as made:
        yield made
        launcher, daemon = made.launcher, made.daemon
        launcher.assert_alive()
        daemon.assert_alive()
        assert "Traceback" not in daemon.log


class Clipboard(NamedTuple):
    """Who copies, and who pastes."""

    copier: Copier
    paster: Paster


class Transfer(NamedTuple):
    """The two ends of one transfer."""

    writing: int
    reading: int


Direction: TypeAlias = Callable[[Desk], tuple[str, str]]
"""The display where something is copied, and the one where it is pasted."""


def to_the_guest(desk: Desk) -> tuple[str, str]:
    return desk.direct, desk.proxied


def to_the_host(desk: Desk) -> tuple[str, str]:
    return desk.proxied, desk.direct


BOTH_WAYS = pytest.mark.parametrize("direction", [to_the_guest, to_the_host])


@contextmanager
def clipboard_between(desk: Desk, direction: Direction) -> Generator[Clipboard]:
    """Two clients, one of which has copied what the other one is offered."""
    copied, pasted = direction(desk)
    copier, paster = Copier(copied), Paster(pasted)
    copier.copy()
    paster.wait_offer()
    yield Clipboard(copier, paster)
    copier.close()
    paster.close()


@pytest.fixture(params=[to_the_guest, to_the_host])
def clipboard(desk: Desk, request: pytest.FixtureRequest) -> Generator[Clipboard]:
    """A clipboard through the desk that all tests share."""
    with clipboard_between(desk, request.param) as between:
        yield between


def transfer(clipboard: Clipboard) -> Transfer:
    """Begin a paste; both ends are the caller's."""
    reading = clipboard.paster.paste()
    (writing,) = clipboard.copier.wait_asked()
    return Transfer(writing, reading)


def close(*fds: int) -> None:
    """Close all."""
    for fd in fds:
        os.close(fd)


def read_all(fd: int) -> bytes:
    """Everything until the end; the fd is closed."""
    with os.fdopen(fd, "rb") as pipe:
        return pipe.read()


def wait_readable(fd: int) -> None:
    """Return when there is something, or the end."""
    assert select.select([fd], [], [], PATIENCE)[0], "nothing came"


def fill(fd: int) -> int:
    """Write the stream until nobody has taken any more of it for a while; how much went in."""
    os.set_blocking(fd, False)
    known = pattern()
    written = 0
    while select.select([], [fd], [], 0.5)[1]:
        written += os.write(fd, known[written : written + PIPE])
    return written


def test_a_gibibyte_arrives_as_it_is(clipboard: Clipboard) -> None:
    going = transfer(clipboard)
    writer = subprocess.Popen([*STREAM, "write", str(GIB)], stdout=going.writing)
    close(going.writing)
    reader = subprocess.run(
        [*STREAM, "read", str(GIB)], stdin=going.reading, stdout=subprocess.PIPE, check=True, timeout=PATIENCE
    )
    close(going.reading)
    assert writer.wait(PATIENCE) == 0
    assert reader.stdout.startswith(f"{GIB} bytes".encode())


def test_each_byte_of_a_slow_writer_arrives_before_the_next_is_written(
    clipboard: Clipboard,
) -> None:
    going = transfer(clipboard)
    for number in range(50):
        os.write(going.writing, bytes((number,)))
        wait_readable(going.reading)
        assert os.read(going.reading, 100) == bytes((number,))
    close(going.writing)
    assert read_all(going.reading) == b""


def test_a_reader_that_never_reads_stops_its_writer_and_nobody_else(desk: Desk, clipboard: Clipboard) -> None:
    with FakeClient(desk.proxied) as other:
        before = desk.footprints
        stuck = [transfer(clipboard) for _ in range(50)]
        written = [fill(going.writing) for going in stuck[:2]]
        for going in stuck[2:]:
            os.set_blocking(going.writing, False)
            os.write(going.writing, pattern()[:PIPE])
        # Its own pipe, the reader's, and what may be on the way between them.
        assert all(0 < size <= 4 * PIPE for size in written)
        for client in (other, clipboard.copier.client, clipboard.paster.client):
            client.round_trip(seconds=PROMPT)
        lively = transfer(clipboard)
        os.write(lively.writing, b"hello")
        close(lively.writing)
        assert read_all(lively.reading) == b"hello"
        for now, then in zip(desk.footprints, before, strict=True):
            assert now.anonymous - then.anonymous < 50 * 2 * PIPE
    for going, size in zip(stuck, (*written, *[PIPE] * 48), strict=True):
        close(going.writing)
        assert read_all(going.reading) == pattern()[:size]


def test_fifty_transfers_at_once_all_arrive_and_others_are_served_meanwhile(
    desk: Desk, clipboard: Clipboard
) -> None:
    transfers = [transfer(clipboard) for _ in range(50)]
    writing, reading = ([getattr(going, end) for going in transfers] for end in ("writing", "reading"))
    writer = subprocess.Popen([*STREAM, "write", str(4 * MIB), *map(str, writing)], pass_fds=writing)
    reader = subprocess.Popen(
        [*STREAM, "read", str(4 * MIB), *map(str, reading)], pass_fds=reading, stdout=subprocess.DEVNULL
    )
    close(*writing, *reading)
    round_trips = 0
    with FakeClient(desk.proxied) as other:
        while reader.poll() is None:
            other.round_trip(seconds=PROMPT)
            clipboard.paster.client.round_trip(seconds=PROMPT)
            round_trips += 1
    assert (reader.wait(), writer.wait(PATIENCE)) == (0, 0)
    assert round_trips > 10


def read_until_written(going: Transfer, data: bytes) -> None:
    """Write, and read exactly that at the other end."""
    os.write(going.writing, data)
    received = b""
    while len(received) < len(data):
        wait_readable(going.reading)
        received += os.read(going.reading, len(data))
    assert received == data


class Points(NamedTuple):
    """Three transfers: one has not begun, one is in the middle, one has everything but its end."""

    fresh: Transfer
    halfway: Transfer
    written: Transfer

    @classmethod
    def of(cls, clipboard: Clipboard) -> "Points":
        """The middle: some has been read, more is on its way, the writer has more."""
        points = cls(*(transfer(clipboard) for _ in range(3)))
        read_until_written(points.halfway, b"first, ")
        os.write(points.halfway.writing, b"on its way, ")
        read_until_written(points.written, b"all")
        return points

    def check_they_go_on(self) -> None:
        """Everything arrives, and each end."""
        os.write(self.fresh.writing, b"begins now")
        os.write(self.halfway.writing, b"last")
        close(*(going.writing for going in self))
        assert read_all(self.fresh.reading) == b"begins now"
        assert read_all(self.halfway.reading) == b"on its way, last"
        assert read_all(self.written.reading) == b""

    def check_writers_are_stopped(self) -> None:
        """Nobody reads any more."""
        wait_until(
            lambda: all(is_broken(going.writing) for going in self), seconds=PATIENCE, what="no reader left"
        )
        close(*(going.writing for going in self))

    def check_readers_see_the_end(self) -> None:
        """What was written arrives first."""
        assert read_all(self.fresh.reading) == b""
        assert read_all(self.halfway.reading) == b"on its way, "
        assert read_all(self.written.reading) == b""


def is_broken(fd: int) -> bool:
    """Whether a pipe has no reader."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def test_a_writer_may_end_at_any_point(clipboard: Clipboard) -> None:
    points = Points.of(clipboard)
    close(*(going.writing for going in points))
    points.check_readers_see_the_end()


def test_a_reader_may_end_at_any_point(clipboard: Clipboard) -> None:
    points = Points.of(clipboard)
    close(*(going.reading for going in points))
    points.check_writers_are_stopped()


def test_who_copied_may_leave_at_any_point(clipboard: Clipboard) -> None:
    """The writing ends belong to another process by then, as with a program that forks."""
    points = Points.of(clipboard)
    clipboard.copier.client.endpoint.socket.close()
    points.check_they_go_on()


def test_who_pastes_may_leave_at_any_point_windows_or_not(clipboard: Clipboard) -> None:
    points = Points.of(clipboard)
    clipboard.paster.client.endpoint.socket.close()
    points.check_they_go_on()


def test_who_breaks_the_protocol_keeps_the_pipes(clipboard: Clipboard) -> None:
    points = Points.of(clipboard)
    for client in (clipboard.copier.client, clipboard.paster.client):
        client.display.send("sync", 0xFFFFFF)
        with pytest.raises(ProtocolError):
            client.round_trip()
    points.check_they_go_on()


@BOTH_WAYS
def test_the_compositor_may_die_at_any_point(direction: Direction) -> None:
    with (
        HeadlessWeston(image.obtain(image.Recipe())) as weston,
        running_way(weston) as desk,
        clipboard_between(desk, direction) as clipboard,
    ):
        points = Points.of(clipboard)
        weston.kill()
        with pytest.raises(Disconnected):
            clipboard.paster.client.wait(lambda: False, what="the end")
        points.check_they_go_on()
        desk.daemon.assert_alive()
        desk.launcher.assert_alive()


@BOTH_WAYS
@pytest.mark.parametrize("victim", ["launcher", "daemon"])
def test_launcher_or_daemon_may_die_at_any_point(desk: Desk, direction: Direction, victim: str) -> None:
    """There is nobody left who could carry on: what has arrived stays, and both ends are told."""
    with running_way(desk.weston) as own, clipboard_between(own, direction) as clipboard:
        points = Points.of(clipboard)
        wait_readable(points.halfway.reading)
        process = {"launcher": own.launcher.process, "daemon": own.daemon.process}[victim]
        process.kill()
        process.wait()
        points.check_readers_see_the_end()
        points.check_writers_are_stopped()


def test_what_an_application_wrote_before_it_ended_arrives(desk: Desk) -> None:
    """As much as fits on the way, whoever reads it when, and although crossdomain-run is gone by then."""
    size = 3 * PIPE
    application = subprocess.Popen(
        [
            *RUN,
            f"--channel=local:{desk.daemon.local_socket}",
            *PYTHON,
            "tests.fakes.clipboard",
            "copy",
            str(size),
        ],
        env=environment(desk.launcher.runtime_dir),
        stdout=subprocess.PIPE,
    )
    assert application.stdout is not None
    with application, application.stdout as output:
        assert output.readline() == b"copied\n"
        with closing(Paster(desk.direct)) as paster:
            paster.wait_offer()
            reading = paster.paste()
            assert application.wait(PATIENCE) == 0
    assert read_all(reading) == pattern()[:size]
