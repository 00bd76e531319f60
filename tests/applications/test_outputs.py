"""Applications whose outputs are scaled, turned, plugged in and unplugged under them look as without us."""

import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.image import Image
from tests.fakes.applications import environment, running_application
from tests.fakes.daemon import running_daemon
from tests.fakes.pictures import Picture, different
from tests.fakes.stage import APPLICATION_SECONDS, await_window
from tests.fakes.sway import OUTPUT, Sway, running_sway
from tests.fakes.weston import Pixels, stop, wait_until

SECOND_OUTPUT: Final = "HEADLESS-2"
CHANGES: Final = (
    ("as it starts", "nop", OUTPUT),
    ("one and a half", f"output {OUTPUT} scale 1.5", OUTPUT),
    ("turned", f"output {OUTPUT} transform 90", OUTPUT),
    ("another mode", f"output {OUTPUT} mode 900x700", OUTPUT),
    ("beside a second output", "create_output", SECOND_OUTPUT),
    ("on the second output", f"move container to output {SECOND_OUTPUT}", SECOND_OUTPUT),
    ("twice", f"output {SECOND_OUTPUT} scale 2", SECOND_OUTPUT),
    ("unplugged", f"output {SECOND_OUTPUT} unplug; [title=still] focus", OUTPUT),
)
"""Name, command, and the output to look at."""

STILL_SECONDS: Final = 0.7
"""A picture that stays for so long is the last one: sway gives clients 0.2 s to follow."""

PROGRAMS: Final = {
    "foot": ["foot", "--title=still", "-o", "cursor.blink=no", "sh", "-c", "seq 1 400; exec sleep infinity"],
    "zenity": ["zenity", "--info", "--title=still", "--text=Nothing moves here."],
}


def still(sway: Sway, output: str) -> Pixels:
    """What an output shows when it has come to rest."""
    latest = sway.screenshot(output)
    since = time.monotonic()

    def rests() -> bool:
        nonlocal latest, since
        shown = sway.screenshot(output)
        if shown.shape != latest.shape or (shown != latest).any():
            latest, since = shown, time.monotonic()
        return time.monotonic() - since > STILL_SECONDS

    wait_until(rests, seconds=APPLICATION_SECONDS, what="a still picture")
    return latest


def pictures(sway: Sway) -> Iterator[tuple[str, Picture]]:
    """Make one change after the other, and see what becomes of it."""
    await_window(sway, "still")
    for name, command, output in CHANGES:
        sway.swaymsg(command)
        yield name, Picture.of(still(sway, output))


@contextmanager
def fresh_sway(debian: Image, folder: Path) -> Generator[Sway]:
    """What one run did to the outputs is no news for the other."""
    folder.mkdir()
    with running_sway(debian, folder) as sway:
        yield sway


def pictures_of_direct(debian: Image, folder: Path, argv: list[str]) -> dict[str, Picture]:
    """The application without us."""
    with fresh_sway(debian, folder / "direct") as sway:
        process = subprocess.Popen(
            debian.command(argv),
            env=environment(folder, {"WAYLAND_DISPLAY": str(sway.socket_path)}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return dict(pictures(sway))
        finally:
            stop(process)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_follows_its_outputs_as_without_proxy(
    debian: Image, runtime_dir: Path, program: str
) -> None:
    argv = PROGRAMS[program]
    direct = pictures_of_direct(debian, runtime_dir, argv)
    with (
        fresh_sway(debian, runtime_dir / "proxied") as sway,
        running_daemon(runtime_dir, sway.socket_path) as daemon,
        running_application(
            debian, daemon.local_socket, runtime_dir, argv, options=["--buffers=copy"]
        ) as app,
    ):
        proxied = dict(pictures(sway))
        app.assert_alive()
    assert different(direct, proxied, series=f"outputs-{program}") == []
    # The last picture may be that of the same output before.
    assert len({picture.packed for picture in direct.values()}) >= len(CHANGES) - 1, "the changes hardly show"
