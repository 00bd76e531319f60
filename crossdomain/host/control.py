"""The control socket: whoever may open it, which is the daemon's user, gets the status as one JSON object.

`serve` is the daemon's side.  A connection says nothing: it gets its answer, and is closed.  `ask` is that of
`crossdomain host status`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Final

from crossdomain.errors import EnvironmentFault
from crossdomain.host.listeners import accepting
from crossdomain.host.sockets import ListeningSocket

MAX_ASKING: Final = 16
"""Connections at a time: each waits for all workers."""
_SECONDS: Final = 10.0
"""How long the answer may take, and its reader."""


def control_socket(gpu_socket: Path) -> Path:
    """Where the daemon tells its status that listens for VMs at `gpu_socket`."""
    return gpu_socket.with_name(gpu_socket.name + ".control")


@contextlib.contextmanager
def serve(path: Path, status: Callable[[], Awaitable[str]]) -> Generator[None]:
    """Answers at `path` while the block runs; `status` gives what is told.

    Raises:
        EnvironmentFault: no socket can be made there.
    """
    loop = asyncio.get_running_loop()
    asking: set[asyncio.Task[None]] = set()

    def accept(connection: socket.socket) -> None:
        if len(asking) >= MAX_ASKING:
            connection.close()
            return
        task = loop.create_task(_answer(connection, status))
        asking.add(task)
        task.add_done_callback(asking.discard)

    with ListeningSocket(path, socket.SOCK_STREAM) as listener, accepting(listener.socket, accept):
        try:
            yield
        finally:
            for task in asking:
                task.cancel()


async def _answer(connection: socket.socket, status: Callable[[], Awaitable[str]]) -> None:
    with connection, contextlib.suppress(OSError, TimeoutError):
        connection.setblocking(False)
        answer = (await status()).encode()
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(connection, answer), _SECONDS)


def ask(path: Path) -> bytes:
    """What the daemon at that control socket says.

    Raises:
        EnvironmentFault: none does.
    """
    parts: list[bytes] = []
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2 * _SECONDS)
            connection.connect(str(path))
            while data := connection.recv(1 << 16):
                parts.append(data)
    except OSError as error:
        raise EnvironmentFault(
            f"nothing at {str(path)!r} tells its status: {error.strerror or error}",
            hint="start `crossdomain host`, or name the one that runs with the --socket that it was given",
        ) from error
    if not parts:
        raise EnvironmentFault(
            f"the daemon at {str(path)!r} is asked by too many already", hint="try again, and see its log"
        )
    return b"".join(parts)
