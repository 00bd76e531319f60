"""What atheris puts into bytecode, in C of our own: its binding took a third of an execution.

libFuzzer reads counters where they are, so ours are registered beside those of atheris, which stay 0.  At a
branch stand a counter, an operator and a pop: a call took a sixth of an execution.
"""

import ctypes
import subprocess
import sysconfig
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple, Protocol, cast

_SOURCE: Final = Path(__file__).with_name("native") / "tracer.c"
_FLAGS: Final = ("clang", "-std=c11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")
_ROOM: Final = 4096
"""Counters more than are in use, for modules that are imported later."""


class Tracer(Protocol):
    """The extension."""

    Counter: "Callable[[int], Counter]"
    compare: Callable[..., object]

    def begin(self, counters: int, count: int, tell_compared: int, operator_shift: int) -> None:
        """Whose counters these are, and where comparisons are told, as addresses."""
        ...


class Counter(Protocol):
    """That of the branch with a number."""

    def __invert__(self) -> "Counter":
        """The branch was taken once more."""
        ...


class _Instrumentor(Protocol):
    """That of atheris, for one code object."""

    consts: list[object]


_build_lock: Final = threading.Lock()
_built: Final[set[Path]] = set()


def build(folder: Path) -> Path:
    """Compiles the extension into `folder`, once in this process; returns its file."""
    built = folder / "tracer.so"
    with _build_lock:
        if built not in _built:
            unfinished = built.with_suffix(".new")
            include = f"-I{sysconfig.get_path('include')}"
            subprocess.run([*_FLAGS, include, str(_SOURCE), "-o", str(unfinished)], check=True, timeout=300)
            unfinished.replace(built)  # another process may be running it
            _built.add(built)
    return built


class Attached(NamedTuple):
    """What counts the branches."""

    counters: "ctypes.Array[ctypes.c_uint8]"
    take_over: Callable[[], None]
    """Call it once atheris has begun, because it sets its own functions then."""


def install(tracer: Tracer, atheris: ModuleType, *, compares: bool = True) -> None:
    """What atheris sees imported from now on counts its branches here, and tells comparisons or not."""
    bytecode = import_module("atheris.instrument_bytecode")
    reserve, instruction = vars(atheris)["_reserve_counter"], vars(bytecode)["_generate_instruction"]

    def count(self: _Instrumentor, place: object) -> list[object]:
        self.consts.append(tracer.Counter(reserve()))
        steps = ("LOAD_CONST", len(self.consts) - 1), ("UNARY_INVERT", None), ("POP_TOP", None)
        return [instruction(operation, argument, place) for operation, argument in steps]

    bytecode.Instrumentor._generate_trace_branch_invocation = count
    if not compares:
        bytecode.Instrumentor.trace_data_flow = _tell_nothing


def _tell_nothing(_instrumentor: _Instrumentor) -> None:
    """In place of what makes comparisons be told."""


def attach(tracer: Tracer, atheris: ModuleType) -> Attached:
    """Gives libFuzzer counters for all that has been instrumented; call it before atheris begins."""
    core = ctypes.CDLL(_origin("atheris.core_with_libfuzzer"))
    count = vars(atheris)["_reserve_counter"]() + _ROOM
    counters, places = (ctypes.c_uint8 * count)(), (ctypes.c_size_t * (2 * count))()
    places[::2] = range(1, count + 1)  # each is followed by its flags: none
    for register, array in (
        (core.__sanitizer_cov_8bit_counters_init, counters),
        (core.__sanitizer_cov_pcs_init, places),
    ):
        start = ctypes.addressof(array)
        register(ctypes.c_void_p(start), ctypes.c_void_p(start + ctypes.sizeof(array)))
    tell_compared = ctypes.cast(core.__sanitizer_cov_trace_cmp4, ctypes.c_void_p).value or 0
    shift = import_module("atheris.version_dependent").CMP_OP_SHIFT_AMOUNT
    tracer.begin(ctypes.addressof(counters), count, tell_compared, shift)
    _kept.extend((counters, places))

    def take_over() -> None:
        vars(atheris).update(_trace_cmp=tracer.compare)

    return Attached(counters, take_over)


_kept: Final[list[object]] = []
"""What libFuzzer reads until the process ends."""


def load(built: Path) -> Tracer:
    """The extension in that file."""
    loader = ExtensionFileLoader("tracer", str(built))
    spec = spec_from_loader("tracer", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return cast("Tracer", module)


def _origin(name: str) -> str:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin
