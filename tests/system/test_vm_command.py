"""`crossdomain vm`, used as a person uses it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.seat import View
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import load_pixels, wait_until

BACKGROUND = (0x30, 0x50, 0x70)
"""Of the headless compositor."""

PATIENCE = 150.0
"""Seconds for a boot and an application, on a loaded machine."""

pytestmark = pytest.mark.usefixtures("vm_image")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "crossdomain.cli", "vm", *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a machine without a desktop, with temporary files in `folder`."""
    kept = {name: value for name, value in os.environ.items() if name not in {"WAYLAND_DISPLAY", "DISPLAY"}}
    return {**kept, "TMPDIR": str(folder), **more}


@contextmanager
def running(argv: list[str], env: dict[str, str]) -> Generator[subprocess.Popen[str]]:
    """The command, as the only one of its process group, killed where a test fails."""
    with subprocess.Popen(
        argv, env=env, cwd=REPOSITORY, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_for_window(desktop: HeadlessWeston, label: str) -> View:
    """The window of that label, once it is shown."""
    wait_until(lambda: desktop.seat.find_view(label) is not None, seconds=PATIENCE, what=f"a window {label}")
    view = desktop.seat.find_view(label)
    assert view is not None
    return view


def test_an_application_runs_as_if_it_ran_here(runtime_dir: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (share / "note").write_text("on the host\n")
    picture = tmp_path / "picture.png"
    script = (
        'cat "$1/note"; cat; echo "$COLOUR" >&2; echo "$XDG_ACTIVATION_TOKEN" >&2; '
        "foot --app-id=shown sleep 6; exit 7"
    )
    argv = command(
        "run", f"--share={share}:ro", "--env=COLOUR=green", f"--screenshot={picture}", "--size=900x600",
        "--", "sh", "-c", script, "sh", str(share),
    )  # fmt: skip
    with running(argv, environment(runtime_dir, XDG_ACTIVATION_TOKEN="token of the desktop")) as process:
        output, errors = process.communicate("typed in\n", timeout=PATIENCE)
    assert process.returncode == 7, errors
    assert output == "on the host\ntyped in\n"
    assert {"green", "token of the desktop"} <= set(errors.splitlines())
    pixels = load_pixels(picture)
    assert pixels.shape == (600, 900, 3)
    assert np.any(pixels != np.array(BACKGROUND), axis=2).mean() > 0.1
    assert list(runtime_dir.iterdir()) == []


def test_a_terminal_on_the_desktop_ends_with_what_was_typed_into_it(
    vm_image: Image, runtime_dir: Path
) -> None:
    with HeadlessWeston(vm_image) as desktop:
        env = environment(runtime_dir, **desktop.environment)
        with running(command("run", "--name=work", "--", "foot", "sh"), env) as process:
            view = wait_for_window(desktop, " of work.foot")
            assert "'[work] " in view.label
            desktop.seat.click(view.x + view.width / 2, view.y + view.height / 2)
            desktop.seat.type("exit 19\n")
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 19, errors
        assert desktop.seat.find_view("foot") is None
    assert list(runtime_dir.iterdir()) == []


def test_a_signal_goes_to_the_application_and_everything_is_taken_down(runtime_dir: Path) -> None:
    script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.2; done"
    with running(command("run", "--", "sh", "-c", script), environment(runtime_dir)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (3, "got it\n"), errors
    assert list(runtime_dir.iterdir()) == []


def test_an_interrupt_before_the_application_runs_takes_everything_down(runtime_dir: Path) -> None:
    with running(command("run", "--", "sleep", "1000"), environment(runtime_dir)) as process:
        wait_until(
            lambda: any(runtime_dir.glob("crossdomain-vm-*")), seconds=PATIENCE, what="the machine's start"
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGINT
    assert list(runtime_dir.iterdir()) == []


def test_an_application_that_is_missing_is_told(runtime_dir: Path) -> None:
    with running(command("run", "--", "no-such-program"), environment(runtime_dir)) as process:
        output, errors = process.communicate("", timeout=PATIENCE)
    assert process.returncode == 127
    assert "no-such-program" in errors
    assert "Traceback" not in output + errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run"], "name an application"),
        (["run", "--share=/no/such/folder", "--", "true"], "there is no folder"),
        (["run", "--share=/tmp:relative", "--", "true"], "is not understood"),
        (["run", "--env=NAME", "--", "true"], "is not understood"),
        (["run", "--memory=1", "--", "true"], "less than"),
        (["run", "--size=big", "--", "true"], "WIDTHxHEIGHT"),
        (["image", "--image-dir=/proc/nowhere"], "cannot write to"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], told: str, runtime_dir: Path) -> None:
    done = subprocess.run(
        command(*arguments),
        env=environment(runtime_dir),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_desktop_that_does_not_answer_is_told(runtime_dir: Path) -> None:
    env = environment(runtime_dir, XDG_RUNTIME_DIR=str(runtime_dir), WAYLAND_DISPLAY="wayland-99")
    done = subprocess.run(
        command("run", "--", "true"), env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no compositor answers" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_shows_three_applications_at_once(runtime_dir: Path, tmp_path: Path) -> None:
    with running(command("demo", f"--output={tmp_path}"), environment(runtime_dir)) as process:
        output, errors = process.communicate(timeout=2 * PATIENCE - 10)
    assert process.returncode == 0, errors
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["phases"].keys() >= {"setup", "image", "boot", "launcher_start"}
    assert report["versions"].keys() >= {"qemu", "kernel", "weston"}
    assert len(report["apps"]) >= 3
    for app in report["apps"]:
        assert app["name"] in output
        assert app["first_frame_s"] > 0
        assert app["buffer_path"]
        assert app["buffers"]
        assert sum(app["bytes_copied_by_path"].values()) == app["bytes_copied"]
        assert app["bytes_copied"] > 0
    pixels = load_pixels(tmp_path / "screenshot.png")
    shown = np.any(pixels != np.array(BACKGROUND), axis=2)
    # Side by side on a plain desktop: columns without a window part the left ones from the right one.
    columns = shown.any(axis=0)
    assert np.count_nonzero(np.diff(columns.astype(int)) == 1) >= 2
    assert 0.2 < shown.mean() < 0.9
    assert list(runtime_dir.iterdir()) == []


def test_the_demo_on_a_desktop_stays_until_it_is_ended(
    vm_image: Image, runtime_dir: Path, tmp_path: Path
) -> None:
    with HeadlessWeston(vm_image) as desktop:
        env = environment(runtime_dir, **desktop.environment)
        with running(command("demo", f"--output={tmp_path}"), env) as process:
            for label in ("foot", "GTK Demo", "simple-damage"):
                wait_for_window(desktop, label)
            wait_until((tmp_path / "report.json").exists, seconds=PATIENCE, what="the report")
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + signal.SIGINT
        assert desktop.seat.find_view("window") is None
    assert not (tmp_path / "screenshot.png").exists()
    assert list(runtime_dir.iterdir()) == []
