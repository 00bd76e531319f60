"""A program of an image runs on the host with the image's /usr and the host's everything else.

The machine's own root stands in for an image, so these tests need none.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import root


def run(view: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = root.enter_command(Path("/"), view, argv, directory=view)
    return subprocess.run(
        command, env=root.program_environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_it_runs_with_arguments_and_exit_status(tmp_path: Path) -> None:
    done = run(tmp_path, "sh", "-c", 'echo "$1" "$2"; exit 5', "sh", "a b", "*")
    assert (done.returncode, done.stdout) == (5, "a b *\n")


def test_files_of_the_host_keep_their_paths(tmp_path: Path) -> None:
    (tmp_path / "view").mkdir()
    (tmp_path / "file").write_text("host")
    done = run(tmp_path / "view", "sh", "-c", f"cat {tmp_path}/file; echo changed >{tmp_path}/file")
    assert done.stdout == "host"
    assert (tmp_path / "file").read_text() == "changed\n"


def test_the_images_files_cannot_be_written(tmp_path: Path) -> None:
    done = run(tmp_path, "sh", "-c", "echo x >/usr/crossdomain-was-here")
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr
    assert not Path("/usr/crossdomain-was-here").exists()


def test_the_images_libraries_come_from_a_root_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "view").mkdir()
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "etc/marker").write_text("of the image")
    (image / "usr").symlink_to("/usr")
    for name in ("bin", "sbin", "lib", "lib64"):
        (image / name).symlink_to(f"usr/{name}")
    command = root.enter_command(image, tmp_path / "view", ["cat", "/etc/marker"])
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "of the image"


def test_nothing_stays_mounted(tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    run(tmp_path, "true")
    assert Path("/proc/self/mountinfo").read_text() == before
    assert list(tmp_path.iterdir()) == []


def test_the_process_that_is_started_becomes_the_program(tmp_path: Path) -> None:
    command = root.enter_command(Path("/"), tmp_path, ["sh", "-c", "echo $$"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid


def test_descriptors_are_passed_on(tmp_path: Path) -> None:
    read, write = os.pipe()
    command = root.enter_command(Path("/"), tmp_path, ["sh", "-c", f"echo hello >/proc/self/fd/{write}"])
    subprocess.run(command, pass_fds=(write,), check=True)
    os.close(write)
    with open(read, "rb") as reader:
        assert reader.read() == b"hello\n"


def test_it_is_killed_with_whoever_started_it(tmp_path: Path) -> None:
    command = root.enter_command(Path("/"), tmp_path, ["sh", "-c", "echo started; exec sleep 1000"])
    parent = f"import subprocess, time; subprocess.Popen({command!r}); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.kill()
        # The end of the pipe: the program that held its other end is gone too.
        assert process.stdout.read() == b""


def test_libraries_of_the_host_are_not_forced_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    monkeypatch.setenv("PYTHONPATH", "/opt/python")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    environment = root.program_environment({"EXTRA": "1"})
    assert environment.keys().isdisjoint({"LD_LIBRARY_PATH", "PYTHONPATH"})
    assert (environment["XDG_RUNTIME_DIR"], environment["EXTRA"]) == ("/run/user/7", "1")


def test_a_missing_unshare_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="unshare is missing") as caught:
        root.enter_command(Path("/"), tmp_path, ["true"])
    assert "util-linux" in caught.value.hint
