"""The C core under AddressSanitizer and UndefinedBehaviorSanitizer, against the walker in Python."""

import shutil
import struct
import subprocess
from pathlib import Path
from random import Random
from typing import Final

import pytest

from crossdomain.errors import LocalError
from crossdomain.wire.codec import SERVER_ID_START
from crossdomain.wire.engine import Direction, Watch, resolve_interest
from crossdomain.wire.tables import load
from crossdomain.wire.walker import PythonWalker
from tests.unit.wire.traffic import Traffic

pytestmark = pytest.mark.timeout(900)
"""The compiler takes seconds, and minutes beside others."""

NATIVE: Final = Path(__file__).resolve().parents[3] / "crossdomain" / "native"
DRIVER: Final = Path(__file__).with_name("driver.c")
FLAGS: Final = (
    *("-std=c11", "-O1", "-g", "-pthread"),
    *("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"),
)
INTEREST: Final = (("wl_surface", Direction.REQUEST, "commit"), ("wl_display", Direction.EVENT, "delete_id"))
QUIETABLE: Final = (
    ("wl_surface", Direction.REQUEST, "attach", Watch.BEGINS),
    ("wl_surface", Direction.REQUEST, "damage", Watch.UNLESS_QUIET),
    ("wl_surface", Direction.REQUEST, "commit", Watch.ENDS),
    ("wl_buffer", Direction.EVENT, "release", Watch.UNLESS_QUIET),
)
IDS: Final = (0, 1, 2, 5, 9, 17, 39, 40, SERVER_ID_START, SERVER_ID_START + 7, 0xFFFFFFFF)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, linked with an instrumented core."""
    program = tmp_path_factory.mktemp("sanitized") / "driver"
    sources = [*sorted(NATIVE.glob("[!_]*.c")), DRIVER]
    compiler = shutil.which("cc") or "gcc"
    command = [compiler, *FLAGS, f"-I{NATIVE}", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run(driver: Path, *arguments: str) -> list[str]:
    """Runs the driver; fails where a sanitizer complains."""
    command = [str(driver), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


class Script:
    """Calls for the driver, and what the oracle says of each."""

    def __init__(self) -> None:
        self.calls = bytearray()
        self.answers: list[str] = []
        self.add_tables(load().packed, loads=True)
        self.oracle = PythonWalker(load(), INTEREST, strict=True)

    def add_tables(self, packed: bytes, *, loads: bool) -> None:
        self._call("t", len(packed))
        self.calls += packed
        self.answers.append(f"t {loads:d}")

    def new_walker(self, *, strict: bool) -> None:
        self.oracle = PythonWalker(load(), INTEREST, strict=strict)
        self._call("n", strict, 1 << 20)
        self.answers.append("n")
        for interface, direction, opcode in sorted(resolve_interest(load(), INTEREST)):
            self._call("i", interface, direction, opcode, Watch.ALWAYS)
            self.answers.append("i 0")
        for name, direction, message, watch in QUIETABLE:
            self.oracle.watch(name, direction, message, watch)
            for interface, _, opcode in resolve_interest(load(), ((name, direction, message),)):
                self._call("i", interface, direction, opcode, watch)
                self.answers.append("i 0")
        # Another takes its place, with the same interest.
        self._call("c")
        self.answers.append("c 0")

    def walk(self, direction: Direction, data: bytes, *, passes: bool = False) -> None:
        """Walk some messages; with `passes` what would be no record is passed by before."""
        self._call("p" if passes else "w", direction, len(data))
        self.calls += data
        walk = self.oracle.walk(direction, data)
        records = "".join(" " + ",".join(str(int(field)) for field in record) for record in walk.records)
        self.answers.append(f"w {walk.consumed} {walk.fault is not None:d}{records}")

    def own(self, object_id: int, deletes: int) -> None:
        self._call("o", object_id, deletes)
        try:
            self.oracle.own(object_id, deletes)
            self.answers.append("o 0")
        except LocalError:
            self.answers.append("o -1")

    def quieten(self, object_id: int) -> None:
        self._call("q", object_id)
        self.oracle.quieten(object_id)
        self.answers.append("q")

    def stir(self, object_id: int) -> None:
        self._call("s", object_id)
        self.answers.append(f"s {self.oracle.stir(object_id):d} {self.oracle.take_ended()}")

    def release(self, object_id: int) -> None:
        self._call("r", object_id)
        try:
            self.oracle.release(object_id)
            self.answers.append("r 0")
        except LocalError:
            self.answers.append("r -1")

    def look_up(self, object_id: int) -> None:
        self._call("l", object_id)
        interface, version = self.oracle.interface_of(object_id), self.oracle.version_of(object_id)
        found = (-1, -1) if interface is None else (interface, version)
        pending = self.oracle.own_pending(object_id)
        self.answers.append(f"l {found[0]} {found[1]} {pending} {self.oracle.next_id()}")

    def _call(self, call: str, *numbers: int) -> None:
        self.calls += call.encode() + struct.pack(f"<{len(numbers)}I", *numbers)


def converse(script: Script, random: Random, messages: int) -> None:
    """A random conversation in batches, between which everything else is tried."""
    traffic = Traffic(load(), random, script.oracle)
    script.walk(Direction.REQUEST, traffic.opening())
    for _ in range(messages):
        direction, data = traffic.message()
        script.walk(direction, data, passes=random.random() < 0.5)
        match random.randrange(20):
            case 0:
                script.own(random.choice(IDS), random.choice((0, 1, 2, 0xFFFF, 0x10000, 0xFFFFFFFF)))
            case 1:
                script.release(random.choice(IDS))
            case 2:
                script.look_up(random.choice(IDS))
            case 3:
                script.walk(direction, data[: random.randrange(len(data))])
            case 5:
                script.stir(random.choice(IDS))
            case 6 | 7 | 8 | 9:
                script.quieten(random.randrange(40))
            case 4:
                script.walk(direction, random.randbytes(random.randrange(64)))
            case _:
                pass


def test_conversations_and_garbage(driver: Path, tmp_path: Path) -> None:
    script = Script()
    for seed in range(12):
        script.new_walker(strict=seed % 2 == 0)
        converse(script, Random(seed), messages=500)
    path = tmp_path / "script"
    path.write_bytes(script.calls)
    assert run(driver, "script", str(path)) == script.answers


def test_damaged_tables_are_refused_or_harmless(driver: Path, tmp_path: Path) -> None:
    packed, random, script = load().packed, Random(3), Script()
    for size in (*range(64), *range(64, len(packed), 997)):
        script.add_tables(packed[:size], loads=False)
    path = tmp_path / "cut"
    path.write_bytes(script.calls)
    assert run(driver, "script", str(path)) == script.answers

    damaged = Script()
    for _ in range(150):
        changed = bytearray(packed)
        for _ in range(random.randrange(1, 4)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        damaged.add_tables(bytes(changed), loads=False)
    path.write_bytes(damaged.calls)
    assert len(run(driver, "script", str(path))) == 151


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_copies_of_anything_and_of_truncated_files(driver: Path, seed: int) -> None:
    assert run(driver, "copy", str(seed)) == ["done"]


def test_unions_of_anything(driver: Path) -> None:
    assert run(driver, "unite", "1") == ["done"]


def test_copies_out_of_pieces(driver: Path) -> None:
    assert run(driver, "runs", "1") == ["done"]
