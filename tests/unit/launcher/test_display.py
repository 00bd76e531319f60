"""The Wayland socket and the directory that it is in."""

import os
import socket
import stat
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from launcher.display import DisplaySocket, RuntimeDirectory


def test_the_first_free_name_is_taken(runtime_dir: Path) -> None:
    first = DisplaySocket(str(runtime_dir), None)
    second = DisplaySocket(str(runtime_dir), None)
    assert (first.name, second.name) == ("wayland-1", "wayland-2")
    first.close()
    third = DisplaySocket(str(runtime_dir), None)
    assert third.name == "wayland-1"
    second.close()
    third.close()


def test_a_name_whose_lock_can_not_be_opened_is_another_ones(runtime_dir: Path) -> None:
    (runtime_dir / "wayland-1.lock").symlink_to("/nowhere")
    display = DisplaySocket(str(runtime_dir), None)
    assert display.name == "wayland-2"
    display.close()


def test_a_directory_where_nothing_can_be_locked_is_told(runtime_dir: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"cannot create '.*/gone/wayland-1.lock'"):
        DisplaySocket(str(runtime_dir / "gone"), None)


def test_nothing_is_left(runtime_dir: Path) -> None:
    DisplaySocket(str(runtime_dir), "mine").close()
    assert list(runtime_dir.iterdir()) == []


def test_a_name_in_use_is_told(runtime_dir: Path) -> None:
    first = DisplaySocket(str(runtime_dir), "mine")
    with pytest.raises(EnvironmentFault, match="in use"):
        DisplaySocket(str(runtime_dir), "mine")
    first.close()


def test_what_somebody_who_died_left_is_replaced(runtime_dir: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(runtime_dir / "mine"))
    left.close()
    (runtime_dir / "mine.lock").touch()
    display = DisplaySocket(str(runtime_dir), "mine")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(runtime_dir / "mine"))
    display.close()


def test_a_file_of_that_name_is_not_touched(runtime_dir: Path) -> None:
    (runtime_dir / "mine").write_text("precious")
    with pytest.raises(EnvironmentFault, match="cannot listen"):
        DisplaySocket(str(runtime_dir), "mine")
    assert (runtime_dir / "mine").read_text() == "precious"
    assert not (runtime_dir / "mine.lock").exists()


def test_a_path_that_is_too_long_is_told(runtime_dir: Path) -> None:
    with pytest.raises(EnvironmentFault, match="1 to 107 bytes"):
        DisplaySocket(str(runtime_dir), "x" * 108)


def test_an_absolute_path_is_possible(runtime_dir: Path) -> None:
    display = DisplaySocket("/nonexistent", str(runtime_dir / "mine"))
    assert stat.S_ISSOCK((runtime_dir / "mine").stat().st_mode)
    display.close()


def test_others_can_not_connect(runtime_dir: Path) -> None:
    display = DisplaySocket(str(runtime_dir), "mine")
    assert stat.S_IMODE((runtime_dir / "mine").stat().st_mode) == 0o700
    display.close()


def test_a_directory_that_can_not_be_written_is_told() -> None:
    with pytest.raises(EnvironmentFault, match="cannot create"):
        DisplaySocket("/proc", "mine")


def test_the_runtime_directory_is_the_users() -> None:
    directory = RuntimeDirectory({"XDG_RUNTIME_DIR": "/tmp"})
    directory.close()
    assert directory.path == "/tmp"
    assert not directory.is_own


def test_a_missing_runtime_directory_is_made_for_its_user_alone(runtime_dir: Path) -> None:
    directory = RuntimeDirectory({"XDG_RUNTIME_DIR": str(runtime_dir / "new")})
    assert stat.S_IMODE(os.stat(directory.path).st_mode) == 0o700
    directory.close()


def test_without_a_runtime_directory_one_is_made_and_removed() -> None:
    directory = RuntimeDirectory({})
    assert stat.S_IMODE(os.stat(directory.path).st_mode) == 0o700
    assert directory.is_own
    Path(directory.path, "left").write_text("by an application")
    directory.close()
    assert not os.path.exists(directory.path)


def test_a_runtime_directory_that_can_not_be_made_is_told() -> None:
    with pytest.raises(EnvironmentFault, match="no directory"):
        RuntimeDirectory({"XDG_RUNTIME_DIR": "/proc/nowhere/run"})
