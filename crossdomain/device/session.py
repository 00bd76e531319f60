"""One device of a VM: serves a virtio-gpu on a connected vhost-user socket until the VMM leaves."""

import asyncio
import socket

from crossdomain.context.pace import Allowance
from crossdomain.context.ports import Pages
from crossdomain.context.quotas import Quotas
from crossdomain.context.selector import PortSelector
from crossdomain.device.backend import Backend, Conditions
from crossdomain.device.expectations import Expectations
from crossdomain.device.gpu import ContextFactory
from crossdomain.device.profiles import GPU, Profile
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
        *,
        new_context: ContextFactory,
        capset: bytes,
        window_size: int,
        name: str,
        profile: Profile = GPU,
        ports: PortSelector | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """Takes ownership of `connection`.

        Args:
            connection: the VMM's end of a vhost-user socket.
            new_context: makes a cross-domain context for each CTX_CREATE.
            capset: the data of capset 5.
            window_size: bytes of the host-visible window, a power of two; also how much host memory the guest
                may hold in blobs.
            name: names the VM in log lines.
            profile: which of the two devices it is.
            ports: what the running loop waits with, where C is to carry what needs no Python.
            allowance: what the VM may have, if it is not the default.
        """
        self._connection = connection
        self._new_context = new_context
        self._capset = capset
        self._window_size = window_size
        self._name = name
        self._profile = profile
        self._conditions = Conditions(Allowance(Quotas()) if allowance is None else allowance, ports)
        self._backend: Backend | None = None
        self.expectations = Expectations()
        """Who expects that the guest imports something here."""

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

        backend = Backend(
            new_context=self._new_context,
            capset=self._capset,
            window_size=self._window_size,
            name=self._name,
            broken=end,
            profile=self._profile,
            expectations=self.expectations,
            conditions=self._conditions,
        )
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
