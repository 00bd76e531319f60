"""A process for one VM, or for all clients of one local socket: what a hostile guest can get hold of.

`workers` forks it.  It has its VM's connections, the fds that come with them, and a channel to the
supervisor, which connects its clients to the compositor (`broker`); everything else is given up (`sandbox`)
before the first byte of the guest's is read.  It ends when its VM leaves or the channel closes.
"""

import asyncio
import dataclasses
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from crossdomain.bridge.syncobj import SyncDevice
from crossdomain.bridge.udmabuf import Udmabuf
from crossdomain.context.capset import capset
from crossdomain.context.selector import PortSelector
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from crossdomain.errors import CrossDomainError
from crossdomain.host import logs, sandbox
from crossdomain.host.broker import Dials
from crossdomain.host.channel import Channel, Fields
from crossdomain.host.local import LocalConnection
from crossdomain.host.memory_devices import MemoryDevice
from crossdomain.host.settings import Settings, decode_settings
from crossdomain.host.showing import GivenDmabufs
from crossdomain.host.tenant import Names, Tenant
from crossdomain.wire.policy import Policy

_log = logging.getLogger("crossdomain.host")

STANDARD_ERROR: Final = 2


class Plan(NamedTuple):
    """What a worker is for."""

    names: Names
    policy: Policy
    """What guests may see where the settings say nothing."""
    settings: Settings
    window_size: int
    """Bytes of the VM's host-visible window."""
    udmabuf: Udmabuf | None
    """For a VM whose pages may be shown in place."""
    sync_device: SyncDevice | None
    """For timelines of a VM whose pages may be shown in place."""
    shows_dmabufs: bool
    """Whether local clients' own dmabufs may be."""
    seccomp: sandbox.Seccomp | None
    """None where this machine has no libseccomp."""
    gpu: socket.socket | None
    """The VM's connection; None for local clients."""


def main(plan: Plan, channel: socket.socket) -> None:
    """The whole life of a worker, in a process that was forked for it."""
    sandbox.tie_to_parent()
    _forget_the_parent(plan, channel)
    ports = PortSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(ports)) as runner:
        runner.run(_Worker(plan, ports).serve(channel))


def _forget_the_parent(plan: Plan, channel: socket.socket) -> None:
    """Keeps nothing of the supervisor's open: no socket of another VM, no listener, no standard output.

    Nor its environment.
    """
    sandbox.forget_environment()
    # Its objects stay as they are: closing them would close numbers that are ours by then.
    gc.freeze()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    kept = {STANDARD_ERROR, channel.fileno()}
    if plan.gpu is not None:
        kept.add(plan.gpu.fileno())
    kept.update(device.fd for device in (plan.udmabuf, plan.sync_device) if device is not None)
    last = -1
    for fd in sorted(kept):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
    for standard in (0, 1):
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != standard:
            os.dup2(opened, standard)
            os.close(opened)


