"""The host's configuration file: what each VM may do, as TOML.

`[default]` is for every VM, `[vm.NAME]` for one of them, `[local]` for clients of the local socket.
docs/host.toml describes every key.  Mistakes are one line that names the key and says what to do.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias, TypeVar, cast

from crossdomain.bridge.formats import formats as known_formats
from crossdomain.bridge.formats import fourcc
from crossdomain.context.quotas import Quotas
from crossdomain.context.rules import UNCHANGED_APP_ID, UNCHANGED_TITLE, Flow, Rules
from crossdomain.errors import EnvironmentFault, LocalError
from crossdomain.host import quotas
from crossdomain.host.asking import Command
from crossdomain.host.enclosure import Enclosing
from crossdomain.wire import policy as wire_policy

MAX_TEMPLATE: Final = 256
"""Characters of a title's or an app id's template: what is around the guest's own text stays whole."""

MAX_ASK_SECONDS: Final = 3600
"""A transfer that waits holds descriptors of the daemon's."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_RULE: Final = "up to 64 letters, digits, '.', '_' and '-', the first a letter or digit"

_ALL_FORMATS: Final = "all"
_FOURCC: Final = re.compile(r"[A-Z0-9 ]{1,4}")
_BRACES: Final = re.compile(r"\{[^{}]*\}|[{}]")

_Table: TypeAlias = Mapping[str, object]
_Choice = TypeVar("_Choice", bound=Enum)


@dataclass(frozen=True, slots=True)
class Settings:
    """What one VM may do.  The defaults are those of a VM that no section speaks of."""

    title: str = "[{vm}] {title}"
    app_id: str = "{vm}.{app_id}"
    security_context: Enclosing = Enclosing.AUTO
    clipboard: Flow = Flow.ALLOW
    drag_and_drop: Flow = Flow.ALLOW
    ask_command: tuple[str, ...] = ()
    ask_seconds: float = 30.0
    allow: frozenset[str] = frozenset()
    """Groups of globals besides those that everybody may use."""
    deny: frozenset[str] = frozenset()
    formats: frozenset[int] | None = None
    """Of buffers; see `Rules`."""
    quotas: Quotas = field(default_factory=Quotas)

    @property
    def ask(self) -> Command:
        """What asks a person."""
        return Command(self.ask_command, self.ask_seconds)

    @property
    def rules(self) -> Rules:
        """What concerns the messages of its clients."""
        return Rules(self.title, self.app_id, self.clipboard, self.drag_and_drop, self.formats)


def encode_settings(settings: Settings) -> dict[str, object]:
    """What a worker has to know of settings, as JSON has it."""
    return {
        "title": settings.title,
        "app_id": settings.app_id,
        "clipboard": settings.clipboard.value,
        "drag_and_drop": settings.drag_and_drop.value,
        "allow": sorted(settings.allow),
        "deny": sorted(settings.deny),
        "quotas": asdict(settings.quotas),
    }


def decode_settings(fields: Mapping[str, object]) -> Settings:
    """The settings that `encode_settings` was given, as far as it tells them."""
    return Settings(
        title=str(fields["title"]),
        app_id=str(fields["app_id"]),
        clipboard=Flow(fields["clipboard"]),
        drag_and_drop=Flow(fields["drag_and_drop"]),
        allow=frozenset(map(str, cast("list[object]", fields["allow"]))),
        deny=frozenset(map(str, cast("list[object]", fields["deny"]))),
        quotas=quotas.decode(cast("Mapping[str, Mapping[str, int]]", fields["quotas"])),
    )


@dataclass(frozen=True, slots=True)
class VmSection:
    """One `[vm.NAME]`: its settings, and the sockets by which the host knows that VM."""

    settings: Settings
    socket: Path | None = None
    local_socket: Path | None = None


@dataclass(frozen=True, slots=True)
class HostFile:
    """A whole file; the defaults are those of an empty one."""

    default: Settings = Settings()
    local: Settings = Settings(title=UNCHANGED_TITLE, app_id=UNCHANGED_APP_ID, security_context=Enclosing.OFF)
    vms: Mapping[str, VmSection] = field(default_factory=dict[str, VmSection])

    def of_vm(self, name: str) -> Settings:
        """The settings of the VM of that name, which has a section or not."""
        section = self.vms.get(name)
        return self.default if section is None else section.settings


class _Mistake(Exception):
    """What is wrong with a value, and what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def default_path() -> Path | None:
    """Where the file is, if nobody says otherwise; None where the user has no home."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        parent = Path(folder) if folder.startswith("/") else Path.home() / ".config"
    except RuntimeError:
        return None
    return parent / "crossdomain" / "host.toml"


def read(path: Path | None, sockets: Callable[[], Path]) -> HostFile:
    """The file at `path`, or at its default place, where it may be missing.

    Args:
        path: None for the default place.
        sockets: says the folder of relative socket paths; called where there are any.

    Raises:
        EnvironmentFault: it can't be read, or something in it is wrong.
    """
    place = default_path() if path is None else path
    if place is None:
        return HostFile()
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path is None:
            return HostFile()
        raise EnvironmentFault(f"there is no file {str(path)!r}", hint="name one with --config") from error
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{place}: {error}", hint="make it a readable UTF-8 text file") from error
    return parse(text, place, sockets)


def parse(text: str, place: Path, sockets: Callable[[], Path]) -> HostFile:
    """The file with that text.

    Args:
        text: TOML.
        place: named in errors.
        sockets: says the folder of relative socket paths; called where there are any.

    Raises:
        EnvironmentFault: something in it is wrong.
    """
    try:
        return _parse(tomllib.loads(text), sockets)
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFault(f"{place}: {error}", hint="write it as TOML, see docs/host.toml") from error
    except _Mistake as mistake:
        raise EnvironmentFault(f"{place}: {mistake}", hint=mistake.hint) from mistake


def check_name(name: str) -> str:
    """Returns a VM's name.

    Raises:
        ValueError: it could be taken for something else in a title.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no VM's name: take {NAME_RULE}")
    return name


