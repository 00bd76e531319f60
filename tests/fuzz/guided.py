"""One target in Python, guided by coverage: `python -m tests.fuzz.guided TARGET TRACER CORPUS [FLAG...]`.

TRACER is what `tests.fuzz.tracer.build` made, flags are libFuzzer's, which ends the process when it is
done, and with a status other than 0 where it has found something.  With -use_cmp=0 among them nothing is
told of comparisons, which takes a tenth of the time.
"""

import gc
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Final, Protocol, cast

import crossdomain
from tests.fuzz import targets, tracer

_GARBAGE: Final = 20_000
"""Objects more than before, until the next search for cycles: most of what an execution makes is in none."""
_GUIDES: Final = {"wire": ("walker", "codec", "engine", "totals", "native", "faults")}
"""Modules of the target's own package whose branches guide it, where not all of the product's do."""
_NO_COMPARES: Final = "-use_cmp=0"
_UNGUIDED: Final = ("crossdomain.context.selector",)
"""Modules that do the same for every input, again and again."""


class Atheris(Protocol):
    """What we use of atheris, which has no types."""

    def instrument_imports(
        self, include: Sequence[str], exclude: Sequence[str]
    ) -> AbstractContextManager[None]:
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
    name, built, corpus, *flags = sys.argv[1:]
    logging.disable()
    extension = tracer.load(Path(built))
    target, module = load(name, extension, compares=_NO_COMPARES not in flags)
    atheris = cast("Atheris", module)
    for number, seed in enumerate([*target.seeds, *target.reached]):
        (Path(corpus) / f"seed-{number}").write_bytes(seed)
    gc.freeze()  # what is loaded stays, and needs not be looked through for garbage again and again
    gc.set_threshold(_GARBAGE)
    atheris.Setup([sys.argv[0], corpus, *flags], _traced(target.run, extension, module))
    atheris.Fuzz()


def load(name: str, extension: tracer.Tracer, *, compares: bool) -> tuple[targets.Target, ModuleType]:
    """The target of that name, whose branches are counted and whose comparisons are told; and atheris."""
    module = import_module("atheris")
    atheris = cast("Atheris", module)
    tracer.install(extension, module, compares=compares)
    with atheris.instrument_imports(include=["crossdomain"], exclude=_unguided(name)):
        return targets.load(name), module


def _unguided(name: str) -> Sequence[str]:
    """Modules whose branches are not counted: counting them would take longer than what is counted."""
    if name not in _GUIDES:
        return _UNGUIDED
    guides = {f"crossdomain.{name}.{module}" for module in _GUIDES[name]}
    every = (module.name for module in walk_packages(crossdomain.__path__, "crossdomain."))
    return [module for module in every if module not in guides]


def _traced(
    run: Callable[[bytes], None], extension: tracer.Tracer, atheris: ModuleType
) -> Callable[[bytes], None]:
    """`run`, of which our tracer tells comparisons from its first execution on."""
    waiting = [tracer.attach(extension, atheris)]

    def traced(data: bytes) -> None:
        if waiting:
            waiting.pop().take_over()
        run(data)

    return traced


if __name__ == "__main__":
    main()
