"""The targets in Python, by name."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

NAMES: Final = ("wire", "commands", "virtqueue", "gpu", "vhost_user", "local")

LARGEST: Final = 192
"""Bytes of an input: a dozen steps that do something, or two; beginning and end of a life cost as much."""
_REACHED: Final = Path(__file__).parents[1] / "reached"


class Target(NamedTuple):
    """One target: `run` raises where it finds something, `seeds` are inputs that get far.

    `reached` are some that earlier runs found to get further.
    """

    run: Callable[[bytes], None]
    seeds: list[bytes]
    reached: list[bytes]


def load(name: str) -> Target:
    """The target of that name."""
    module = import_module(f"tests.fuzz.targets.{name}")
    return Target(module.run, module.seeds(), _reached(name))


def reached_file(name: str) -> Path:
    """Where these are; `tests.fuzz.reach` chooses them."""
    return _REACHED / f"{name}.hex"


def _reached(name: str) -> list[bytes]:
    file = reached_file(name)
    return [bytes.fromhex(line) for line in file.read_text().split()] if file.exists() else []
