"""`launcher.xwayland.xserver`: what is kept of what Xwayland prints; one that just prints stands in here."""

from pathlib import Path

import pytest

from launcher.loop import Loop
from launcher.xwayland.xserver import PROGRAM, Xwayland


def last_words(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> tuple[list[str], list[int]]:
    """What is left of an Xwayland that runs `script`, and its exit status."""
    program = folder / PROGRAM
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    loop, statuses = Loop(), list[int]()

    def ended(status: int) -> None:
        statuses.append(status)
        loop.stop()

    xwayland = Xwayland(loop, ended)
    try:
        sockets = xwayland.start(7, (), "")
        loop.run()
        sockets.wayland.close()
        sockets.window_manager.close()
    finally:
        xwayland.stop()
        loop.close()
    return xwayland.last_words, statuses


def test_why_it_has_ended_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = "echo a wish; echo and >&2; echo no power >&2; exit 3"
    assert last_words(monkeypatch, tmp_path, script) == (["a wish", "and", "no power"], [3])


def test_what_it_says_at_every_start_and_empty_lines_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keymap = "The XKEYBOARD keymap compiler (xkbcomp) reports:\n> Odd\nErrors from xkbcomp are not fatal"
    script = f"cat <<'END'\n{keymap}\n\nFatal server error:\n\nno memory\nEND\nkill -ABRT $$"
    assert last_words(monkeypatch, tmp_path, script) == (["Fatal server error:", "no memory"], [-6])


def test_of_much_that_it_says_only_the_last_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = "seq 10000; head -c 5000 /dev/zero | tr '\\0' y; echo"
    words, statuses = last_words(monkeypatch, tmp_path, script)
    assert statuses == [0]
    assert words == [*map(str, range(9992, 10001)), "y" * 300]
