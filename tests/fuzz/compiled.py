"""The targets in C: built with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer."""

import struct
import subprocess
import threading
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Final

from crossdomain.wire.codec import encode_message
from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import load
from crossdomain.wire.walker import PythonWalker
from protocols.generate import pack_interface, wire_interface
from tests.unit.wire.test_walkers_agree import INTEREST
from tests.unit.wire.traffic import Traffic, bind, get_registry

NAMES: Final = ("walker", "tables", "copy", "runs", "region", "frames", "lane", "passage", "control_queue")

_HERE: Final = Path(__file__).with_name("native")
_CORE: Final = Path(__file__).resolve().parents[2] / "crossdomain" / "native"
_SOURCES: Final = (
    *("tables.c", "objects.c", "walker.c", "blocks.c", "copy.c", "region.c", "runs.c", "frames.c"),
    *("ring.c", "lane.c", "poller.c", "routes.c", "passage.c", "virtqueue.c"),
)
_FLAGS: Final = (
    *("clang", "-std=c11", "-O2", "-g", "-pthread", f"-I{_CORE}"),
    *("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
_core_lock: Final = threading.Lock()
_cores: Final[dict[Path, list[Path]]] = {}


def _core(folder: Path) -> list[Path]:
    """The objects of the core, which all targets share; compiled once in `folder` by this process."""
    with _core_lock:
        if folder not in _cores:
            objects = [folder / f"{Path(source).stem}.o" for source in _SOURCES]
            for source, built in zip(_SOURCES, objects, strict=True):
                unfinished = built.with_suffix(".new")
                command = [
                    *_FLAGS,
                    "-fsanitize=fuzzer-no-link",
                    "-c",
                    str(_CORE / source),
                    "-o",
                    str(unfinished),
                ]
                subprocess.run(command, check=True, timeout=300)
                unfinished.replace(built)  # another process may be reading it
            _cores[folder] = objects
        return _cores[folder]


def build(name: str, folder: Path) -> Path:
    """Compiles the target of that name into `folder`; returns the program."""
    tables, program = folder / f"{name}-tables.bin", folder / f"fuzz-{name}"
    unfinished = folder / f"fuzz-{name}.{threading.get_ident()}"
    if not tables.exists() or tables.read_bytes() != load().packed:
        tables.write_bytes(load().packed)
    sources = [_HERE / f"{name}.c", *_core(folder)]
    command = [
        *_FLAGS,
        "-fsanitize=fuzzer",
        f'-DTABLES="{tables}"',
        *map(str, sources),
        "-o",
        str(unfinished),
    ]
    subprocess.run(command, check=True, timeout=300)
    unfinished.replace(program)  # another process may be running it
    return program


def seeds(name: str) -> list[bytes]:
    """Inputs that get far."""
    match name:
        case "walker":
            return [_conversation(Random(seed), strict=bool(seed & 1)) for seed in range(16)]
        case "lane":
            through = [_through_a_lane(Random(seed), kind=seed & 7) for seed in range(16)]
            return [*through, *(seed for kind in (0, 1, 5, 7) for seed in _round_trips(kind))]
        case "passage":
            return [_through_a_passage(Random(seed), strict=bool(seed & 1)) for seed in range(16)]
        case "tables":
            return [_small_tables()]
        case "control_queue":
            return [_commands(Random(seed)) for seed in range(16)]
        case "frames":
            return [Random(seed).randbytes(400) for seed in range(16)]
        case _:
            return [Random(seed).randbytes(40) for seed in range(16)]


def _conversation(random: Random, *, strict: bool) -> bytes:
    """In the form that walker.c reads."""
    walker = PythonWalker(load(), INTEREST, strict=strict)
    traffic = Traffic(load(), random, walker)
    steps = bytes([strict]) + _walk(Direction.REQUEST, opening := traffic.opening())
    walker.walk(Direction.REQUEST, opening)
    for _ in range(30):
        direction, message = traffic.message()
        walker.walk(direction, message)
        steps += _walk(direction, message)
    return steps


def _through_a_lane(random: Random, *, kind: int) -> bytes:
    """In the form that lane.c reads."""
    walker = PythonWalker(load(), (), strict=True)
    traffic = Traffic(load(), random, walker)
    steps = bytes([kind, 2, 0]) + len(opening := traffic.opening()).to_bytes(2, "little") + opening
    walker.walk(Direction.REQUEST, opening)
    for _ in range(30):
        direction, message = traffic.message()
        walker.walk(direction, message)
        sort = 2 if direction is Direction.REQUEST else 4
        steps += (
            bytes([sort, 0]) + len(message).to_bytes(2, "little") + message + bytes([1, 7, 1])[sort - 3 :]
        )
    return steps


def _through_a_passage(random: Random, *, strict: bool) -> bytes:
    """In the form that passage.c reads."""
    walker = PythonWalker(load(), (), strict=strict)
    traffic = Traffic(load(), random, walker)
    steps = bytes([strict, 31]) + _say(Direction.REQUEST, opening := traffic.opening())
    walker.walk(Direction.REQUEST, opening)
    for _ in range(30):
        direction, message = traffic.message()
        walker.walk(direction, message)
        steps += _say(direction, message, random.choice((0, 0, 0, _WITH_FD[direction])))
        steps += bytes([3, random.choice((0, 0, 1, 2, 3))])  # who reads what has come
    return steps


_WITH_FD: Final = {Direction.REQUEST: 32, Direction.EVENT: 1}


def _say(direction: Direction, message: bytes, kind: int = 0) -> bytes:
    """A packet of the launcher's, or what the compositor says."""
    return bytes([1 + direction, kind]) + len(message).to_bytes(2, "little") + message


def _round_trips(kind: int) -> list[bytes]:
    """In the form that lane.c reads: a host that answers at once, and a client that asks again; and then:

    - the client asks while it is waited for;
    - the host takes its time;
    - the host refuses what comes with a POLL;
    - the fence of an answer that was taken without it is read when the next answer comes.
    """
    asked = struct.pack("<IHHI", 1, 0, 12, 2)  # wl_display.sync
    answered = struct.pack("<IHHI", 2, 0, 12, 7) + struct.pack("<IHHI", 1, 1, 12, 2)  # done, delete_id
    said = len(asked).to_bytes(2, "little") + asked
    answer = bytes([0]) + len(answered).to_bytes(2, "little") + answered
    ask, serve, wait = bytes([2, 0]) + said, bytes([7, 1]), bytes([7, 5])
    quick = bytes([kind, 6, 1]) + (ask + serve + answer + serve) * 10
    return [
        quick + bytes([6, 5]) + ask + wait + answer + (bytes([0]) + said + answer) * 3,
        quick + bytes([6, 0]) + (ask + serve + bytes([5]) + answer + serve) * 3,
        quick + bytes([6, 6]) + ask + wait + bytes([6, 2]) + ask + serve * 3,
        quick + (ask + serve + bytes([64]) + answer[1:]) + bytes([6, 8]) + serve + answer + serve,
    ]


def _walk(direction: Direction, message: bytes) -> bytes:
    return bytes([4, direction]) + len(message).to_bytes(2, "little") + message


def _small_tables() -> bytes:
    """In the form that tables.c reads: the interfaces that every connection begins with, and that beginning.

    All tables are 24 KB: a fuzzer would hit what counts one time in a hundred.
    """
    wayland = import_module("pywayland.protocol.wayland")
    interfaces = [
        wire_interface(source) for source in (wayland.WlCallback, wayland.WlDisplay, wayland.WlRegistry)
    ]
    indices = {interface.name: index for index, interface in enumerate(interfaces)}
    packed = b"".join(pack_interface(interface, indices) for interface in interfaces)
    said = get_registry(load()) + bind(load(), "wl_callback", 3)
    return bytes([len(said)]) + said + struct.pack("<4sH", b"XDT1", len(interfaces)) + packed


def _commands(random: Random) -> bytes:
    """In the form that control_queue.c reads: what a guest submits, kicks between, an answer now and then."""
    steps = bytes([random.randrange(2), 1, *random.randbytes(4)])
    for number in range(12):
        said = encode_message(load().interface("wl_display").requests[0], 1, 2 + number)
        command = bytes([0, len(said), random.randrange(4)]) + said
        steps += bytes([1]) + random.choice((command, bytes([1, 0, 3]))) + bytes([3])
        steps += random.choice((b"", bytes([2, 2, 11])))
    return steps
