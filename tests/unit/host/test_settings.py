"""The configuration file: what it means, and one line for each mistake."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from crossdomain.bridge.formats import fourcc
from crossdomain.context.quotas import Quotas
from crossdomain.context.rules import Flow, Rules
from crossdomain.errors import EnvironmentFault
from crossdomain.host.asking import Command
from crossdomain.host.settings import (
    HostFile,
    Settings,
    VmSection,
    check_name,
    decode_settings,
    default_path,
    encode_settings,
    parse,
    read,
)
from crossdomain.wire import policy

PLACE = Path("host.toml")
SOCKETS = Path("/run/user/1000/crossdomain")
EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "host.toml"


def parsed(text: str) -> HostFile:
    return parse(text, PLACE, lambda: SOCKETS)


def test_an_empty_file_is_the_defaults() -> None:
    file = parsed("")
    assert file == HostFile()
    assert file.of_vm("any").rules == Rules(title="[{vm}] {title}", app_id="{vm}.{app_id}")
    assert file.local.rules == Rules()


def test_a_vm_has_its_section_over_default() -> None:
    file = parsed(
        '[default]\ntitle = "{title} {vm}"\ndeny = ["ordinary"]\n[vm.work]\napp_id = "x.{app_id}"\n'
    )
    assert file.of_vm("work") == Settings(
        title="{title} {vm}", app_id="x.{app_id}", deny=frozenset({"ordinary"})
    )
    assert file.of_vm("other") == file.default


def test_local_clients_have_what_is_denied_to_all_but_no_labels() -> None:
    file = parsed('[default]\ntitle = "{title} {vm}"\ndeny = ["ordinary"]\n')
    assert file.local == replace(HostFile().local, deny=frozenset({"ordinary"}))


def test_local_clients_may_have_labels() -> None:
    assert parsed('[local]\ntitle = "{vm}: {title}"\n').local.title == "{vm}: {title}"


def test_sockets_are_below_the_runtime_folder_or_absolute() -> None:
    file = parsed('[vm.a]\nsocket = "a.sock"\n[vm.b]\nlocal_socket = "/tmp/../b.sock"\n')
    assert file.vms == {
        "a": VmSection(Settings(), SOCKETS / "a.sock"),
        "b": VmSection(Settings(), None, Path("/b.sock")),
    }


def test_flows_and_who_asks() -> None:
    file = parsed(
        '[default]\nask_command = ["ask", "{vm}"]\nask_seconds = 1.5\n[vm.a]\nclipboard = "ask"\n'
        '[vm.b]\ndrag_and_drop = "to-host"\n'
    )
    assert file.of_vm("a").rules.clipboard is Flow.ASK
    assert file.of_vm("a").ask == Command(("ask", "{vm}"), 1.5)
    assert file.of_vm("b").rules.drag_and_drop is Flow.TO_HOST
    assert file.default.rules.all_flows_free


def test_groups_are_those_of_the_policy() -> None:
    file = parsed('[vm.a]\nallow = ["screencopy", "data-control"]\n')
    assert file.of_vm("a").allow == {"screencopy", "data-control"}


MISTAKES = (
    ("[default]\ntitel = ''", "there is no key default.titel", "did you mean default.title?"),
    ("[defaults]", "there is no key defaults", "did you mean default?"),
    ("[vm.a]\nxyz = 1", "there is no key vm.a.xyz", "known are"),
    ("default = 1", "default is no section", "write it as [default]"),
    ("vm = 1", "vm is no section", "write it as [vm]"),
    ("[vm]\na = 1", "vm.a is no section", "write it as [vm.a]"),
    ("[vm.'a b']", "'a b' is no VM's name", "call it [vm.NAME]"),
    (f"[vm.{'a' * 65}]", "is no VM's name", "letters, digits"),
    ("[default]\ntitle = 1", "default.title: 1 is no text", "write it as"),
    ("[default]\ntitle = 'plain'", "default.title: 'plain' needs {title} once", "change nothing"),
    ("[default]\ntitle = '{title}{title}'", "default.title", "change nothing"),
    ("[vm.a]\ntitle = '{title} {name}'", "vm.a.title", "{vm}"),
    ("[default]\ntitle = '{title} {'", "default.title", "{vm}"),
    ('[default]\ntitle = "{title}\\n"', "default.title", "{vm}"),
    (f"[default]\ntitle = '{{title}}{'x' * 256}'", "at most 256", "write it as"),
    ("[local]\napp_id = '{title}'", "local.app_id: '{title}' needs {app_id} once", "change nothing"),
    ("[default]\nallow = 'screencopy'", "default.allow: 'screencopy' is no list", "write a list"),
    ("[default]\ndeny = ['screens']", "default.deny: 'screens' is no group", "screencopy"),
    ("[vm.a]\nallow = [1]", "vm.a.allow: 1 is no group", "screencopy"),
    ("[default]\nallow = ['drm-lease']", "the group 'drm-lease' can't be allowed", "leave it out"),
    ("[vm.a]\nsecurity_context = true", "security_context: True is no choice", '"auto", "require"'),
    ("[vm.a]\nclipboard = 'maybe'", "vm.a.clipboard: 'maybe' is no choice", '"to-host", "to-guest", "ask"'),
    ("[local]\ndrag_and_drop = 1", "local.drag_and_drop: 1 is no choice", '"allow"'),
    ("[vm.a]\nclipboard = 'ask'", "vm.a: nothing asks", "vm.a.ask_command"),
    ("[default]\ndrag_and_drop = 'ask'", "default: nothing asks", "default.ask_command"),
    ("[vm.a]\nask_command = 'zenity'", "vm.a.ask_command: 'zenity' is no command", '["program"'),
    ("[vm.a]\nask_command = ['a', 1]", "is no command", '["program"'),
    ("[vm.a]\nask_command = ['']", "is no command", '["program"'),
    ("[vm.a]\nask_seconds = 0", "vm.a.ask_seconds: 0 is no time", "up to 3600"),
    ("[vm.a]\nask_seconds = true", "vm.a.ask_seconds: True is no time", "up to 3600"),
    ("[vm.a]\nask_seconds = 3601", "vm.a.ask_seconds: 3601 is no time", "up to 3600"),
    ("[default]\nsocket = 'a'", "there is no key default.socket", "known are"),
    ("[vm.a]\nsocket = 1", "vm.a.socket: 1 is no path", "work.sock"),
    ("[vm.a]\nsocket = ''", "vm.a.socket: '' is no path", "work.sock"),
    ("[vm.a]\nsocket = 's'\n[vm.b]\nsocket = './s'", "is vm.a.socket too", "a path of its own"),
    ("[vm.a]\nsocket = 's'\nlocal_socket = 's'", "vm.a.local_socket", "a path of its own"),
    ("[vm.a]\nquotas = 1", "vm.a.quotas: quotas is no section", "[default.quotas.vm]"),
    ("[vm.a.quotas]\nvm = 1", "vm.a.quotas: vm is no section", "[default.quotas.vm]"),
    ("[vm.a.quotas]\ncontexts = 1", "there are no quotas of 'contexts'", "[default.quotas.client]"),
    ("[vm.a.quotas.vm]\npipes = 1", "there is no quota 'pipes'", "known are blob_bytes, con"),
    ("[vm.a.quotas.vm]\ncpu_percent = 101", "cpu_percent: 101 is no quota", "a whole number from 1 to 100"),
    ("[vm.a.quotas.vm]\ncontexts = 513", "contexts: 513 is no quota", "from 1 to 512"),
    ("[local.quotas.client]\npipes = 0", "local.quotas: pipes: 0 is no quota", "from 1 to"),
    ("[local.quotas.client]\npipes = true", "pipes: True is no quota", "from 1 to"),
    ("[local.quotas.client]\npipes = '9'", "pipes: '9' is no quota", "from 1 to"),
    ("[default", "host.toml: ", "docs/host.toml"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "what", "hint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_one_line_that_names_the_key_and_what_to_do(text: str, what: str, hint: str) -> None:
    with pytest.raises(EnvironmentFault) as fault:
        parsed(text)
    assert str(fault.value).startswith("host.toml: ")
    assert what in str(fault.value)
    assert hint in fault.value.hint
    assert "\n" not in f"{fault.value}: {fault.value.hint}"


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="there is no file"):
        read(tmp_path / "missing.toml", lambda: SOCKETS)


def test_the_default_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read(None, lambda: SOCKETS) == HostFile()
    (tmp_path / "crossdomain").mkdir()
    (tmp_path / "crossdomain" / "host.toml").write_text('[default]\napp_id = "{app_id}"\n')
    assert read(None, lambda: SOCKETS).default.app_id == "{app_id}"


def test_the_default_file_is_in_the_users_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/mine")
    assert default_path() == Path("/etc/mine/crossdomain/host.toml")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_path() == Path("/home/me/.config/crossdomain/host.toml")


def test_a_file_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "host.toml"
    place.write_bytes(b"\xff\xfe")
    with pytest.raises(EnvironmentFault, match=r"host\.toml: .*utf-8"):
        read(place, lambda: SOCKETS)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="directory"):
        read(tmp_path, lambda: SOCKETS)


@pytest.mark.parametrize("name", ["work", "a", "0", "my-vm_1.x", "a" * 64])
def test_names_of_vms(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a]", "\u00e4", "a\n", "a" * 65, "a/b"])
def test_names_that_could_be_taken_for_something_else(name: str) -> None:
    with pytest.raises(ValueError, match="no VM's name"):
        check_name(name)


def test_the_example_documents_the_defaults_of_every_key() -> None:
    text = EXAMPLE.read_text()
    file = parse(text, EXAMPLE, lambda: SOCKETS)
    assert (file.default, file.local) == (HostFile().default, HostFile().local)
    section = text.partition("[default]")[2].partition("[local]")[0]
    for key in set(Settings.__dataclass_fields__) - {"quotas"}:
        assert f"\n{key} = " in section, f"docs/host.toml does not describe {key}"
    for part, quotas in asdict(Quotas()).items():
        table = text.partition(f"[default.quotas.{part}]")[2].partition("\n[")[0]
        for name, default in quotas.items():
            assert f"\n{name} = {default:_}" in table, f"docs/host.toml does not describe {part}'s {name}"
    for group in policy.load().grantable:
        assert group in section, f"docs/host.toml does not name {group}"
    assert "\nsocket = " in text
    assert "\nlocal_socket = " in text


def test_quotas_of_a_vm_are_over_those_of_all() -> None:
    default = "[default.quotas.client]\nsurfaces = 7\npipes = 3\n"
    file = parsed(default + "[vm.a.quotas.client]\npipes = 4\n[vm.a.quotas.vm]\nfds = 90")
    assert (file.default.quotas.client.surfaces, file.default.quotas.client.pipes) == (7, 3)
    own = file.of_vm("a").quotas
    assert (own.client.surfaces, own.client.pipes, own.vm.fds) == (7, 4, 90)
    assert decode_settings(encode_settings(file.of_vm("a"))).quotas == own


def test_formats_are_named_by_their_fourccs() -> None:
    file = parsed('[default]\nformats = ["XR30", "R8"]\n[vm.a]\nformats = "all"\n[vm.b]\nformats = []\n')
    assert file.default.formats == frozenset({fourcc("XR30"), fourcc("R8")})
    assert file.of_vm("other").rules.formats == file.default.formats
    assert file.of_vm("a").formats is None
    assert file.of_vm("b").formats == frozenset()


@pytest.mark.parametrize("value", ['"XR30"', '["XR31"]', "[1]", '["xr30"]', '["TOOLONG"]', "true"])
def test_what_is_no_format_is_told(value: str) -> None:
    with pytest.raises(EnvironmentFault, match=r"default.formats: .* is no (list|format)"):
        parsed(f"[default]\nformats = {value}\n")
