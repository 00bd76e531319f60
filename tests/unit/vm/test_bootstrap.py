"""Making the image: how far it is, and one line that says why it failed."""

from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import bootstrap
from crossdomain.vm.bootstrap import InstallMeter, explain_failure


def run_of_apt(packages: int) -> list[str]:
    names = [f"package{number}" for number in range(packages)]
    return [
        f"0 upgraded, {packages} newly installed, 0 to remove and 0 not upgraded.",
        *(
            f"Get:{number} http://mirror.example/debian trixie/main amd64 {name} amd64 1.0 [1 kB]"
            for number, name in enumerate(names, 1)
        ),
        *(f"Unpacking {name}:amd64 (1.0) ..." for name in names),
        *(f"Setting up {name}:amd64 (1.0) ..." for name in names),
    ]


def test_the_meter_goes_from_nothing_to_all_and_never_back() -> None:
    meter = InstallMeter()
    fractions = [
        meter.feed(line) for line in ["I: running apt-get update...", *run_of_apt(5), *run_of_apt(30)]
    ]
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_the_meter_names_the_package_at_hand() -> None:
    meter = InstallMeter()
    seen: list[str] = []
    for line in run_of_apt(1):
        meter.feed(line)
        seen.append(meter.text)
    assert seen[1:] == ["downloading package0", "unpacking package0", "setting up package0"]


def test_the_meter_survives_lines_of_any_shape() -> None:
    meter = InstallMeter()
    for line in [
        "0 upgraded, 0 newly installed, 0 to remove",
        "Get:",
        "Unpacking ",
        "Setting up ",
        "Get:1 x",
    ]:
        assert 0.0 <= meter.feed(line) <= 1.0


@pytest.mark.parametrize(
    ("log", "told", "advice"),
    [
        ("dpkg: error: cannot write: No space left on device\nE: x failed", "no space left", "--image-dir"),
        ("E: Unable to locate package nosuch\n", "no package nosuch", "--package"),
        (
            "Err:1 http://m.example trixie\n  Could not resolve 'm.example'\nE: x",
            "cannot be reached",
            "network",
        ),
        ("I: fine\nE: something odd\nE: setup failed\n", "setup failed", "log"),
        ("unshare: not permitted\n", "not permitted", "log"),
        ("", "no message", "log"),
    ],
)
def test_a_failure_is_told_in_one_line(tmp_path: Path, log: str, told: str, advice: str) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    fault = explain_failure(path)
    assert told in str(fault)
    assert advice in fault.hint
    assert "\n" not in str(fault)


def test_no_mmdebstrap_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="mmdebstrap is missing") as caught:
        bootstrap.plan(("weston",), None)
    assert "apt install mmdebstrap" in caught.value.hint


def test_no_root_rights_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(EnvironmentFault, match="needs root"):
        bootstrap.plan(("weston",), None)
