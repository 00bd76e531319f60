"""Every fuzz target for a moment, the same each time, and all inputs that once found something."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz import campaign, tracer
from tests.fuzz.campaign import Bounds

CORPUS: Final = Path(__file__).with_name("corpus")
RUNS: Final = {
    "walker": 20_000,
    "copy": 20_000,
    "runs": 20_000,
    "region": 20_000,
    "tables": 2_000,
    "lane": 8_000,
    "passage": 8_000,
    "control_queue": 8_000,
}
"""What takes a second or two; others do 600."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where corpora are, and what all targets in C share."""
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", campaign.NAMES)
def test_nothing_is_found_in_a_moment(name: str, folder: Path) -> None:
    result = campaign.run(name, Bounds(runs=RUNS.get(name, 600), seed=1), folder)
    assert result.report == ""
    assert result.executed >= RUNS.get(name, 600)


@pytest.mark.parametrize("name", sorted(folder.name for folder in CORPUS.iterdir()))
def test_what_was_found_once_is_found_no_more(name: str) -> None:
    inputs = map(str, sorted((CORPUS / name).iterdir()))
    command = [sys.executable, "-m", "tests.fuzz.replay", name, *inputs]
    replayed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert replayed.returncode == 0, replayed.stderr


def test_libfuzzer_sees_the_branches_of_python(folder: Path) -> None:
    corpus = folder / "branches"
    corpus.mkdir()
    command = [sys.executable, "-m", "tests.fuzz.guided", "wire", str(tracer.build(folder)), str(corpus)]
    run = subprocess.run([*command, "-runs=1"], capture_output=True, text=True, check=True, timeout=120)
    (branches,) = re.findall(r"INITED cov: (\d+)", run.stderr)
    assert int(branches) > 100


def test_no_two_targets_have_one_name() -> None:
    assert len(set(campaign.NAMES)) == len(campaign.NAMES)
