"""A fake VM on a real device with stub contexts."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from crossdomain.context.pace import Allowance
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_driver import GuestDriver
from tests.fakes.patience import in_time
from tests.fakes.stub_context import StubHost

CAPSET: Final = bytes(range(32))
WINDOW: Final = 1 << 22
PAGE: Final = 4096


class Vm(NamedTuple):
    """The two sides of one device."""

    frontend: FakeFrontend
    host: StubHost
    serving: "asyncio.Task[None]"

    @property
    def driver(self) -> GuestDriver:
        """The guest's driver."""
        return self.frontend.driver


def serve(
    connection: socket.socket,
    host: StubHost,
    *,
    window_size: int = WINDOW,
    allowance: Allowance | None = None,
) -> "asyncio.Task[None]":
    """Runs a device for whoever is at the other end of `connection`."""
    offer = Offer(host.new_context, CAPSET, window_size, "vm")
    session = GpuSession(connection, offer, allowance=allowance)
    return asyncio.get_running_loop().create_task(session.serve())


@asynccontextmanager
async def running_vm(
    *,
    ram_size: int = 4 << 20,
    queue_size: int = 64,
    memory_slots: bool = True,
    announces: bool = True,
    resets_device: bool = True,
    allowance: Allowance | None = None,
) -> AsyncGenerator[Vm]:
    """Boots a VM, and at the end hangs up and waits until the device has let go of everything."""
    ours, theirs = socket.socketpair()
    host = StubHost()
    serving = serve(theirs, host, allowance=allowance)
    frontend = FakeFrontend(
        ours,
        ram_size=ram_size,
        queue_size=queue_size,
        memory_slots=memory_slots,
        announces=announces,
        resets_device=resets_device,
    )
    async with frontend:
        yield Vm(frontend, host, serving)
    await in_time(serving)
    assert all(context.closed for context in host.contexts)
