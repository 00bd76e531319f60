"""A host that most of these tests share the make of: a daemon of one's own on the Weston of all."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.played_compositor import PlayedCompositor, playing_compositor
from tests.fakes.weston import Weston


@pytest.fixture
def folder(runtime_dir: Path) -> Path:
    """For one daemon's sockets and log."""
    made = runtime_dir / "daemon"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def daemon(folder: Path, weston: Weston) -> Generator[RunningDaemon]:
    """A daemon on the real Weston; nothing that a test does may end it."""
    with running_daemon(folder, weston.socket_path) as running:
        yield running
        running.assert_alive()


@pytest.fixture
def stage() -> Generator[PlayedCompositor]:
    """A daemon whose compositor is the test, which answers nobody by itself."""
    with playing_compositor(settings='[default]\nsecurity_context = "off"\n') as made:
        yield made
