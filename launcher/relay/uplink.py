"""One connection's way to the host: what waits for the channel, and how much may be on its way."""

from collections.abc import Callable
from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from launcher.channel.seam import Channel
from launcher.relay import encode
from launcher.relay.client_socket import RECEIVE_SIZE
from launcher.relay.messages import ToHost
from launcher.relay.outgoing import Outgoing
from launcher.relay.own_objects import OwnObjects
from launcher.relay.window import Window

_FEW_BYTES: Final = RECEIVE_SIZE // 2
"""A host that takes no more at once gets several SENDs of what is walked once."""


class Uplink:
    """Sends in order and never blocks: `is_full` until the channel is writable, and `make_room` is called."""

    def __init__(self, channel: Channel, own: OwnObjects) -> None:
        """`channel` stays the caller's."""
        self._channel = channel
        self._own = own
        self._window = Window()
        # Of a host without our flow control, a SEND takes one pipe to read from.
        self._waiting = Outgoing(None if channel.has_pipe_credit else _is_read_pipe)
        self._when_sent: list[Callable[[], None]] = []
        self._when_seen: list[Callable[[], None]] = []
        self.is_full = False

    @property
    def is_open(self) -> bool:
        """Whether more requests of the client may be sent now."""
        return self._window.is_open and not self.is_full

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def batch(self) -> int:
        """Bytes of requests that make one SEND, an acknowledgement behind them included.

        They make several for a host that takes little at once.
        """
        most = self._channel.max_send - encode.SYNC_SIZE
        return most if _FEW_BYTES < most < RECEIVE_SIZE else RECEIVE_SIZE

    @property
    def allowance(self) -> int:
        """Bytes of requests that may go past it: whatever it does is not due before."""
        idle = not (self._waiting or self._when_sent or self._when_seen or self.is_full)
        return self._window.allowance if idle and self._channel.is_quiet else 0

    def passed(self, size: int) -> None:
        """So many bytes of requests have."""
        self._window.sent(size)

    def when_sent(self, action: Callable[[], None]) -> None:
        """See `messages.Host`."""
        self._when_sent.append(action)

    def when_seen(self, action: Callable[[], None]) -> None:
        """See `messages.Host`."""
        self._when_seen.append(action)

    def append(self, data: bytes | memoryview) -> None:
        """Queues bytes for `send` or `flush`."""
        self._waiting.append(data)

    def append_answer(self, answer: ToHost) -> None:
        """Queues what goes to the host in a request's place."""
        for identifier in answer.identifiers:
            self._waiting.attach(identifier)
        self._waiting.append(answer.data)

    def send(self, data: memoryview, consumed: int) -> None:
        """Sends bytes behind what waits already, and asks for an acknowledgement where it is time.

        That ends a batch of requests, which had `consumed` bytes.
        """
        if self._window.wants_marker or self._when_seen:
            self._waiting.append(data)
            self._mark()
        elif data and (self._waiting or len(data) > self._channel.max_send or not self._channel.send(data)):
            self._waiting.append(data)
        self.flush()
        self._window.sent(consumed)

    def make_room(self) -> None:
        """The channel takes more."""
        self.is_full = False
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as the channel takes it."""
        while self._waiting and not self.is_full:
            data, identifiers = self._waiting.peek(self._channel.max_send)
            if self._channel.send(data, identifiers):
                self._waiting.advance(len(data), len(identifiers))
            else:
                self.is_full = True
        if self._when_sent and not self._waiting:
            self._act()

    def clear(self) -> None:
        """Forgets what waits: it will not be sent any more."""
        self._act()
        self.is_full = False
        self._waiting.clear()

    def _mark(self) -> None:
        if self._window.wants_marker:
            self._sync(self._window.acknowledge)
            self._window.mark()
        actions, self._when_seen = self._when_seen, []
        for action in actions:
            self._sync(action)

    def _sync(self, answered: Callable[[], None]) -> None:
        callback_id = self._own.spare_id()
        self._own.add(callback_id, answered, None)
        self._waiting.append(encode.sync(callback_id))

    def _act(self) -> None:
        actions, self._when_sent = self._when_sent, []
        for action in actions:
            action()


def _is_read_pipe(identifier: Identifier) -> bool:
    return identifier.type == IdentifierType.READ_PIPE
