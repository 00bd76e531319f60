"""Fixtures for one context between a guest and a compositor."""

from collections.abc import AsyncGenerator

import pytest

from tests.unit.context.world import World


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    """A context before INIT."""
    made = World()
    yield made
    made.close()


@pytest.fixture
async def client(world: World) -> World:
    """A context after INIT: one connected client."""
    world.init()
    return world
