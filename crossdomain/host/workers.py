"""The supervisor's side of its workers: forks one for each VM and local socket, and hears of their end.

Whose memory device a connection is of is seen by the process that it comes from: a VMM connects both devices.
Where a process has several VMs, the one that connected last is meant; the worker checks the memory itself.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

from crossdomain.context.pace import Rate
from crossdomain.errors import HostFault
from crossdomain.host import worker
from crossdomain.host.broker import Broker
from crossdomain.host.channel import Channel, Fields
from crossdomain.host.settings import Settings, encode_settings
from crossdomain.host.status import WorkerStatus, parse_worker_status
from crossdomain.host.worker_log import WorkerLog
from crossdomain.limits import MAX_WORKER_SOCKETS, WORKER_MESSAGES_PER_SECOND

_log = logging.getLogger("crossdomain.host")

STOP_SECONDS: Final = 5.0
"""How long a worker may take to let go of everything, before it is killed."""
_STATUS_SECONDS: Final = 5.0
_ASKED_BETWEEN_LOOKS: Final = 64
_CREDENTIALS: Final = struct.Struct("3i")


class Worker:
    """One, from its start to its end."""

    def __init__(self, plan: worker.Plan, broker: Broker, ended: "Callable[[Worker], None]") -> None:
        """Forks it.  `plan.gpu` is the worker's from then on; `ended` is called once the process has gone.

        Raises:
            OSError: there is no process or descriptor for it.
        """
        self.names = plan.names
        self.peer = -1 if plan.gpu is None else peer_pid(plan.gpu)
        self.has_memory = False
        self.confined = asyncio.Event()
        """It has given everything up, and serves; set at its end, too."""
        self._broker = broker
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[WorkerStatus] | None = None
        self._pongs: deque[asyncio.Future[None]] = deque()
        """Awaited from it, in the order in which it was asked."""
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._kill: asyncio.TimerHandle | None = None
        self._contexts = plan.settings.quotas.vm.contexts
        self._asked = 0
        """Connections to the compositor that it has asked for."""
        self.pid, self._pidfd, ours, log = _fork(plan)
        self._log = WorkerLog(log, self.names.label)
        self._loop.add_reader(self._pidfd, self._reap)
        rate = Rate(WORKER_MESSAGES_PER_SECOND)
        self._channel = Channel(
            ours, self._handle, self._hung_up, takes_fds=False, rate=rate, name=plan.names.label
        )

    @property
    def fds(self) -> int:
        """How many descriptors it has."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return 0

    def serve_memory(self, connection: socket.socket) -> None:
        """Hands it its VM's memory device."""
        self.has_memory = True
        self._channel.send({"say": "serve memory"}, connection.detach())

    def serve_local(self, connection: socket.socket) -> None:
        """Hands it a client of its socket."""
        self._channel.send({"say": "serve local"}, connection.detach())

    def apply(self, settings: Settings) -> None:
        """New settings; `answers` tells when they are in force."""
        self._contexts = max(self._contexts, settings.quotas.vm.contexts)  # who is there already stays
        self._broker.apply(settings)
        self._channel.send({"say": "settings", **encode_settings(settings)})

    async def status(self) -> WorkerStatus | None:
        """What it serves; None where it does not say."""
        status = self._status
        if status is None:
            status = self._status = self._loop.create_future()
            self._channel.send({"say": "status"})
        await asyncio.wait((status, self._gone), timeout=_STATUS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return status.result() if status.done() else None

    async def answers(self, seconds: float) -> bool:
        """Whether it has done all that it was told before, within that time, or has ended."""
        pong = self._loop.create_future()
        self._pongs.append(pong)
        self._channel.send({"say": "ping"})
        await asyncio.wait((pong, self._gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return pong.done() or self._gone.done()

    def give_up(self) -> None:
        """Ends it at once: it does not answer."""
        _log.error("%s: its worker does not answer, and is ended", self.names.label)
        self._end_it()

    async def stop(self) -> None:
        """Has it end, and waits until it has."""
        self._hang_up()
        await self._gone

    def _handle(self, fields: Fields, _fd: int) -> None:
        if fields.get("say") == "dial":
            self._check_sockets()
        if self._broker.handle(fields, self._channel):
            return
        if fields.get("say") == "confined":
            self.confined.set()
            return
        if fields.get("say") == "pong" and self._pongs:
            self._pongs.popleft().set_result(None)
            return
        if fields.get("say") != "status" or self._status is None:
            raise HostFault(f"a worker says {fields.get('say')!r:.80}")
        status, self._status = self._status, None
        if not status.done():
            status.set_result(parse_worker_status(fields))

    def _check_sockets(self) -> None:
        """Whether it keeps no more than its clients take: a compositor often has 1024 for all of its own."""
        self._asked += 1
        if self._asked % _ASKED_BETWEEN_LOOKS:
            return
        most = 2 * self._contexts + MAX_WORKER_SOCKETS
        if (sockets := _sockets_of(self.pid)) > most:
            raise HostFault(f"a worker with {sockets} sockets, at most {most}")

    def _hung_up(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        self._channel.close()
        self._broker.close()
        if self._kill is None:
            self._kill = self._loop.call_later(STOP_SECONDS, self._end_it)

    def _end_it(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _reap(self) -> None:
        _pid, status = os.waitpid(self.pid, 0)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._channel.close()
        self._broker.close()
        self._log.close()
        if self._kill is not None:
            self._kill.cancel()
        code = os.waitstatus_to_exitcode(status)
        if code:
            told = f"signal {-code}" if code < 0 else f"status {code}"
            _log.error("%s: its worker ended with %s", self.names.label, told)
        self.confined.set()
        self._gone.set_result(None)
        self._ended(self)


def _sockets_of(pid: int) -> int:
    folder = f"/proc/{pid}/fd"
    found = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found


def peer_pid(connection: socket.socket) -> int:
    """The process that connected; 0 where it is not to be seen from here (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])


def _fork(plan: worker.Plan) -> tuple[int, int, socket.socket, int]:
    """The new process, its pidfd, our end of its channel, and of its standard error."""
    with contextlib.ExitStack() as where_it_fails, contextlib.ExitStack() as the_workers:
        log, written = os.pipe2(os.O_CLOEXEC)
        where_it_fails.callback(os.close, log)
        the_workers.callback(os.close, written)
        ours, theirs = socket.socketpair()
        where_it_fails.callback(ours.close)
        the_workers.callback(theirs.close)
        pid = os.fork()
        if pid == 0:
            _become_worker(plan, theirs, written)
        pidfd = _watch(pid)
        where_it_fails.pop_all()
    if plan.gpu is not None:
        plan.gpu.close()
    return pid, pidfd, ours, log


def _become_worker(plan: worker.Plan, channel: socket.socket, log: int) -> NoReturn:
    status = 1
    try:
        os.dup2(log, worker.STANDARD_ERROR)
        status = worker.run(plan, channel)
    finally:
        # Nothing of the supervisor's is unwound, flushed or closed here.
        os._exit(status)


def _watch(pid: int) -> int:
    """The new process's pidfd; without one it is ended and reaped."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
