"""Real applications of the guest show their windows on the host, whole, legible and in the right colours."""

import json

import numpy as np
import pytest

from crossdomain.vm.machine import Machine
from tests.fakes.weston import Pixels
from tests.system.conftest import Desktop, until_true, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


def share_of(pixels: Pixels, colour: tuple[int, int, int]) -> float:
    """How much of a picture has exactly that colour, 0 to 1."""
    return float((pixels == np.array(colour, dtype=np.uint8)).all(axis=2).mean())


def colours_in(pixels: Pixels) -> int:
    """How many different colours a picture has."""
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


async def test_a_terminal_shows_what_its_command_prints(machine: Machine, desktop: Desktop) -> None:
    paper, ink = (0x20, 0x40, 0x60), (0xFF, 0xCC, 0x00)
    app = await machine.spawn(
        [
            "crossdomain-run",
            "--stats=/tmp/terminal.json",
            "foot",
            "--override=colors.background=204060",
            "--override=colors.foreground=ffcc00",
            "--override=font=monospace:size=24",
            "--override=csd.preferred=none",
            "sh",
            "-c",
            "printf '%s\\n' WINDOWS FROM A GUEST; exec sleep 1000",
        ]
    )
    view = await desktop.put(await desktop.window("foot"), 20, 20)

    async def legible() -> bool:
        picture = await desktop.picture_of(view)
        return share_of(picture, paper) > 0.5 and share_of(picture, ink) > 0.002

    await until_true(legible, what="yellow letters on blue")
    await desktop.keep("terminal")
    app.send_signal(15, session=True)
    await within(app.wait(), what="the terminal's end")
    await desktop.no_window("foot")
    # Its pool is a sparse file of 512 MiB.
    stats = json.loads(await machine.pull("/tmp/terminal.json"))
    assert stats["frames"] > 0
    assert 0 < stats["bytes_copied"] + stats["bytes_copied_host"] <= 2 * stats["bytes_damaged"] < 64 << 20


async def test_an_animation_of_small_damage_keeps_moving(machine: Machine, desktop: Desktop) -> None:
    app = await machine.spawn(["crossdomain-run", "weston-simple-damage"])
    view = await desktop.put(await desktop.window("simple-damage"), 20, 20)
    # The host names the VM, in the title and in the app id.
    assert "'[guest] " in view.label
    assert " of guest." in view.label
    first = await desktop.picture_of(view)

    async def moved() -> bool:
        return bool((await desktop.picture_of(view) != first).any())

    await until_true(moved, what="another picture")
    await desktop.keep("animation")
    app.send_signal(15)
    await within(app.wait(), what="its end")
    await desktop.no_window("simple-damage")


async def test_a_gtk_application_shows_its_widgets(machine: Machine, desktop: Desktop) -> None:
    app = await machine.spawn(["crossdomain-run", "gtk4-widget-factory"])
    view = await desktop.put(await desktop.window("widget", seconds=180), 20, 20)

    async def drawn() -> bool:
        return colours_in(await desktop.picture_of(view)) > 200

    await until_true(drawn, what="widgets in many colours", seconds=180)
    await desktop.keep("widgets")
    app.send_signal(15)
    await within(app.wait(), what="its end")
    await desktop.no_window("widget")
