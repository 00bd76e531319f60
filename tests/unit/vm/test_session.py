"""Whether windows go to a desktop or to a compositor of our own."""

import socket
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm.session import desktop_socket


def test_without_wayland_display_there_is_no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert desktop_socket() is None
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    assert desktop_socket() is None


@pytest.mark.parametrize("absolute", [True, False])
def test_a_compositor_that_answers_is_the_desktop(
    absolute: bool, monkeypatch: pytest.MonkeyPatch, runtime_dir: Path
) -> None:
    path = runtime_dir / "wayland-5"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere" if absolute else str(runtime_dir))
    monkeypatch.setenv("WAYLAND_DISPLAY", str(path) if absolute else path.name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert desktop_socket() == path


def test_a_compositor_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, runtime_dir: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_dir))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-9")
    with pytest.raises(EnvironmentFault, match="no compositor answers") as caught:
        desktop_socket()
    assert "unset WAYLAND_DISPLAY" in caught.value.hint
