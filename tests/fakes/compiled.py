"""The protocols that a library was compiled with: its `wl_interface` structures, read out of the file.

wayland-scanner's structures hold names and pointers, so in a shared library (64 bits, x86-64) each
pointer is a relocation.  What has names, counts and pointers like a wl_interface is taken for one.
"""

import re
import struct
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.wire.tables import Argument, ArgumentKind, Message

_LOAD, _DYNAMIC = 1, 2
_STRTAB, _SYMTAB, _RELA, _RELASZ = 5, 6, 7, 8
_R_64, _R_GLOB_DAT, _R_RELATIVE = 1, 6, 8
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_INTERFACE: Final = struct.Struct("<8xiiQi")
"""wl_interface after its name: version, method_count, (methods), event_count; then the events."""
_MESSAGE_SIZE: Final = 24
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_SIGNATURE: Final = re.compile(r"([0-9]*)((?:\??[iufsonah])*)")
_KINDS: Final = dict(zip("iufsonah", ArgumentKind, strict=True))


class Compiled(NamedTuple):
    """One interface; the structures do not tell which messages are destructors."""

    version: int
    requests: tuple[Message, ...]
    events: tuple[Message, ...]


class _Library:
    """The parts of an ELF file that matter here; addresses are those of the file's own layout."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        offset, size, count = struct.unpack_from("<24xQ14xHH", self._data, 8)
        headers: list[tuple[int, ...]] = [
            _PROGRAM_HEADER.unpack_from(self._data, offset + size * index) for index in range(count)
        ]
        self._loaded = [(header[3], header[2], header[5]) for header in headers if header[0] == _LOAD]
        (dynamic,) = (header for header in headers if header[0] == _DYNAMIC)
        entries = struct.iter_unpack("<QQ", self._data[dynamic[2] : dynamic[2] + dynamic[5]])
        tags: dict[int, int] = {}
        for tag, value in entries:
            tags.setdefault(tag, value)
        self._symbols, self._strings = tags[_SYMTAB], tags[_STRTAB]
        self.pointers: dict[int, int] = {}
        """Where a pointer is, and where in the file's layout it points to."""
        self.imported: dict[int, str] = {}
        """Where a pointer is, and what in another library it points to."""
        self._relocate(self.offset(tags[_RELA]), tags[_RELASZ])

    def offset(self, address: int) -> int:
        """Where in the file an address is; raises LookupError where it is nowhere."""
        for start, offset, size in self._loaded:
            if start <= address < start + size:
                return offset + address - start
        raise LookupError(f"nothing at {address:#x}")

    def unpack(self, layout: struct.Struct, address: int) -> tuple[int, ...]:
        """Numbers at an address."""
        return layout.unpack_from(self._data, self.offset(address))

    def string(self, address: int) -> str:
        """The text at an address."""
        start = self.offset(address)
        return self._data[start : self._data.index(b"\0", start)].decode("latin-1")

    def _relocate(self, offset: int, size: int) -> None:
        for place, info, addend in struct.iter_unpack("<QQq", self._data[offset : offset + size]):
            if info & 0xFFFFFFFF == _R_RELATIVE:
                self.pointers[place] = addend
            elif info & 0xFFFFFFFF in (_R_64, _R_GLOB_DAT):
                name, _, _, _, value, _ = self.unpack(_SYMBOL, self._symbols + _SYMBOL.size * (info >> 32))
                if value:
                    self.pointers[place] = value + addend
                else:
                    self.imported[place] = self.string(self._strings + name)


def read(path: Path) -> dict[str, Compiled]:
    """All interfaces in a library, by name."""
    library = _Library(path)
    names = {place: name for place in library.pointers if (name := _name_at(library, place))}
    found: dict[str, Compiled] = {}
    for place, name in names.items():
        try:
            found[name] = _read_interface(library, place, names)
        except (LookupError, ValueError):
            continue
    return found


def _name_at(library: _Library, place: int) -> str | None:
    try:
        name = library.string(library.pointers[place])
    except (LookupError, ValueError):
        return None
    return name if _NAME.fullmatch(name) else None


def _read_interface(library: _Library, place: int, names: dict[int, str]) -> Compiled:
    """Raises LookupError or ValueError where it is none."""
    version, requests, _, events = library.unpack(_INTERFACE, place)
    if not (0 < version < 100 and 0 <= requests < 100 and 0 <= events < 100 and requests + events):
        raise ValueError("no interface")
    return Compiled(
        version,
        *(
            tuple(
                _read_message(library, library.pointers[place + at] + index * _MESSAGE_SIZE, index, names)
                for index in range(count)
            )
            for at, count in ((16, requests), (32, events))
        ),
    )


def _read_message(library: _Library, place: int, opcode: int, names: dict[int, str]) -> Message:
    matched = _SIGNATURE.fullmatch(library.string(library.pointers[place + 8]))
    if matched is None:
        raise ValueError("no signature")
    types = library.pointers[place + 16]
    arguments = tuple(
        Argument(_KINDS[letter[-1]], _type_at(library, types + 8 * index, names), letter[0] == "?")
        for index, letter in enumerate(re.findall(r"\??[a-z]", matched[2]))
    )
    name = library.string(library.pointers[place])
    return Message(name, opcode, int(matched[1] or 1), False, arguments)


def _type_at(library: _Library, place: int, names: dict[int, str]) -> str | None:
    if place in library.imported:
        return library.imported[place].removesuffix("_interface")
    return names[library.pointers[place]] if place in library.pointers else None
