"""The sockets, the lock and the cookie of an X display."""

import os
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from launcher.xwayland import authority
from launcher.xwayland.sockets import DisplaySockets


def connect(path: str) -> None:
    """Fail unless somebody listens there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_display_has_both_sockets_and_a_lock(runtime_dir: Path) -> None:
    sockets = DisplaySockets(str(runtime_dir))
    path = f"{runtime_dir}/.X11-unix/X{sockets.number}"
    assert sockets.name == f":{sockets.number}"
    connect(path)
    connect("\0" + path)
    assert int((runtime_dir / f".X{sockets.number}-lock").read_text()) == os.getpid()
    sockets.close()
    assert [entry.name for entry in runtime_dir.rglob("*")] == [".X11-unix"]


def test_two_displays_have_two_numbers(runtime_dir: Path) -> None:
    first, second = DisplaySockets(str(runtime_dir)), DisplaySockets(str(runtime_dir))
    assert first.number != second.number
    first.close()
    second.close()


def test_the_lock_of_a_server_that_died_is_taken_over(runtime_dir: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    lock = runtime_dir / ".X0-lock"
    lock.write_text(f"{ended.pid:10}\n")
    sockets = DisplaySockets(str(runtime_dir))
    assert sockets.number == 0
    sockets.close()


@pytest.mark.parametrize("content", [f"{os.getpid():10}\n", f"{os.getppid():10}\n"], ids=["own", "parent"])
def test_the_lock_of_a_server_that_lives_is_left_alone(runtime_dir: Path, content: str) -> None:
    lock = runtime_dir / ".X0-lock"
    lock.write_text(content)
    sockets = DisplaySockets(str(runtime_dir))
    assert sockets.number == 1
    sockets.close()
    assert lock.read_text() == content


def test_a_number_whose_abstract_socket_is_anothers_is_passed_over(runtime_dir: Path) -> None:
    """Clients would come to that other server, which may be in another container."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"\0{runtime_dir}/.X11-unix/X0")
        other.listen()
        sockets = DisplaySockets(str(runtime_dir))
        assert sockets.number == 1
        sockets.close()


def test_where_x_sockets_can_not_be_made_the_display_is_a_path(runtime_dir: Path) -> None:
    (runtime_dir / ".X11-unix").write_text("no folder")
    aside = runtime_dir / "own"
    aside.mkdir()
    sockets = DisplaySockets(str(runtime_dir), own_directory=str(aside))
    assert sockets.name.startswith(str(aside))
    connect(sockets.name)
    sockets.close()
    assert list(aside.iterdir()) == []


def test_no_display_at_all_says_what_to_do(runtime_dir: Path) -> None:
    (runtime_dir / ".X11-unix").write_text("no folder")
    with pytest.raises(EnvironmentFault, match="no X display"):
        DisplaySockets(str(runtime_dir))


def test_the_cookie_is_as_xauth_reads_it(runtime_dir: Path) -> None:
    with closing(authority.Authority(str(runtime_dir), 7)) as made:
        cookie = authority.read_cookie(made.path)
        assert len(cookie) == 16
        assert Path(made.path).stat().st_mode & 0o777 == 0o600
        listing = ["xauth", "-f", made.path, "list"]
        listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    first = listed.splitlines()[0].split()
    assert first == [f"{socket.gethostname()}/unix:7", "MIT-MAGIC-COOKIE-1", cookie.hex()]


@pytest.mark.parametrize("content", [b"", b"\x01\x00\xff\xff", b"\x01\x00\x00\x00\x00\x00\x00\x00\x00"])
def test_a_broken_cookie_file_is_told(runtime_dir: Path, content: bytes) -> None:
    path = runtime_dir / "authority"
    path.write_bytes(content)
    with pytest.raises(EnvironmentFault):
        authority.read_cookie(str(path))


def test_the_cookie_of_a_launcher_that_was_killed_goes_and_others_stay(runtime_dir: Path) -> None:
    left = runtime_dir / "crossdomain-xauth-1-0"
    left.write_bytes(b"left")
    with closing(authority.Authority(str(runtime_dir), 1)), closing(authority.Authority(str(runtime_dir), 2)):
        assert sorted(path.name for path in runtime_dir.iterdir()) == [
            f"crossdomain-xauth-{os.getpid()}-{display}" for display in (1, 2)
        ]
    assert list(runtime_dir.iterdir()) == []
