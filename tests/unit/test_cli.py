"""`crossdomain`: what went wrong is one line and an exit status."""

import argparse
import sys
import types
from collections.abc import Callable

import pytest

from crossdomain import cli
from crossdomain.errors import EnvironmentFault, HostFault


def install(monkeypatch: pytest.MonkeyPatch, run: Callable[[argparse.Namespace], int]) -> None:
    """Makes `crossdomain doctor` do that."""
    module = types.ModuleType("crossdomain.host.doctor")

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.set_defaults(run=run)

    module.__dict__["add_arguments"] = add_arguments
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_status_is_the_commands(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    install(monkeypatch, lambda _arguments: status)
    assert cli.main(["doctor"]) == status


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (EnvironmentFault("no thing", hint="get one"), "crossdomain: no thing: get one\n", 1),
        (HostFault("it broke"), "crossdomain: it broke\n", 1),
        (KeyboardInterrupt(), "", 130),
    ],
)
def test_what_went_wrong_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    line: str,
    status: int,
) -> None:
    def fail(_arguments: argparse.Namespace) -> int:
        raise error

    install(monkeypatch, fail)
    assert cli.main(["doctor"]) == status
    assert capsys.readouterr().err == line


def test_help_names_every_command_without_importing_any(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name, _help, _module in cli.COMMANDS)
