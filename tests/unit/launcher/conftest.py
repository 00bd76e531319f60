"""Fixtures of the launcher's unit tests."""

from collections.abc import Generator

import pytest

from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient
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