def _parse(document: _Table, sockets: Callable[[], Path]) -> HostFile:
    _check_keys("", document, ("default", "local", "vm"))
    default = _settings("default", _table(document, "default"), Settings())
    own = HostFile().local
    # What is denied to every VM is denied to clients without one; the rest tells VMs apart.
    local = replace(default, title=own.title, app_id=own.app_id, security_context=own.security_context)
    local = _settings("local", _table(document, "local"), local)
    sections = _table(document, "vm")
    vms = {name: _vm_section(name, _table(sections, name, "vm."), default, sockets) for name in sections}
    _check_sockets(vms)
    return HostFile(default, local, vms)


def _vm_section(name: str, table: _Table, default: Settings, sockets: Callable[[], Path]) -> VmSection:
    where = f"vm.{name}"
    if not _NAME.fullmatch(name):
        raise _Mistake(f"{name!r} is no VM's name", f"call it [vm.NAME] with {NAME_RULE}")
    places = ("socket", "local_socket")
    settings = _settings(where, {k: v for k, v in table.items() if k not in places}, default, places)
    socket, local_socket = (
        _path(f"{where}.{key}", table[key], sockets) if key in table else None for key in places
    )
    return VmSection(settings, socket, local_socket)


def _settings(where: str, table: _Table, base: Settings, others: Iterable[str] = ()) -> Settings:
    """`base` with what `table` changes."""
    _check_keys(f"{where}.", table, (*_KEYS, *others))
    for key, value in table.items():
        try:
            base = _KEYS[key](base, value)
        except _Mistake as mistake:
            raise _Mistake(f"{where}.{key}: {mistake}", mistake.hint) from mistake
    if Flow.ASK in (base.clipboard, base.drag_and_drop) and not base.ask_command:
        raise _Mistake(f"{where}: nothing asks", f"add {where}.ask_command, or take another choice than ask")
    return base


def _check_keys(prefix: str, table: _Table, known: Iterable[str]) -> None:
    known = tuple(known)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise _Mistake(f"there is no key {prefix}{key}", hint)


def _check_sockets(vms: Mapping[str, VmSection]) -> None:
    """A socket tells which VM connects."""
    owners: dict[Path, str] = {}
    for name, section in vms.items():
        for key, path in (("socket", section.socket), ("local_socket", section.local_socket)):
            if path is None:
                continue
            owner = owners.setdefault(path, f"vm.{name}.{key}")
            if owner != f"vm.{name}.{key}":
                raise _Mistake(
                    f"vm.{name}.{key}: {str(path)!r} is {owner} too", "give each a path of its own"
                )


def _table(parent: _Table, key: str, prefix: str = "") -> _Table:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise _Mistake(f"{prefix}{key} is no section", f"write it as [{prefix}{key}]")
    return cast("dict[str, object]", value)


def _path(where: str, value: object, sockets: Callable[[], Path]) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _Mistake(
            f"{where}: {value!r:.80} is no path", 'write it as "work.sock" or "/run/.../work.sock"'
        )
    path = Path(value)
    return Path(os.path.abspath(path if path.is_absolute() else sockets() / path))


