"""Every fuzz target for a moment, the same each time, and all inputs that once found something."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz import campaign, tracer
from tests.fuzz.campaign import Bounds, Runner

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


_BEGIN: Final = """
open(sys.argv[1], "w").close()
signal.pause()
"""
_STOPPABLE: Final = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(print("stat::number_of_executed_units: 7")))
"""


def _always(command: list[str]) -> Callable[..., list[str]]:
    """In place of `campaign._command`."""

    def same(*_arguments: object) -> list[str]:
        return command

    return same


@pytest.mark.parametrize(("preparation", "executed"), [(_STOPPABLE, 7), ("import signal, sys", 0)])
def test_what_is_stopped_counts(
    preparation: str, executed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    command = [sys.executable, "-c", preparation + _BEGIN, str(begun)]
    monkeypatch.setattr(campaign, "_command", _always(command))
    runner = Runner(tmp_path)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(runner.run, "wire", Bounds())
        begun.read_bytes()
        runner.stop()
    result = running.result()
    assert (result.executed, result.report) == (executed, "")
    assert runner.run("wire", Bounds()).executed == 0


def test_an_end_without_a_word_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "_command", _always(["sh", "-c", "kill -USR1 $$"]))
    assert campaign.run("wire", Bounds(), tmp_path).report == "exit status -10"


def test_no_two_targets_have_one_name() -> None:
    assert len(set(campaign.NAMES)) == len(campaign.NAMES)
