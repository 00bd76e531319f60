"""Clients without a VM: a daemon process, raw clients, and a compositor in the test's hands."""

import os
import struct
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from crossdomain.abi import local
from crossdomain.abi.clock import ClockId, encode_get_clock, parse_clock
from crossdomain.abi.cross_domain import (
    RING_NONE,
    Command,
    Feature,
    Identifier,
    IdentifierType,
    SendReceive,
    encode_init,
    encode_poll,
)
from crossdomain.abi.local import FIRST_GIVEN_SYNC, ToDaemon, ToLauncher
from crossdomain.limits import MAX_BLOB_BYTES, MAX_LOCAL_RESOURCES
from tests.fakes.endpoint import Endpoint
from tests.fakes.local_client import LocalClient
from tests.fakes.patience import PATIENCE
from tests.fakes.played_compositor import PlayedCompositor, playing_compositor, receive
from tests.fakes.weston import wait_until
from tests.unit.context.world import delete_id, event, request, sync

HANG_UP = SendReceive((), memoryview(b""))


class LocalStage(PlayedCompositor):
    """One whose clients have no VM."""

    @property
    def path(self) -> Path:
        """The local socket."""
        return self.daemon.local_socket

    def connect(self) -> tuple[LocalClient, Endpoint]:
        """A client after INIT, and the compositor's end of its connection."""
        client = LocalClient.connect(self.path)
        return client, self.accept()

    def wait_until_empty(self) -> None:
        """Returns when no client is left; fails where something of one is."""
        wait_until(lambda: not self.daemon.status()["local"], seconds=PATIENCE, what="all clients gone")
        status = self.daemon.status()
        assert (status["local_resources"], status["local_bytes"]) == (0, 0)


@pytest.fixture(scope="module")
def stage() -> Generator[LocalStage]:
    """One daemon for all tests here: none of them may break it."""
    with playing_compositor() as made:
        local = LocalStage(made.listener, made.daemon)
        yield local
        local.wait_until_empty()


@pytest.fixture
def client(stage: LocalStage) -> Generator[LocalClient]:
    """A client after INIT; nobody looks at its compositor."""
    connected, host = stage.connect()
    with connected, closing(host):
        yield connected


