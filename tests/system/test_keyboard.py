"""What is typed at the host's keyboard reaches the application in the guest."""

import os
from collections.abc import Awaitable, Callable

import pytest

from crossdomain.vm.machine import Machine
from tests.fakes.programs import PYTHON, running_steps
from tests.system.conftest import GUEST_TESTS, Desktop, until_true, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_line_typed_into_a_terminal_reaches_its_shell(machine: Machine, desktop: Desktop) -> None:
    app = await machine.spawn(
        ["crossdomain-run", "foot", "sh", "-c", 'read -r line; echo "$line" >/tmp/typed']
    )
    view = await desktop.put(await desktop.window("foot"), 20, 20)

    async def has_letters() -> bool:
        return len({bytes(pixel) for row in await desktop.picture_of(view) for pixel in row}) > 1

    await until_true(has_letters, what="a cursor")
    desktop.seat.click(view.x + view.width // 2, view.y + view.height // 2)
    desktop.seat.type('Hello, "Guest" #1!\n')
    assert await within(app.wait(), what="the terminal's end") == 0
    assert await machine.pull("/tmp/typed") == b'Hello, "Guest" #1!\n'


async def listen(desktop: Desktop, read_line: Callable[[], Awaitable[str]]) -> list[str]:
    """All that the typist program says, while the A key is pressed and released in its window."""
    heard: list[str] = []
    while (line := await within(read_line(), what="the typist")) != "":
        heard.append(line)
        if line == "ready":
            view = await desktop.put(await desktop.window("typist"), 20, 20)
            desktop.seat.click(view.x + 50, view.y + 50)
            desktop.seat.type("a")
    return heard


async def test_keymap_and_keys_are_those_of_a_direct_client(machine: Machine, desktop: Desktop) -> None:
    environment = {**os.environ, **desktop.weston.environment}
    async with running_steps((*PYTHON, "tests.fakes.typist", "2"), environment) as steps:
        direct = await listen(desktop, steps.read_line)
    await desktop.no_window("typist")
    app = await machine.spawn(
        ["crossdomain-run", "python3", "-m", "tests.fakes.typist", "2"], env=GUEST_TESTS
    )

    async def read_line() -> str:
        return (await app.stdout.readline()).decode().rstrip("\n")

    proxied = await listen(desktop, read_line)
    assert proxied == direct
    assert [line for line in proxied if line.startswith("key ")] == ["key 30 1", "key 30 0"]
    assert await within(app.wait(), what="its end") == 0
