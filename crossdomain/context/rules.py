"""What the host's configuration says about one VM, as far as its clients' messages are concerned."""

import asyncio
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

from crossdomain.limits import MAX_OWN_PIPES

UNCHANGED_TITLE: Final = "{title}"
UNCHANGED_APP_ID: Final = "{app_id}"

MARK_PREFIX: Final = "application/x-crossdomain."
"""MIME types that begin so are ours; a guest sees none of them."""


class Side(Enum):
    """Where data goes."""

    TO_HOST = "to-host"
    TO_GUEST = "to-guest"


class Verdict(Enum):
    """What becomes of a transfer; of two, the one with the higher value is stricter."""

    ALLOW = auto()
    ASK = auto()
    DENY = auto()


class Flow(Enum):
    """Which way data may go between a VM and the rest of the desktop."""

    ALLOW = "allow"
    DENY = "deny"
    TO_HOST = "to-host"
    TO_GUEST = "to-guest"
    ASK = "ask"

    def judge(self, side: Side) -> Verdict:
        """The verdict on data that goes to `side`."""
        if self is Flow.ASK:
            return Verdict.ASK
        return Verdict.ALLOW if self is Flow.ALLOW or self.value == side.value else Verdict.DENY


class Question(NamedTuple):
    """What a person is asked."""

    side: Side
    mime_type: str
    """As a client said it."""


class Ask(Protocol):
    """Asks a person, who takes a while."""

    def __call__(self, question: Question, answer: Callable[[bool], None], /) -> Callable[[], None]:
        """Calls `answer` once after this has returned; never, if the returned function is called before."""
        ...


def refuse(question: Question, answer: Callable[[bool], None], /) -> Callable[[], None]:
    """There is nobody to ask: an `Ask`."""
    del question
    return asyncio.get_running_loop().call_soon(answer, False).cancel


@dataclass(frozen=True, slots=True)
class Rules:
    """The defaults change nothing."""

    title: str = UNCHANGED_TITLE
    """What a window's title becomes: {vm} and {title} are replaced."""
    app_id: str = UNCHANGED_APP_ID
    """What an app id becomes: {vm} and {app_id} are replaced."""
    clipboard: Flow = Flow.ALLOW
    """Selections of all kinds."""
    drag_and_drop: Flow = Flow.ALLOW
    formats: frozenset[int] | None = None
    """Of buffers, as wl_shm numbers them, besides the two that everybody has; None: all."""

    @property
    def all_flows_free(self) -> bool:
        """Whether nothing has to be known about what is copied and dragged."""
        return self.clipboard is Flow.ALLOW is self.drag_and_drop


class Guest:
    """One VM, or all clients of one local socket: what the policies of its clients share.

    `rules` may be replaced at any time: the new ones hold for what is decided from then on.
    """

    def __init__(self, name: str, rules: Rules, ask: Ask = refuse) -> None:
        """`name` is the one that the host chose."""
        self.name: Final = name
        self.rules = rules
        self.ask = ask
        self.mark: Final = MARK_PREFIX + secrets.token_hex(16)
        """A MIME type that tells this VM's own sources: no guest knows it."""
        self._own_pipes: OrderedDict[tuple[int, int], None] = OrderedDict()

    def expect(self, fd: int) -> None:
        """A client of this VM pastes from another through the pipe `fd`, which stays the caller's."""
        self._own_pipes[_identity(fd)] = None
        if len(self._own_pipes) > MAX_OWN_PIPES:
            self._own_pipes.popitem(last=False)

    def expects(self, fd: int) -> bool:
        """Whether what is written to `fd` stays inside this VM; true once for each `expect`."""
        return self._own_pipes.pop(_identity(fd), _ABSENT) is None


_ABSENT: Final = object()


def _identity(fd: int) -> tuple[int, int]:
    """The same for all fds of one pipe, and for no other that is open."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
