"""A desktop that keeps what was copied: Weston asks for the first type at once, and keeps its data."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm import image
from crossdomain.vm.headless import HeadlessWeston
from tests.fakes.client import Value
from tests.fakes.clipboard import MIME, Copier, Paster
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.scenario.test_pipes import read_all

FIRST: Final = "application/x-kept-by-the-compositor"
"""What a Copier offers first."""


class Watcher(Paster):
    """Sees the types of what it is offered."""

    def wait_types(self, *mime_types: str) -> None:
        """Return when exactly these are offered."""
        wanted: list[tuple[Value, ...]] = [(mime_type,) for mime_type in mime_types]
        self.client.wait(lambda: self.types == wanted, what=f"{mime_types}")

    @property
    def types(self) -> list[tuple[Value, ...]]:
        """Those of the newest offer."""
        return [] if self._offer is None else self._offer.received("offer")


@pytest.fixture(scope="module")
def weston_14() -> Generator[HeadlessWeston]:
    """A desktop with a keyboard."""
    with HeadlessWeston(image.obtain(image.Recipe())) as running:
        yield running


@contextmanager
def vm(weston: HeadlessWeston, folder: Path, flow: str) -> Generator[RunningLauncher]:
    """A VM whose clipboard may go that way."""
    settings = f'[local]\nclipboard = "{flow}"\n'
    with (
        running_daemon(folder, weston.socket_path, settings=settings) as daemon,
        running_launcher(folder, daemon.local_socket) as launcher,
    ):
        yield launcher


def test_what_is_kept_is_the_clients_first_type(weston_14: HeadlessWeston, runtime_dir: Path) -> None:
    with vm(weston_14, runtime_dir, "to-host") as launcher:
        copier = Copier(launcher.socket)
        with closing(Watcher(str(weston_14.socket_path))) as watcher:
            copier.copy()
            copier.client.round_trip()
            copier.close()
            watcher.wait_types(FIRST)


@pytest.mark.parametrize("flow", ["deny", "to-guest"])
def test_what_may_not_leave_the_vm_is_not_kept_either(
    weston_14: HeadlessWeston, runtime_dir: Path, flow: str
) -> None:
    with vm(weston_14, runtime_dir, flow) as launcher, closing(Copier(launcher.socket)) as copier:
        copier.copy()
        with closing(Paster(str(weston_14.socket_path))) as paster:
            paster.wait_offer()
            assert read_all(paster.paste()) == b""
        copier.client.round_trip()
        assert copier.asked == []


def test_copying_inside_a_vm_goes_on_beside_it(weston_14: HeadlessWeston, runtime_dir: Path) -> None:
    with vm(weston_14, runtime_dir, "deny") as launcher, closing(Copier(launcher.socket)) as copier:
        copier.copy()
        with closing(Paster(launcher.socket)) as paster:
            paster.wait_offer()
            reading = paster.paste()
            (writing,) = copier.wait_asked()
            with open(writing, "wb") as pipe:
                pipe.write(MIME.encode())
            assert read_all(reading) == MIME.encode()