def _template(value: object, place: str) -> str:
    hint = f'write it as "... {place} ...", with {{vm}} for the name, or "{place}" to change nothing'
    if not isinstance(value, str) or len(value) > MAX_TEMPLATE or not value.isprintable():
        raise _Mistake(f"{value!r:.80} is no text of at most {MAX_TEMPLATE} characters", hint)
    found = _BRACES.findall(value)
    if found.count(place) != 1 or not set(found) <= {place, "{vm}"}:
        raise _Mistake(f"{value!r:.80} needs {place} once, and nothing else in braces but {{vm}}", hint)
    return value


def _choice(kind: type[_Choice], value: object) -> _Choice:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(f'"{choice.value}"' for choice in kind)
        raise _Mistake(f"{value!r:.80} is no choice", f"take one of {known}") from error


def _groups(value: object) -> frozenset[str]:
    known = sorted(wire_policy.load().groups)
    hint = f"write a list such as [{known[0]!r}] of {', '.join(known)}"
    if not isinstance(value, list):
        raise _Mistake(f"{value!r:.80} is no list", hint)
    entries = cast("list[object]", value)
    for entry in entries:
        if entry not in known:
            raise _Mistake(f"{entry!r:.80} is no group", hint)
    return frozenset(map(str, entries))


def _set_title(settings: Settings, value: object) -> Settings:
    return replace(settings, title=_template(value, "{title}"))


def _set_app_id(settings: Settings, value: object) -> Settings:
    return replace(settings, app_id=_template(value, "{app_id}"))


def _set_security_context(settings: Settings, value: object) -> Settings:
    return replace(settings, security_context=_choice(Enclosing, value))


def _set_clipboard(settings: Settings, value: object) -> Settings:
    return replace(settings, clipboard=_choice(Flow, value))


def _set_drag_and_drop(settings: Settings, value: object) -> Settings:
    return replace(settings, drag_and_drop=_choice(Flow, value))


def _set_ask_command(settings: Settings, value: object) -> Settings:
    entries = cast("list[object]", value) if isinstance(value, list) else [None]
    words = tuple(entry for entry in entries if isinstance(entry, str) and "\0" not in entry)
    if len(words) != len(entries) or (words and not words[0]):
        raise _Mistake(
            f"{value!r:.80} is no command", 'write it as ["program", "{vm}", "{direction}", "{type}"]'
        )
    return replace(settings, ask_command=words)


def _set_ask_seconds(settings: Settings, value: object) -> Settings:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_ASK_SECONDS:
        raise _Mistake(f"{value!r:.80} is no time", f"write a number up to {MAX_ASK_SECONDS}")
    return replace(settings, ask_seconds=float(value))


def _set_allow(settings: Settings, value: object) -> Settings:
    groups = _groups(value)
    try:
        wire_policy.load().with_groups(groups)
    except LocalError as error:
        raise _Mistake(str(error), "leave it out") from error
    return replace(settings, allow=groups)


def _set_deny(settings: Settings, value: object) -> Settings:
    return replace(settings, deny=_groups(value))


def _set_quotas(settings: Settings, value: object) -> Settings:
    try:
        return replace(settings, quotas=quotas.change(settings.quotas, value))
    except quotas.Mistake as mistake:
        raise _Mistake(str(mistake), mistake.hint) from mistake


def _set_formats(settings: Settings, value: object) -> Settings:
    if value == _ALL_FORMATS:
        return replace(settings, formats=None)
    hint = f'write "{_ALL_FORMATS}", or a list of fourccs such as ["XR30", "NV12"]'
    if not isinstance(value, list):
        raise _Mistake(f"{value!r:.80} is no list", hint)
    codes: set[int] = set()
    for entry in cast("list[object]", value):
        if not isinstance(entry, str) or not _FOURCC.fullmatch(entry) or fourcc(entry) not in known_formats():
            raise _Mistake(f"{entry!r:.80} is no format that can cross", hint)
        codes.add(fourcc(entry))
    return replace(settings, formats=frozenset(codes))


_KEYS: Final[Mapping[str, Callable[[Settings, object], Settings]]] = {
    "title": _set_title,
    "app_id": _set_app_id,
    "security_context": _set_security_context,
    "clipboard": _set_clipboard,
    "drag_and_drop": _set_drag_and_drop,
    "ask_command": _set_ask_command,
    "ask_seconds": _set_ask_seconds,
    "allow": _set_allow,
    "deny": _set_deny,
    "formats": _set_formats,
    "quotas": _set_quotas,
}
"""What each key of a section does to the settings."""
