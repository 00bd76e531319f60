"""What a worker may not do itself, the supervisor does for it: connect to the compositor, and ask a person.

`Broker` is the supervisor's side, for one VM or local socket; `Dials` is the worker's.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from crossdomain.context.compositor import CONNECT_SECONDS
from crossdomain.context.crowding import RETRY_SECONDS
from crossdomain.context.rules import Question, Side
from crossdomain.errors import HostFault
from crossdomain.host.asking import Asker
from crossdomain.host.channel import Channel, Fields, number, word
from crossdomain.host.compositor import Compositor
from crossdomain.host.enclosure import Enclosure
from crossdomain.host.security_context import Identity
from crossdomain.host.settings import Settings
from crossdomain.limits import MAX_DIALS, MAX_TEXT


class Broker:
    """Carries out what one worker asks.  What it asks against the rules is a HostFault: the worker ends."""

    def __init__(self, vm: str, section: str, compositor: Compositor, settings: Settings) -> None:
        """`vm` and `section` are its names, to the compositor and in the settings."""
        self._enclosure = Enclosure(compositor, Identity(section, vm), settings.security_context)
        self._asker = Asker(vm, settings.ask)
        self._dialling: dict[int, asyncio.TimerHandle | None] = {}
        self._questions: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()

    def apply(self, settings: Settings) -> None:
        """New settings."""
        self._enclosure.mode = settings.security_context
        self._asker.command = settings.ask

    def handle(self, fields: Fields, channel: Channel) -> bool:
        """Carries out a message, and answers on `channel`; False where it is not for a broker.

        Raises:
            HostFault: against the rules.
        """
        match fields.get("say"):
            case "dial":
                dial = number(fields, "dial")
                if dial in self._dialling or len(self._dialling) >= MAX_DIALS:
                    raise HostFault(f"more than {MAX_DIALS} connections at once")
                self._dial(dial, channel, self._loop.time() + CONNECT_SECONDS)
            case "ask":
                self._ask(number(fields, "question"), fields, channel)
            case "withdraw":
                withdraw = self._questions.pop(number(fields, "question"), None)
                if withdraw is not None:
                    withdraw()
            case _:
                return False
        return True

    def close(self) -> None:
        """Connects nobody and asks nothing any more.  May be called again."""
        for retry in self._dialling.values():
            if retry is not None:
                retry.cancel()
        self._dialling.clear()
        self._questions.clear()
        self._asker.close()
        self._enclosure.close()

    def _dial(self, dial: int, channel: Channel, deadline: float) -> None:
        self._dialling[dial] = None
        try:
            connection = self._enclosure.connect()
        except BlockingIOError:
            if self._loop.time() < deadline:
                again = self._loop.call_later(RETRY_SECONDS, self._dial, dial, channel, deadline)
                self._dialling[dial] = again
                return
            self._refuse(dial, channel, OSError(errno.EAGAIN, "it takes no more clients"))
        except OSError as error:
            self._refuse(dial, channel, error)
        else:
            channel.send({"say": "dialled", "dial": dial}, connection.detach())
        self._dialling.pop(dial, None)  # none is left where the worker takes no more

    def _refuse(self, dial: int, channel: Channel, error: OSError) -> None:
        refused = {
            "say": "refused",
            "dial": dial,
            "errno": error.errno or 0,
            "why": error.strerror or str(error),
        }
        channel.send(refused)

    def _ask(self, question: int, fields: Fields, channel: Channel) -> None:
        mime_type = word(fields, "type")
        if question in self._questions or len(mime_type) > MAX_TEXT:
            raise HostFault("a question that can't be asked")
        try:
            side = Side(word(fields, "side"))
        except ValueError as error:
            raise HostFault("a question about nothing") from error

        def answer(allowed: bool) -> None:
            if self._questions.pop(question, None) is not None:
                channel.send({"say": "answer", "question": question, "allowed": allowed})

        self._questions[question] = self._asker(Question(side, mime_type), answer)


class Dial:
    """One connection to the compositor, on its way: `connect` is for `Context`."""

    def __init__(self, request: Callable[[], None]) -> None:
        """`request` asks for it, when it is first wanted, and again where what came was used."""
        self.ready: Callable[[], None] | None = None
        """Called when `connect` has something to say; what it does not take then, nobody wants any more."""
        self._request = request
        self._connection: socket.socket | None = None
        self._failure: OSError | None = None
        self._asked = False

    def connect(self) -> socket.socket:
        """The connection, which is the caller's.

        Raises:
            BlockingIOError: it is on its way.
            OSError: there is no compositor.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._connection is not None:
            connection, self._connection = self._connection, None
            return connection
        if not self._asked:
            self._asked = True
            self._request()
        raise BlockingIOError

    def take(self, connection: socket.socket | None, failure: OSError | None) -> None:
        """What came of it; owns `connection`."""
        self._connection, self._failure = connection, failure
        self._asked = False
        if self.ready is not None:
            self.ready()
            self.close()

    def refuse(self, failure: OSError) -> None:
        """It is not even asked for: the next `connect` says why."""
        self._failure = failure
        self._asked = False

    def close(self) -> None:
        """Gives up a connection that nobody took.  May be called again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Dials:
    """A worker's way to its broker; an `Ask` besides."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        """Set before the first use."""
        self._dials: dict[int, Dial] = {}
        self._answers: dict[int, Callable[[bool], None]] = {}
        self._under_way: set[int] = set()
        """Connections that were asked for, and that nothing has come of yet: their client may have left."""
        self._last = 0

    def dial(self) -> Dial:
        """A new way to the compositor; `hang_up` ends it."""
        number_ = self._last = self._last + 1
        self._dials[number_] = dial = Dial(lambda: self._ask_for(number_, dial))
        return dial

    def _ask_for(self, number_: int, dial: Dial) -> None:
        if len(self._under_way) >= MAX_DIALS:  # a broker would end us all for one more
            dial.refuse(OSError(errno.EAGAIN, "too many connections are under way"))
            return
        self._under_way.add(number_)
        self._send({"say": "dial", "dial": number_})

    def hang_up(self, dial: Dial) -> None:
        """Gives up what was asked for and not used."""
        dial.close()
        self._dials = {number_: other for number_, other in self._dials.items() if other is not dial}

    def __call__(self, question: Question, answer: Callable[[bool], None], /) -> Callable[[], None]:
        """See `Ask`."""
        number_ = self._last = self._last + 1
        self._answers[number_] = answer
        asked = {"side": question.side.value, "type": question.mime_type[:MAX_TEXT]}
        self._send({"say": "ask", "question": number_, **asked})

        def withdraw() -> None:
            if self._answers.pop(number_, None) is not None:
                self._send({"say": "withdraw", "question": number_})

        return withdraw

    def handle(self, fields: Fields, fd: int) -> bool:
        """Takes what the supervisor says, and owns `fd` then, negative where it was lost; False where it is
        about something else.
        """
        match fields.get("say"):
            case "dialled":
                self._under_way.discard(number(fields, "dial"))
                self._take(self._dials.get(number(fields, "dial")), fd)
            case "refused":
                self._under_way.discard(number(fields, "dial"))
                dial = self._dials.get(number(fields, "dial"))
                if dial is not None:
                    dial.take(None, OSError(number(fields, "errno"), word(fields, "why")))
            case "answer":
                answer = self._answers.pop(number(fields, "question"), None)
                if answer is not None:
                    answer(fields.get("allowed") is True)
            case _:
                return False
        return True

    @staticmethod
    def _take(dial: Dial | None, fd: int) -> None:
        connection = None if fd < 0 else socket.socket(fileno=fd)
        if dial is not None:
            lost = OSError(errno.EMFILE, os.strerror(errno.EMFILE)) if connection is None else None
            dial.take(connection, lost)
        elif connection is not None:  # the client has left
            connection.close()

    def _send(self, fields: Fields) -> None:
        if self.channel is not None:
            self.channel.send(fields)
