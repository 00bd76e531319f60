"""The systemd unit: what systemd itself says of it."""

import subprocess
from pathlib import Path
from typing import Final

UNIT: Final = Path(__file__).resolve().parents[3] / "docs" / "crossdomain-host.service"
EXPOSURE: Final = 20
"""Tenths: 2.0 of 10, where 10 is a service that may do everything."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A systemd-analyze that needs no running systemd."""
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_its_exposure_is_at_most_2() -> None:
    scored = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(UNIT))
    assert scored.returncode == 0, scored.stdout[-200:]
    assert "Overall exposure level" in scored.stdout


def test_systemd_knows_every_line_of_it(tmp_path: Path) -> None:
    # The program is not where the unit expects it on this machine.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/crossdomain host", "/bin/true"))
    verified = analyze("verify", str(unit))
    told = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert told == []


def test_what_a_worker_takes_is_not_filtered_before() -> None:
    text = UNIT.read_text()
    for name in ("landlock_restrict_self", "seccomp", "setrlimit", "capset"):
        assert name in text
