#!/usr/bin/env python3
"""Generates the compact tables that the wire engine loads.

Reads pywayland's installed protocol modules, the XML files beside this one (protocols that
pywayland does not ship) and `policy.toml`, and writes
`crossdomain/wire/_tables.py` and `crossdomain/wire/_policy.py`.  Run it after an
update of pywayland or an edit of the policy; `--check` only compares and exits
with 1 where a committed file is out of date.

The packed form of the tables, all integers little-endian (`crossdomain.wire.tables`
and `crossdomain/native/tables.c` read it):

    header     4 bytes "XDT1", u16 number of interfaces
    interface  u16 bytes of this record, u16 version, u8 requests, u8 events,
               u8 length + name, then the requests, then the events
    message    u8 length + name, u8 flags (1: destructor), u8 since, u8 arguments
    argument   u8 kind (0x80: nullable), u16 interface index (0xffff: none)

Interfaces are sorted by name, so an index is the position in that order.
"""

import argparse
import importlib
import pkgutil
import struct
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

import pywayland.protocol
from pywayland.protocol_core.interface import Interface
from pywayland.protocol_core.message import Message
from pywayland.scanner.argument import ArgumentType

ROOT: Final = Path(__file__).resolve().parent.parent
TABLES: Final = ROOT / "crossdomain" / "wire" / "_tables.py"
OWN_PROTOCOLS: Final = sorted((ROOT / "protocols").glob("*.xml"))
POLICY_SOURCE: Final = ROOT / "protocols" / "policy.toml"
POLICY: Final = ROOT / "crossdomain" / "wire" / "_policy.py"

EXCLUDED_MODULES: Final = {
    # Its xdg_surface and xdg_popup carry the names of the stable xdg-shell's but differ in
    # every message, and the wire knows interfaces by name alone.
    "xdg_shell_unstable_v5",
}

# pywayland's modules do not carry the destructor flag.  The stub of a request that has it calls _destroy,
# unless it creates an object, too; these, and the events that have it, are listed here.
DESTRUCTORS: Final = {
    ("wp_drm_lease_request_v1", "submit"),
    ("wp_image_description_creator_icc_v1", "create"),
    ("wp_image_description_creator_params_v1", "create"),
    ("wl_callback", "done"),
    ("wp_drm_lease_device_v1", "released"),
    ("wp_presentation_feedback", "presented"),
    ("wp_presentation_feedback", "discarded"),
    ("zwp_linux_buffer_release_v1", "fenced_release"),
    ("zwp_linux_buffer_release_v1", "immediate_release"),
    ("wp_image_description_info_v1", "done"),
    ("ext_workspace_manager_v1", "finished"),
}

KINDS: Final = {
    ArgumentType.Int: 0,
    ArgumentType.Uint: 1,
    ArgumentType.Fixed: 2,
    ArgumentType.String: 3,
    ArgumentType.Object: 4,
    ArgumentType.NewId: 5,
    ArgumentType.Array: 6,
    ArgumentType.FileDescriptor: 7,
}
OWN_KINDS: Final = {
    "int": 0,
    "uint": 1,
    "fixed": 2,
    "string": 3,
    "object": 4,
    "new_id": 5,
    "array": 6,
    "fd": 7,
}
NULLABLE: Final = 0x80
DESTRUCTOR: Final = 1
NO_INTERFACE: Final = 0xFFFF
ORDINARY: Final = "ordinary"
"""The group of globals that name none."""


class WireArgument(NamedTuple):
    """One argument as it stands on the wire."""

    kind: int
    interface: str | None
    nullable: bool


class WireMessage(NamedTuple):
    """One request or event as it stands on the wire."""

    name: str
    since: int
    destructor: bool
    arguments: tuple[WireArgument, ...]


class WireInterface(NamedTuple):
    """One interface: the newest of all that pywayland has under this name."""

    name: str
    version: int
    requests: tuple[WireMessage, ...]
    events: tuple[WireMessage, ...]


def installed_interfaces() -> Iterator[tuple[str, type[Interface]]]:
    """Yields (module name, pywayland interface class) of everything that is installed."""
    for name in sorted(info.name for info in pkgutil.iter_modules(pywayland.protocol.__path__)):
        module = importlib.import_module(f"pywayland.protocol.{name}")
        for value in vars(module).values():
            imported = getattr(value, "__module__", None) != module.__name__
            if isinstance(value, type) and issubclass(value, Interface) and not imported:
                yield name, value


def wire_arguments(message: Message) -> tuple[WireArgument, ...]:
    """Returns the arguments; a new_id without an interface is preceded by its name and version."""
    arguments: list[WireArgument] = []
    for argument in message.arguments:
        interface = argument.interface.name if argument.interface is not None else None
        if argument.argument_type is ArgumentType.NewId and interface is None:
            arguments.append(WireArgument(KINDS[ArgumentType.String], None, False))
            arguments.append(WireArgument(KINDS[ArgumentType.Uint], None, False))
        arguments.append(WireArgument(KINDS[argument.argument_type], interface, argument.nullable))
    if sum(argument.kind == KINDS[ArgumentType.NewId] for argument in arguments) > 1:
        # The walkers update one entry of the object map per message.
        raise SystemExit(f"generate.py: {message.name} creates more than one object")
    return tuple(arguments)


def wire_message(interface: str, message: Message) -> WireMessage:
    """Returns `message` with what pywayland does not tell filled in."""
    listed = (interface, message.name) in DESTRUCTORS
    destructor = listed or "_destroy" in message.py_func.__code__.co_names
    return WireMessage(message.name, message.version or 1, destructor, wire_arguments(message))


