"""Clients of crossdomain-run on a compositor in the test's hands, through the real launcher and daemon."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.compositor import FakeCompositor, Peer, Resource, keymap_fd, served
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.endpoint import Disconnected
from tests.fakes.launcher import PATIENCE, RunningLauncher, environment, running_launcher
from tests.fakes.windows import Buffer, Layout, Pool


class Setting(NamedTuple):
    """A compositor, a host daemon and a launcher, each a process or a thread of its own."""

    compositor: FakeCompositor
    daemon: RunningDaemon
    launcher: RunningLauncher

    def connect(self) -> FakeClient:
        """A client that has seen the globals; the compositor has to be served."""
        return FakeClient(self.launcher.socket)


@pytest.fixture
def setting(runtime_dir: Path) -> Generator[Setting]:
    with (
        FakeCompositor(runtime_dir / "host") as compositor,
        running_daemon(runtime_dir, compositor.path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
    ):
        yield Setting(compositor, daemon, launcher)
        if daemon.process.poll() is None:
            launcher.assert_alive()


def newest(setting: Setting) -> Peer:
    """The compositor's side of the client that connected last."""
    return setting.compositor.peers[-1]


def wait_gone(setting: Setting, peer: Peer) -> None:
    """Serve until the compositor has seen the end of a client."""
    setting.compositor.wait(lambda: peer.gone, what="end of a client")


