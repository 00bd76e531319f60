"""Fixtures of the wire's tests: both walkers take the same tests."""

import pytest

from crossdomain.wire.engine import Walker
from crossdomain.wire.native import NativeWalker
from crossdomain.wire.tables import Tables, load
from crossdomain.wire.walker import PythonWalker


@pytest.fixture(params=[PythonWalker, NativeWalker], ids=["python", "native"])
def walker_class(request: pytest.FixtureRequest) -> type[Walker]:
    """Each implementation of the walker."""
    found: type[Walker] = request.param
    return found


@pytest.fixture(scope="session")
def tables() -> Tables:
    """The tables that everybody uses."""
    return load()
