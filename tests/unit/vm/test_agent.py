"""The agent and the host's end of its line, over a socket instead of a virtio-serial port.

The agent runs as it does in a machine: the first process of a PID namespace, which its end takes along.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crossdomain.errors import HostFault
from crossdomain.vm import frames
from crossdomain.vm.guest import AgentLink, GuestProcess, StartFailed

REPOSITORY = Path(__file__).parents[3]
USER = "root"
ENVIRONMENT = {"PATH": os.environ["PATH"], "WHO": "the test"}

AGENT = """
import sys
from crossdomain.vm.agent import Agent
agent = Agent(int(sys.argv[1]))
agent.announce("here")
agent.serve()
"""


class Guest:
    """An agent process and the link to it."""

    def __init__(self, link: AgentLink, process: subprocess.Popen[bytes]) -> None:
        self.link = link
        self.process = process

    async def spawn(self, *argv: str) -> GuestProcess:
        return await self.link.spawn(USER, "/", argv, ENVIRONMENT)

    async def shell(self, script: str) -> GuestProcess:
        return await self.spawn("/bin/sh", "-c", script)


@pytest.fixture
async def guest() -> AsyncIterator[Guest]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = ["unshare", "--mount-proc", "--pid", "--fork", "--kill-child"]
        command += [sys.executable, "-c", AGENT, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), cwd=REPOSITORY)
    link = AgentLink(ours)
    try:
        assert await asyncio.wait_for(link.ready(), 20) == "here"
        yield Guest(link, process)
    finally:
        link.close()
        process.wait(20)


async def test_a_program_gets_arguments_environment_and_directory(guest: Guest) -> None:
    process = await guest.shell('echo "$WHO"; pwd; echo "$0" "$#"')
    done = await process.communicate()
    assert done.status == 0
    assert done.output == b"the test\n/\n/bin/sh 0\n"


async def test_output_and_errors_arrive_apart(guest: Guest) -> None:
    done = await (await guest.shell("echo out; echo err >&2")).communicate()
    assert (done.output, done.errors) == (b"out\n", b"err\n")


@pytest.mark.parametrize("status", [0, 1, 77, 255])
async def test_the_exit_status_arrives(guest: Guest, status: int) -> None:
    assert await (await guest.shell(f"exit {status}")).wait() == status


async def test_a_killed_program_ends_with_128_and_the_signal(guest: Guest) -> None:
    assert await (await guest.shell("kill -SEGV $$")).wait() == 128 + signal.SIGSEGV


async def test_a_signal_reaches_the_program(guest: Guest) -> None:
    process = await guest.shell("trap 'exit 9' TERM; echo ready; while :; do read line || sleep 0.1; done")
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 9


async def test_killing_a_program_kills_its_children_too(guest: Guest) -> None:
    process = await guest.shell("sleep 1000 & sleep 1000")
    process.kill()
    assert await process.wait() == 128 + signal.SIGKILL
    assert await process.stdout.read() == b""  # the end: nobody holds the pipe any more


async def test_a_program_that_is_not_there_is_told(guest: Guest) -> None:
    with pytest.raises(StartFailed, match="no-such-program: No such file") as caught:
        await guest.spawn("no-such-program")
    assert caught.value.code == 2


async def test_a_directory_that_is_not_there_is_told(guest: Guest) -> None:
    with pytest.raises(StartFailed, match="No such file"):
        await guest.link.spawn(USER, "/nowhere", ["/bin/true"], ENVIRONMENT)


async def test_a_user_that_is_not_there_is_told(guest: Guest) -> None:
    with pytest.raises(StartFailed, match="no user nobody-at-all"):
        await guest.link.spawn("nobody-at-all", "/", ["/bin/true"], ENVIRONMENT)


async def test_input_arrives_whole_and_ends(guest: Guest) -> None:
    data = os.urandom(3 * frames.WINDOW + 17)
    done = await (await guest.spawn("cat")).communicate(data)
    assert done.output == data


async def test_a_program_that_reads_nothing_does_not_stop_its_sender(guest: Guest) -> None:
    done = await (await guest.spawn("true")).communicate(bytes(4 * frames.WINDOW))
    assert done.status == 0


async def test_a_stream_that_nobody_reads_stops_only_itself(guest: Guest) -> None:
    flood = await guest.shell("yes")
    for _ in range(20):
        assert (await (await guest.shell("echo fine")).communicate()).output == b"fine\n"
    assert await flood.stdout.readexactly(4 * frames.WINDOW) == b"y\n" * (2 * frames.WINDOW)
    flood.kill()
    assert await flood.wait() == 128 + signal.SIGKILL


async def test_many_programs_at_once(guest: Guest) -> None:
    processes = [await guest.shell(f"read line; echo {number} $line; exit {number}") for number in range(50)]
    for process in reversed(processes):
        await process.write(b"hello\n")
    done = await asyncio.gather(*(process.communicate() for process in processes))
    assert [(one.status, one.output) for one in done] == [
        (number, f"{number} hello\n".encode()) for number in range(50)
    ]


async def test_what_was_written_before_the_end_arrives_before_the_status(guest: Guest) -> None:
    process = await guest.shell("head -c 60000 /dev/zero; sleep 1000 >/dev/null & exit 3")
    assert await process.wait() == 3
    assert len(await process.stdout.readexactly(60000)) == 60000


async def test_output_of_a_child_that_lives_on_still_arrives(guest: Guest) -> None:
    process = await guest.shell("(read line; echo late) & exec true")
    child = await guest.shell("echo from another")
    assert await process.wait() == 0
    assert (await child.communicate()).output == b"from another\n"


async def test_orphans_are_reaped(guest: Guest) -> None:
    await (await guest.shell("(sleep 0.01 &) ; true")).communicate()
    await (await guest.shell("sleep 0.1")).wait()
    done = await (await guest.shell("cat /proc/[0-9]*/stat")).communicate()
    assert b" Z " not in done.output


async def test_switching_off_ends_every_program_and_the_agent(guest: Guest) -> None:
    stubborn = await guest.shell("trap '' TERM; echo ready; while :; do sleep 1; done")
    await stubborn.stdout.readline()
    guest.link.power_off()
    with pytest.raises(HostFault, match="gone"):
        await stubborn.wait()
    await asyncio.to_thread(guest.process.wait, 20)


async def test_an_agent_that_dies_fails_whatever_runs(guest: Guest) -> None:
    process = await guest.spawn("sleep", "1000")
    reader = asyncio.create_task(process.communicate())
    guest.process.kill()
    with pytest.raises(HostFault, match="gone"):
        await reader
    with pytest.raises(HostFault, match="gone"):
        await guest.spawn("true")


async def test_nonsense_from_the_guest_closes_the_line() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        link = AgentLink(ours)
        theirs.send(b"\xff" * 64)
        with pytest.raises(HostFault, match="nonsense"):
            await asyncio.wait_for(link.ready(), 10)
