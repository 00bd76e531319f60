"""Imports go one way, and what starts in the guest imports little."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

BASE: Final = {"errors", "limits"}
WIRE: Final = BASE | {"abi", "native", "wire"}
BRIDGE: Final = WIRE | {"bridge"}
HOST: Final = BRIDGE | {"context", "device", "host"}

MAY_IMPORT: Final[dict[str, set[str]]] = {
    "errors": set(),
    "limits": set(),
    "abi": BASE | {"abi"},
    "native": BASE | {"native"},
    "wire": WIRE,
    "bridge": BRIDGE,
    "context": BRIDGE | {"context"},
    "device": BRIDGE | {"context", "device"},
    "host": HOST,
    "vm": HOST | {"vm"},
    "cli": HOST | {"vm", "cli"},
    "launcher": BRIDGE | {"launcher"},
}
"""Each part, and the parts that it may import: host and guest meet as bytes, never as code."""

STARTS_IN_THE_GUEST: Final = ("errors", "limits", "abi", "native", "wire", "bridge", "launcher")

TOO_SLOW_TO_IMPORT: Final = (
    "asyncio",
    "logging",
    "dataclasses",
    "inspect",
    "subprocess",
    "pywayland",
    "Xlib",
)
"""Each costs a guest without KVM a tenth of a second or more."""

BUILD_TIME_ONLY: Final = {"crossdomain.native.build"}


def modules() -> Iterator[tuple[str, Path]]:
    """All modules of the two packages by name."""
    for package in ("crossdomain", "launcher"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def part_of(module: str) -> str | None:
    """The part that a module belongs to; None for what is not ours, and for the bare package."""
    package, *rest = module.split(".")
    if package == "launcher":
        return "launcher"
    ours = package == "crossdomain" and rest and not rest[0].startswith("__")
    return rest[0] if ours else None


def imported_by(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere; ours are never imported relatively."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_has_its_place() -> None:
    assert {part for name, _ in modules() if (part := part_of(name))} <= set(MAY_IMPORT)


def test_imports_go_one_way() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        for imported in imported_by(path)
        if (part := part_of(name)) and (other := part_of(imported)) and other not in MAY_IMPORT[part]
    ]
    assert wrong == []


def test_what_starts_in_the_guest_imports_nothing_slow() -> None:
    names = [name for name, _ in modules() if part_of(name) in STARTS_IN_THE_GUEST]
    program = "import importlib, sys\n"
    program += "\n".join(
        f"importlib.import_module({name!r})" for name in names if name not in BUILD_TIME_ONLY
    )
    program += f"\nprint(*sorted(set({TOO_SLOW_TO_IMPORT!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("\n", "")
