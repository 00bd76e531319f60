"""What a person is told who uses `crossdomain host` otherwise than it is meant: what is wrong, what to do."""

import socket
import threading
from pathlib import Path

import pytest

from crossdomain.cli import main
from crossdomain.host.control import control_socket


@pytest.mark.parametrize(
    "told", [b"{}", b"[]", b'{"vms": [', b'{"vms": {}}', b'{"vms": [], "local": 7}', b"\xff"]
)
@pytest.mark.parametrize("form", [[], ["--prometheus"]])
def test_a_status_that_this_version_does_not_know(
    runtime_dir: Path, capsys: pytest.CaptureFixture[str], told: bytes, form: list[str]
) -> None:
    gpu_socket = runtime_dir / "gpu.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(control_socket(gpu_socket)))
        listener.listen()

        def tell() -> None:
            connection, _address = listener.accept()
            with connection:
                connection.sendall(told)

        teller = threading.Thread(target=tell)
        teller.start()
        status = main(["host", "status", "--socket", str(gpu_socket), *form])
        teller.join()
    shown = capsys.readouterr()
    assert (status, shown.out) == (1, "")
    assert shown.err.count("\n") == 1
    assert "restart `crossdomain host`" in shown.err


def test_a_compositor_at_too_long_a_path(runtime_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sockets = [f"--{name}={runtime_dir / name}" for name in ("socket", "local-socket")]
    assert main(["host", *sockets, f"--wayland-display=/{'far' * 40}"]) == 1
    shown = capsys.readouterr().err
    assert "path too long: start one, or name its socket with --wayland-display" in shown


@pytest.mark.parametrize("size", ["abc", "", "3", "0", "-4", "2097152"])
def test_a_window_of_an_impossible_size(capsys: pytest.CaptureFixture[str], size: str) -> None:
    with pytest.raises(SystemExit):
        main(["host", f"--window-size={size}"])
    assert f"{size!r} is no power of two between 1 and 1048576" in capsys.readouterr().err


def test_a_user_without_a_home(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that was started with a number for a user."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_dir))
    assert main(["host", "--wayland-display", "nobody"]) == 1
    assert "no Wayland compositor at" in capsys.readouterr().err
