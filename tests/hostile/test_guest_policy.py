"""Guests with launchers of their own at a real daemon: what is not theirs stays out of their reach."""

import os
import shutil
import struct
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    Identifier,
    IdentifierType,
    SendReceive,
    parse_event,
)
from crossdomain.abi.local import ToLauncher
from tests.fakes.client import FakeClient, Global
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.local_client import LocalClient
from tests.fakes.sway import Sway
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import Weston
from tests.unit.context.world import event, request

REGISTRY, DONE, NEW = 2, 3, 4
LIST: Final = request("wl_display", "get_registry", 1, REGISTRY) + request("wl_display", "sync", 1, DONE)
DISPLAY_ERROR: Final = struct.pack("<IH", 1, 0)


class Desktop(NamedTuple):
    """A compositor, what it really offers, and a daemon in front of it."""

    compositor: Sway | Weston
    offered: list[Global]
    daemon: RunningDaemon

    @property
    def fds(self) -> int:
        """How many descriptors the compositor has open."""
        return len(os.listdir(f"/proc/{self.compositor.process.pid}/fd"))

    @contextmanager
    def unbothered(self) -> Generator[None]:
        """Fails where the compositor had to refuse something itself."""
        before = len(self.daemon.log)
        yield
        assert "the compositor ended" not in self.daemon.log[before:]

    def assert_serves(self) -> None:
        """Both are there, and nobody noticed anything."""
        self.daemon.assert_alive()
        assert "Traceback" not in self.daemon.log
        with FakeClient(str(self.compositor.socket_path)) as bystander:
            bystander.round_trip()


@pytest.fixture(scope="module", params=["sway", "weston"])
def desk(request: pytest.FixtureRequest) -> Generator[Desktop]:
    """Each compositor in turn."""
    compositor: Sway | Weston = request.getfixturevalue(request.param)
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with FakeClient(str(compositor.socket_path)) as direct:
        offered = direct.globals
    # Without contexts sway hides nothing by itself.
    settings = '[default]\nsecurity_context = "off"\n'
    with running_daemon(folder, compositor.socket_path, settings=settings) as daemon:
        made = Desktop(compositor, offered, daemon)
        yield made
        made.assert_serves()
    shutil.rmtree(folder)


def bind(entry: Global, version: int) -> bytes:
    """wl_registry.bind, of what was announced or not."""
    return request("wl_registry", "bind", REGISTRY, entry.name, entry.interface, version, NEW)


class LocalGuest:
    """A client that has listed what it is shown."""

    def __init__(self, desk: Desktop) -> None:
        self.client = LocalClient.connect(desk.daemon.local_socket)
        self.seen = b""
        self.client.send(LIST)
        self.read_until(event("wl_callback", "done", DONE, 0)[:8])

    def __enter__(self) -> "LocalGuest":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def version(self, entry: Global) -> int:
        """The version in which it was shown a global; 0 where it was not."""
        shown = event("wl_registry", "global", REGISTRY, entry.name, entry.interface, 0)[:-4]
        return int.from_bytes(self.seen.partition(shown)[2][:4], "little")

    def read_until(self, end: bytes) -> None:
        """Sees events until that one has begun."""
        while end not in self.seen:
            self.seen += self._read()

    def last_words(self) -> bytes:
        """All that comes before the hang-up."""
        words = b""
        while data := self._read():
            words += data
        return words

    def _read(self) -> bytes:
        """The data of the next RECEIVE: ERRORs about refused SENDs and READs of pipes come in between."""
        while True:
            packet = self.client.next_packet()
            assert packet is not None, "the daemon closed the connection"
            if packet.type != ToLauncher.EVENT:
                continue
            received = parse_event(packet.payload)
            if isinstance(received, SendReceive):
                return bytes(received.data)


def error_about(object_id: int, words: bytes) -> tuple[int, str]:
    """Code and text of the wl_display.error about that object, which `words` are."""
    sender, _, subject, code, length = struct.unpack_from("<5I", words)
    assert (sender, subject) == (1, object_id), words
    return code, words[20 : 20 + length - 1].decode()


def hidden_from(guest: LocalGuest, desk: Desktop) -> list[Global]:
    """What the compositor offers and the guest is not shown."""
    return [entry for entry in desk.offered if guest.version(entry) == 0]


