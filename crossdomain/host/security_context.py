"""wp_security_context_v1: tells the compositor which connections are a VM's.

The compositor takes a listening socket from us, and treats every client that comes in by it as one
that is sandboxed, under the VM's name: it may hide what is privileged, and its own rules can tell VMs
apart.  This is a Wayland client of a dozen messages on the wire engine of this project: a library that
waits inside its calls would let a compositor that hangs stop the daemon.

`Conversation` is sans-IO; `open_context` moves its bytes.
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
from crossdomain.wire import load
from crossdomain.wire.codec import (
    DISPLAY_ID,
    Value,
    decode_arguments,
    encode_message,
    integer,
    split_messages,
    text,
)
from crossdomain.wire.faults import WireFault
from crossdomain.wire.tables import Message

MANAGER: Final = "wp_security_context_manager_v1"
SANDBOX_ENGINE: Final = "crossdomain"

_REGISTRY_ID, _LISTED_ID, _MANAGER_ID, _CONTEXT_ID, _MADE_ID = range(DISPLAY_ID + 1, DISPLAY_ID + 6)
_INTERFACES: Final = {
    DISPLAY_ID: "wl_display",
    _REGISTRY_ID: "wl_registry",
    _LISTED_ID: "wl_callback",
    _MANAGER_ID: MANAGER,
    _CONTEXT_ID: "wp_security_context_v1",
    _MADE_ID: "wl_callback",
}

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


class Conversation:
    """Asks whether the compositor makes security contexts, and makes one.

    First send `first`, and `receive` what comes until `listed`.  If the compositor `offers` contexts,
    send `create` with the fds of the listening socket and of the pipe, and `receive` until `made`.
    """

    def __init__(self) -> None:
        self.listed = False
        self.made = False
        self._name = 0
        self._received = b""

    @property
    def offers(self) -> bool:
        """Whether the compositor has the global."""
        return self._name != 0

    def first(self) -> bytes:
        """The requests that list the globals."""
        return _request(DISPLAY_ID, "get_registry", _REGISTRY_ID) + _request(DISPLAY_ID, "sync", _LISTED_ID)

    def create(self, identity: Identity) -> bytes:
        """The requests that make the context; the fds go with them."""
        return b"".join(
            (
                _request(_REGISTRY_ID, "bind", self._name, MANAGER, 1, _MANAGER_ID),
                _request(_MANAGER_ID, "create_listener", _CONTEXT_ID, None, None),
                _request(_CONTEXT_ID, "set_sandbox_engine", SANDBOX_ENGINE),
                _request(_CONTEXT_ID, "set_app_id", identity.app_id),
                _request(_CONTEXT_ID, "set_instance_id", identity.instance_id),
                _request(_CONTEXT_ID, "commit"),
                _request(DISPLAY_ID, "sync", _MADE_ID),
            )
        )

    def receive(self, data: bytes) -> None:
        """Takes what the compositor said.

        Raises:
            HostFault: it refused, or it speaks no Wayland.
        """
        try:
            events, self._received = split_messages(self._received + data)
            for header, event in events:
                self._handle(header.object_id, header.opcode, event)
        except WireFault as fault:
            raise HostFault(f"the compositor's events: {fault}") from fault

    def _handle(self, object_id: int, opcode: int, event: bytes) -> None:
        interface = load().interface(_INTERFACES.get(object_id, "wl_callback"))
        if opcode >= len(interface.events):
            raise HostFault(f"the compositor sent an unknown event of {interface.name}")
        message = interface.events[opcode]
        values = decode_arguments(message, event)
        match interface.name, message.name:
            case "wl_display", "error":
                raise HostFault(f"the compositor makes no security context: {text(values[2])!r:.200}")
            case "wl_registry", "global":
                self._handle_global(values)
            case "wl_callback", _:
                self.listed |= object_id == _LISTED_ID
                self.made |= object_id == _MADE_ID
            case _:
                pass

    def _handle_global(self, values: tuple[Value, ...]) -> None:
        if text(values[1]) == MANAGER:
            self._name = integer(values[0])


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
    conversation = Conversation()
    with connection:
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.get_running_loop().sock_sendall(connection, conversation.first())
            while not conversation.listed:
                await _receive(connection, conversation)
            if not conversation.offers:
                return None
            with contextlib.ExitStack() as stack:
                listener, place = _listen()
                stack.callback(os.close, place)
                watched, alive = os.pipe2(os.O_CLOEXEC)
                stack.callback(os.close, alive)
                with listener, os.fdopen(watched, "rb"):
                    _send(connection, conversation.create(identity), [listener.fileno(), watched])
                while not conversation.made:
                    await _receive(connection, conversation)
                stack.pop_all()
                return SecurityContext(place, alive)


async def _receive(connection: socket.socket, conversation: Conversation) -> None:
    data = await asyncio.get_running_loop().sock_recv(connection, _READ_SIZE)
    if not data:
        raise HostFault("the compositor hung up")
    conversation.receive(data)


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
    folder = Path(tempfile.mkdtemp(prefix="crossdomain-"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind(os.fsencode(folder / "wayland"))
        listener.listen(_BACKLOG)
        return listener, os.open(folder / "wayland", os.O_PATH | os.O_CLOEXEC)
    except BaseException:
        listener.close()
        raise
    finally:
        shutil.rmtree(folder)


def _request(object_id: int, name: str, *values: Value) -> bytes:
    messages = load().interface(_INTERFACES[object_id]).requests
    message: Message = next(message for message in messages if message.name == name)
    return encode_message(message, object_id, *values)
