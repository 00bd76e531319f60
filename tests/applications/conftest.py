"""The compositors that stories about applications play on, each with a daemon before it."""

import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest

from crossdomain.vm.image import Image
from tests.fakes.applications import RunningApplication, running_application
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.stage import Stage, WestonStage, weston_stage
from tests.fakes.sway import Sway, running_sway

SIZE = (1280, 800)


class Scene(NamedTuple):
    """A compositor, the daemon that leads to it, and how crossdomain-run brings buffers there."""

    name: str
    stage: Stage
    daemon: RunningDaemon
    buffers: str

    def running(
        self, debian: Image, folder: Path, argv: Sequence[str]
    ) -> AbstractContextManager[RunningApplication]:
        """Run an application of the Debian root here; `folder` becomes its home."""
        return running_application(debian, self.daemon.local_socket, folder, argv, options=[self.buffers])


@pytest.fixture(scope="session")
def wide_sway(debian: Image) -> Generator[Sway]:
    """A sway with a keyboard and a pointer, for applications."""
    folder = Path(tempfile.mkdtemp(prefix="xd-sway-"))
    with running_sway(debian, folder, width=SIZE[0], height=SIZE[1]) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def wide_weston(debian: Image) -> Generator[WestonStage]:
    """A Weston 14 with a keyboard and a pointer, for applications."""
    with weston_stage(debian, width=SIZE[0], height=SIZE[1]) as running:
        yield running


@pytest.fixture(scope="session")
def sway_daemon(wide_sway: Sway) -> Generator[RunningDaemon]:
    """The daemon before sway; whatever an application did, it must be alive at the end."""
    folder = Path(tempfile.mkdtemp(prefix="xd-daemon-"))
    with running_daemon(folder, wide_sway.socket_path) as running:
        yield running
        running.assert_alive()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def weston_daemon(wide_weston: WestonStage) -> Generator[RunningDaemon]:
    """The daemon before Weston."""
    folder = Path(tempfile.mkdtemp(prefix="xd-daemon-"))
    with running_daemon(folder, wide_weston.socket_path) as running:
        yield running
        running.assert_alive()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sway_scene(wide_sway: Sway, sway_daemon: RunningDaemon) -> Scene:
    """A story on sway, with pixels copied as from a virtual machine."""
    return Scene("sway", wide_sway, sway_daemon, "--buffers=copy")


@pytest.fixture(scope="session")
def weston_scene(wide_weston: WestonStage, weston_daemon: RunningDaemon) -> Scene:
    """A story on Weston 14, which gets the application's own buffers."""
    return Scene("weston", wide_weston, weston_daemon, "--buffers=auto")


@pytest.fixture(params=(0, 1), ids=("sway", "weston"))
def scene(request: pytest.FixtureRequest, sway_scene: Scene, weston_scene: Scene) -> Scene:
    """A story on each compositor."""
    chosen: int = request.param
    return (sway_scene, weston_scene)[chosen]