class TestWords:
    def test_hello_is_answered_with_our_capset(self, stage: LocalStage) -> None:
        with LocalClient(stage.path) as client:
            capset = client.greet("foot")
        assert capset.supported_channels == 1 << 1
        ours = Feature.SHARE_FILES | Feature.CLOCK | Feature.SYNC | Feature.LASTING_PIPES | Feature.POLICY
        assert capset.features & ours == ours
        assert not capset.features & Feature.PAGES

    def test_the_hosts_time_is_told(self, client: LocalClient) -> None:
        before = time.monotonic_ns()
        client.submit(encode_get_clock(ClockId.MONOTONIC))
        told = parse_clock(client.expect(ToLauncher.QUERY).payload, ClockId.MONOTONIC)
        assert before <= told <= time.monotonic_ns()

    def test_a_clock_that_is_not_told_costs_nothing(self, client: LocalClient, stage: LocalStage) -> None:
        client.submit(struct.pack("<BBHIII", Command.GET_CLOCK, 0, 16, 0, 2, 0))
        assert "clock 2 is not told" in client.error()
        assert stage.daemon.status()["local"][0]["alive"]

    def test_requests_and_events_pass(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host):
            client.send(sync(2))
            assert receive(host, 12) == sync(2)
            host.send_raw(delete_id(2))
            assert client.receive(12) == delete_id(2)

    def test_a_name_of_any_bytes_is_only_quoted(self, stage: LocalStage) -> None:
        with LocalClient(stage.path) as client:
            client.send_packet(ToDaemon.HELLO, local.HELLO.pack(1) + b"\xff\n\x1b[31m" * 1000)
            client.expect(ToLauncher.WELCOME)
            (status,) = stage.daemon.status()["local"]
            assert "\n" not in status["name"]
            assert len(status["name"]) < 500

    def test_a_poll_is_not_needed_and_harmless(self, client: LocalClient, stage: LocalStage) -> None:
        client.submit(encode_poll())
        assert stage.daemon.status()["local"][0]["alive"]

    @pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
    def test_another_version_is_refused(self, stage: LocalStage, version: int) -> None:
        with LocalClient(stage.path) as client:
            client.send_packet(ToDaemon.HELLO, local.HELLO.pack(version) + b"x")
            assert f"version {version}" in client.error()
            client.wait_for_close()

    @pytest.mark.parametrize("type_", [0, 2, 3, 4, 5, 6, 7, 8, 0x81, 2**32 - 1])
    def test_nothing_goes_before_hello(self, stage: LocalStage, type_: int) -> None:
        with LocalClient(stage.path) as client:
            client.send_packet(type_, bytes(16), resource_id=1, size=4096)
            assert "no HELLO" in client.error()
            client.wait_for_close()

    @pytest.mark.parametrize("length", range(1, 20))
    def test_a_hello_cut_at_any_length_is_refused(self, stage: LocalStage, length: int) -> None:
        with LocalClient(stage.path) as client:
            client.send_raw(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(1))[:length])
            client.error()
            client.wait_for_close()

    @pytest.mark.parametrize("type_", [0, 1, 8, 0x81, 2**32 - 1])
    def test_unknown_packets_are_refused_and_harmless(self, client: LocalClient, type_: int) -> None:
        client.send_packet(type_)
        assert "not known" in client.error()
        client.create_memory(1, 4096).close()

    def test_a_packet_shorter_than_its_header_is_refused_and_harmless(self, client: LocalClient) -> None:
        client.send_raw(b"short")
        assert "5 bytes" in client.error()
        client.create_memory(1, 4096).close()

    def test_the_largest_packet_is_taken_and_one_byte_more_refused(self, client: LocalClient) -> None:
        client.submit(encode_poll() * ((local.MAX_PACKET - local.HEADER.size) // 8))
        client.create_memory(1, 4096).close()
        client.submit(bytes(local.MAX_PACKET - local.HEADER.size + 1))
        assert "more than" in client.error()
        client.create_memory(2, 4096).close()

    def test_two_fds_at_once_are_refused(self, client: LocalClient) -> None:
        fds = [os.memfd_create("one"), os.memfd_create("two")]
        client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=1, size=1, fds=fds)
        assert "one fd" in client.error()
        for fd in fds:
            os.close(fd)

    def test_only_memory_files_reach_the_compositor(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host), Path(__file__).open("rb") as file:
            client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=1, size=4096, fds=[file.fileno()])
            client.send(sync(2), Identifier(1, IdentifierType.VIRTGPU_BLOB, 4096))
            told = client.next_event()
            assert isinstance(told, SendReceive)
            assert b"only memory files" in bytes(told.data)

    def test_a_local_channel_has_no_rings(self, stage: LocalStage) -> None:
        with LocalClient(stage.path) as client:
            client.greet()
            client.submit(encode_init(1, RING_NONE))
            assert "no rings" in client.error()

    def test_a_refused_request_is_an_error_then_the_hang_up(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host):
            client.send(request("wl_display", "get_registry", 1, 99))
            told = client.next_event()
            assert told.data[:4] == bytes((1, 0, 0, 0))  # wl_display, opcode 0: error
            assert client.next_event() == HANG_UP
            assert "get_registry" in client.error()
            assert ended(host)