def wire_interface(source: type[Interface]) -> WireInterface:
    """Returns one pywayland interface as the wire sees it."""
    return WireInterface(
        source.name,
        source.version,
        tuple(wire_message(source.name, message) for message in source.requests),
        tuple(wire_message(source.name, message) for message in source.events),
    )


def own_interfaces() -> Iterator[WireInterface]:
    """Yields the interfaces of our own XML files, which are in the format of wayland.xml."""
    for path in OWN_PROTOCOLS:
        for element in ElementTree.parse(path).getroot().iter("interface"):
            messages = {kind: tuple(map(own_message, element.iter(kind))) for kind in ("request", "event")}
            name, version = element.attrib["name"], int(element.attrib["version"])
            yield WireInterface(name, version, messages["request"], messages["event"])


def own_message(element: ElementTree.Element) -> WireMessage:
    """Returns one request or event of our own XML."""
    arguments = tuple(
        WireArgument(OWN_KINDS[a["type"]], a.get("interface"), a.get("allow-null") == "true")
        for a in (argument.attrib for argument in element.iter("arg"))
    )
    destructor = element.get("type") == "destructor"
    return WireMessage(element.attrib["name"], int(element.get("since", "1")), destructor, arguments)


def newer(first: WireInterface, second: WireInterface) -> WireInterface:
    """Returns the newer of two interfaces of one name, which must extend the other."""
    old, new = sorted((first, second), key=lambda interface: interface.version)
    for old_messages, new_messages in ((old.requests, new.requests), (old.events, new.events)):
        if new_messages[: len(old_messages)] != old_messages:
            raise SystemExit(f"generate.py: two different interfaces are named {old.name}")
    return new


def read_interfaces() -> list[WireInterface]:
    """Returns all interfaces, sorted by name."""
    found: dict[str, WireInterface] = {}
    installed = (
        wire_interface(source) for module, source in installed_interfaces() if module not in EXCLUDED_MODULES
    )
    for interface in (*installed, *own_interfaces()):
        known = found.get(interface.name)
        found[interface.name] = interface if known is None else newer(known, interface)
    missing = {name for name, _ in DESTRUCTORS} - found.keys()
    if missing:
        raise SystemExit(f"generate.py: pywayland no longer has {sorted(missing)}")
    return sorted(found.values())


def pack_name(name: str) -> bytes:
    """Returns a length byte and the name."""
    return struct.pack("<B", len(name)) + name.encode("ascii")


def pack_message(message: WireMessage, indices: dict[str, int]) -> bytes:
    """Returns the packed form of one message."""
    packed = pack_name(message.name)
    packed += struct.pack("<BBB", DESTRUCTOR * message.destructor, message.since, len(message.arguments))
    for argument in message.arguments:
        index = NO_INTERFACE if argument.interface is None else indices[argument.interface]
        packed += struct.pack("<BH", argument.kind | NULLABLE * argument.nullable, index)
    return packed


def pack_interface(interface: WireInterface, indices: dict[str, int]) -> bytes:
    """Returns the packed form of one interface, its own size first."""
    body = struct.pack("<HBB", interface.version, len(interface.requests), len(interface.events))
    body += pack_name(interface.name)
    for message in (*interface.requests, *interface.events):
        body += pack_message(message, indices)
    return struct.pack("<H", len(body) + 2) + body


def render_tables(interfaces: list[WireInterface]) -> str:
    """Returns the text of `_tables.py`, one line per interface so that a diff names what changed."""
    indices = {interface.name: index for index, interface in enumerate(interfaces)}
    lines = [
        '"""Generated by protocols/generate.py from pywayland and our own XML: do not edit.',
        "",
        "Signatures of all Wayland interfaces; `crossdomain.wire.tables` decodes them.",
        '"""',
        "",
        "PACKED = (",
        f"    {struct.pack('<4sH', b'XDT1', len(interfaces))!r}",
        *(f"    {pack_interface(interface, indices)!r}" for interface in interfaces),
        ")",
    ]
    return "\n".join(lines) + "\n"


def render_policy() -> str:
    """Returns the text of `_policy.py`: the rules as plain tuples, which load fast."""
    source = tomllib.loads(POLICY_SOURCE.read_text())
    groups = [(name, group["default"], group["reason"]) for name, group in source["groups"].items()]
    rules = [
        (name, rule.get("version", 0), rule["treatment"], rule["reason"], rule.get("group", ORDINARY))
        for name, rule in sorted(source["globals"].items())
    ]
    descriptors = [(*name.split("."), kind) for name, kind in sorted(source["descriptors"].items())]
    lines = [
        '"""Generated by protocols/generate.py from protocols/policy.toml: do not edit."""',
        "",
        "GROUPS = (",
        *(f"    {group!r}," for group in groups),
        ")",
        "",
        "GLOBALS = (",
        *(f"    {rule!r}," for rule in rules),
        ")",
        "",
        "DESCRIPTORS = (",
        *(f"    {descriptor!r}," for descriptor in descriptors),
        ")",
    ]
    return "\n".join(lines) + "\n"


def outputs() -> dict[Path, str]:
    """Returns the text of every generated file."""
    return {TABLES: render_tables(read_interfaces()), POLICY: render_policy()}


def main() -> int:
    """Writes or checks the generated files; returns the exit status."""
    parser = argparse.ArgumentParser(description="Generates crossdomain/wire's tables.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file is stale")
    check = parser.parse_args().check
    texts = outputs()
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date' if check else 'written'}")
        if not check:
            path.write_text(texts[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
