"""The command that decides whether data may cross."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from crossdomain.context.pace import BURST_SECONDS
from crossdomain.context.rules import Question, Side
from crossdomain.host import asking
from crossdomain.host.asking import Asker, Command
from crossdomain.limits import MAX_QUESTIONS
from tests.fakes.patience import PATIENCE
from tests.unit.context.world import until

PASTE = Question(Side.TO_GUEST, "text/plain")
COPY = Question(Side.TO_HOST, "text/plain")


@pytest.fixture(autouse=True)
def never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A no holds for its question alone, unless the test says otherwise."""
    monkeypatch.setattr(asking, "QUIET_SECONDS", 0.0)


@asynccontextmanager
async def asker(*arguments: str, seconds: float = PATIENCE) -> AsyncGenerator[Asker]:
    """What asks for the VM `work`; its commands end with it."""
    made = Asker("work", Command(arguments, seconds))
    yield made
    made.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks)


async def ask(asker: Asker, question: Question = PASTE) -> bool:
    """The answer."""
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    asker(question, answer.set_result)
    return await asyncio.wait_for(answer, PATIENCE)


@pytest.mark.parametrize(("status", "allowed"), [(0, True), (1, False), (7, False), (255, False)])
async def test_the_exit_status_decides(status: int, allowed: bool) -> None:
    async with asker("sh", "-c", f"exit {status}") as made:
        assert await ask(made) is allowed


async def test_a_command_that_is_killed_refuses() -> None:
    async with asker("sh", "-c", "kill -KILL $$") as made:
        assert await ask(made) is False


async def test_a_command_that_does_not_exist_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async with asker("/no/such/command") as made:
        assert await ask(made) is False
    assert "'/no/such/command' can't ask: No such file" in caplog.text


async def test_a_command_that_takes_too_long_refuses_and_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/child; wait"
    async with asker("sh", "-c", script, seconds=3.0) as made:
        assert await ask(made) is False
    child = int((tmp_path / "child").read_text())
    await gone(child)


def has_size(path: Path, size: int) -> bool:
    """Whether the file is there and has so many bytes."""
    return path.exists() and path.stat().st_size == size


async def gone(pid: int) -> None:
    """Returns when that process runs no more."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while _runs(pid):
        assert asyncio.get_running_loop().time() < deadline, f"{pid} still runs"
        await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def told(tmp_path: Path, question: Question, *arguments: str) -> list[str]:
    """The arguments that the command gets."""
    script = f"import sys; open({str(tmp_path / 'told')!r}, 'w').write('\\n'.join(sys.argv[1:]))"
    async with asker(sys.executable, "-c", script, *arguments) as made:
        assert await ask(made, question)
    return (tmp_path / "told").read_text().split("\n")


async def test_the_command_is_told_vm_direction_and_type(tmp_path: Path) -> None:
    assert await told(tmp_path, COPY, "{vm}", "{direction}", "a {type} {vm}", "{other}") == [
        "work",
        "to-host",
        "a text/plain work",
        "{other}",
    ]


@pytest.mark.parametrize(
    ("mime_type", "shown"),
    [
        ("text/plain;charset=utf-8", "text/plain;charset=utf-8"),
        ("<b>&\u202e\"'`\n\x1b%s", "?b?????????s"),
        ("{vm}{type}", "?vm??type?"),
        ("x" * 1000, "x" * 100),
    ],
)
async def test_what_a_client_calls_its_type_is_harmless(tmp_path: Path, mime_type: str, shown: str) -> None:
    assert await told(tmp_path, Question(Side.TO_HOST, mime_type), "{type}") == [shown]


async def test_one_question_at_a_time(tmp_path: Path) -> None:
    # Fails where another one is at it.
    script = f"mkdir {tmp_path}/busy && sleep 0.05 && rmdir {tmp_path}/busy"
    async with asker("sh", "-c", script) as made:
        assert await asyncio.gather(*(ask(made) for _ in range(5))) == [True] * 5


async def test_questions_that_wait_are_bounded(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with asker("sh", "-c", f"read line < {fifo}") as made:
        waiting = [asyncio.ensure_future(ask(made)) for _ in range(MAX_QUESTIONS)]
        await asyncio.sleep(0)
        assert await ask(made) is False
        assert not any(question.done() for question in waiting)
        for question in waiting:
            question.cancel()


async def test_a_no_holds_for_a_while_in_its_direction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "QUIET_SECONDS", 1000.0)
    async with asker("sh", "-c", f"echo >> {tmp_path}/asked; exit 1") as made:
        assert [await ask(made), await ask(made), await ask(made)] == [False] * 3
        assert (tmp_path / "asked").read_text().count("\n") == 1
        await ask(made, COPY)
        assert (tmp_path / "asked").read_text().count("\n") == 2


async def test_a_yes_holds_for_its_question_alone(tmp_path: Path) -> None:
    async with asker("sh", "-c", f"echo >> {tmp_path}/asked") as made:
        assert [await ask(made), await ask(made)] == [True, True]
    assert (tmp_path / "asked").read_text().count("\n") == 2


async def test_a_question_that_is_withdrawn_ends_its_command_and_is_not_answered(tmp_path: Path) -> None:
    answers: list[bool] = []
    async with asker(
        "sh", "-c", f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 1000"
    ) as made:
        withdraw: Callable[[], None] = made(PASTE, answers.append)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not (tmp_path / "pid").exists():
            assert asyncio.get_running_loop().time() < deadline, "the command does not run"
            await asyncio.sleep(0.01)
        withdraw()
        await gone(int((tmp_path / "pid").read_text()))
        made.command = Command(("true",), PATIENCE)
        assert await ask(made)
    assert answers == []


@pytest.mark.parametrize("withdraws", [False, True])
async def test_whoever_asks_again_and_again_starts_few_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, withdraws: bool
) -> None:
    monkeypatch.setattr(asking, "COMMANDS_PER_SECOND", 4)
    asked = tmp_path / "asked"
    at_once = int(4 * BURST_SECONDS)
    async with asker("sh", "-c", f"echo >> {asked}; sleep {PATIENCE if withdraws else 0}") as made:
        started = time.monotonic()
        for number in range(1, at_once + 3):
            answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            withdraw = made(PASTE, answer.set_result)
            await until(partial(has_size, asked, number))
            if withdraws:
                withdraw()
            else:
                assert await answer
        assert time.monotonic() - started >= 2 / 4


async def test_a_new_command_asks_the_next_question() -> None:
    async with asker("false") as made:
        assert await ask(made) is False
        made.command = Command(("true",), PATIENCE)
        assert await ask(made) is True