class TestFences:
    def test_a_fence_of_the_compositors_is_fetched(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host):
            ask_for_release(client, host)
            given = os.eventfd(0)
            host.send_raw(event("zwp_linux_buffer_release_v1", "fenced_release", 7, None), [given])
            received = client.next_event()
            assert isinstance(received, SendReceive)
            (identifier,) = received.identifiers
            client.send_packet(ToDaemon.TAKE_SYNC, resource_id=identifier.identifier)
            created = client.expect(ToLauncher.CREATED)
            assert (created.resource_id, created.size) == (identifier.identifier, 0)
            os.eventfd_write(given, 3)
            assert os.eventfd_read(client.fds[0]) == 3
            os.close(given)
            client.send_packet(ToDaemon.TAKE_SYNC, resource_id=identifier.identifier)
            assert "no fence" in client.error()

    @pytest.mark.parametrize("number", [0, 7, FIRST_GIVEN_SYNC - 1, 0x80000001, 0xFFFFFFFF])
    def test_a_number_that_is_not_a_launchers_is_refused(self, client: LocalClient, number: int) -> None:
        fd = os.eventfd(0)
        client.send_packet(ToDaemon.CREATE_SYNC, resource_id=number, fds=[fd])
        os.close(fd)
        assert "can't be a fence's number" in client.error()

    def test_what_no_device_made_does_not_reach_the_compositor(self, client: LocalClient) -> None:
        fds = [os.eventfd(0), os.memfd_create("no fence"), *os.pipe()]
        for fd in fds:
            client.send_packet(ToDaemon.CREATE_SYNC, resource_id=FIRST_GIVEN_SYNC, fds=[fd])
            assert "no sync file and no timeline" in client.error()
            os.close(fd)
        client.send_packet(ToDaemon.CREATE_SYNC, resource_id=FIRST_GIVEN_SYNC)
        assert "without its fd" in client.error()

    def test_a_fence_that_nobody_has_given_can_not_be_sent(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host):
            client.send(sync(2), Identifier(FIRST_GIVEN_SYNC, IdentifierType.VIRTGPU_SYNC, 0))
            told = client.next_event()
            assert b"no fence" in bytes(told.data)


