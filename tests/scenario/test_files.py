"""Files that one side has and the other reads, through launcher and daemon: ICC profiles, gamma ramps."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from crossdomain.vm.image import Image
from tests.fakes.client import FakeClient, ProtocolError, integer
from tests.fakes.compositor import FakeCompositor, Resource, served
from tests.fakes.daemon import running_daemon
from tests.fakes.icc import display_profile
from tests.fakes.launcher import PATIENCE, running_launcher
from tests.fakes.sway_devices import GAMMA_SIZE, Devices, running_sway_with_devices
from tests.fakes.weston import wait_until
from tests.fakes.weston16 import running_weston16

PROFILE: Final = os.urandom(1 << 20)
"""As large as a display's profile with tables becomes."""
RAMPS: Final = os.urandom(3 * 2 * GAMMA_SIZE)


class Managed(NamedTuple):
    """Where clients of either side connect."""

    guest: str
    host: str


class Pair(NamedTuple):
    """A client in the guest, and its compositor."""

    client: FakeClient
    compositor: FakeCompositor

    def round_trip(self) -> None:
        """Return when the compositor has handled everything."""
        with served(self.compositor):
            self.client.round_trip()

    def only(self, interface: str) -> Resource:
        """The compositor's side of the client's one object of an interface."""
        (found,) = self.compositor.peers[-1].objects_of(interface)
        return found

    def requested(self, name: str) -> tuple[object, ...]:
        """The arguments of the one request of that name."""
        (found,) = self.compositor.peers[-1].named(name)
        return found.arguments


@contextmanager
def pair(folder: Path, *globals_: str) -> Generator[Pair]:
    """A client whose compositor offers these globals in version 1."""
    with (
        FakeCompositor(folder / "host", dict.fromkeys(globals_, 1)) as compositor,
        running_daemon(folder, compositor.path) as daemon,
        running_launcher(folder, daemon.local_socket) as launcher,
    ):
        with served(compositor):
            client = FakeClient(launcher.socket)
        with client:
            yield Pair(client, compositor)


def file_of(contents: bytes) -> int:
    """A file with these contents."""
    fd = os.memfd_create("file")
    os.write(fd, contents)
    return fd


def contents_of(fd: int, size: int, offset: int = 0) -> bytes:
    """What a file has there; it is closed."""
    contents = os.pread(fd, size, offset)
    os.close(fd)
    return contents


def test_the_profile_of_a_client_reaches_the_compositor(runtime_dir: Path) -> None:
    with pair(runtime_dir, "wp_color_manager_v1") as both:
        creator = both.client.bind("wp_color_manager_v1").create("create_icc_creator")
        fd = file_of(b"an image with a profile" + PROFILE)
        creator.send("set_icc_file", fd, 23, len(PROFILE))
        os.close(fd)
        both.round_trip()
        received, offset, length = both.requested("set_icc_file")
        assert isinstance(received, int)
        assert isinstance(offset, int)
        assert length == len(PROFILE)
        assert contents_of(received, len(PROFILE), offset) == PROFILE


def test_the_profile_of_an_output_reaches_the_client(runtime_dir: Path) -> None:
    with pair(runtime_dir, "wp_color_manager_v1", "wl_output") as both:
        output = both.client.bind("wp_color_manager_v1").create("get_output", both.client.bind("wl_output"))
        information = output.create("get_image_description").create("get_information")
        both.round_trip()
        fd = file_of(PROFILE)
        both.only("wp_image_description_info_v1").send("icc_file", fd, len(PROFILE))
        os.close(fd)
        both.client.wait(lambda: bool(information.received("icc_file")), what="the profile")
        (received, size) = (integer(value) for value in information.received("icc_file")[0])
        assert contents_of(received, size) == PROFILE


def await_ramps(devices: Devices, ramps: bytes) -> None:
    """Return when a display has these; zeros where it has none."""
    wait_until(lambda: devices.ramps() == ramps, seconds=PATIENCE, what="the ramps")


