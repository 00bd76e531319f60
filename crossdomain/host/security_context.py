"""wp_security_context_v1: tells the compositor which connections are a VM's.

The compositor takes a listening socket from us, and treats every client that comes in by it as one
that is sandboxed, under the VM's name: it may hide what is privileged, and its own rules can tell VMs
apart.  `Request` is sans-IO, a Wayland client of a dozen messages; `open_context` moves its bytes.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from array import array
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.errors import HostFault
from crossdomain.host.compositor import connect
from crossdomain.host.conversation import FIRST_ID, LISTED_ID, REGISTRY_ID, Conversation
from crossdomain.wire.codec import DISPLAY_ID, Value, integer, text

MANAGER: Final = "wp_security_context_manager_v1"
SANDBOX_ENGINE: Final = "crossdomain"

_MANAGER_ID, _CONTEXT_ID, _MADE_ID = range(FIRST_ID, FIRST_ID + 3)

ANSWER_SECONDS: Final = 5.0
"""How long a compositor may take: less than a client's connection may (CONNECT_SECONDS)."""

_BACKLOG: Final = 128
_READ_SIZE: Final = 65536


class Identity(NamedTuple):
    """What the compositor is told about a VM."""

    app_id: str
    """The same for every VM with these settings."""
    instance_id: str
    """The VM's own name."""


class Request(Conversation):
    """Asks whether the compositor makes security contexts, and makes one.

    First send `first`, and `receive` what comes until `listed`.  If the compositor `offers` contexts,
    send `create` with the fds of the listening socket and of the pipe, and `receive` until `made`.
    """

    def __init__(self) -> None:
        self.listed = False
        self.made = False
        self._name = 0
        super().__init__(
            {_MANAGER_ID: MANAGER, _CONTEXT_ID: "wp_security_context_v1", _MADE_ID: "wl_callback"},
            {("wl_registry", "global"): self._handle_global, ("wl_callback", "done"): self._handle_done},
            purpose="makes no security context",
        )

    @property
    def offers(self) -> bool:
        """Whether the compositor has the global."""
        return self._name != 0

    def create(self, identity: Identity) -> bytes:
        """The requests that make the context; the fds go with them."""
        return b"".join(
            (
                self.request(REGISTRY_ID, "bind", self._name, MANAGER, 1, _MANAGER_ID),
                self.request(_MANAGER_ID, "create_listener", _CONTEXT_ID, None, None),
                self.request(_CONTEXT_ID, "set_sandbox_engine", SANDBOX_ENGINE),
                self.request(_CONTEXT_ID, "set_app_id", identity.app_id),
                self.request(_CONTEXT_ID, "set_instance_id", identity.instance_id),
                self.request(_CONTEXT_ID, "commit"),
                self.request(DISPLAY_ID, "sync", _MADE_ID),
            )
        )

    def _handle_global(self, _registry: int, values: tuple[Value, ...]) -> None:
        if text(values[1]) == MANAGER:
            self._name = integer(values[0])

    def _handle_done(self, callback: int, _values: tuple[Value, ...]) -> None:
        self.listed |= callback == LISTED_ID
        self.made |= callback == _MADE_ID


class SecurityContext:
    """A context that the compositor has made; it ends with `close`."""

    def __init__(self, place: int, alive: int) -> None:
        """Takes ownership of both fds: of the socket's place, and of the pipe that keeps it."""
        self._place = place
        self._alive = alive

    def connect(self) -> socket.socket:
        """A new connection to the compositor, made without blocking.

        Raises:
            BlockingIOError: too many clients connect at once; try again.
            OSError: the compositor that made the context is gone.
        """
        return connect(Path(f"/proc/self/fd/{self._place}"))

    def close(self) -> None:
        """The compositor takes no new connections; those that are there stay."""
        os.close(self._place)
        os.close(self._alive)


async def open_context(connection: socket.socket, identity: Identity) -> SecurityContext | None:
    """Has the compositor at the other end make a context; None where it makes none.

    `connection` is closed then: the context outlives it.

    Raises:
        HostFault: the compositor refused, or left.
        TimeoutError: it does not answer.
        OSError: the socket can't be made.
    """
    request = Request()
    with connection:
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.get_running_loop().sock_sendall(connection, request.first())
            while not request.listed:
                await _receive(connection, request)
            if not request.offers:
                return None
            with contextlib.ExitStack() as stack:
                listener, place = _listen()
                stack.callback(os.close, place)
                watched, alive = os.pipe2(os.O_CLOEXEC)
                stack.callback(os.close, alive)
                with listener, os.fdopen(watched, "rb"):
                    _send(connection, request.create(identity), [listener.fileno(), watched])
                while not request.made:
                    await _receive(connection, request)
                stack.pop_all()
                return SecurityContext(place, alive)


async def _receive(connection: socket.socket, request: Request) -> None:
    data = await asyncio.get_running_loop().sock_recv(connection, _READ_SIZE)
    if not data:
        raise HostFault("the compositor hung up")
    request.receive(data)


def _send(connection: socket.socket, data: bytes, fds: list[int]) -> None:
    """A kilobyte into an empty socket: it fits, or the compositor is not worth waiting for."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
    if connection.sendmsg([data], ancillary, socket.MSG_NOSIGNAL) != len(data):
        raise HostFault("the compositor does not read")


def _listen() -> tuple[socket.socket, int]:
    """A listening socket that is in no folder, and an fd of its place that leads to it.

    An abstract address would let every user of the machine in, and a file would be left behind by
    a daemon that is killed.
    """
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="crossdomain-")
        stack.callback(shutil.rmtree, folder)
        inside = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, inside)
        # A socket's path may have 107 bytes only, and the folder's may have more.
        path = f"/proc/self/fd/{inside}/wayland"
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with contextlib.ExitStack() as made:
            listener = made.enter_context(socket.socket(socket.AF_UNIX, kind))
            listener.bind(path)
            listener.listen(_BACKLOG)
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            made.pop_all()
        return listener, place
