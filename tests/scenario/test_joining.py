"""What crossdomain-run makes of a service's announcement: the script that is installed, and the launcher.

The tests announce themselves here, so that they may say anything.
"""

import ast
import fcntl
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.launcher import ENTRIES, Entry, environment, run_launcher
from tests.fakes.programs import CROSSDOMAIN_RUN, REPOSITORY

SCRIPT: Final = ENTRIES["script"]

OF_SHELLS: Final = {"_", "OLDPWD", "PWD", "SHLVL"}
"""Variables that shells keep themselves."""

NO_WAY_TO_THE_HOST: Final = "render node"
"""A launcher of the application's own says so: there is no virtio-gpu here."""


@pytest.fixture(params=ENTRIES.values(), ids=tuple(ENTRIES))
def entry(request: pytest.FixtureRequest) -> Entry:
    """Each of the ways to start crossdomain-run."""
    found: Entry = request.param
    return found


@contextmanager
def announced(directory: Path, text: str) -> Generator[Path]:
    """An announcement, of a service that lives until the block ends."""
    path = directory / "crossdomain-run.env"
    with path.open("wb") as file:
        file.write(os.fsencode(text))
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def test_what_leads_to_the_service_is_taken_as_it_is_and_nothing_else(
    runtime_dir: Path, entry: Entry
) -> None:
    strange = " $(id) `id`;  *\t'\"\\\\n\f\x85\udcff "
    text = (
        f"LD_PRELOAD=/nowhere\nWAYLAND_DISPLAYS=x\nWAYLAND_DISPLAY={strange}\nPATH=/nowhere\n\n"
        "DISPLAY=a=b\nXDG_SESSION_TYPE=tty\nWAYLAND_SOCKET=4\n"
    )
    own = {"WAYLAND_SOCKET": "3", "DISPLAY": ":7", "line": "mine", "EMPTY": "", "LINES": "one\ntwo"}
    show = "import os; print(*map(ascii, os.environ.items()), sep='\\n')"
    with announced(runtime_dir, text):
        done = run_launcher(runtime_dir, sys.executable, "-c", show, extra=own, entry=entry)
    expected = {"XDG_SESSION_TYPE": "wayland", **environment(runtime_dir, own)}
    expected |= {"WAYLAND_DISPLAY": strange, "DISPLAY": "a=b"}
    del expected["WAYLAND_SOCKET"]
    assert (done.status, done.errors) == (0, "")
    seen: dict[str, str] = dict(ast.literal_eval(line) for line in done.output.splitlines())
    for name in OF_SHELLS:
        seen.pop(name, None)
        expected.pop(name, None)
    assert seen == expected


def test_an_application_has_its_own_arguments_and_type_of_session(runtime_dir: Path, entry: Entry) -> None:
    arguments = ("", "a  b", "*", "$HOME", "`id`", "-n", "--", "x\ny", "\\", "'\"")
    script = 'printf "%s|" "$@" "$XDG_SESSION_TYPE"'
    with announced(runtime_dir, "WAYLAND_DISPLAY=x\n"):
        done = run_launcher(
            runtime_dir, *("sh", "-c", script, "-", *arguments), extra={"XDG_SESSION_TYPE": ""}, entry=entry
        )
    assert done == (0, "".join(f"{each}|" for each in (*arguments, "")), "")


def test_an_application_has_the_descriptors_that_it_would_have_without_us(
    runtime_dir: Path, entry: Entry
) -> None:
    opened = "exec 3</dev/zero 9</dev/full; "
    show = "for fd in 0 1 2 3 4 5 6 7 8 9 10 11; do readlink /proc/$$/fd/$fd || echo none; done"
    through_us = ("bash", "-c", f'{opened} exec "$@"', "-", *entry)
    with announced(runtime_dir, "WAYLAND_DISPLAY=x\n"):
        done = run_launcher(runtime_dir, "bash", "-c", show, entry=through_us)
    none = ["none"]
    expected = ["/dev/zero", *none * 5, "/dev/full", *none * 2]
    assert (done.status, done.output.splitlines()[3:], done.errors) == (0, expected, "")


