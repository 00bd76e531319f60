"""The command line."""

import pytest

from launcher import command_line, log
from launcher.options import UsageError, parse, parse_channel, read


def test_everything_after_the_application_is_its_own() -> None:
    options = parse(["--wait", "foot", "--trace", "-e", "--", "x"])
    assert options.command == ("foot", "--trace", "-e", "--", "x")
    assert options.wait
    assert not options.trace


def test_two_dashes_end_our_options() -> None:
    assert parse(["--", "--strange-name", "--"]).command == ("--strange-name", "--")


def test_defaults() -> None:
    options = parse(["app"])
    assert options.channel == ("auto", "")
    assert options.socket is None
    assert options.stats is None
    assert options.level == log.WARNING
    assert not options.wait


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", ("auto", "")),
        ("virtgpu", ("virtgpu", "")),
        ("virtgpu:/dev/dri/renderD129", ("virtgpu", "/dev/dri/renderD129")),
        ("local:/run/a:b", ("local", "/run/a:b")),
    ],
)
def test_ways_to_the_host(text: str, choice: tuple[str, str]) -> None:
    assert parse_channel(text) == choice


@pytest.mark.parametrize("text", ["", "local", "local:", "virtgpu:", "auto:x", "tcp:host"])
def test_no_way_to_the_host(text: str) -> None:
    with pytest.raises(UsageError, match="--channel"):
        parse_channel(text)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--"], ["--bogus", "app"], ["--stats"], ["--log-level", "loud", "app"], ["--wai", "app"]],
)
def test_nonsense_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(arguments)


def test_groups_of_globals_are_allowed_by_name() -> None:
    assert parse(["--allow", "screencopy", "--allow=layer-shell", "app"]).allow == (
        "screencopy",
        "layer-shell",
    )
    with pytest.raises(UsageError, match="invalid choice: 'drm-lease'"):
        parse(["--allow=drm-lease", "app"])


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("crossdomain-run ")


@pytest.mark.parametrize("scale", ["auto", "1", "1.5", "4"])
def test_scales_of_x11_windows(scale: str) -> None:
    assert parse(["--x11", "on", "--x11-scale", scale, "app"]).x11_scale == scale


@pytest.mark.parametrize("scale", ["0", "4.1", "nan", "large", ""])
def test_no_scales_of_x11_windows(scale: str) -> None:
    with pytest.raises(UsageError, match="neither auto nor a number"):
        parse(["--x11-scale", scale, "app"])


READ_WITHOUT_ARGPARSE = [
    "app",
    "-- app",
    "app --trace -- x",
    "-- --strange-name --",
    "--service",
    "--service --no-service app",
    "--no-service --wait --trace app -x",
    "--channel virtgpu --socket mine --stats file app",
    "--channel=local:/run/a:b --socket=mine --stats=file -- app --wait",
    "--x11 off --x11-scale 1.5 --x11-keep-clipboard --buffers copy --log-level debug app",
    "--x11=on --x11-scale=auto --buffers=copy --buffers=auto --log-level=error app",
    "--stats= --socket=-x app",
]


@pytest.mark.parametrize("line", READ_WITHOUT_ARGPARSE)
def test_a_line_that_makes_sense_means_what_argparse_makes_of_it(line: str) -> None:
    understood = read(line.split(" "))
    assert understood is not None
    assert vars(understood) == vars(command_line.parse(line.split(" ")))


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "--version",
        "-h",
        "--wait",
        "--service app",
        "--stats -- app",
        "--x11 maybe app",
        "--wait=1 app",
        "--x11-scale 5 app",
        "--log-level loud app",
        "--buffers none app",
        "--allow screencopy app",
        "--wai app",
    ],
)
def test_what_needs_an_explanation_is_left_to_argparse(line: str) -> None:
    assert read(line.split(" ")) is None
