"""The memory device of a VM: a second virtio-gpu, through which we see pages of the guest's own RAM.

`workers` brings the connection of the process that the GPU's came from.  Whether it is really of the same VM
is not told but seen: the VMM shares the same memory with both devices.
"""

import asyncio
import logging
import socket
from typing import Final, NoReturn

from crossdomain.context.pace import Allowance
from crossdomain.context.ports import Pages, Resources
from crossdomain.device.offer import Offer
from crossdomain.device.profiles import MEMORY
from crossdomain.device.session import GpuSession
from crossdomain.errors import CrossDomainError, GuestFault

_log = logging.getLogger("crossdomain.host")

_WINDOW_SIZE: Final = 4096
"""Bytes; the device has no window, and no memory of the host."""


class MemoryDevice:
    """That of one VM, which may come after the other device, and go before it: a `ports.MemoryDevice`.

    There is at most one at a time; another one takes the place of the one before.
    """

    def __init__(self, name: str) -> None:
        """`name` is for log lines."""
        self.gpu: GpuSession | None = None
        """The VM's other device."""
        self.allowance: Allowance | None = None
        """The VM's, where it is known."""
        self._name = name
        self._session: GpuSession | None = None
        self._paired: GpuSession | None = None
        """The one that was seen to be of the same VM."""
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, connection: socket.socket) -> None:
        """Serves a VMM's connection, which this owns."""
        for task in self._serving:
            task.cancel()
        offer = Offer(_refuse_context, b"", _WINDOW_SIZE, self._name, MEMORY)
        self._session = session = GpuSession(connection, offer, allowance=self.allowance)
        task = asyncio.get_running_loop().create_task(self._serve(session))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def find(self, resource_id: int, /) -> Pages:
        """See `ports.MemoryDevice`."""
        return self._find().find_pages(resource_id)

    def expect(self, owner: object, /) -> None:
        """See `ports.MemoryDevice`."""
        self._find().expectations.add(owner)

    def forget(self, owner: object, /) -> None:
        """See `ports.MemoryDevice`."""
        if self._paired is not None:
            self._paired.expectations.discard(owner)

    def _find(self) -> GpuSession:
        session = self._session
        if session is None or (session is not self._paired and not self._is_ours(session)):
            raise GuestFault("this VM has no memory device")
        self._paired = session
        return session

    def _is_ours(self, session: GpuSession) -> bool:
        return self.gpu is not None and session.is_of_same_vm(self.gpu)

    async def close(self) -> None:
        """Hangs up."""
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, session: GpuSession) -> None:
        _log.info("%s: connected", self._name)
        try:
            await session.serve()
            _log.info("%s: disconnected", self._name)
        except CrossDomainError as fault:
            _log.warning("%s: %s", self._name, fault)
        finally:
            if self._session is session:
                self._session = None


def _refuse_context(_ctx_id: int, _debug_name: bytes, _resources: Resources) -> NoReturn:
    raise GuestFault("the memory device has no contexts")