@pytest.mark.parametrize("text", ["", "PATH=/nowhere\n"])
def test_an_announcement_that_leads_nowhere_is_none(runtime_dir: Path, entry: Entry, text: str) -> None:
    with announced(runtime_dir, text):
        assert NO_WAY_TO_THE_HOST in run_launcher(runtime_dir, "true", entry=entry).errors


def test_an_announcement_that_lies_elsewhere_is_none(runtime_dir: Path, entry: Entry) -> None:
    other = runtime_dir / "other"
    other.mkdir()
    with announced(other, "WAYLAND_DISPLAY=x\n") as path:
        (runtime_dir / path.name).symlink_to(path)
        assert NO_WAY_TO_THE_HOST in run_launcher(runtime_dir, "true", entry=entry).errors


def test_a_directory_in_the_announcements_place_is_none(runtime_dir: Path, entry: Entry) -> None:
    (runtime_dir / "crossdomain-run.env").mkdir()
    assert NO_WAY_TO_THE_HOST in run_launcher(runtime_dir, "true", entry=entry).errors


@pytest.mark.parametrize("arguments", [(), ("",), ("--bogus", "true")])
def test_the_script_tells_mistakes_as_the_launcher_does(
    runtime_dir: Path, arguments: tuple[str, ...]
) -> None:
    with announced(runtime_dir, "WAYLAND_DISPLAY=x\n"):
        done, told = [
            run_launcher(runtime_dir, *arguments, entry=ENTRIES[by]) for by in ("script", "launcher")
        ]
    assert done == told
    assert done.status in {125, 126}
    assert done.errors.count("\n") == 1


def test_what_no_shell_runs_is_not_run(runtime_dir: Path) -> None:
    """Built into shells, and a folder: neither is a program."""
    with announced(runtime_dir, "WAYLAND_DISPLAY=x\n"):
        folder = run_launcher(runtime_dir, "/tmp", entry=SCRIPT)
        builtin = run_launcher(runtime_dir, "shift", "1", entry=SCRIPT)
    assert folder == (126, "", "crossdomain-run: '/tmp' can't be run: Permission denied\n")
    assert (builtin.status, builtin.errors.count("\n")) == (127, 1)


def test_where_there_is_no_flock_the_launcher_joins(runtime_dir: Path) -> None:
    command = ("/bin/sh", "-c", "echo $WAYLAND_DISPLAY")
    with announced(runtime_dir, "WAYLAND_DISPLAY=there\n"):
        done = run_launcher(runtime_dir, *command, extra={"PATH": "/nowhere"}, entry=SCRIPT)
    assert done == (0, "there\n", "")


def test_the_command_goes_by_any_name(runtime_dir: Path) -> None:
    folder = runtime_dir / "with blanks"
    folder.mkdir()
    link = folder / "a name"
    link.symlink_to(CROSSDOMAIN_RUN)
    path = {"PATH": f"{folder}:{Path(CROSSDOMAIN_RUN).parent}:{os.environ['PATH']}"}
    for way in ((str(link),), ("sh", str(link)), ("env", link.name), ("env", "crossdomain-run")):
        done = run_launcher(runtime_dir, "--version", extra=path, entry=way)
        assert (done.status, done.errors) == (0, "")
        assert done.output.startswith("crossdomain-run ")


def test_a_command_without_the_launcher_beside_it_says_so(runtime_dir: Path) -> None:
    alone = runtime_dir / "crossdomain-run"
    alone.write_bytes(Path(CROSSDOMAIN_RUN).read_bytes())
    done = run_launcher(runtime_dir, "true", entry=("sh", str(alone)))
    assert (done.status, done.output, done.errors.count("\n")) == (125, "", 1)
    assert f"{runtime_dir}/crossdomain-launcher is missing" in done.errors


def test_the_installed_script_is_that_of_this_tree() -> None:
    """An editable installation copies scripts: `tools/prepare.sh` does so again."""
    assert Path(CROSSDOMAIN_RUN).read_bytes() == (REPOSITORY / "launcher" / "crossdomain-run").read_bytes()
