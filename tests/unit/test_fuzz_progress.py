"""A fuzzing run goes on where the last one ended, and its processes share the work."""

from pathlib import Path

from tests.fuzz.progress import Progress, Total


def test_executions_are_added_up_over_runs(tmp_path: Path) -> None:
    Progress(tmp_path).add("wire", 100, 2.0)
    assert Progress(tmp_path).add("wire", 50, 1.0) == Total(150, 3.0)
    assert Progress(tmp_path).total("wire") == Total(150, 3.0)


def test_a_target_with_enough_executions_is_run_no_more(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.add("wire", 100, 1.0)
    assert progress.choose(("wire",), 100) is None
    assert progress.choose(("wire", "gpu"), 100) == "gpu"


def test_processes_share_the_targets_and_then_help_with_the_slowest(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.add("wire", 90, 1.0)
    assert progress.choose(("wire", "gpu"), 100) == "gpu"
    assert progress.choose(("wire", "gpu"), 100) == "wire"
    progress.add("wire", 10, 1.0)
    assert progress.choose(("wire", "gpu"), 100) == "gpu"