def test_a_client_reaches_the_compositor_and_is_gone_with_its_process(setting: Setting) -> None:
    script = (
        "from tests.fakes.client import FakeClient; import sys; client = FakeClient();"
        "print('up', flush=True); sys.stdin.read()"
    )
    with served(setting.compositor):
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment(setting.launcher.runtime_dir, {"WAYLAND_DISPLAY": setting.launcher.display}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_gone(setting, newest(setting))
    process.stdin.close()
    process.stdout.close()


def test_sixty_clients_at_once(setting: Setting) -> None:
    with ExitStack() as stack:
        with served(setting.compositor):
            clients = [stack.enter_context(setting.connect()) for _ in range(60)]
            for client in clients:
                client.round_trip()
        assert len({id(peer) for peer in setting.compositor.peers}) >= 60


def test_a_client_starts_clients_of_its_own(setting: Setting) -> None:
    inner = "from tests.fakes.client import FakeClient; FakeClient().round_trip(); print('inner')"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    with served(setting.compositor), setting.connect():
        done = subprocess.run(
            [sys.executable, "-c", outer],
            env=environment(setting.launcher.runtime_dir, {"WAYLAND_DISPLAY": setting.launcher.display}),
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
    assert done.stdout == b"inner\n"


def test_what_can_not_be_carried_is_not_offered(runtime_dir: Path) -> None:
    offered = {
        "wl_shm": 2,
        "wl_drm": 2,
        "zwp_linux_dmabuf_v1": 5,
        "zwlr_screencopy_manager_v1": 3,
        "nonsense": 1,
    }
    with (
        FakeCompositor(
            runtime_dir / "host", {name: 1 for name in offered if name != "nonsense"}
        ) as compositor,
        running_daemon(runtime_dir, compositor.path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
        served(compositor),
        FakeClient(launcher.socket) as client,
    ):
        # The last is the launcher's own.
        assert [entry.interface for entry in client.globals] == ["wl_shm", "zwp_linux_dmabuf_v1"]
        client.bind("zwp_linux_dmabuf_v1")
        client.round_trip()
        assert set(compositor.peers[-1].bound) == {"wl_shm"}


def test_binding_a_global_that_was_not_offered_is_refused(setting: Setting) -> None:
    with served(setting.compositor), setting.connect() as client:
        client.bind_name(99, "wl_compositor", 1)
        with pytest.raises(ProtocolError) as refused:
            client.round_trip()
        assert refused.value.interface == "wl_registry"


def test_a_flood_while_the_compositor_is_stuck_waits_and_arrives_whole(setting: Setting) -> None:
    count = 100_000
    with served(setting.compositor):
        client = setting.connect()
        surface = client.bind("wl_compositor").create("create_surface")
        client.round_trip()
    peer = newest(setting)
    client.endpoint.socket.settimeout(None)

    def flood() -> None:
        for _ in range(count):
            surface.send("damage", 0, 0, 1, 1)
        client.flush()

    sender = threading.Thread(target=flood)
    sender.start()
    setting.compositor.wait(lambda: len(peer.named("damage")) == count, what="flood")
    sender.join()
    with served(setting.compositor):
        client.round_trip()
    client.close()


def test_a_stuck_client_delays_nobody_else(setting: Setting) -> None:
    with served(setting.compositor):
        stuck, lively = setting.connect(), setting.connect()
        keyboards = stuck.bind("wl_seat").create("get_keyboard")
        stuck.round_trip()
    peer = next(
        p
        for p in setting.compositor.peers
        if any(o.interface.name == "wl_keyboard" for o in p.objects.values())
    )
    keyboard = peer.objects[keyboards.object_id]
    peer.immediate = False
    peer.endpoint.socket.settimeout(0)
    with pytest.raises(BlockingIOError):  # all buffers up to the client are full
        send_keys(peer, keyboard)
    with served(setting.compositor):
        lively.round_trip()
    setting.launcher.assert_alive()
    stuck.close()
    lively.close()


def send_keys(peer: Peer, keyboard: Resource) -> None:
    """Press a key very often, a thousand at a time."""
    for serial in range(10_000_000):
        keyboard.send("key", serial, 0, 30, 1)
        if serial % 1000 == 0:
            peer.flush()


def test_a_compositor_that_dies_takes_its_clients_and_nobody_else(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
    newest(setting).disconnect()
    with pytest.raises(Disconnected):
        client.wait(lambda: False, what="end")
    client.close()
    with served(setting.compositor), setting.connect() as again:
        again.round_trip()


def test_a_compositors_last_words_reach_the_client(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
    newest(setting).objects[1].post_error(3, "goodbye")
    with pytest.raises(ProtocolError, match="goodbye"):
        client.wait(lambda: False, what="end")
    client.close()


def test_a_daemon_that_dies_disconnects_the_clients_and_the_next_is_told_why(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
    setting.daemon.process.kill()
    setting.daemon.process.wait()
    with pytest.raises(ProtocolError, match="crossdomain host has ended"):
        client.wait(lambda: False, what="end")
    client.close()
    with socket.socket(socket.AF_UNIX) as turned_away:
        turned_away.connect(setting.launcher.socket)
        assert b"no crossdomain host" in turned_away.recv(1000)
    setting.launcher.assert_alive()


def test_a_client_that_breaks_the_protocol_ends_alone(setting: Setting) -> None:
    with served(setting.compositor), setting.connect() as good:
        bad = setting.connect()
        bad.send_raw(b"\xff\xff\0\0\0\0\x08\0")
        with pytest.raises(ProtocolError):
            bad.round_trip()
        bad.close()
        good.round_trip()


def test_last_requests_of_a_client_that_left_arrive(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
        surface = client.bind("wl_compositor").create("create_surface")
        client.round_trip()
    peer = newest(setting)
    for _ in range(1000):
        surface.send("damage", 0, 0, 1, 1)
    client.flush()
    client.close()
    wait_gone(setting, peer)
    assert len(peer.named("damage")) == 1000


def test_a_window_made_shown_and_destroyed_in_one_breath_arrives(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
        shm, surface = client.bind("wl_shm"), client.bind("wl_compositor").create("create_surface")
        client.round_trip()
        pool = Pool(client, shm, 64 * 64 * 4)
        buffer = Buffer(pool, Layout(0, 64, 64, 64 * 4, 4), 1)
        surface.send("attach", buffer.proxy, 0, 0)
        surface.send("commit")
        buffer.destroy()
        pool.destroy()
        client.round_trip()
        pool.close()
        client.close()
    peer = newest(setting)
    assert [len(peer.named(name)) for name in ("create_buffer", "attach", "commit")] == [1, 1, 1]
    for made in peer.named("create_pool"):
        os.close(next(value for value in made.arguments if isinstance(value, int)))


def test_a_keymap_arrives(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
        keyboard = client.bind("wl_seat").create("get_keyboard")
        client.round_trip()
    fd = keymap_fd(b"a keymap\0")
    newest(setting).objects[keyboard.object_id].send("keymap", 1, fd, 9)
    os.close(fd)
    client.wait(lambda: bool(keyboard.received("keymap")), what="keymap")
    received = keyboard.received("keymap")[0][1]
    assert isinstance(received, int)
    assert os.pread(received, 100, 0) == b"a keymap\0"
    os.close(received)
    client.close()


def test_forty_keymaps_in_one_burst_arrive(setting: Setting) -> None:
    with served(setting.compositor):
        client = setting.connect()
        keyboard = client.bind("wl_seat").create("get_keyboard")
        client.round_trip()
    resource = newest(setting).objects[keyboard.object_id]
    for number in range(40):
        fd = keymap_fd(f"keymap {number:04}\0".encode())
        resource.send("keymap", 1, fd, 12)
        os.close(fd)
    client.wait(lambda: len(keyboard.received("keymap")) == 40, what="keymaps")
    for number, values in enumerate(keyboard.received("keymap")):
        assert isinstance(values[1], int)
        assert os.pread(values[1], 100, 0) == f"keymap {number:04}\0".encode()
        os.close(values[1])
    client.close()


class Clipboard:
    """A client with a data source, and a data offer from the compositor."""

    def __init__(self, setting: Setting) -> None:
        with served(setting.compositor):
            self.client = setting.connect()
            manager = self.client.bind("wl_data_device_manager")
            self.device = manager.create("get_data_device", self.client.bind("wl_seat"))
            self.source = manager.create("create_data_source")
            self.client.round_trip()
        self.peer = newest(setting)
        resource = self.peer.objects[self.device.object_id]
        self.offered: Resource = resource.create("data_offer")
        self.client.wait(lambda: bool(self.device.received("data_offer")), what="data_offer")
        self.offer = self.client.objects[self.offered.object_id]


@pytest.fixture
def clipboard(setting: Setting) -> Generator[Clipboard]:
    made = Clipboard(setting)
    yield made
    made.client.close()


def paste(setting: Setting, clipboard: Clipboard) -> tuple[int, int]:
    """The client's end to read from, and the compositor's end to write into."""
    reading, writing = os.pipe()
    clipboard.offer.send("receive", "text/plain", writing)
    clipboard.client.flush()
    os.close(writing)
    setting.compositor.wait(lambda: bool(clipboard.peer.named("receive")), what="receive")
    theirs = clipboard.peer.requests.pop().arguments[1]
    assert isinstance(theirs, int)
    return reading, theirs


def copy(clipboard: Clipboard) -> tuple[int, int]:
    """The client's end to write into, and the compositor's end to read from."""
    reading, writing = os.pipe()
    clipboard.peer.objects[clipboard.source.object_id].send("send", "text/plain", writing)
    os.close(writing)
    clipboard.client.wait(lambda: bool(clipboard.source.received("send")), what="send")
    ours = clipboard.source.events.pop().arguments[1]
    assert isinstance(ours, int)
    return ours, reading


def pump(data: bytes, writing: int, reading: int) -> bytes:
    """Write `data` into one end in a thread and read the other to its end."""

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        arrived = pipe.read()
    writer.join()
    return arrived


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_text_copied_on_the_host_is_pasted_whole(setting: Setting, clipboard: Clipboard, size: int) -> None:
    reading, theirs = paste(setting, clipboard)
    data = os.urandom(size)
    assert pump(data, theirs, reading) == data


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_text_copied_in_the_guest_is_pasted_whole(clipboard: Clipboard, size: int) -> None:
    writing, theirs = copy(clipboard)
    data = os.urandom(size)
    assert pump(data, writing, theirs) == data


def test_ten_pastes_at_once(setting: Setting, clipboard: Clipboard) -> None:
    pastes = [paste(setting, clipboard) for _ in range(10)]
    for number, (_, theirs) in enumerate(pastes):
        os.write(theirs, bytes([number]) * 1000)
    for number, (reading, theirs) in reversed(list(enumerate(pastes))):
        assert pump(b"end", theirs, reading) == bytes([number]) * 1000 + b"end"


def test_a_paste_that_nobody_reads_delays_nothing_else(setting: Setting, clipboard: Clipboard) -> None:
    stuck, stuck_source = paste(setting, clipboard)
    os.set_blocking(stuck_source, False)
    with pytest.raises(BlockingIOError):
        write_for_ever(stuck_source)
    with served(setting.compositor):
        clipboard.client.round_trip()
    reading, theirs = paste(setting, clipboard)
    assert pump(b"hello", theirs, reading) == b"hello"
    os.close(stuck)
    os.close(stuck_source)


def write_for_ever(fd: int) -> None:
    """Until the pipe is full and does not block, or its reader is gone."""
    while True:
        os.write(fd, bytes(65_536))


def test_a_reader_in_the_guest_that_leaves_stops_the_writer_on_the_host(
    setting: Setting, clipboard: Clipboard
) -> None:
    reading, theirs = paste(setting, clipboard)
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        write_for_ever(theirs)
    os.close(theirs)


def test_a_reader_on_the_host_that_leaves_stops_the_writer_in_the_guest(clipboard: Clipboard) -> None:
    writing, theirs = copy(clipboard)
    os.close(theirs)
    with pytest.raises(BrokenPipeError):
        write_for_ever(writing)
    os.close(writing)


def draw(client: FakeClient) -> None:
    """Use what a client uses: a pool, two buffers, a surface, a keyboard; then leave."""
    shm = client.bind("wl_shm")
    surface = client.bind("wl_compositor").create("create_surface")
    client.bind("wl_seat").create("get_keyboard")
    pool = Pool(client, shm, 2 * 64 * 64 * 4)
    for number in range(2):
        buffer = Buffer(pool, Layout(number * 64 * 64 * 4, 64, 64, 256, 4), 1)
        surface.send("attach", buffer.proxy, 0, 0)
        surface.send("damage", 0, 0, 64, 64)
        surface.send("commit")
    client.round_trip()
    pool.close()
    client.close()


def test_two_hundred_clients_leave_launcher_and_daemon_as_they_were(setting: Setting) -> None:
    launcher, daemon = setting.launcher, setting.daemon
    with served(setting.compositor):
        with setting.connect():
            idle = launcher.fds - 2  # its socket and its channel
        for _ in range(5):
            draw(setting.connect())
        settle(setting, idle)
        before, before_host = (launcher.mappings, launcher.resident), daemon.footprint
        for _ in range(200):
            draw(setting.connect())
        settle(setting, idle)
    close_pools(setting.compositor)
    assert launcher.mappings <= before[0] + 2
    assert launcher.resident < before[1] + (4 << 20)
    assert daemon.footprint.fds == before_host.fds
    assert daemon.footprint.mappings <= before_host.mappings + 2
    assert daemon.footprint.anonymous < before_host.anonymous + (4 << 20)


def settle(setting: Setting, fds: int) -> None:
    """Return when nobody is connected any more, anywhere."""
    deadline = time.monotonic() + PATIENCE
    while setting.daemon.status()["local"] or setting.launcher.fds != fds:
        assert time.monotonic() < deadline, "somebody is left"


def close_pools(compositor: FakeCompositor) -> None:
    """Close the fds of all pools that the compositor was given."""
    for peer in compositor.peers:
        for request in peer.named("create_pool"):
            fd = request.arguments[1]
            assert isinstance(fd, int)
            os.close(fd)


def test_a_trace_shows_messages_and_no_secrets(setting: Setting, tmp_path: Path) -> None:
    with (
        running_launcher(tmp_path, setting.daemon.local_socket, "--trace") as launcher,
        ExitStack() as stack,
    ):
        with served(setting.compositor):
            client = stack.enter_context(FakeClient(launcher.socket))
            keyboard = client.bind("wl_seat").create("get_keyboard")
            client.round_trip()
        newest(setting).objects[keyboard.object_id].send("key", 1, 2, 30, 1)
        client.wait(lambda: bool(keyboard.received("key")), what="key")
        assert "-> wl_display#1.get_registry(new id wl_registry#2)" in launcher.log
        assert f"<- wl_keyboard#{keyboard.object_id}.key(...)" in launcher.log
