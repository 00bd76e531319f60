"""Photographs every step of the patterns program, and compares two such series."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import Pixels, save_pixels

STEP_SECONDS = 120.0
"""How long one step may take, in a guest under TCG on a loaded machine."""

EVIDENCE = REPOSITORY / "build" / "tests"
"""Where pictures that should have been equal are kept, and what else a person may want to see."""


class Picture(NamedTuple):
    """A compressed screenshot: a series of 1024x640 ones would not fit into a guest's memory budget."""

    shape: tuple[int, ...]
    packed: bytes

    @classmethod
    def of(cls, pixels: Pixels) -> "Picture":
        """Compress a screenshot; equal ones give equal pictures."""
        return cls(pixels.shape, zlib.compress(pixels.tobytes(), 1))

    @property
    def pixels(self) -> Pixels:
        """The screenshot again."""
        return np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8).reshape(self.shape)


class Steps(Protocol):
    """A running patterns program, here or in the guest."""

    async def read_line(self) -> str:
        """The next line of its standard output without its newline; empty where it ended."""
        ...

    async def write_line(self) -> None:
        """Let it go on."""
        ...


async def photograph(steps: Steps, take: Callable[[], Awaitable[Pixels]]) -> dict[str, Picture]:
    """A picture of every step, by the step's name, in order.

    Raises:
        AssertionError: the program ended before it was done, or repeated a step's name.
    """
    pictures: dict[str, Picture] = {}
    while True:
        line = await asyncio.wait_for(steps.read_line(), STEP_SECONDS)
        if line == "done":
            return pictures
        assert line.startswith("step "), f"after {list(pictures)[-1:]} the program said {line!r}"
        name = line.removeprefix("step ")
        assert name not in pictures, f"{name} came twice"
        pictures[name] = Picture.of(await take())
        await steps.write_line()


def different(direct: Mapping[str, Picture], proxied: Mapping[str, Picture], *, series: str) -> list[str]:
    """The names of the steps that differ; their pictures are kept in `EVIDENCE` under `series`."""
    names = [name for name in direct if direct[name] != proxied.get(name)]
    names += [name for name in proxied if name not in direct]
    for name in names:
        for kind, pictures in (("direct", direct), ("proxied", proxied)):
            if name in pictures:
                file = f"{name.replace(' ', '-').replace(':', '')}-{kind}.png"
                save_pixels(pictures[name].pixels, EVIDENCE / series / file)
    return names


def keep(pictures: Mapping[str, Picture], *, series: str) -> None:
    """Save all pictures of a series, for a person to look at."""
    for number, (name, picture) in enumerate(pictures.items()):
        file = f"{number:03}-{name.replace(' ', '-').replace(':', '')}.png"
        save_pixels(picture.pixels, EVIDENCE / series / file)
