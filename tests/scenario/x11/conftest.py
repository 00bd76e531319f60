"""One desktop for all X11 tests: its applications go with each test."""

from collections.abc import Generator

import pytest

from tests.fakes.x11 import X11Desktop, running_x11_desktop


@pytest.fixture(scope="package")
def shared_desktop() -> Generator[X11Desktop]:
    """The desktop; tests use `desktop`."""
    with running_x11_desktop() as running:
        yield running


@pytest.fixture
def desktop(shared_desktop: X11Desktop) -> Generator[X11Desktop]:
    """A desktop without windows."""
    yield shared_desktop
    shared_desktop.end_applications()
