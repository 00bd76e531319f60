"""The targets in Python, by name."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, NamedTuple

NAMES: Final = ("wire", "commands", "virtqueue", "gpu", "vhost_user", "local")


class Target(NamedTuple):
    """One target: `run` raises where it finds something, `seeds` are inputs that get far."""

    run: Callable[[bytes], None]
    seeds: list[bytes]


def load(name: str) -> Target:
    """The target of that name."""
    module = import_module(f"tests.fuzz.targets.{name}")
    return Target(module.run, module.seeds())