def test_the_gamma_ramps_of_a_client_reach_the_display(debian: Image, runtime_dir: Path) -> None:
    for name in ("sway", "daemon"):
        (runtime_dir / name).mkdir()
    with (
        running_sway_with_devices(debian, runtime_dir / "sway") as (sway, devices),
        running_daemon(runtime_dir / "daemon", sway.socket_path, "--allow=output-management") as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
        FakeClient(launcher.socket) as client,
    ):
        manager = client.bind("zwlr_gamma_control_manager_v1")
        control = manager.create("get_gamma_control", client.bind("wl_output"))
        client.wait(lambda: bool(control.events), what="the size")
        assert control.received("gamma_size") == [(GAMMA_SIZE,)]
        for ramps in (RAMPS, RAMPS[::-1]):
            fd = file_of(ramps)
            control.send("set_gamma", fd)
            os.close(fd)
            client.flush()
            await_ramps(devices, ramps)
        # Whoever sets them has them until it leaves.
        control.send("destroy")
        client.flush()
        await_ramps(devices, bytes(len(RAMPS)))


def eventfd() -> int:
    return os.eventfd(0)


def directory() -> int:
    return os.open("/", os.O_RDONLY)


def end_of_a_socket() -> int:
    one, other = socket.socketpair()
    other.close()
    return one.detach()


def reading_end_of_a_pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


@pytest.mark.parametrize("make", [eventfd, directory, end_of_a_socket, reading_end_of_a_pipe])
def test_an_fd_of_another_kind_ends_its_client_with_an_error_that_says_so(
    make: Callable[[], int], runtime_dir: Path
) -> None:
    with pair(runtime_dir, "wl_seat") as both:
        both.client.bind("wl_seat").create("get_keyboard")
        both.round_trip()
        fd = make()
        both.only("wl_keyboard").send("keymap", 1, fd, 1)
        os.close(fd)
        with pytest.raises(ProtocolError, match="an fd that can't cross to a guest"):
            both.client.wait(lambda: False, what="an error")


@pytest.fixture(scope="module")
def managed() -> Generator[Managed]:
    """A Weston 16 that manages colours, with a display of a known profile."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    weston_folder = folder / "weston"
    weston_folder.mkdir()
    profile = folder / "display.icc"
    profile.write_bytes(display_profile(2.2))
    configuration = f"[core]\ncolor-management=true\n[output]\nname=headless\nicc_profile={profile}\n"
    with (
        running_weston16(weston_folder, renderer="gl", configuration=configuration) as weston,
        running_daemon(folder, weston.socket_path) as daemon,
        running_launcher(folder, daemon.local_socket) as launcher,
    ):
        yield Managed(launcher.socket, str(weston.socket_path))
    shutil.rmtree(folder)


def profile_of_output(socket_path: str) -> bytes:
    """What the compositor says is the profile of its output."""
    with FakeClient(socket_path) as client:
        manager = client.bind("wp_color_manager_v1")
        description = manager.create("get_output", client.bind("wl_output")).create("get_image_description")
        client.wait(lambda: bool(description.received("ready")), what="the description")
        information = description.create("get_information")
        client.wait(lambda: bool(information.received("done")), what="the profile")
        fd, size = (integer(value) for value in information.received("icc_file")[0])
        return contents_of(fd, size)


def test_the_guest_reads_the_profile_of_a_real_display(managed: Managed) -> None:
    profile = profile_of_output(managed.guest)
    assert profile == profile_of_output(managed.host)
    assert profile[36:40] == b"acsp"


@pytest.mark.parametrize(
    ("before", "profile", "outcome"), [(b"", display_profile(1.8), "ready"), (b"x", bytes(512), "failed")]
)
def test_a_real_compositor_reads_the_profile_of_the_guest(
    before: bytes, profile: bytes, outcome: str, managed: Managed
) -> None:
    with FakeClient(managed.guest) as client:
        creator = client.bind("wp_color_manager_v1").create("create_icc_creator")
        fd = file_of(before + profile)
        creator.send("set_icc_file", fd, len(before), len(profile))
        os.close(fd)
        description = creator.create("create")
        client.wait(lambda: bool(description.events), what="the description")
        assert [event.name for event in description.events] == [outcome]
