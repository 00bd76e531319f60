"""A long phase shows that it goes on, on a terminal and in a log."""

import io

import pytest

from crossdomain.vm.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_log_gets_a_line_for_every_tenth_and_no_more(clock: Clock) -> None:
    log = io.StringIO()
    with Progress(log, "image") as progress:
        for percent in range(100):
            clock.now += 0.1
            progress.update(percent / 100, f"step {percent}")
    lines = log.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("image [----")
    assert "100%" in lines[-1]
    assert lines[-1].endswith("done")


def test_a_log_gets_a_line_every_ten_seconds_however_slow_it_goes(clock: Clock) -> None:
    log = io.StringIO()
    with Progress(log, "image") as progress:
        for _ in range(30):
            clock.now += 1.0
            progress.update(0.01, "slow")
    assert len(log.getvalue().splitlines()) == 1 + 3 + 1


def test_a_terminal_gets_one_line_that_is_redrawn(clock: Clock) -> None:
    terminal = Terminal()
    with Progress(terminal, "image") as progress:
        clock.now += 1.0
        progress.update(0.5, "half")
    drawn = terminal.getvalue()
    assert drawn.count("\n") == 1
    assert drawn.split("\r\033[K")[-2].startswith("image [##############--------------]  50%    1 s  half")


def test_progress_never_goes_back(clock: Clock) -> None:
    log = io.StringIO()
    with Progress(log, "image") as progress:
        clock.now += 20.0
        progress.update(0.8, "far")
        clock.now += 20.0
        progress.update(0.3, "again")
    assert [line.split("]")[1].split("%")[0].strip() for line in log.getvalue().splitlines()] == [
        "0",
        "80",
        "80",
        "100",
    ]


def fail_in(progress: Progress) -> None:
    with progress:
        raise ValueError("x")


def test_what_fails_is_not_called_done() -> None:
    log = io.StringIO()
    with pytest.raises(ValueError, match="x"):
        fail_in(Progress(log, "image"))
    assert log.getvalue().splitlines()[-1].endswith("failed")
