"""wp_security_context_v1, as far as it is a matter of one client's messages."""

import os
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from launcher.relay.security_contexts import CONTEXT, MANAGER
from tests.conftest import open_fds
from tests.unit.launcher.fake_channel import RelayedClient, event, request

FIRST_OWN_NAME: Final = 0xFD000000
ERRORS: Final = {"invalid_listen_fd": 1, "already_used": 1, "already_set": 2}


class Sandboxing:
    """A client that has bound the manager.

    Attributes:
        listening: a socket of its own, for the sandbox.
        held: what keeps the sandbox's socket open.
    """

    def __init__(self, client: RelayedClient, folder: Path) -> None:
        self.client = client
        registry = client.new_id()
        client.say(request("wl_display", "get_registry", 1, registry))
        client.channel.deliver(event("wl_registry", "global", registry, 1, "wl_compositor", 5))
        client.hear()
        self.manager = client.new_id()
        client.say(request("wl_registry", "bind", registry, FIRST_OWN_NAME, MANAGER, 1, self.manager))
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(folder / "sandbox"))
        self.listening.listen()
        self.closing, self.held = os.pipe()

    def close(self) -> None:
        """Give up what is here."""
        self.listening.close()
        for fd in (self.closing, self.held):
            os.close(fd)

    def create(self, listening: socket.socket | None = None) -> int:
        """wp_security_context_manager_v1.create_listener; the context's id."""
        context = self.client.new_id()
        fd = (listening or self.listening).fileno()
        self.client.say(
            request(MANAGER, "create_listener", self.manager, context, None, None),
            fds=[os.dup(fd), os.dup(self.closing)],
        )
        return context

    def error(self) -> int | None:
        """The code of the error that the client got last, None without one."""
        heard = self.client.hear()
        begin = heard.find(b"\1\0\0\0\0\0")
        return None if begin < 0 else int.from_bytes(heard[begin + 12 : begin + 16], "little")


@pytest.fixture
def sandboxing(client: RelayedClient) -> Generator[Sandboxing]:
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        made = Sandboxing(client, Path(folder))
        yield made
        made.close()


def test_a_committed_context_is_a_socket_to_listen_at(sandboxing: Sandboxing) -> None:
    context = sandboxing.create()
    sandboxing.client.say(
        request(CONTEXT, "set_sandbox_engine", context, "org.example"),
        request(CONTEXT, "set_app_id", context, "org.example.App"),
        request(CONTEXT, "set_instance_id", context, "1"),
        request(CONTEXT, "commit", context),
    )
    assert sandboxing.error() is None
    ((listening, close_fd, app_id),) = sandboxing.client.sandboxes
    assert listening.getsockname() == sandboxing.listening.getsockname()
    assert os.path.sameopenfile(close_fd, sandboxing.closing)
    assert app_id == "org.example.App"
    listening.close()
    os.close(close_fd)


def test_the_host_sees_ids_alone(sandboxing: Sandboxing) -> None:
    context = sandboxing.create()
    sandboxing.client.say(request(CONTEXT, "destroy", context))
    placeholders = [request("wl_display", "sync", 1, made) for made in (sandboxing.manager, context)]
    assert sandboxing.client.channel.sent.endswith(b"".join(placeholders))
    assert sandboxing.client.channel.identifiers == []


def holders(fd: int) -> int:
    """How many fds of this process are of the same file."""
    return list(open_fds().values()).count(os.readlink(f"/proc/self/fd/{fd}"))


def test_what_is_not_committed_is_closed_with_its_client(sandboxing: Sandboxing) -> None:
    fds = sandboxing.listening.fileno(), sandboxing.closing  # a pipe of two ends
    sandboxing.create()
    sandboxing.create()
    gone = sandboxing.create()
    assert [holders(fd) for fd in fds] == [4, 5]
    sandboxing.client.say(request(CONTEXT, "destroy", gone))
    assert [holders(fd) for fd in fds] == [3, 4]
    sandboxing.client.connection.close()
    assert [holders(fd) for fd in fds] == [1, 2]


def test_an_fd_at_which_no_client_can_come_is_refused(sandboxing: Sandboxing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        sandboxing.create(other)
    assert sandboxing.error() == ERRORS["invalid_listen_fd"]


def test_a_socket_that_does_not_listen_is_refused(sandboxing: Sandboxing) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        sandboxing.create(other)
    assert sandboxing.error() == ERRORS["invalid_listen_fd"]


def test_what_is_said_twice_is_refused(sandboxing: Sandboxing) -> None:
    context = sandboxing.create()
    sandboxing.client.say(*[request(CONTEXT, "set_app_id", context, name) for name in ("one", "two")])
    assert sandboxing.error() == ERRORS["already_set"]


@pytest.mark.parametrize("late", [request(CONTEXT, "commit", 0), request(CONTEXT, "set_app_id", 0, "late")])
def test_what_is_said_after_the_commit_is_refused(sandboxing: Sandboxing, late: bytes) -> None:
    context = sandboxing.create()
    sandboxing.client.say(request(CONTEXT, "commit", context))
    sandboxing.client.say(context.to_bytes(4, "little") + late[4:])
    assert sandboxing.error() == ERRORS["already_used"]
    ((listening, close_fd, _),) = sandboxing.client.sandboxes
    listening.close()
    os.close(close_fd)
