"""Applications whose outputs are scaled, turned, plugged in and unplugged under them."""

import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crossdomain.vm.image import Image
from tests.fakes.applications import environment
from tests.fakes.pictures import Picture
from tests.fakes.stage import APPLICATION_SECONDS, await_window
from tests.fakes.sway import OUTPUT, Sway, running_sway
from tests.fakes.weston import Pixels, stop, wait_until

SECOND_OUTPUT: Final = "HEADLESS-2"
CHANGES: Final = (
    ("as it starts", "nop", OUTPUT),
    ("switched off and on", f"output {OUTPUT} power off; output {OUTPUT} power on", OUTPUT),
    ("gone and back", f"output {OUTPUT} disable; output {OUTPUT} enable", OUTPUT),
    ("one and a half", f"output {OUTPUT} scale 1.5", OUTPUT),
    ("turned", f"output {OUTPUT} transform 90", OUTPUT),
    ("another mode", f"output {OUTPUT} mode 900x700", OUTPUT),
    ("beside a second output", "create_output", SECOND_OUTPUT),
    ("on the second output", f"move container to output {SECOND_OUTPUT}", SECOND_OUTPUT),
    ("twice", f"output {SECOND_OUTPUT} scale 2", SECOND_OUTPUT),
    ("unplugged", f"output {SECOND_OUTPUT} unplug; [title=still] focus", OUTPUT),
)
"""Name, command, and the output to look at."""
DIFFERENT: Final = len(CHANGES) - 3
"""How many pictures they give at least: the first three are alike, and so may be the last and one before."""

SIZE: Final = (1024, 640)
"""Of an output, px."""

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
def fresh_sway(debian: Image, folder: Path, size: tuple[int, int] = SIZE) -> Generator[Sway]:
    """What one run did to the outputs is no news for the other."""
    folder.mkdir()
    with running_sway(debian, folder, width=size[0], height=size[1]) as sway:
        yield sway


def pictures_of_direct(
    debian: Image, folder: Path, argv: list[str], size: tuple[int, int] = SIZE
) -> dict[str, Picture]:
    """The application without us, on a sway whose outputs have that size."""
    with fresh_sway(debian, folder / "direct", size) as sway:
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
