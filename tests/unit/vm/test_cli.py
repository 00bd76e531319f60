"""The options of `crossdomain vm`."""

import argparse
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import cli
from crossdomain.vm.cli import parse_share
from crossdomain.vm.machine import Share


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(arguments)


def test_everything_after_the_dashes_is_the_applications() -> None:
    parsed = parse("run", "--memory", "512", "--", "foot", "--memory", "-e", "--", "x")
    assert parsed.app == ["--", "foot", "--memory", "-e", "--", "x"]
    assert parsed.memory == 512


def test_an_application_needs_no_dashes_before_it() -> None:
    assert parse("run", "foot", "--help").app == ["foot", "--help"]


def test_a_folder_is_shared_at_its_own_path(tmp_path: Path) -> None:
    assert parse_share(str(tmp_path)) == Share(tmp_path, str(tmp_path))


def test_a_folder_is_shared_at_another_path_and_read_only(tmp_path: Path) -> None:
    assert parse_share(f"{tmp_path}:/mnt/x") == Share(tmp_path, "/mnt/x")
    assert parse_share(f"{tmp_path}:ro") == Share(tmp_path, str(tmp_path), read_only=True)
    assert parse_share(f"{tmp_path}:/mnt/x:ro") == Share(tmp_path, "/mnt/x", read_only=True)


@pytest.mark.parametrize("text", ["{}:mnt", "{}:/a:/b", "{}:/a:/b:ro", "{}/missing"])
def test_a_share_that_makes_no_sense_is_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault):
        parse_share(text.format(tmp_path))


@pytest.mark.parametrize("size", ["100", "1x1", "800x", "x600", "-800x600", "800x600x1"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("run", f"--size={size}", "--", "true")
    assert "is not WIDTHxHEIGHT" in capsys.readouterr().err


def test_a_size_is_taken_apart() -> None:
    assert parse("run", "--size=800x600", "--", "true").size == (800, 600)


def test_a_vm_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("run", "--name=work", "--", "true").name == "work"
    with pytest.raises(SystemExit):
        parse("run", "--name=a b", "--", "true")
    assert "'a b' is no VM's name: take up to 64 letters" in capsys.readouterr().err
