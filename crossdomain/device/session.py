"""One device of a VM: serves a virtio-gpu on a connected vhost-user socket until the VMM leaves."""

import asyncio
import socket

from crossdomain.context.pace import Allowance
from crossdomain.context.ports import Pages
from crossdomain.context.quotas import Quotas
from crossdomain.context.selector import PortSelector
from crossdomain.device.backend import Backend
from crossdomain.device.expectations import Expectations
from crossdomain.device.offer import Conditions, Offer
from crossdomain.device.transport import Transport
from crossdomain.device.vhost_user import REQUESTS, Decoder, Message
from crossdomain.errors import CrossDomainError, GuestFault


class GpuSession:
    """A virtio-gpu, with capset 5 or for memory alone, for whoever connected.

    `serve` runs it; cancelling that ends it.  Whatever way it ends, contexts, mappings, descriptors and
    guest memory are given up.
    """

    def __init__(
        self,
        connection: socket.socket,
        offer: Offer,
        *,
        ports: PortSelector | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """Takes ownership of `connection`.

        Args:
            connection: the VMM's end of a vhost-user socket.
            offer: the device.
            ports: what the running loop waits with, where C is to carry what needs no Python.
            allowance: what the VM may have, if it is not the default.
        """
        self._connection = connection
        self._offer = offer
        self._backend: Backend | None = None
        self.expectations = Expectations()
        """Who expects that the guest imports something here."""
        allowance = Allowance(Quotas()) if allowance is None else allowance
        self._conditions = Conditions(allowance, ports, self.expectations)

    @property
    def contexts(self) -> int:
        """How many contexts the guest has now."""
        return 0 if self._backend is None else self._backend.gpu.contexts

    @property
    def resources(self) -> int:
        """How many resources the guest has now."""
        return 0 if self._backend is None else self._backend.gpu.resources

    @property
    def host_bytes(self) -> int:
        """Bytes of host memory behind the guest's blobs now."""
        return 0 if self._backend is None else self._backend.gpu.host_bytes

    def is_of_same_vm(self, other: "GpuSession") -> bool:
        """Whether both devices see the same guest's memory."""
        if self._backend is None or other._backend is None:
            return False
        return not self._backend.files.isdisjoint(other._backend.files)

    def find_pages(self, resource_id: int) -> Pages:
        """The guest's pages behind a resource.

        Raises:
            GuestFault: there are none.
        """
        if self._backend is None:
            raise GuestFault("the memory device is gone")
        return self._backend.find_pages(resource_id)

    async def serve(self) -> None:
        """Serves until the VMM hangs up.

        Raises:
            HostFault: the VMM broke the protocol.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def end(fault: CrossDomainError | None) -> None:
            if ended.done():
                return
            if fault is None:
                ended.set_result(None)
            else:
                ended.set_exception(fault)

        backend = Backend(self._offer, self._conditions, end)
        self._backend = backend

        def handle(message: Message) -> None:
            reply = backend.handle(message)
            if reply is not None:
                transport.send(reply)

        transport = Transport(self._connection, Decoder(REQUESTS, replies=False), loop, handle, end)
        try:
            await ended
        finally:
            transport.close()
            backend.close()
