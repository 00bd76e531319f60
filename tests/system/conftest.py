"""One virtual machine for all system tests: it is booted once, with the real daemon and a real Weston 14.

The tests share an event loop (`loop_scope="session"`), because the machine lives on it.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest
import pytest_asyncio

from crossdomain.vm import image
from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine, MachineConfig, Share
from crossdomain.vm.seat import Seat, View
from tests.applications.browsers import make_site
from tests.fakes.capture import capture
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.forky import mount_forky, with_forky
from tests.fakes.guest_tests import TESTS, share_of_tests
from tests.fakes.pictures import EVIDENCE
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import Pixels, save_pixels

T = TypeVar("T")

PATIENCE: Final = 90.0
"""Seconds until a guest under TCG must have done something ordinary, on a loaded machine."""

GUEST_TESTS: Final = {"PYTHONPATH": f"/opt/crossdomain:{TESTS}"}
"""The environment in which the guest's Python finds our packages and these tests."""


PROCESSES: Final = "ps --ppid 2 -p 2 --deselect -o comm= | grep -v '^ps$' | sort | uniq -c"
"""A shell command for the guest that lists what runs there, apart from the kernel's own threads."""


class Desktop:
    """The host's screen and the person before it."""

    def __init__(self, weston: HeadlessWeston) -> None:
        self.weston = weston

    @property
    def seat(self) -> Seat:
        """Its keyboard and pointer, and what is on its screen."""
        return self.weston.seat

    async def screenshot(self) -> Pixels:
        """What is on the screen, with the pointer out of the picture."""
        self.seat.move_pointer(self.weston.width - 1, self.weston.height - 1)
        return await asyncio.to_thread(capture, self.weston.socket_path)

    async def keep(self, name: str) -> None:
        """Save what is on the screen, for a person to look at."""
        save_pixels(await self.screenshot(), EVIDENCE / "screen" / f"{name}.png")

    async def picture_of(self, view: View) -> Pixels:
        """What is on the screen where a window is."""
        pixels = await self.screenshot()
        return pixels[max(view.y, 0) : view.y + view.height, max(view.x, 0) : view.x + view.width]

    async def window(self, label: str, *, seconds: float = PATIENCE) -> View:
        """The topmost window with `label` in its label, as soon as there is one."""
        found: list[View] = []

        def look() -> bool:
            view = self.seat.find_view(label)
            found.extend([] if view is None else [view])
            return bool(found)

        await until(look, seconds=seconds, what=f"a window of {label}")
        return found[-1]

    async def no_window(self, label: str, *, seconds: float = PATIENCE) -> None:
        """Return when no window has `label` in its label."""
        await until(lambda: self.seat.find_view(label) is None, seconds=seconds, what=f"{label} to vanish")

    async def put(self, view: View, x: int, y: int) -> View:
        """Move a window, which is shown anywhere at first, to a place of the test's."""
        self.seat.move_view(view, x, y)
        found = next((v for v in self.seat.views() if v.identity == view.identity), None)
        assert found is not None, f"{view.label} vanished"
        return found


async def until(condition: Callable[[], bool], *, seconds: float = PATIENCE, what: str) -> None:
    """Return as soon as `condition` holds; the machine's streams are served meanwhile."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.05)

    await within(poll(), seconds=seconds, what=what)


async def until_true(
    condition: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE, what: str
) -> None:
    """`until` for a condition that has to be awaited, such as one about the screen."""

    async def poll() -> None:
        while not await condition():
            await asyncio.sleep(0.05)

    await within(poll(), seconds=seconds, what=what)


async def within(awaitable: Awaitable[T], *, seconds: float = PATIENCE, what: str) -> T:
    """What `awaitable` gives, within `seconds`."""
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        raise TimeoutError(f"waited {seconds} s for {what}") from None


@pytest.fixture(scope="session")
def vm_image() -> Image:
    """The guest's image; made on the first run, which takes minutes."""
    return image.obtain(image.Recipe())


@pytest.fixture(scope="session")
def desktop(vm_image: Image) -> Generator[Desktop]:
    """The Weston that the guest's windows appear on."""
    with HeadlessWeston(vm_image, width=1280, height=800) as weston:
        yield Desktop(weston)


@pytest.fixture(scope="session")
def compositor(desktop: Desktop) -> Generator[Path]:
    """Where the daemon finds the compositor: a link, which `shown_on` leads elsewhere for a while."""
    folder = Path(tempfile.mkdtemp(prefix="xd-link-"))
    link = folder / "compositor"
    link.symlink_to(desktop.weston.socket_path)
    yield link
    shutil.rmtree(folder)


@contextmanager
def shown_on(compositor: Path, other: Path) -> Generator[None]:
    """Show new clients of the daemon on another compositor, whose socket is `other`, until the block ends."""
    before = compositor.readlink()
    _lead(compositor, other)
    try:
        yield
    finally:
        _lead(compositor, before)


def _lead(link: Path, target: Path) -> None:
    beside = link.with_name("next")
    beside.symlink_to(target)
    beside.replace(link)


@pytest.fixture(scope="session")
def daemon(compositor: Path) -> Generator[RunningDaemon]:
    """The host daemon; whatever a guest did to it, it must be alive at the end."""
    folder = Path(tempfile.mkdtemp(prefix="xd-daemon-"))
    with running_daemon(folder, compositor, "--allow=screencopy") as running:
        yield running
        EVIDENCE.mkdir(parents=True, exist_ok=True)
        shutil.copy(running.log_path, EVIDENCE / "daemon.log")
        running.assert_alive()
    shutil.rmtree(folder)


def machine_config(vm_image: Image, daemon: RunningDaemon) -> MachineConfig:
    """A machine whose windows go through `daemon`, with these tests inside."""
    return MachineConfig(
        vm_image,
        gpu_socket=daemon.gpu_socket,
        shares=(share_of_tests(vm_image),),
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def machine(vm_image: Image, daemon: RunningDaemon) -> AsyncGenerator[Machine]:
    """The virtual machine."""
    config = with_forky(machine_config(vm_image, daemon))
    async with Machine(config) as running:
        await mount_forky(running)
        yield running


SITE: Final = "/mnt/site"
"""Where the page for browsers and its film are in a `SwayGuest`."""


class SwayGuest(NamedTuple):
    """A machine whose windows are shown by a sway."""

    machine: Machine
    sway: Sway

    @asynccontextmanager
    async def running(self, argv: Sequence[str]) -> AsyncGenerator[GuestProcess]:
        """Run an application of the guest until the block ends."""
        script = 'exec crossdomain-run "$@" >/tmp/application.log 2>&1'
        app = await self.machine.spawn(["sh", "-c", script, "sh", *argv])
        try:
            yield app
        finally:
            app.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guest(debian: Image) -> AsyncGenerator[SwayGuest]:
    """A machine with the applications, and the page."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    for name in ("sway", "daemon", "site"):
        (folder / name).mkdir()
    make_site(debian, folder / "site")
    with (
        running_sway(debian, folder / "sway", width=1280, height=800) as sway,
        running_daemon(folder / "daemon", sway.socket_path) as daemon,
    ):
        config = machine_config(debian, daemon)
        shares = (*config.shares, Share(folder / "site", SITE, read_only=True))
        async with Machine(replace(config, memory=2560, shares=shares)) as machine:
            yield SwayGuest(machine, sway)
        daemon.assert_alive()
    shutil.rmtree(folder)
