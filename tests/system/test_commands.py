"""crossdomain-run in the guest ends as its application does, and leaves nothing there."""

import signal

import pytest

from crossdomain.vm.machine import Machine
from tests.system.conftest import PROCESSES, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("kill -TERM $$", 128 + signal.SIGTERM),
    ],
)
async def test_the_exit_status_is_the_applications(machine: Machine, script: str, status: int) -> None:
    done = await machine.run(["crossdomain-run", "sh", "-c", script])
    assert (done.status, done.output) == (status, b"")


async def test_an_unknown_application_is_one_clear_line(machine: Machine) -> None:
    done = await machine.run(["crossdomain-run", "no-such-application"])
    assert done.status == 127
    assert done.errors.decode().count("\n") == 1
    assert "no-such-application" in done.errors.decode()


async def test_input_and_output_are_the_applications(machine: Machine) -> None:
    done = await machine.run(["crossdomain-run", "sh", "-c", "tr a-z A-Z; echo bad >&2"], data=b"text")
    assert (done.status, done.output, done.errors) == (0, b"TEXT", b"bad\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_reaches_the_application(machine: Machine, number: int) -> None:
    script = "trap 'exit 9' TERM INT; echo ready; while :; do sleep 0.1; done"
    app = await machine.spawn(["crossdomain-run", "sh", "-c", script])
    assert await within(app.stdout.readline(), what="the application") == b"ready\n"
    app.send_signal(number)
    assert await within(app.wait(), what="its end") == 9


async def test_no_socket_and_no_process_are_left_behind(machine: Machine) -> None:
    look = ["sh", "-c", f"ls -A $XDG_RUNTIME_DIR; {PROCESSES}"]
    before = await machine.run(look)
    done = await machine.run(["crossdomain-run", "sh", "-c", "ls $XDG_RUNTIME_DIR/$WAYLAND_DISPLAY"])
    assert done.status == 0
    after = await machine.run(look)
    assert after.output == before.output
