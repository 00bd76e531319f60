"""Fixtures of what the relay serves of zwp_linux_dmabuf_v1 and wl_drm."""

from collections.abc import Generator

import pytest

from tests.unit.launcher.dmabuf.allocating import (
    DEVICE,
    Allocating,
)
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient


@pytest.fixture
def client() -> Generator[RelayedClient]:
    channel = FakeChannel()
    channel.device = DEVICE
    made = RelayedClient(channel)
    yield made
    made.close()


@pytest.fixture
def allocating(client: RelayedClient) -> Generator[Allocating]:
    made = Allocating(client)
    made.tell_formats()
    client.channel.sends.clear()
    yield made
    client.connection.close()
    made.close()
