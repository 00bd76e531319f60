"""The daemon: accepts VMs and local clients, and gives each client a context.

One loop serves everything.  What a peer does wrong ends at the peer's own connection: a VM's
at its session, a client's at its context.
"""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.context.capset import capset
from crossdomain.context.context import Context
from crossdomain.context.outbox import EventSink
from crossdomain.context.pipes import Orphans
from crossdomain.context.policy import ClientPolicy
from crossdomain.context.ports import Resources
from crossdomain.context.rules import Guest, Rules
from crossdomain.device.session import GpuSession
from crossdomain.errors import CrossDomainError
from crossdomain.host.compositor import Compositor
from crossdomain.host.local import LocalConnection
from crossdomain.host.sockets import ListeningSocket
from crossdomain.host.status import ClientStatus, Status, VmStatus
from crossdomain.limits import MAX_LOCAL_CLIENTS, MAX_VMS
from crossdomain.wire import load as load_tables
from crossdomain.wire.policy import Policy

_log = logging.getLogger("crossdomain.host")

_RETRY_SECONDS: Final = 0.5
"""The process has no descriptor for a connection that waits: no event says when it has."""


class Configuration(NamedTuple):
    """What the command line decided."""

    gpu_socket: Path
    local_socket: Path
    compositor: Path
    name: str
    """Names the VM in log lines; a second one at the same time gets a number."""
    window_size: int
    """Bytes of each VM's host-visible window."""
    policy: Policy
    """What guests may see."""


class Tenant:
    """What belongs together: one VM, or all local clients."""

    def __init__(self, name: str, compositor: Compositor, policy: Policy) -> None:
        self.name = name
        self._policy = policy
        self.orphans = Orphans()
        self.contexts: dict[Context, None] = {}
        self._compositor = compositor
        self._guest = Guest(name, Rules())

    def new_context(self, name: str, resources: Resources, sink: EventSink | None = None) -> Context:
        """A context whose client is called `name` in log lines."""
        context = Context(
            name=f"{self.name}, {name}",
            resources=resources,
            connect=self._compositor.connect,
            policy=ClientPolicy(load_tables(), self._policy, self._guest),
            on_close=self._forget,
            sink=sink,
            orphans=self.orphans,
        )
        self.contexts[context] = None
        return context

    def new_gpu_context(self, ctx_id: int, debug_name: bytes, resources: Resources) -> Context:
        """What GpuSession asks for on CTX_CREATE."""
        client = debug_name[:64].decode(errors="replace")
        return self.new_context(f"ctx {ctx_id}, {client!r}", resources)

    def clients(self) -> list[ClientStatus]:
        """A snapshot of its contexts."""
        return [ClientStatus.of(context) for context in self.contexts]

    def close(self) -> None:
        """Gives up what is left of it."""
        for context in list(self.contexts):
            context.close()
        self.orphans.close()

    def _forget(self, context: Context) -> None:
        self.contexts.pop(context, None)


class _Vm(NamedTuple):
    """One connected VM."""

    tenant: Tenant
    session: GpuSession

    def status(self) -> VmStatus:
        """A snapshot."""
        return VmStatus(
            self.tenant.name, self.tenant.clients(), self.session.resources, self.session.host_bytes
        )


