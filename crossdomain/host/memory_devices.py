"""The memory devices of VMs: second virtio-gpus, through which we see pages of the guest's own RAM.

Which VM one belongs to is not told but seen: the VMM shares the same memory with both devices.
"""

import asyncio
import logging
import socket
from typing import NoReturn

from crossdomain.context.ports import Pages, Resources
from crossdomain.device.profiles import MEMORY
from crossdomain.device.session import GpuSession
from crossdomain.errors import CrossDomainError, GuestFault
from crossdomain.limits import MAX_VMS

_log = logging.getLogger("crossdomain.host")

_WINDOW_SIZE = 4096
"""Bytes; the device has no window, and no memory of the host."""


class MemoryDevices:
    """All that are connected."""

    def __init__(self) -> None:
        self._sessions: dict[asyncio.Task[None], GpuSession] = {}

    def accept(self, name: str, connection: socket.socket) -> None:
        """Serves a VMM's connection, which this owns; `name` is for log lines."""
        if len(self._sessions) >= MAX_VMS:
            _log.warning("refused a memory device: %d are connected", len(self._sessions))
            connection.close()
            return
        label = f"memory of {name}"
        session = GpuSession(
            connection,
            new_context=_refuse_context,
            capset=b"",
            window_size=_WINDOW_SIZE,
            name=label,
            profile=MEMORY,
        )
        task = asyncio.get_running_loop().create_task(_serve(session, label))
        self._sessions[task] = session
        task.add_done_callback(self._sessions.pop)

    def find(self, gpu: GpuSession) -> GpuSession | None:
        """The one that belongs to the same VM as that device, if it is connected."""
        return next((session for session in self._sessions.values() if session.is_of_same_vm(gpu)), None)

    def is_connected(self, session: GpuSession) -> bool:
        """Whether it still is one of them."""
        return session in self._sessions.values()

    async def close(self) -> None:
        """Hangs up on all."""
        tasks = list(self._sessions)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class MemoryDevice:
    """That of one VM, which may come after the other device, and go before it: a `ports.MemoryDevice`."""

    def __init__(self, all_: MemoryDevices, gpu: GpuSession) -> None:
        self._all = all_
        self._gpu = gpu
        self._session: GpuSession | None = None

    def find(self, resource_id: int, /) -> Pages:
        """See `ports.MemoryDevice`."""
        return self._find().find_pages(resource_id)

    def expect(self, owner: object, /) -> None:
        """See `ports.MemoryDevice`."""
        self._find().expectations.add(owner)

    def forget(self, owner: object, /) -> None:
        """See `ports.MemoryDevice`."""
        if self._session is not None:
            self._session.expectations.discard(owner)

    def _find(self) -> GpuSession:
        if self._session is None or not self._all.is_connected(self._session):
            self._session = self._all.find(self._gpu)
        if self._session is None:
            raise GuestFault("this VM has no memory device")
        return self._session


async def _serve(session: GpuSession, label: str) -> None:
    _log.info("%s: connected", label)
    try:
        await session.serve()
        _log.info("%s: disconnected", label)
    except CrossDomainError as fault:
        _log.warning("%s: %s", label, fault)


def _refuse_context(_ctx_id: int, _debug_name: bytes, _resources: Resources) -> NoReturn:
    raise GuestFault("the memory device has no contexts")
