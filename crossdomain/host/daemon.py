"""The daemon: accepts VMs and local clients, and gives each VM, and each local socket, a worker.

This process, the supervisor, reads not a byte of what they say: it hands their connections over.  What a peer
does wrong ends in its worker: a client's at its context, a VM's at its process.
"""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.bridge.syncobj import SyncDevice
from crossdomain.bridge.udmabuf import Udmabuf
from crossdomain.context.peer import Peer
from crossdomain.device.qemu import memory_socket
from crossdomain.errors import EnvironmentFault
from crossdomain.host import control, sandbox
from crossdomain.host.broker import Broker
from crossdomain.host.compositor import Compositor
from crossdomain.host.listeners import Door, Listeners
from crossdomain.host.settings import HostFile, Settings
from crossdomain.host.status import Status, VmStatus
from crossdomain.host.tenant import Names
from crossdomain.host.unpaired import Unpaired
from crossdomain.host.worker import Plan
from crossdomain.host.workers import Worker, peer_pid
from crossdomain.limits import MAX_VMS
from crossdomain.wire import load as load_tables
from crossdomain.wire.policy import Policy

_log = logging.getLogger("crossdomain.host")

_RELOAD_SECONDS: Final = 30.0
"""How long workers may take to have new settings in force."""


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


class Daemon:
    """Serves until `run` is cancelled or `stop` is called."""

    def __init__(self, configuration: Configuration) -> None:
        """Raises EnvironmentFault where the settings can't be read."""
        self._configuration = configuration
        self._compositor = Compositor(configuration.compositor)
        self._file = configuration.read_file()
        self._listeners = Listeners(self._accept)
        self._local: dict[str | None, Worker] = {}
        """Workers of local sockets by section."""
        self._vms: dict[Worker, None] = {}
        self._unpaired = Unpaired()
        self._udmabuf = Udmabuf.open() if configuration.shows_pages else None
        self._sync_device = None if self._udmabuf is None else SyncDevice.find()
        self._seccomp = sandbox.prepare()
        self._stopping = asyncio.Event()
        self.changed: Callable[[], None] = _nobody
        """Called when `summary` is another."""
        # Once for all workers: they are forked, and share what does not change.
        load_tables()

    @property
    def summary(self) -> str:
        """One line about what it serves."""
        names = ", ".join(sorted(vm.names.vm for vm in self._vms))
        return f"{len(self._vms)} VMs: {names}" if names else "no VMs"

    async def check_workers(self, seconds: float) -> bool:
        """Whether all workers answer within that time; one that doesn't is ended: that costs its VM alone."""
        silent = await self._silent(seconds)
        for worker in silent:
            worker.give_up()
        return not silent

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
            local = self._local_worker(None)
            if local is not None:
                await local.confined.wait()
            with control.serve(control.control_socket(self._configuration.gpu_socket), self._tell_status):
                ready()
                await self._stopping.wait()
        await self._shut_down()

    async def reload(self) -> None:
        """Reads the settings again; returns when they are in force for all that is said from then on.

        Nobody is dropped; where a mistake is in them, the old ones stay.
        """
        try:
            self._file = self._configuration.read_file()
        except EnvironmentFault as fault:
            _log.error("the settings stay as they were: %s: %s", fault, fault.hint)
            return
        for vm in self._vms:
            vm.apply(self._file.of_vm(vm.names.section))
        for section, worker in self._local.items():
            worker.apply(self._local_settings(section))
        self._listeners.update(self._doors())
        for worker in await self._silent(_RELOAD_SECONDS):
            _log.error("%s: its worker has not taken the new settings yet", worker.names.label)
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

    async def status(self) -> Status:
        """A snapshot of what is being served."""
        vms, local = list(self._vms), list(self._local.values())
        found = await asyncio.gather(*(worker.status() for worker in (*vms, *local)))
        serving = [status for status in found[len(vms) :] if status is not None]
        return Status(
            vms=[
                VmStatus.of(vm.names.label, status, vm.fds, self._file.of_vm(vm.names.section).quotas)
                for vm, status in zip(vms, found, strict=False)
                if status is not None
            ],
            local=[client for status in serving for client in status.clients],
            local_resources=sum(status.resources for status in serving),
            local_bytes=sum(status.host_bytes for status in serving),
            local_messages_per_second=sum(status.messages_per_second for status in serving),
            local_cpu_ms=sum(status.cpu_ms for status in serving),
            local_cpu_percent=sum(status.cpu_percent for status in serving),
            orphaned_pipes=sum(status.orphaned_pipes for status in found if status is not None),
            fds=len(os.listdir("/proc/self/fd")) - 1 + sum(worker.fds for worker in (*vms, *local)),
        )

    async def _tell_status(self) -> str:
        return (await self.status()).to_json()

    def _accept(self, door: Door, connection: socket.socket) -> None:
        section = door.vm or self._configuration.name
        if door.is_local:
            self._accept_local(door.vm, connection)
        elif door.is_memory:
            self._accept_memory(section, connection)
        else:
            self._accept_vm(section, connection)

    def _accept_vm(self, section: str, connection: socket.socket) -> None:
        if len(self._vms) >= MAX_VMS:
            _log.warning("refused a VM: %d are connected", len(self._vms))
            connection.close()
            return
        name = self._free_name(section)
        names = Names(name, section, Peer.of_vm(f"vm {name}"))
        vm = self._start(names, self._file.of_vm(section), self._vm_ended, connection)
        if vm is None:
            connection.close()
            return
        self._vms[vm] = None
        self.changed()
        memory = self._unpaired.take(section, vm.peer)
        if memory is not None:
            vm.serve_memory(memory)

    def _accept_memory(self, section: str, connection: socket.socket) -> None:
        vm = self._vm_of(section, peer_pid(connection))
        if vm is not None:
            vm.serve_memory(connection)
        elif len(self._unpaired) >= MAX_VMS:
            _log.warning("refused a memory device: %d wait for their VM", len(self._unpaired))
            connection.close()
        else:
            self._unpaired.add(connection, section)

    def _vm_of(self, section: str, pid: int) -> Worker | None:
        """The VM that a memory device may be of: the last to connect of its process that has none."""
        fitting = [vm for vm in self._vms if vm.names.section == section and vm.peer == pid]
        lacking = [vm for vm in fitting if not vm.has_memory]
        return next(reversed(lacking or fitting), None)

    def _accept_local(self, section: str | None, connection: socket.socket) -> None:
        worker = self._local_worker(section)
        if worker is None:
            connection.close()
        else:
            worker.serve_local(connection)

    def _local_worker(self, section: str | None) -> Worker | None:
        """The worker of a local socket; a new one where there is none, or it has ended."""
        worker = self._local.get(section)
        if worker is not None:
            return worker
        name = section or "local"
        names = Names(name, name, Peer.of_vm("local" if section is None else f"local {section}"))
        worker = self._start(names, self._local_settings(section), self._local_ended, None)
        if worker is not None:
            self._local[section] = worker
        return worker

    def _start(
        self, names: Names, settings: Settings, ended: Callable[[Worker], None], gpu: socket.socket | None
    ) -> Worker | None:
        plan = Plan(
            names=names,
            policy=self._configuration.policy,
            settings=settings,
            window_size=self._configuration.window_size,
            udmabuf=None if gpu is None else self._udmabuf,
            sync_device=None if gpu is None else self._sync_device,
            shows_dmabufs=gpu is None and self._configuration.shows_pages,
            seccomp=self._seccomp,
            gpu=gpu,
        )
        broker = Broker(names.vm, names.section, self._compositor, settings)
        try:
            return Worker(plan, broker, ended)
        except OSError as error:
            _log.error("%s: there is no process for it: %s", names.label, error.strerror)
            broker.close()
            return None

    def _vm_ended(self, vm: Worker) -> None:
        self._vms.pop(vm, None)
        self.changed()

    def _local_ended(self, worker: Worker) -> None:
        self._local = {section: other for section, other in self._local.items() if other is not worker}

    def _free_name(self, base: str) -> str:
        taken = {vm.names.vm for vm in self._vms}
        names = (base if number == 1 else f"{base}-{number}" for number in range(1, MAX_VMS + 2))
        return next(name for name in names if name not in taken)

    def _local_settings(self, section: str | None) -> Settings:
        return self._file.local if section is None else self._file.of_vm(section)

    async def _silent(self, seconds: float) -> list[Worker]:
        """The workers that do not answer within that time."""
        workers = (*self._vms, *self._local.values())
        answers = await asyncio.gather(*(worker.answers(seconds) for worker in workers))
        return [worker for worker, answered in zip(workers, answers, strict=True) if not answered]

    async def _shut_down(self) -> None:
        self._unpaired.close()
        await asyncio.gather(*(worker.stop() for worker in (*self._vms, *self._local.values())))
        if self._udmabuf is not None:
            self._udmabuf.close()
        if self._sync_device is not None:
            self._sync_device.close()


def _nobody() -> None:
    """Nobody wants to know."""


def _raise_fd_limit() -> None:
    """As many descriptors as the system allows: each client has a dozen."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
