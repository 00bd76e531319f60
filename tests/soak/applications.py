"""Real applications in a soak: they come, are used, and go."""

import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.applications.browsers import FIREFOX, FIREFOX_PREFERENCES
from tests.fakes.applications import environment
from tests.fakes.programs import REPOSITORY
from tests.fakes.weston import stop, wait_until
from tests.soak.desk import PATIENCE, Desk

_BROWSE_EVERY: Final = 10
"""Rounds: a browser takes as long to start as ten rounds of everything else."""
_PAGE: Final = (REPOSITORY / "tests/applications/page.html").as_uri()


@contextmanager
def _application(
    desk: Desk, number: int, argv: Sequence[str], folder: Path
) -> Generator[subprocess.Popen[bytes]]:
    """An application behind the proxy; it is ended where it still runs."""
    process = subprocess.Popen(
        desk.debian.command(list(argv)),
        env=environment(folder, {"WAYLAND_DISPLAY": desk.proxied(number)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        stop(process, seconds=PATIENCE)


def use_a_terminal(desk: Desk, number: int) -> None:
    """A terminal shows what its command prints, and ends with it."""
    argv = ["foot", "sh", "-c", "seq 1 500"]
    with (
        tempfile.TemporaryDirectory(prefix="xd-") as folder,
        _application(desk, number, argv, Path(folder)) as foot,
    ):
        assert foot.wait(PATIENCE) == 0


def browse(desk: Desk, number: int) -> None:
    """Firefox shows a page in some of the rounds, and is ended."""
    if number % _BROWSE_EVERY:
        return
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        profile = Path(folder) / "profile"
        profile.mkdir()
        (profile / "user.js").write_text(FIREFOX_PREFERENCES)
        with _application(desk, number // _BROWSE_EVERY, FIREFOX.command(profile, _PAGE), Path(folder)):
            wait_until(
                lambda: desk.weston.seat.find_view("scroll=0;") is not None,
                seconds=PATIENCE,
                what="the page",
                every=0.1,
            )