class TestMemory:
    def test_host_memory_is_shared_with_the_compositor(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host), client.create_memory(7, 8192) as memory:
            memory[:5] = b"hello"
            share_pool(client, host, resource_id=7, size=8192)
            assert os.pread(host.fds[0], 5, 0) == b"hello"

    def test_a_memfd_of_the_clients_is_shared_with_the_compositor(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host):
            client.create_guest_blob(7, b"hello" * 1000)
            share_pool(client, host, resource_id=7, size=5000)
            assert os.pread(host.fds[0], 10, 4990) == b"hellohello"

    def test_a_keymap_is_fetched(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client, closing(host):
            bind_keyboard(client, host)
            fd = os.memfd_create("keymap")
            os.write(fd, b"keymap")
            host.send_raw(event("wl_keyboard", "keymap", 4, 1, None, 6), [fd])
            os.close(fd)
            received = client.next_event()
            assert isinstance(received, SendReceive)
            (identifier,) = received.identifiers
            with client.create_host_blob(1, identifier.identifier, 4096) as memory:
                assert memory[:7] == b"keymap\0"

    @pytest.mark.parametrize("resource_id", [0, 5])
    def test_an_id_that_is_none_or_in_use_is_refused(self, client: LocalClient, resource_id: int) -> None:
        client.create_guest_blob(5, b"x")
        client.create_guest_blob(resource_id, b"x")
        error = client.expect(ToLauncher.ERROR)
        assert error.resource_id == resource_id
        assert b"in use" in bytes(error.payload)

    def test_a_destroyed_id_may_be_used_again(self, client: LocalClient) -> None:
        for _ in range(3):
            client.create_memory(5, 4096).close()
            client.send_packet(ToDaemon.DESTROY, resource_id=5)

    def test_destroying_nothing_is_refused(self, client: LocalClient) -> None:
        client.send_packet(ToDaemon.DESTROY, resource_id=5)
        assert "no resource 5" in client.error()

    @pytest.mark.parametrize("size", [6, 1 << 40, (1 << 64) - 1])
    def test_a_file_that_was_truncated_on_the_way_is_the_compositors_to_judge(
        self, stage: LocalStage, size: int
    ) -> None:
        client, host = stage.connect()
        with client, closing(host):
            with os.fdopen(os.memfd_create("small"), "wb") as file:
                file.write(b"12345")
                file.flush()
                client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=1, size=size, fds=[file.fileno()])
            share_pool(client, host, resource_id=1, size=5000)
            assert os.pread(host.fds[0], 10, 0) == b"12345"

    def test_a_guest_blob_of_nothing_is_refused(self, client: LocalClient) -> None:
        fd = os.memfd_create("nothing")
        client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=1, size=0, fds=[fd])
        assert "needs a file" in client.error()
        os.close(fd)

    def test_a_guest_blob_that_is_no_file_is_refused(self, client: LocalClient) -> None:
        read_fd, write_fd = os.pipe()
        client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=1, size=1, fds=[read_fd])
        assert "needs a file" in client.error()
        client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=1, size=1)
        assert "without its memfd" in client.error()
        os.close(read_fd)
        os.close(write_fd)

    @pytest.mark.parametrize("payload", [b"", bytes(7), bytes(8), bytes(9)])
    def test_a_host_blob_of_no_known_id_is_refused(self, client: LocalClient, payload: bytes) -> None:
        client.send_packet(ToDaemon.CREATE_HOST_BLOB, payload, resource_id=1, size=4096)
        assert "blob" in client.error()

    def test_resources_are_bounded(self, client: LocalClient, stage: LocalStage) -> None:
        fd = os.memfd_create("tiny")
        os.write(fd, b"x")
        for resource_id in range(1, MAX_LOCAL_RESOURCES + 2):
            client.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=resource_id, size=1, fds=[fd])
        os.close(fd)
        assert f"more than {MAX_LOCAL_RESOURCES}" in client.error()
        assert stage.daemon.status()["local_resources"] == MAX_LOCAL_RESOURCES

    def test_host_memory_is_bounded(self, client: LocalClient, stage: LocalStage) -> None:
        gib = 1 << 30
        count = MAX_BLOB_BYTES // gib
        memories = [client.create_memory(number, gib) for number in range(1, count + 1)]
        payload = local.BLOB_ID.pack(2)
        client.send_packet(ToDaemon.CREATE_HOST_BLOB, payload, resource_id=count + 1, size=gib)
        assert "host memory" in client.error()
        assert stage.daemon.status()["local_bytes"] == MAX_BLOB_BYTES
        for memory in memories:
            memory.close()