class _Worker:
    """What it serves, and what the supervisor tells it."""

    def __init__(self, plan: Plan, ports: PortSelector) -> None:
        self._plan = plan
        self._ports = ports
        self._dials = Dials()
        self._tenant: Tenant | None = None
        self._session: GpuSession | None = None
        self._memory = MemoryDevice(f"memory of {plan.names.label}")
        self._local: dict[LocalConnection, None] = {}
        self._ended = asyncio.Event()

    async def serve(self, channel: socket.socket) -> None:
        """Serves until the VM has left, or the supervisor has."""
        _confine(self._plan)
        asyncio.get_running_loop().set_exception_handler(self._tell_mistake)
        dials, plan = self._dials, self._plan
        dials.channel = Channel(channel, self._handle, self._ended.set, takes_fds=True)
        dials.channel.send({"say": "confined"})
        dmabufs = GivenDmabufs() if plan.shows_dmabufs else plan.udmabuf
        tenant = self._tenant = Tenant(plan.names, dials, plan.policy, plan.settings, dmabufs, self._ports)
        tenant.timelines = plan.sync_device
        tenant.knows_points = plan.shows_dmabufs or plan.sync_device is not None
        try:
            if plan.gpu is None:
                await self._ended.wait()
            else:
                await self._serve_vm(plan.gpu, tenant)
        finally:
            for connection in list(self._local):
                connection.close()
            tenant.close()
            await self._memory.close()
            dials.channel.close()

    async def _serve_vm(self, connection: socket.socket, tenant: Tenant) -> None:
        offered = capset(
            has_pages=True, shows_pages=self._plan.udmabuf is not None, has_points=tenant.knows_points
        )
        offer = Offer(tenant.new_gpu_context, offered, self._plan.window_size, tenant.name)
        self._session = session = GpuSession(connection, offer, ports=self._ports, allowance=tenant.allowance)
        self._memory.gpu = session
        self._memory.allowance = tenant.allowance
        tenant.memory = self._memory
        _log.info("%s: connected", tenant.name)
        serving = asyncio.ensure_future(session.serve())
        leaving = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        serving.cancel()
        try:
            await serving
            _log.info("%s: disconnected", tenant.name)
        except asyncio.CancelledError:
            pass
        except CrossDomainError as fault:
            _log.warning("%s: %s", tenant.name, fault)

    def _tell_mistake(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        """What a callback of the loop raised, or one client's `Containment` kept from going further."""
        error = context.get("exception")
        peer = context.get("peer", self._plan.names.label)
        exception = error if isinstance(error, BaseException) else None
        _log.error("%s: %s", peer, context["message"], exc_info=exception)

    def _handle(self, fields: Fields, fd: int) -> None:
        if self._dials.handle(fields, fd) or self._tenant is None:
            return
        match fields.get("say"):
            case "serve memory" | "serve local" if fd < 0:
                _log.error("%s: refused a connection: no descriptor is left", self._tenant.name)
            case "serve memory":
                self._memory.accept(socket.socket(fileno=fd))
            case "serve local":
                self._accept_local(socket.socket(fileno=fd), self._tenant)
            case "settings":
                self._tenant.apply(decode_settings(fields))
            case "status":
                self._tell_status(self._tenant)
            case "ping":
                self._tell({"say": "pong"})
            case _:
                _log.error("%s: the supervisor says %r", self._tenant.name, fields.get("say"))

    def _accept_local(self, connection: socket.socket, tenant: Tenant) -> None:
        if len(self._local) >= tenant.allowance.quotas.vm.contexts:
            _log.warning(
                "%s: refused a client, %d are connected (quota vm.contexts)", tenant.name, len(self._local)
            )
            connection.close()
            return
        welcome = capset(
            shares_files=True, shows_pages=self._plan.shows_dmabufs, has_points=tenant.knows_points
        )
        served = LocalConnection(
            connection, tenant.new_local_context, self._forget_local, welcome, tenant.allowance
        )
        self._local[served] = None

    def _forget_local(self, connection: LocalConnection) -> None:
        self._local.pop(connection, None)

    def _tell_status(self, tenant: Tenant) -> None:
        session = self._session
        resources = sum(len(connection.resources) for connection in self._local)
        host_bytes = sum(connection.resources.host_bytes for connection in self._local)
        contexts = len(self._local)
        if session is not None:
            contexts += session.contexts
            resources += session.resources
            host_bytes += session.host_bytes
        status = {
            "clients": [dataclasses.asdict(client) for client in tenant.clients()],
            "contexts": contexts,
            "resources": resources,
            "host_bytes": host_bytes,
            "orphaned_pipes": len(tenant.orphans),
            **tenant.used(),
        }
        self._tell({"say": "status", "status": status})

    def _tell(self, fields: Fields) -> None:
        if self._dials.channel is not None:
            self._dials.channel.send(fields)


def _confine(plan: Plan) -> None:
    missing = sandbox.enter(plan.seccomp)
    if missing:
        _log.warning("%s: this machine has no %s: its worker is confined without", plan.names.label, missing)


def run(plan: Plan, channel: socket.socket) -> int:
    """`main`, and the exit status of the process: a mistake of ours is told, and costs this VM alone."""
    logs.report_to_supervisor()
    try:
        main(plan, channel)
    except CrossDomainError as fault:
        _log.error("%s: %s", plan.names.label, fault)
        return 1
    except Exception:  # noqa: BLE001  # the process ends with it, and says so
        _log.exception("%s: internal error", plan.names.label)
        return 1
    finally:
        logging.shutdown()
        sys.stderr.flush()
    return 0