class Daemon:
    """Serves until `run` is cancelled or `stop` is called."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._compositor = Compositor(configuration.compositor)
        self._local = Tenant("local", self._compositor, configuration.policy)
        self._local_connections: dict[LocalConnection, None] = {}
        self._vms: dict[asyncio.Task[None], _Vm] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Makes `run` return after it has cleaned up."""
        self._stopping.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serves; calls `ready` once both sockets take connections.

        Raises:
            EnvironmentFault: no compositor, or a socket can't be made.
        """
        self._compositor.check()
        _raise_fd_limit()
        gpu = ListeningSocket(self._configuration.gpu_socket, socket.SOCK_STREAM)
        with gpu, ListeningSocket(self._configuration.local_socket, socket.SOCK_SEQPACKET) as local:
            with accepting(gpu.socket, self._accept_vm), accepting(local.socket, self._accept_local):
                ready()
                await self._stopping.wait()
            await self._shut_down()

    def status(self) -> Status:
        """A snapshot of what is being served."""
        return Status(
            vms=[vm.status() for vm in self._vms.values()],
            local=self._local.clients(),
            local_resources=sum(len(connection.resources) for connection in self._local_connections),
            local_bytes=sum(connection.resources.host_bytes for connection in self._local_connections),
            orphaned_pipes=sum(len(tenant.orphans) for tenant in self._tenants()),
            fds=len(os.listdir("/proc/self/fd")) - 1,
        )

    def _tenants(self) -> list[Tenant]:
        return [self._local, *(vm.tenant for vm in self._vms.values())]

    def _accept_vm(self, connection: socket.socket) -> None:
        if len(self._vms) >= MAX_VMS:
            _log.warning("refused a VM: %d are connected", len(self._vms))
            connection.close()
            return
        tenant = Tenant(f"vm {self._free_name()}", self._compositor, self._configuration.policy)
        session = GpuSession(
            connection,
            new_context=tenant.new_gpu_context,
            capset=capset(),
            window_size=self._configuration.window_size,
            name=tenant.name,
        )
        task = asyncio.get_running_loop().create_task(self._serve_vm(session, tenant))
        self._vms[task] = _Vm(tenant, session)
        task.add_done_callback(self._vm_ended)

    async def _serve_vm(self, session: GpuSession, tenant: Tenant) -> None:
        _log.info("%s: connected", tenant.name)
        try:
            await session.serve()
            _log.info("%s: disconnected", tenant.name)
        except CrossDomainError as fault:
            _log.warning("%s: %s", tenant.name, fault)
        finally:
            tenant.close()

    def _vm_ended(self, task: asyncio.Task[None]) -> None:
        tenant = self._vms.pop(task).tenant
        if not task.cancelled() and (error := task.exception()) is not None:
            # A mistake of ours costs this VM; the others are still served.
            _log.error("%s: internal error", tenant.name, exc_info=error)

    def _free_name(self) -> str:
        taken = {vm.tenant.name for vm in self._vms.values()}
        base = self._configuration.name
        names = (base if number == 1 else f"{base}-{number}" for number in range(1, MAX_VMS + 2))
        return next(name for name in names if f"vm {name}" not in taken)

    def _accept_local(self, connection: socket.socket) -> None:
        if len(self._local_connections) >= MAX_LOCAL_CLIENTS:
            _log.warning("local: refused a client, %d are connected", len(self._local_connections))
            connection.close()
            return
        served = LocalConnection(connection, self._new_local_context, self._forget_local)
        self._local_connections[served] = None

    def _new_local_context(self, name: str, resources: Resources, sink: LocalConnection) -> Context:
        return self._local.new_context(repr(name), resources, sink)

    def _forget_local(self, connection: LocalConnection) -> None:
        self._local_connections.pop(connection, None)

    async def _shut_down(self) -> None:
        tasks = list(self._vms)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._local_connections):
            connection.close()
        self._local.close()


@contextlib.contextmanager
def accepting(listener: socket.socket, handle: Callable[[socket.socket], None]) -> Generator[None]:
    """Gives every connection of `listener` to `handle`, which owns it, while the block runs."""
    loop = asyncio.get_running_loop()
    retry: asyncio.TimerHandle | None = None

    def accept() -> None:
        nonlocal retry
        try:
            connection, _address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.warning("connections have to wait: %s", error.strerror)
            loop.remove_reader(listener)
            retry = loop.call_later(_RETRY_SECONDS, loop.add_reader, listener, accept)
            return
        handle(connection)

    loop.add_reader(listener, accept)
    try:
        yield
    finally:
        loop.remove_reader(listener)
        if retry is not None:
            retry.cancel()


def _raise_fd_limit() -> None:
    """As many descriptors as the system allows: each client has a dozen."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
