"""The daemon: accepts VMs and local clients, and gives each client a context.

One loop serves everything.  What a peer does wrong ends at the peer's own connection: a VM's
at its session, a client's at its context.
"""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crossdomain.bridge.udmabuf import Udmabuf
from crossdomain.context.capset import capset
from crossdomain.device.qemu import memory_socket
from crossdomain.device.session import GpuSession
from crossdomain.errors import CrossDomainError, EnvironmentFault
from crossdomain.host.compositor import Compositor
from crossdomain.host.listeners import Door, Listeners
from crossdomain.host.local import LocalConnection
from crossdomain.host.memory_devices import MemoryDevice, MemoryDevices
from crossdomain.host.settings import HostFile, Settings
from crossdomain.host.status import Status, VmStatus
from crossdomain.host.tenant import Names, Tenant
from crossdomain.limits import MAX_LOCAL_CLIENTS, MAX_VMS
from crossdomain.wire.policy import Policy

_log = logging.getLogger("crossdomain.host")


class Configuration(NamedTuple):
    """What the command line decided."""

    gpu_socket: Path
    local_socket: Path
    compositor: Path
    name: str
    """Names the VMs at `gpu_socket`; a second one at the same time gets a number."""
    window_size: int
    """Bytes of each VM's host-visible window."""
    policy: Policy
    """What guests may see where the settings say nothing."""
    read_file: Callable[[], HostFile]
    """Reads the settings; may raise EnvironmentFault."""
    shows_pages: bool = True
    """Whether the compositor may get dmabufs of VMs' memory, where this kernel makes them."""
    sections: bool = True
    """Whether the sockets of `[vm.NAME]` sections are served."""


class _Vm(NamedTuple):
    """One connected VM."""

    section: str
    """The name by which it has settings."""
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
        """Raises EnvironmentFault where the settings can't be read."""
        self._configuration = configuration
        self._compositor = Compositor(configuration.compositor)
        self._file = configuration.read_file()
        self._listeners = Listeners(self._accept)
        self._local: dict[str | None, Tenant] = {}
        """Tenants of local clients by section."""
        self._local_connections: dict[LocalConnection, None] = {}
        self._vms: dict[asyncio.Task[None], _Vm] = {}
        self._memories = MemoryDevices()
        self._udmabuf = Udmabuf.open() if configuration.shows_pages else None
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
        with self._listeners as listeners:
            listeners.open(Door(is_local=False), self._configuration.gpu_socket)
            listeners.open(Door(is_local=True), self._configuration.local_socket)
            memory = memory_socket(self._configuration.gpu_socket)
            listeners.open(Door(is_local=False, is_memory=True), memory)
            listeners.update(self._doors())
            ready()
            await self._stopping.wait()
        await self._shut_down()

    def reload(self) -> None:
        """Reads the settings again.  Nobody is dropped; where a mistake is in them, the old ones stay."""
        try:
            self._file = self._configuration.read_file()
        except EnvironmentFault as fault:
            _log.error("the settings stay as they were: %s: %s", fault, fault.hint)
            return
        for vm in self._vms.values():
            vm.tenant.apply(self._file.of_vm(vm.section))
        for section, tenant in self._local.items():
            tenant.apply(self._local_settings(section))
        self._listeners.update(self._doors())
        _log.info("new settings")

    def _doors(self) -> dict[Door, Path]:
        """The sockets that sections ask for."""
        sections = self._file.vms.items() if self._configuration.sections else ()
        doors: dict[Door, Path] = {}
        for name, section in sections:
            if section.socket is not None:
                doors[Door(False, name)] = section.socket
                doors[Door(False, name, is_memory=True)] = memory_socket(section.socket)
            if section.local_socket is not None:
                doors[Door(True, name)] = section.local_socket
        return doors

    def status(self) -> Status:
        """A snapshot of what is being served."""
        return Status(
            vms=[vm.status() for vm in self._vms.values()],
            local=[client for tenant in self._local.values() for client in tenant.clients()],
            local_resources=sum(len(connection.resources) for connection in self._local_connections),
            local_bytes=sum(connection.resources.host_bytes for connection in self._local_connections),
            orphaned_pipes=sum(len(tenant.orphans) for tenant in self._tenants()),
            fds=len(os.listdir("/proc/self/fd")) - 1,
        )

    def _tenants(self) -> list[Tenant]:
        return [*self._local.values(), *(vm.tenant for vm in self._vms.values())]

    def _accept(self, door: Door, connection: socket.socket) -> None:
        if door.is_local:
            self._accept_local(door.vm, connection)
        elif door.is_memory:
            self._memories.accept(f"vm {door.vm or self._configuration.name}", connection)
        else:
            self._accept_vm(door.vm or self._configuration.name, connection)

    def _accept_vm(self, section: str, connection: socket.socket) -> None:
        if len(self._vms) >= MAX_VMS:
            _log.warning("refused a VM: %d are connected", len(self._vms))
            connection.close()
            return
        name = self._free_name(section)
        tenant = self._new_tenant(
            Names(name, section, f"vm {name}"), self._file.of_vm(section), self._udmabuf
        )
        session = GpuSession(
            connection,
            new_context=tenant.new_gpu_context,
            capset=capset(has_pages=True, shows_pages=self._udmabuf is not None),
            window_size=self._configuration.window_size,
            name=tenant.name,
        )
        tenant.memory = MemoryDevice(self._memories, session)
        task = asyncio.get_running_loop().create_task(self._serve_vm(session, tenant))
        self._vms[task] = _Vm(section, tenant, session)
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

    def _free_name(self, base: str) -> str:
        taken = {vm.tenant.name for vm in self._vms.values()}
        names = (base if number == 1 else f"{base}-{number}" for number in range(1, MAX_VMS + 2))
        return next(name for name in names if f"vm {name}" not in taken)

    def _new_tenant(self, names: Names, settings: Settings, udmabuf: Udmabuf | None = None) -> Tenant:
        return Tenant(names, self._compositor, self._configuration.policy, settings, udmabuf)

    def _accept_local(self, section: str | None, connection: socket.socket) -> None:
        if len(self._local_connections) >= MAX_LOCAL_CLIENTS:
            _log.warning("local: refused a client, %d are connected", len(self._local_connections))
            connection.close()
            return
        tenant = self._local.get(section)
        if tenant is None:
            name = section or "local"
            names = Names(name, name, "local" if section is None else f"local {section}")
            tenant = self._new_tenant(names, self._local_settings(section))
            self._local[section] = tenant
        served = LocalConnection(connection, tenant.new_local_context, self._forget_local)
        self._local_connections[served] = None

    def _local_settings(self, section: str | None) -> Settings:
        return self._file.local if section is None else self._file.of_vm(section)

    def _forget_local(self, connection: LocalConnection) -> None:
        self._local_connections.pop(connection, None)

    async def _shut_down(self) -> None:
        tasks = list(self._vms)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._memories.close()
        for connection in list(self._local_connections):
            connection.close()
        for tenant in self._local.values():
            tenant.close()
        if self._udmabuf is not None:
            self._udmabuf.close()


def _raise_fd_limit() -> None:
    """As many descriptors as the system allows: each client has a dozen."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
