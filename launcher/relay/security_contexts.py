"""wp_security_context_v1: a sandbox of the guest's gets a Wayland socket of its own, served by this launcher.

To the host the whole VM is one security context already, so nothing of this crosses.  What a sandbox may
not do is decided here, as everything that parts the guest's applications from each other: its clients see
the ordinary globals alone, whatever the host grants the VM, and can make no security contexts themselves.
"""

import os
import socket
from typing import Final

from crossdomain.wire import Record, WireFault
from crossdomain.wire.codec import decode_arguments
from crossdomain.wire.tables import load
from launcher.relay.messages import (
    DROP_REQUEST,
    Anchor,
    Host,
    RequestHandler,
    Route,
    ToHost,
    message,
)
from launcher.relay.stand_ins import StandIns
from launcher.services import OpenSandbox

MANAGER: Final = "wp_security_context_manager_v1"
CONTEXT: Final = "wp_security_context_v1"
_REQUESTS: Final = {request.opcode: request for request in load().interface(CONTEXT).requests}

_INVALID_LISTEN_FD: Final = 1
"""wp_security_context_manager_v1.error."""
_ALREADY_USED: Final = 1
_ALREADY_SET: Final = 2
"""wp_security_context_v1.error."""


class _Context:
    """One that the client has made; it owns its fds until it is committed or closed."""

    __slots__ = ("close_fd", "listening", "metadata")

    def __init__(self, listening: socket.socket, close_fd: int) -> None:
        self.listening: socket.socket | None = listening
        """None once it is committed."""
        self.close_fd = close_fd
        self.metadata: dict[str, str] = {}

    def close(self) -> None:
        if self.listening is not None:
            self.listening.close()
            os.close(self.close_fd)
            self.listening = None


class SecurityContexts:
    """One client's; a `messages.Part`, and a `messages.EmulatedGlobal`."""

    interface = MANAGER
    behind = "wl_compositor"
    version = 1

    def __init__(self, host: Host, open_sandbox: OpenSandbox) -> None:
        self._open_sandbox = open_sandbox
        self._stand_ins = StandIns(host)
        self._contexts: dict[int, _Context] = {}

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:  # noqa: ARG002 (of the protocol)
        """See `messages.EmulatedGlobal`."""
        return ToHost(self._stand_ins.create(object_id))

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            (MANAGER, "destroy"): self._handle_destroy,
            (MANAGER, "create_listener"): self._handle_create_listener,
            (CONTEXT, "destroy"): self._handle_destroy,
            (CONTEXT, "set_sandbox_engine"): self._handle_metadata,
            (CONTEXT, "set_app_id"): self._handle_metadata,
            (CONTEXT, "set_instance_id"): self._handle_metadata,
            (CONTEXT, "commit"): self._handle_commit,
        }

    def close(self) -> None:
        """Gives up what was never committed."""
        for context in self._contexts.values():
            context.close()

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        context = self._contexts.pop(record.object_id, None)
        if context is not None:
            context.close()
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    def _handle_create_listener(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        listen_fd, close_fd = fds
        listening = _listening(listen_fd)
        if listening is None:
            os.close(close_fd)
            text = "listen_fd is not a listening Unix socket"
            raise WireFault(record.object_id, _INVALID_LISTEN_FD, text)
        context_id = int.from_bytes(data[record.offset + 8 : record.offset + 12], "little")
        self._contexts[context_id] = _Context(listening, close_fd)
        return ToHost(self._stand_ins.create(context_id))

    def _handle_metadata(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        context, request = self._unused(record), _REQUESTS[record.opcode]
        if request.name in context.metadata:
            raise WireFault(record.object_id, _ALREADY_SET, f"{request.name} was sent before")
        (value,) = decode_arguments(request, message(record, data))
        context.metadata[request.name] = str(value)
        return DROP_REQUEST

    def _handle_commit(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        context = self._unused(record)
        listening, context.listening = context.listening, None
        if listening is not None:
            self._open_sandbox(listening, context.close_fd, context.metadata.get("set_app_id", ""))
        return DROP_REQUEST

    def _unused(self, record: Record) -> _Context:
        context = self._contexts[record.object_id]
        if context.listening is None:
            raise WireFault(record.object_id, _ALREADY_USED, "the security context is committed already")
        return context


def _listening(fd: int) -> socket.socket | None:
    """Returns the listening Unix socket that an fd is; None where it is something else, which is closed."""
    try:
        found = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return None
    if found.family == socket.AF_UNIX and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return found
    found.close()
    return None
