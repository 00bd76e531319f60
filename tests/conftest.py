"""Fixtures for all tests, and the checks that a test leaves nothing behind."""

import contextlib
import gc
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from crossdomain.vm.image import Image
from tests.fakes import debian as debian_root
from tests.fakes.forky import Forky
from tests.fakes.sway import Sway, running_sway
from tests.fakes.weston import Weston, running_weston

# The same examples in each run, however slow the machine is at the moment.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often something is done that more often shows more, and takes longer."""
    parser.addoption("--starts", type=int, default=60, help="launchers that are started and ended in a VM")


def pytest_configure() -> None:
    """Undo what `nohup` and a shell's `&` do: a program can't trap a signal that its parent ignores."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def open_fds() -> dict[int, str]:
    """What this process has open: fd to what it is."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the fd of this listing
            continue
    return found


def child_processes() -> set[int]:
    """The pids of this process's children, those ended but not waited for included."""
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended since
            children.update(int(pid) for pid in (task / "children").read_text().split())
    return children


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Generator[None]:
    """Fail a test that leaves fds or processes; those of fixtures that live longer were there before."""
    fds, children = open_fds(), child_processes()
    yield
    if set(open_fds()) - set(fds):
        gc.collect()  # what only a cycle holds is not lost
    leaked = {fd: target for fd, target in open_fds().items() if fds.get(fd) is None}
    assert not leaked, f"the test left fds open: {leaked}"
    left = child_processes() - children
    assert not left, f"the test left processes: {left}"


class Mistakes(logging.Handler):
    """What a `Containment` of this process has told its loop."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter())
        self._told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One more, with its traceback."""
        if record.getMessage().startswith("internal error"):
            self._told.append(self.format(record))

    def take(self) -> list[str]:
        """Those since the last time; a test that provokes some takes them."""
        told, self._told = self._told, []
        return told


@pytest.fixture(autouse=True)
def mistakes() -> Generator[Mistakes]:
    """Fail a test at which a mistake of ours shows that was contained."""
    found, logger = Mistakes(), logging.getLogger("asyncio")
    logger.addHandler(found)
    yield found
    logger.removeHandler(found)
    assert not (left := found.take()), "\n".join(left)


@pytest.fixture
def runtime_dir() -> Generator[Path]:
    """An empty folder for sockets; its path is short, because a socket's may have 107 bytes only."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def weston() -> Generator[Weston]:
    """The headless Weston of this machine; shared, so leave no client on it."""
    folder = Path(tempfile.mkdtemp(prefix="xd-weston-"))
    with running_weston(folder) as running:
        yield running
        assert running.process.poll() is None, f"Weston died under the tests:\n{running.log}"
    shutil.rmtree(folder)


@pytest.fixture
def own_weston(runtime_dir: Path) -> Generator[Weston]:
    """A headless Weston for one test that wants to break it."""
    folder = runtime_dir / "weston"
    folder.mkdir()
    with running_weston(folder) as running:
        yield running


@pytest.fixture(scope="session")
def debian() -> Image:
    """The root that holds sway and applications; made on the first run, which takes minutes."""
    return debian_root.obtain()


@pytest.fixture(scope="session")
def sway(debian: Image) -> Generator[Sway]:
    """A headless sway; shared, so leave no client on it, and its outputs and input as they were."""
    folder = Path(tempfile.mkdtemp(prefix="xd-sway-"))
    with running_sway(debian, folder) as running:
        yield running
        assert running.process.poll() is None, f"sway died under the tests:\n{running.log}"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_sway() -> Generator[Sway]:
    """A headless sway 1.12, which has what the other lacks; shared in the same way."""
    folder = Path(tempfile.mkdtemp(prefix="xd-sway-"))
    with running_sway(Forky(), folder) as running:
        yield running
        assert running.process.poll() is None, f"sway died under the tests:\n{running.log}"
    shutil.rmtree(folder)


@pytest.fixture
def own_sway(debian: Image, runtime_dir: Path) -> Generator[Sway]:
    """A headless sway for one test that changes its outputs or breaks it; half a second."""
    folder = runtime_dir / "sway"
    folder.mkdir()
    with running_sway(debian, folder) as running:
        yield running
