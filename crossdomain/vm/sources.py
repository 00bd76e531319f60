"""Finds the Debian mirror that the host's own apt uses, and how apt reaches it.

The image is made from the same mirror, through the same proxy and with the same
certificates as the host's packages: a machine behind a company mirror needs no second
configuration.  See sources.list(5) for the two formats.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_DEBIAN_SUITES: Final = frozenset(
    {
        "oldoldstable", "oldstable", "stable", "testing", "unstable",
        "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
    }
)  # fmt: skip

_FORWARDED: Final = re.compile(r"^Acquire::(https?::|Retries|Check-|ForceIPv[46]|Max-FutureTime|Queue-Mode)")
"""Options of the host's apt that say how a mirror is reached, and nothing about what is installed."""


class Source(NamedTuple):
    """One place that apt takes packages from."""

    uri: str
    suite: str
    components: tuple[str, ...]


def read_sources(directory: Path) -> list[Source]:
    """Read all package sources below `directory`, which is laid out as /etc/apt."""
    found: list[Source] = []
    files = [directory / "sources.list", *sorted((directory / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix not in {".list", ".sources"} or not file.is_file():
            continue
        text = file.read_text(errors="replace")
        found += _parse_stanzas(text) if file.suffix == ".sources" else _parse_lines(text)
    return found


def find_mirror(sources: list[Source]) -> str | None:
    """Choose the first source that is Debian itself and return its URI, None without one."""
    for source in sources:
        release, _, pocket = source.suite.partition("-")
        if release in _DEBIAN_SUITES and pocket != "security" and "main" in source.components:
            return source.uri
    return None


def find_security_mirror(sources: list[Source]) -> str | None:
    """Choose the first source of Debian's security updates and return its URI, None without one."""
    for source in sources:
        release, _, pocket = source.suite.partition("-")
        if release in _DEBIAN_SUITES and pocket == "security" and "main" in source.components:
            return source.uri
    return None


def parse_transport_options(dump: str) -> list[str]:
    """Pick, from the output of `apt-config dump`, the options that say how to reach a mirror."""
    return [
        line.rstrip(";") for line in dump.splitlines() if _FORWARDED.match(line) and not line.endswith('"";')
    ]


def _parse_lines(text: str) -> Iterator[Source]:
    for raw in text.splitlines():
        line = re.sub(r"\[[^]]*\]", " ", raw.partition("#")[0])
        words = line.split()
        if len(words) >= 4 and words[0] == "deb":
            yield Source(words[1], words[2], tuple(words[3:]))


def _parse_stanzas(text: str) -> Iterator[Source]:
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented):
        fields = {
            match[1].lower(): shlex.split(match[2])
            for match in re.finditer(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
            if match[1].lower() in {"types", "uris", "suites", "components", "enabled"}
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield Source(uri, suite, tuple(fields.get("components", [])))
