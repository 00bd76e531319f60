"""Asks the person at the desktop whether data may cross: a command of the configuration does it.

One question of a VM at a time, and few a second; what else the VM wants meanwhile waits.  Whoever says no is
not asked again at once: an application asks for several types of the same thing, and a hostile one would go
on asking.
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
from collections.abc import Callable
from typing import Final, NamedTuple

from crossdomain.context.pace import Rate
from crossdomain.context.rules import Question, Side
from crossdomain.limits import MAX_QUESTIONS

_log = logging.getLogger("crossdomain.host")

COMMANDS_PER_SECOND: Final = 4
"""Commands of one VM that are started in the long run.  A question is asked and withdrawn as fast as a client
comes and goes, and starting a process takes the supervisor milliseconds, which all VMs need."""

QUIET_SECONDS: Final = 3.0
"""How long a no holds for everything of that VM in that direction."""

_TYPE_LENGTH: Final = 100
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9!#$+./;=^_ -]")
"""What no MIME type has (RFC 6838 4.2, and parameters), or what dialogs could take for markup."""


class Command(NamedTuple):
    """What asks: exit status 0 allows, any other and `seconds` without an end refuse."""

    arguments: tuple[str, ...]
    """{vm}, {direction} (to-host, to-guest) and {type} are replaced.  No shell is involved."""
    seconds: float


class Asker:
    """Asks for one VM: an `Ask`."""

    def __init__(self, vm: str, command: Command) -> None:
        """`command` may be replaced: the next question is asked by the new one."""
        self.command = command
        self._vm = vm
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rate = Rate(COMMANDS_PER_SECOND)
        self._quiet_until = dict.fromkeys(Side, 0.0)

    def __call__(self, question: Question, answer: Callable[[bool], None], /) -> Callable[[], None]:
        """Begins to ask; see `Ask`."""
        crowded = len(self._tasks) >= MAX_QUESTIONS
        task = asyncio.get_running_loop().create_task(self._answer(question, answer, crowded=crowded))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def withdraw() -> None:
            task.cancel()

        return withdraw

    def close(self) -> None:
        """Asks nothing any more."""
        for task in self._tasks:
            task.cancel()

    async def _answer(self, question: Question, answer: Callable[[bool], None], *, crowded: bool) -> None:
        if crowded:
            _log.warning("%s: more than %d questions wait", self._vm, MAX_QUESTIONS)
            answer(False)
            return
        async with self._turn:
            allowed = await self._decide(question)
        answer(allowed)

    async def _decide(self, question: Question) -> bool:
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_until[question.side]:
            return False
        await asyncio.sleep(self._rate.spend(1))
        allowed = await self._run(question)
        if not allowed:
            self._quiet_until[question.side] = loop.time() + QUIET_SECONDS
        told = "allowed" if allowed else "refused"
        _log.info("%s: %s %s: %s", self._vm, question.side.value, _shown(question.mime_type), told)
        return allowed

    async def _run(self, question: Question) -> bool:
        """Whether the command allows it."""
        places = {
            "{vm}": self._vm,
            "{direction}": question.side.value,
            "{type}": _shown(question.mime_type),
        }
        arguments = [_fill(argument, places) for argument in self.command.arguments]
        try:
            process = await _start(arguments)
        except OSError as error:
            _log.error("%s: %r can't ask: %s", self._vm, arguments[0], error.strerror)
            return False
        try:
            return await asyncio.wait_for(process.wait(), self.command.seconds) == 0
        except TimeoutError:
            _log.warning("%s: no answer within %g s", self._vm, self.command.seconds)
            return False
        finally:
            await _end(process)


async def _start(arguments: list[str]) -> asyncio.subprocess.Process:
    """Starts a command.  It may have begun when this is cancelled: then it is ended."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a command that has not ended, with all that it started; it is reaped afterwards."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _fill(argument: str, places: dict[str, str]) -> str:
    """Replaces each place once: what stands in for it is looked at no more."""
    return re.sub("|".join(map(re.escape, places)), lambda found: places[found.group()], argument)


def _shown(mime_type: str) -> str:
    """A MIME type of a client's that a dialog or a log can show."""
    return _UNUSUAL.sub("?", mime_type[:_TYPE_LENGTH])
