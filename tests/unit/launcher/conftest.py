"""Fixtures of the launcher's unit tests."""

from collections.abc import Generator

import pytest

from tests.unit.launcher.fake_channel import RelayedClient


@pytest.fixture
def client() -> Generator[RelayedClient]:
    """A client of a relay whose host is in the test's hands."""
    made = RelayedClient()
    yield made
    made.close()
