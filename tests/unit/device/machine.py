"""A VM on the real device, its driver and its compositor played by the test."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import pytest

from crossdomain.context.context import Context
from crossdomain.context.pace import Allowance
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans
from crossdomain.context.ports import MemoryDevice, Resources
from crossdomain.context.quotas import Quotas
from crossdomain.context.selector import PortSelector
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.patience import PATIENCE
from tests.fuzz.contexts import GLOBALS
from tests.unit.context.world import CompositorEnd, request
from tests.unit.host.passing import surroundings_of
from tests.unit.host.test_passage import BINDS, OPENING

_WINDOW: Final = 1 << 20
both_ways: Final = pytest.mark.parametrize("ports", [True, False], ids=["in C", "in Python"])
_Result = TypeVar("_Result")


class Machine:
    """A VM with one client, before a compositor that the test plays."""

    def __init__(self, ports: PortSelector | None, allowance: Allowance) -> None:
        ours, theirs = socket.socketpair()
        self.frontend = FakeFrontend(ours, ram_size=4 << 20, queue_size=64)
        self.contexts: list[Context] = []
        self.compositors: list[CompositorEnd] = []
        self._ports = ports
        self.memory: MemoryDevice | None = None
        """The VM's memory device, of contexts from now on."""
        self.allowance = allowance
        self._orphans = Orphans()
        offer = Offer(self._new_context, bytes(32), _WINDOW, "vm")
        session = GpuSession(theirs, offer, ports=ports, allowance=allowance)
        self._serving = asyncio.get_running_loop().create_task(session.serve())

    async def open(self, ctx_id: int = 1, *, ring_pages: int = 1) -> tuple[GuestContext, CompositorEnd]:
        """A client with a surface, and its compositor's end."""
        context = await GuestContext.open(self.frontend, ctx_id, ring_pages=ring_pages)
        compositor = self.compositors[-1]
        await context.send(OPENING)
        await compositor.receive(len(OPENING))
        compositor.send(GLOBALS)
        heard = b""
        while len(heard) < len(GLOBALS):
            event = await context.next_event()
            heard += bytes(event.data)
        await context.send(BINDS)
        await compositor.receive(len(BINDS))
        return context, compositor

    async def close(self) -> None:
        """Hangs up, and waits until the device has let go of everything."""
        await self.frontend.close()
        await asyncio.wait_for(self._serving, PATIENCE)
        self._orphans.close()
        for compositor in self.compositors:
            compositor.close()

    def _new_context(self, ctx_id: int, _name: bytes, resources: Resources) -> Context:
        surroundings = surroundings_of(self._connect, self._orphans, self.allowance, self._ports)
        surroundings = surroundings._replace(memory=self.memory)
        peer = Peer.of_gpu_client("vm test", ctx_id, "client")
        self.contexts.append(Context(peer, resources, surroundings))
        return self.contexts[-1]

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.compositors.append(CompositorEnd(theirs))
        return ours


def run(
    story: Callable[[Machine], Awaitable[_Result]],
    *,
    ports: bool = True,
    quotas: Quotas | None = None,
    selector: PortSelector | None = None,
) -> _Result:
    """Plays a story in a VM of its own."""
    selector = PortSelector() if selector is None else selector

    async def play() -> _Result:
        machine = Machine(selector if ports else None, Allowance(Quotas() if quotas is None else quotas))
        await asyncio.wait_for(machine.frontend.boot(), PATIENCE)
        try:
            return await story(machine)
        finally:
            await machine.close()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(play())


async def settle() -> None:
    """Lets everything arrive."""
    for _ in range(40):
        await asyncio.sleep(0)


def create_surface(new_id: int) -> bytes:
    return request("wl_compositor", "create_surface", 3, new_id)


async def hear_out(context: GuestContext) -> bytes:
    """All events until the host hangs up."""
    heard = b""
    while data := bytes((await context.next_event()).data):
        heard += data
    return heard