class TestEnds:
    def test_the_compositors_end_is_one_hang_up(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with client:
            host.send_raw(delete_id(2))
            host.close()
            assert client.receive(12) == delete_id(2)
            assert client.next_event() == HANG_UP
            client.send(sync(2))  # is dropped
            client.create_memory(1, 4096).close()

    def test_the_clients_end_is_the_compositors_too(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        with closing(host):
            client.close()
            assert ended(host)

    def test_a_client_that_does_not_read_stops_only_itself(self, stage: LocalStage) -> None:
        stuck, stuck_host = stage.connect()
        stuck_host.socket.setblocking(False)
        flood = delete_id(2) * 5000
        with pytest.raises(BlockingIOError):
            send_for_ever(stuck_host, flood)
        client, host = stage.connect()
        with stuck, client, closing(stuck_host), closing(host):
            client.send(sync(2))
            assert receive(host, 12) == sync(2)

    def test_a_client_that_never_reads_its_answers_is_read_no_more(self, stage: LocalStage) -> None:
        client, host = stage.connect()
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            complain_for_ever(client)
        with client, closing(host):
            assert stage.daemon.status()["local"]

    def test_200_clients_leave_nothing_behind(self, stage: LocalStage) -> None:
        stage.wait_until_empty()
        before = stage.daemon.footprint.fds
        for number in range(200):
            client, host = stage.connect()
            with client.create_memory(1, 65536):
                client.send(sync(2))
                receive(host, 12)
            # Either side may be the first to go.
            for end in (client, host)[:: 1 if number % 2 else -1]:
                end.close()
        stage.wait_until_empty()
        assert stage.daemon.footprint.fds == before

    def test_clients_that_vanish_in_the_middle_leave_nothing_behind(self, stage: LocalStage) -> None:
        stage.wait_until_empty()
        before = stage.daemon.footprint.fds
        for number in range(50):
            client = LocalClient(stage.path)
            if number % 3:
                client.greet()
            if number % 3 == 2:
                client.create_guest_blob(1, b"x")
                client.submit(encode_init(RING_NONE, RING_NONE))
                stage.accept().close()
            client.close()
        stage.wait_until_empty()
        assert stage.daemon.footprint.fds == before


def bind_shm(client: LocalClient, host: Endpoint) -> None:
    """wl_shm as 3."""
    _bind(client, host, "wl_shm", 1)


def share_pool(client: LocalClient, host: Endpoint, *, resource_id: int, size: int) -> None:
    """wl_shm as 3 and a pool as 4, whose file the compositor has then."""
    bind_shm(client, host)
    pool = request("wl_shm", "create_pool", 3, 4, None, size)
    client.send(pool, Identifier(resource_id, IdentifierType.VIRTGPU_BLOB, size))
    assert receive(host, len(pool)) == pool


def ask_for_release(client: LocalClient, host: Endpoint) -> None:
    """Makes a surface whose buffer's release (7) is told with a fence."""
    client.send(listed := request("wl_display", "get_registry", 1, 2))
    receive(host, len(listed))
    offered = [(1, "wl_compositor", 4), (2, "zwp_linux_explicit_synchronization_v1", 2)]
    host.send_raw(b"".join(event("wl_registry", "global", 2, *entry) for entry in offered))
    requests = (
        request("wl_registry", "bind", 2, 1, "wl_compositor", 4, 3),
        request("wl_registry", "bind", 2, 2, "zwp_linux_explicit_synchronization_v1", 2, 4),
        request("wl_compositor", "create_surface", 3, 5),
        request("zwp_linux_explicit_synchronization_v1", "get_synchronization", 4, 6, 5),
        request("zwp_linux_surface_synchronization_v1", "get_release", 6, 7),
    )
    assert client.next_event().data
    client.send(b"".join(requests))
    receive(host, len(b"".join(requests)))


def bind_keyboard(client: LocalClient, host: Endpoint) -> None:
    """wl_seat as 3, wl_keyboard as 4."""
    _bind(client, host, "wl_seat", 5)
    get = request("wl_seat", "get_keyboard", 3, 4)
    client.send(get)
    receive(host, len(get))


def _bind(client: LocalClient, host: Endpoint, interface: str, version: int) -> None:
    client.send(request("wl_display", "get_registry", 1, 2))
    receive(host, 12)
    global_ = event("wl_registry", "global", 2, 1, interface, version)
    host.send_raw(global_)
    client.receive(len(global_))
    binding = request("wl_registry", "bind", 2, 1, interface, version, 3)
    client.send(binding)
    receive(host, len(binding))


def ended(host: Endpoint) -> bool:
    """Whether the client's connection is closed; waits for it."""
    host.socket.settimeout(PATIENCE)
    return host.socket.recv(1) == b""


def send_for_ever(host: Endpoint, flood: bytes) -> None:
    """Sends events; raises BlockingIOError when nobody takes more."""
    for _ in range(1 << 20):
        host.socket.send(flood)


def complain_for_ever(client: LocalClient) -> None:
    """Sends packets that are answered with an error; raises BlockingIOError when nobody takes more."""
    for number in range(1 << 20):
        client.send_packet(0, resource_id=number)
