"""One target in Python, guided by coverage: `python -m tests.fuzz.guided TARGET CORPUS [libFuzzer's flags]`.

libFuzzer ends the process when it is done, and with a status other than 0 where it has found something.
"""

import gc
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from tests.fuzz import targets

_GUIDES: Final = {"wire": ["crossdomain.wire.walker", "crossdomain.wire.codec"]}
"""Modules whose branches guide a target, where not all do: counting takes longer than what is counted."""


class Atheris(Protocol):
    """What we use of atheris, which has no types."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        """Counts branches of the modules that are imported meanwhile."""
        ...

    def Setup(self, arguments: list[str], run: Callable[[bytes], None]) -> None:
        """Takes libFuzzer's command line."""
        ...

    def Fuzz(self) -> None:
        """Never returns."""
        ...


def main() -> None:
    """Fuzzes."""
    name, corpus, *flags = sys.argv[1:]
    logging.disable()
    atheris = cast("Atheris", import_module("atheris"))
    with atheris.instrument_imports(include=_GUIDES.get(name, ["crossdomain"])):
        target = targets.load(name)
    for number, seed in enumerate(target.seeds):
        (Path(corpus) / f"seed-{number}").write_bytes(seed)
    gc.freeze()  # what is loaded stays, and needs not be looked through for garbage again and again
    atheris.Setup([sys.argv[0], corpus, *flags], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
