"""Fixtures of the launcher's unit tests."""

from collections.abc import Generator

import pytest

from tests.unit.launcher.drawing import Drawing, Painter
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient
from tests.unit.launcher.fake_timelines import FakeSyncDevice
from tests.unit.launcher.pasting import Pasting


@pytest.fixture
def client() -> Generator[RelayedClient]:
    """A client of a relay whose host is in the test's hands."""
    made = RelayedClient()
    yield made
    made.close()


@pytest.fixture
def pasting(client: RelayedClient) -> Pasting:
    return Pasting(client)


@pytest.fixture
def foreign() -> Generator[Pasting]:
    """On a host that knows nothing of credit."""
    client = RelayedClient(FakeChannel(has_pipe_credit=False))
    yield Pasting(client)
    client.close()


@pytest.fixture
def device() -> Generator[FakeSyncDevice]:
    """The guest's, which has timelines."""
    made = FakeSyncDevice()
    yield made
    made.close()


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Generator[Drawing]:
    """What devices still do to buffers, in the test's hands."""
    made = Drawing()
    made.install(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def painter(client: RelayedClient, drawing: Drawing) -> Generator[Painter]:
    """The client, with surfaces and buffers."""
    made = Painter(client, drawing)
    yield made
    made.close()