def test_no_hidden_global_can_be_bound(desk: Desktop) -> None:
    with LocalGuest(desk) as guest:
        hidden = hidden_from(guest, desk)
    assert hidden
    for entry in hidden:
        with desk.unbothered(), LocalGuest(desk) as guest:
            guest.client.send(bind(entry, 1))
            code, text = error_about(REGISTRY, guest.last_words())
            assert (code, text.partition(" '")[0]) == (0, "invalid global")


def test_no_shown_global_can_be_bound_as_another(desk: Desktop) -> None:
    with desk.unbothered(), LocalGuest(desk) as guest:
        shown, other = [entry for entry in desk.offered if guest.version(entry)][:2]
        guest.client.send(bind(shown._replace(interface=other.interface), 1))
        code, text = error_about(REGISTRY, guest.last_words())
        assert (code, text.partition(":")[0]) == (0, f"invalid interface for global {shown.name}")


def test_no_global_can_be_bound_in_a_newer_version_than_it_was_shown(desk: Desktop) -> None:
    with LocalGuest(desk) as guest:
        versions = {entry: guest.version(entry) for entry in desk.offered if guest.version(entry)}
    for entry, version in versions.items():
        with desk.unbothered(), LocalGuest(desk) as guest:
            guest.client.send(bind(entry, version + 1))
            code, text = error_about(REGISTRY, guest.last_words())
            assert code == 0
            assert text in (
                f"invalid version for global {entry.interface} ({entry.name}): "
                f"have {version}, wanted {version + 1}",
                # Newer than everything that is known of the interface.
                "invalid global",
            )


def test_fds_where_none_belong_never_reach_the_compositor(desk: Desktop) -> None:
    with LocalGuest(desk) as guest:
        before = desk.fds
        for number in range(100):
            pipe = Identifier(FIRST_READ_PIPE + number, IdentifierType.READ_PIPE, 0)
            guest.client.send(request("wl_display", "sync", 1, NEW + number), pipe)
        guest.read_until(event("wl_callback", "done", NEW + 99, 0)[:8])
        assert desk.fds == before


def test_a_request_without_its_fd_never_reaches_the_compositor(desk: Desktop) -> None:
    with LocalGuest(desk) as guest:
        (shm,) = [entry for entry in desk.offered if entry.interface == "wl_shm"]
        guest.client.send(bind(shm, 1) + request("wl_shm", "create_pool", NEW, NEW + 1, None, 4096))
        words = guest.last_words()
        assert error_about(1, words[words.index(DISPLAY_ERROR) :]) == (1, "file descriptor expected")


def test_an_fd_of_the_wrong_kind_costs_its_client_alone(desk: Desktop) -> None:
    """A pipe as a wl_shm_pool: the compositor itself refuses it."""
    with LocalGuest(desk) as guest:
        (shm,) = [entry for entry in desk.offered if entry.interface == "wl_shm"]
        pipe = Identifier(FIRST_READ_PIPE, IdentifierType.READ_PIPE, 0)
        guest.client.send(bind(shm, 1) + request("wl_shm", "create_pool", NEW, NEW + 1, None, 4096), pipe)
        words = guest.last_words()
        assert error_about(NEW, words[words.index(DISPLAY_ERROR) :])[0] == 2  # wl_shm.error.invalid_fd


def vm(desk: Desktop) -> FakeFrontend:
    """A VM on the daemon."""
    return FakeFrontend(connected(desk.daemon.gpu_socket), ram_size=16 << 20)


async def test_a_vm_is_held_to_the_same(desk: Desktop) -> None:
    async with vm(desk) as machine:
        looking = WaylandGuest(await GuestContext.open(machine, 1))
        await looking.list_globals()
        hidden = [entry for entry in desk.offered if entry.interface not in looking.globals]
        assert hidden
        for number, entry in enumerate(hidden, start=2):
            context = await GuestContext.open(machine, number)
            guest = WaylandGuest(context)
            await guest.list_globals()
            assert not (await context.send(bind(entry, 1))).ok
            refused = await context.next_event()
            assert isinstance(refused, SendReceive)
            assert error_about(REGISTRY, bytes(refused.data))[0] == 0
            assert bytes((await context.next_event()).data) == b""
            await context.close()
        await looking.round_trip(NEW)
