"""Listening sockets and default paths: private, exclusive, replaced when stale, removed at the end."""

import os
import socket
import stat
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.host.compositor import Compositor
from crossdomain.host.paths import compositor_socket, default_gpu_socket, default_local_socket, runtime_dir
from crossdomain.host.sockets import MAX_PATH, ListeningSocket


def listen(path: Path) -> ListeningSocket:
    """A listening socket for VMs."""
    return ListeningSocket(path, socket.SOCK_STREAM)


class TestListeningSocket:
    def test_is_its_owners_alone_in_a_folder_of_its_own(self, runtime_dir: Path) -> None:
        with listen(runtime_dir / "new" / "gpu.sock") as made:
            assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
            assert stat.S_IMODE(made.path.parent.stat().st_mode) == 0o700

    def test_leaves_nothing_behind(self, runtime_dir: Path) -> None:
        made = listen(runtime_dir / "gpu.sock")
        made.close()
        made.close()
        assert list(runtime_dir.iterdir()) == []

    def test_in_use_is_said_with_a_hint(self, runtime_dir: Path) -> None:
        with listen(runtime_dir / "gpu.sock"):
            with pytest.raises(EnvironmentFault, match="is in use") as caught:
                listen(runtime_dir / "gpu.sock")
            assert "another daemon" in caught.value.hint
            assert (runtime_dir / "gpu.sock").is_socket()

    def test_in_use_by_another_program_is_left_alone(self, runtime_dir: Path) -> None:
        path = runtime_dir / "gpu.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(EnvironmentFault, match="is in use"):
                listen(path)
            assert path.is_socket()

    def test_a_stale_socket_is_replaced(self, runtime_dir: Path) -> None:
        path = runtime_dir / "gpu.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        with listen(path), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))

    def test_a_lock_of_a_dead_daemon_does_not_lock(self, runtime_dir: Path) -> None:
        (runtime_dir / "gpu.sock.lock").write_text("")
        listen(runtime_dir / "gpu.sock").close()

    def test_a_file_that_is_no_socket_is_left_alone(self, runtime_dir: Path) -> None:
        path = runtime_dir / "gpu.sock"
        path.write_text("precious")
        with pytest.raises(EnvironmentFault, match="is no socket"):
            listen(path)
        assert path.read_text() == "precious"

    def test_a_socket_that_somebody_else_put_there_is_not_removed(self, runtime_dir: Path) -> None:
        path = runtime_dir / "gpu.sock"
        made = listen(path)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            made.close()
            assert path.is_socket()

    def test_the_longest_path_works_and_one_byte_more_is_refused(self, runtime_dir: Path) -> None:
        longest = runtime_dir / ("s" * (MAX_PATH - len(str(runtime_dir)) - 1))
        listen(longest).close()
        with pytest.raises(EnvironmentFault, match="too long"):
            listen(longest.with_name(longest.name + "s"))

    def test_a_folder_that_can_not_be_made_is_said_with_a_hint(self, runtime_dir: Path) -> None:
        (runtime_dir / "file").write_text("")
        with pytest.raises(EnvironmentFault, match="no socket at") as caught:
            listen(runtime_dir / "file" / "gpu.sock")
        assert "--socket" in caught.value.hint


class TestPaths:
    def test_defaults_are_below_the_runtime_folder(
        self, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_dir))
        assert default_gpu_socket() == runtime_dir / "crossdomain" / "gpu.sock"
        assert default_local_socket() == runtime_dir / "crossdomain" / "local.sock"

    @pytest.mark.parametrize("value", ["", "relative", "/nowhere/at/all"])
    def test_a_runtime_folder_that_is_none_is_said_with_a_hint(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        with pytest.raises(EnvironmentFault) as caught:
            runtime_dir()
        assert "mode 700" in caught.value.hint

    @pytest.mark.parametrize(
        ("option", "variable", "expected"),
        [
            (None, None, "wayland-0"),
            (None, "wayland-7", "wayland-7"),
            ("mine", "wayland-7", "mine"),
            ("/absolute", "wayland-7", "/absolute"),
            (None, "/absolute", "/absolute"),
        ],
    )
    def test_the_compositor_is_found_as_libwayland_does(
        self,
        option: str | None,
        variable: str | None,
        expected: str,
        runtime_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_dir))
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.setenv(*(("WAYLAND_DISPLAY", variable) if variable else ("UNRELATED", "")))
        assert compositor_socket(option) == runtime_dir / expected


class TestCompositor:
    def test_none_is_said_with_a_hint(self, runtime_dir: Path) -> None:
        with pytest.raises(EnvironmentFault, match="no Wayland compositor") as caught:
            Compositor(runtime_dir / "wayland-0").check()
        assert "--wayland-display" in caught.value.hint

    def test_a_full_queue_of_connections_is_busy_not_absent(self, runtime_dir: Path) -> None:
        compositor = Compositor(runtime_dir / "wayland-0")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fsencode(compositor.path))
            listener.listen(0)
            with compositor.connect():
                with pytest.raises(BlockingIOError):
                    compositor.connect()
                compositor.check()
