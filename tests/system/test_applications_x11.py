"""X11 applications of the guest: what is typed reaches them, and what is copied crosses to everybody.

Runs before the tests that copy with made-up serials (`tests.fakes.clipboard`): after them the same Weston
takes no selection with a real one any more.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import pytest

from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from crossdomain.vm.seat import View
from tests.system.conftest import PATIENCE, Desktop, until_true, within

pytestmark = pytest.mark.asyncio(loop_scope="session")

TERMINAL: Final = (
    'echo "DISPLAY=$DISPLAY"; echo "XAUTHORITY=$XAUTHORITY"; echo "WAYLAND_DISPLAY=$WAYLAND_DISPLAY";'
    " exec xterm -T keyboard -e sh -c 'read -r line; echo \"$line\" >/tmp/typed; exec cat'"
)
"""Says what leads other applications to its displays, keeps the line that is typed first, and stays."""


async def run_on_host(desktop: Desktop, command: Sequence[str], data: bytes = b"") -> bytes:
    """What a command prints that is a client of the host's compositor."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **desktop.weston.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await within(process.communicate(data), what=command[0])
    return output


class Guest:
    """A machine, and the displays of a terminal in it."""

    def __init__(self, machine: Machine, desktop: Desktop, environment: dict[str, str], view: View) -> None:
        self._machine = machine
        self._desktop = desktop
        self._environment = environment
        self._view = view

    async def run(self, *command: str, data: bytes = b"") -> bytes:
        """What a command prints that is a client of the same displays."""
        return (await self._machine.run(command, env=self._environment, data=data, timeout=PATIENCE)).output

    async def hold(self, *command: str, data: bytes) -> GuestProcess:
        """Start a command with something to copy; its owner has to end it."""
        process = await self._machine.spawn(command, env=self._environment)
        await process.write(data)
        process.close_input()
        return process

    async def give_keyboard(self) -> None:
        """Click into the terminal; return when X clients know that it has the keyboard."""
        self._desktop.seat.click(self._view.x + 50, self._view.y + 50)

        async def has_keyboard() -> bool:
            active = await self.run("xprop", "-root", "32x", " $0", "_NET_ACTIVE_WINDOW")
            return int(active.split()[-1], 16) != 0

        await until_true(has_keyboard, what="the keyboard")


async def until_read(read: Callable[[], Awaitable[bytes]], text: bytes) -> None:
    """Return as soon as what is read is `text`."""

    async def is_there() -> bool:
        return await read() == text

    await until_true(is_there, what=f"{text!r}")


async def start_terminal(machine: Machine, desktop: Desktop) -> tuple[GuestProcess, Guest]:
    """A terminal with a prompt."""
    app = await machine.spawn(["crossdomain-run", "sh", "-c", TERMINAL])
    said = [(await within(app.stdout.readline(), what="displays")).decode().strip() for _ in range(3)]
    environment = dict(line.split("=", 1) for line in said)
    view = await desktop.put(await desktop.window("keyboard", seconds=2 * PATIENCE), 100, 100)
    # The title bar is ours, the label the host's.
    assert "'[guest] keyboard' of guest.XTerm" in view.label

    async def is_drawn() -> bool:
        return desktop.seat.count_colours(view) > 1

    await until_true(is_drawn, what="a prompt's cursor")
    return app, Guest(machine, desktop, environment, view)


async def test_an_x11_terminal_types_and_copies_and_pastes_with_everybody(
    machine: Machine, desktop: Desktop
) -> None:
    app, guest = await start_terminal(machine, desktop)
    x_paste = ("xclip", "-o", "-selection", "clipboard")

    async def pasted_on_host() -> bytes:
        return await run_on_host(desktop, ["wl-paste", "-n"])

    async def pasted_in_wayland() -> bytes:
        return await guest.run("wl-paste", "-n")

    async def pasted_in_x() -> bytes:
        return await guest.run(*x_paste)

    async def typed() -> bytes:
        return await guest.run("sh", "-c", "cat /tmp/typed 2>/dev/null")

    await guest.give_keyboard()
    desktop.seat.type('Hello, "X11" #1!\n')
    await until_read(typed, b'Hello, "X11" #1!\n')
    await desktop.keep("xterm")

    copier = await guest.hold("xclip", "-quiet", "-selection", "clipboard", data=b"from X11 of the guest")
    await until_read(pasted_on_host, b"from X11 of the guest")
    await until_read(pasted_in_wayland, b"from X11 of the guest")
    copied = await guest.hold("wl-copy", "--foreground", data=b"from Wayland of the guest")
    await until_read(pasted_on_host, b"from Wayland of the guest")
    await guest.give_keyboard()
    await until_read(pasted_in_x, b"from Wayland of the guest")
    await run_on_host(desktop, ["wl-copy"], b"from the host")
    await guest.give_keyboard()
    await until_read(pasted_in_x, b"from the host")

    assert await within(copier.wait(), what="its end when another has copied") == 0
    assert await within(copied.wait(), what="its end when another has copied") == 0
    app.send_signal(15, session=True)
    await within(app.wait(), what="the terminal's end")
    await desktop.no_window("keyboard")
