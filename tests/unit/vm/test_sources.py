"""The Debian mirror comes from the host's own apt configuration, in whichever format it is written."""

from pathlib import Path

import pytest

from crossdomain.vm.sources import (
    Source,
    find_mirror,
    find_security_mirror,
    parse_transport_options,
    read_sources,
)

STANZAS = """\
Types: deb
# an old line: URIs: http://wrong.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main contrib
"""


def write_sources(folder: Path, **files: str) -> Path:
    parts = folder / "sources.list.d"
    parts.mkdir(exist_ok=True)
    for name, text in files.items():
        (parts / name.replace("_", ".")).write_text(text)
    return folder


def test_stanzas_are_read(tmp_path: Path) -> None:
    found = read_sources(write_sources(tmp_path, debian_sources=STANZAS))
    assert found == [
        Source("http://mirror.example/debian", "bookworm", ("main",)),
        Source("http://mirror.example/debian", "bookworm-updates", ("main",)),
        Source("http://mirror.example/debian-security", "bookworm-security", ("main", "contrib")),
    ]


def test_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://off.example/debian bookworm main\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian bookworm main contrib # ours\n"
    )
    assert read_sources(tmp_path) == [Source("http://mirror.example/debian", "bookworm", ("main", "contrib"))]


def test_a_source_that_is_switched_off_is_not_used(tmp_path: Path) -> None:
    text = "Enabled: no\n" + STANZAS
    found = read_sources(write_sources(tmp_path, debian_sources=text))
    assert [source.suite for source in found] == ["bookworm-security"]


def test_files_that_apt_does_not_read_are_not_read(tmp_path: Path) -> None:
    assert read_sources(write_sources(tmp_path, debian_sources_save=STANZAS)) == []


def test_a_machine_without_sources_names_no_mirror(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == []
    assert find_mirror([]) is None
    assert find_security_mirror([]) is None


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "sid", "stable", "testing"])
def test_the_first_debian_source_names_the_mirror(suite: str) -> None:
    sources = [
        Source("http://other.example/tool", "nodistro", ("main",)),
        Source("http://mirror.example/debian-security", f"{suite}-security", ("main",)),
        Source("http://mirror.example/debian", suite, ("main",)),
        Source("http://second.example/debian", suite, ("main",)),
    ]
    assert find_mirror(sources) == "http://mirror.example/debian"
    assert find_security_mirror(sources) == "http://mirror.example/debian-security"


def test_a_repository_without_main_is_not_a_mirror() -> None:
    assert find_mirror([Source("http://x.example/x", "bookworm", ("stable",))]) is None


def test_proxies_and_certificates_are_passed_on_and_nothing_else_is() -> None:
    dump = (
        'APT::Install-Recommends "true";\n'
        'Acquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::CaInfo "/etc/ca.pem";\n'
        'Acquire::http::Proxy-Auto-Detect "";\n'
        'Acquire::Check-Date "false";\n'
        'Acquire::Languages "none";\n'
        'DPkg::Post-Invoke:: "rm -rf /";\n'
    )
    assert parse_transport_options(dump) == [
        'Acquire::http::Proxy "http://proxy.example:3128"',
        'Acquire::https::CaInfo "/etc/ca.pem"',
        'Acquire::Check-Date "false"',
    ]
