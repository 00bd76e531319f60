"""A worker that its guest has taken over: what the supervisor gives it has an end."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Final

import pytest

from crossdomain.context.peer import Peer
from crossdomain.context.quotas import Quotas, VmQuotas
from crossdomain.host import worker
from crossdomain.host.channel import encode
from crossdomain.host.enclosure import Enclosing
from crossdomain.host.settings import Settings
from crossdomain.limits import MAX_WORKER_SOCKETS
from tests.unit.host.started import start_worker

DEADLINE: Final = 30.0


def keep_all(_plan: worker.Plan, channel: socket.socket) -> None:
    """Asks for one connection after the other, and keeps them."""
    dial = 0
    while True:
        dial += 1
        channel.send(encode({"say": "dial", "dial": dial}))
        data, _fds, _flags, _address = socket.recv_fds(channel, 65536, 16)
        if not data:
            return


async def test_who_keeps_more_connections_than_its_clients_take_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "main", keep_all)
    loop = asyncio.get_running_loop()
    accepted: list[socket.socket] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "wayland"))
    listener.listen(128)
    listener.setblocking(False)
    loop.add_reader(listener, lambda: accepted.append(listener.accept()[0]))
    settings = Settings(security_context=Enclosing.OFF, quotas=Quotas(vm=VmQuotas(contexts=50)))
    ended: asyncio.Future[None] = loop.create_future()
    taken_over = start_worker(
        "vm", Peer.of_vm("vm work"), settings, tmp_path / "wayland", lambda: ended.set_result(None)
    )
    try:
        await asyncio.wait_for(asyncio.shield(ended), DEADLINE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(taken_over.pid, signal.SIGKILL)
        await ended
    loop.remove_reader(listener)
    most = 2 * 50 + MAX_WORKER_SOCKETS
    assert most < len(accepted) < most + 128
    assert "sockets, at most" in caplog.text
    for connection in (*accepted, listener):
        connection.close()
