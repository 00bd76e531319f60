"""X11 applications of the guest: what is typed reaches them, and what they copy reaches everybody."""

import asyncio
import os
from collections.abc import Sequence

import pytest

from crossdomain.vm.machine import Machine
from tests.system.conftest import PATIENCE, Desktop, until, until_true, within

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = (
    'read -r line; echo "$line" >/tmp/typed;'
    # Text of an X11 application for the clipboard.
    'printf "from X11 of the guest" | xclip -selection clipboard;'
    "read -r line; wl-paste -n >/tmp/pasted-there;"
    # Text of a Wayland application, the host's then, in an X11 application.
    'read -r line; printf "from Wayland of the guest" | wl-copy;'
    "read -r line; xclip -o -selection clipboard >/tmp/pasted-here;"
    "read -r line; xclip -o -selection clipboard >/tmp/pasted-from-host"
)
"""What the terminal does, one step for each line typed."""


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


async def test_a_terminal_types_copies_and_pastes(machine: Machine, desktop: Desktop) -> None:
    app = await machine.spawn(["crossdomain-run", "xterm", "-T", "steps", "-e", "sh", "-c", STEPS])
    view = await desktop.put(await desktop.window("steps", seconds=2 * PATIENCE), 100, 100)

    async def is_drawn() -> bool:
        return desktop.seat.count_colours(view) > 1

    async def contents_of(path: str) -> bytes:
        found: list[bytes] = []

        async def has_come() -> bool:
            listed = await machine.run(["sh", "-c", f"cat {path} 2>/dev/null || true"])
            found[:] = [listed.output]
            return bool(found[0])

        await until_true(has_come, what=path)
        return found[0]

    def type_line(text: str = "") -> None:
        desktop.seat.click(view.x + 50, view.y + 50)
        desktop.seat.type(text + "\n")

    await until_true(is_drawn, what="a prompt's cursor")
    # The title, with its buttons, is ours, and has the host's label for the machine.
    assert "'[guest] steps' of guest.XTerm" in view.label
    await desktop.keep("xterm")
    type_line('Hello, "X11" #1!')
    assert await contents_of("/tmp/typed") == b'Hello, "X11" #1!\n'

    async def host_has(text: bytes) -> None:
        async def has() -> bool:
            return await run_on_host(desktop, ["wl-paste", "-n"]) == text

        await until_true(has, what=f"{text!r} on the host's clipboard")

    await host_has(b"from X11 of the guest")
    type_line()
    assert await contents_of("/tmp/pasted-there") == b"from X11 of the guest"
    type_line()
    await host_has(b"from Wayland of the guest")
    type_line()
    assert await contents_of("/tmp/pasted-here") == b"from Wayland of the guest"
    await run_on_host(desktop, ["wl-copy"], b"from the host")
    await host_has(b"from the host")
    type_line()
    assert await within(app.wait(), what="the terminal's end") == 0
    assert await machine.pull("/tmp/pasted-from-host") == b"from the host"
    await desktop.no_window("steps")
    await until(lambda: desktop.seat.find_view("steps") is None, what="no window")
