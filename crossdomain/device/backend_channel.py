"""The back-end channel: what we ask of the VMM, one request at a time.

`window` asks here.  The VMM answers on the same socket, and in between may ask us things on
the main one, which is served meanwhile: QEMU waits for those answers before it goes on.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from crossdomain.abi.vhost_user import U64
from crossdomain.device.transport import Transport
from crossdomain.device.vhost_user import BACKEND_REPLIES, Decoder, Message, encode_request
from crossdomain.errors import CrossDomainError, HostFault


class _Request(NamedTuple):
    request: int
    payload: bytes
    fd: int
    answered: Callable[[bool], None]


class BackendChannel:
    """Requests wait in line; each is sent when the one before has been answered."""

    def __init__(
        self,
        connection: socket.socket,
        loop: asyncio.AbstractEventLoop,
        broken: Callable[[CrossDomainError], None],
    ) -> None:
        """Takes ownership of `connection`.

        `broken` is told where the VMM does not keep to the protocol; then, and where it hangs up, every
        request is answered with a failure.
        """
        self._broken = broken
        self._line: deque[_Request] = deque()
        self._waiting: _Request | None = None
        self._held = False
        decoder = Decoder(BACKEND_REPLIES, replies=True)
        self._transport = Transport(connection, decoder, loop, self._handle, self._on_closed)

    @property
    def is_open(self) -> bool:
        """Whether the VMM still listens."""
        return self._transport.is_open

    def request(self, request: int, payload: bytes, answered: Callable[[bool], None], fd: int = -1) -> None:
        """Asks, with `fd` where it is not negative; takes ownership of it.

        `answered` is called once with whether the VMM said yes; False also where it has hung up.
        """
        self._line.append(_Request(request, payload, fd, answered))
        self._send_next()

    def request_first(self, request: int, payload: bytes, answered: Callable[[bool], None]) -> None:
        """As `request`, but ahead of all that is in line."""
        self._line.appendleft(_Request(request, payload, -1, answered))
        self._send_next()

    def hold(self, held: bool) -> None:
        """Sends nothing while `held`; requests wait in line."""
        self._held = held
        if not held:
            self._send_next()

    def cancel(self) -> None:
        """Forgets what is in line, unanswered; what has been sent stays, and is answered as it will be."""
        for request in self._line:
            if request.fd >= 0:
                os.close(request.fd)
        self._line.clear()

    def drain(self) -> None:
        """Handles the answers that have arrived already."""
        if self._transport.is_open:
            self._transport.drain()

    def close(self) -> None:
        """Closes the socket and answers what is in line with a failure; may be called again."""
        self._transport.close()
        self._fail_all()

    def _send_next(self) -> None:
        if not self._transport.is_open:
            self._fail_all()
            return
        if self._held or self._waiting is not None or not self._line:
            return
        request = self._waiting = self._line.popleft()
        fds = [request.fd] if request.fd >= 0 else []
        self._transport.send(encode_request(request.request, request.payload, needs_reply=True), fds)

    def _handle(self, message: Message) -> None:
        request = self._waiting
        if request is None or request.request != message.request:
            raise HostFault(f"the VMM answers request {message.request}, which was not asked")
        self._waiting = None
        (failed,) = U64.unpack(message.payload)
        request.answered(not failed)
        self._send_next()

    def _on_closed(self, fault: CrossDomainError | None) -> None:
        if fault is not None:
            self._broken(fault)
        self._fail_all()

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, None
        line = list(self._line)
        self.cancel()
        for request in [waiting, *line]:
            if request is not None:
                request.answered(False)
