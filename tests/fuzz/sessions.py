"""A hostile VM through its whole life, beside a neighbour on the same loop that notices nothing.

Rules are what a VMM, a guest's kernel and its programs do, well and badly, in any order; after each, and
after each of many that one rule does in a row, the neighbour's client and compositor still hear each
other.  `python -m tests.fuzz.sessions` does it for longer.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random, randrange
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crossdomain.abi import cross_domain as protocol
from crossdomain.abi import virtio_gpu as abi
from crossdomain.context.selector import PortSelector
from crossdomain.device.offer import Offer
from crossdomain.device.session import GpuSession
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_driver import Descriptor, Response, encode_header
from tests.fakes.guest_ram import PAGE
from tests.fakes.patience import PATIENCE
from tests.fuzz.commands import any_command, opening
from tests.fuzz.contexts import Compositors
from tests.fuzz.source import Source
from tests.fuzz.watch import Loop, turn
from tests.unit.context.world import delete_id, sync

STEPS: Final = 40
"""Rules of one session."""
_IN_A_ROW: Final = 1000
_ASKED: Final = 8
"""The neighbour is asked after one of so many in a row: that takes as long as two; what harms it lasts."""
_SIZES: Final = (0, 8, 24, 160)
_WINDOW: Final = 1 << 22
_MOST_POLLS: Final = 16
_INITS: Final = (5, 5, 5, 4)
_PAGES: Final = (1, 2, 1 << 12)
_OFFSETS: Final = (0, PAGE, _WINDOW - PAGE, _WINDOW, 1)
_CHANGES: Final = (
    abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
    abi.VIRTIO_GPU_CMD_RESOURCE_UNREF,
    abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
    abi.VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE,
    abi.VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
    0x0200,
)
_RAW: Final = (0x0107, 0x0108, 0x0109, 0x010C, 0x0201, 0x0207, 0x0208)
_CONTEXTS: Final = 5
_ids: Final = st.integers(0, _CONTEXTS - 1)
_input: Final = st.binary(max_size=160)
_descriptors: Final = st.builds(
    Descriptor,
    st.sampled_from((PAGE, 2 * PAGE, 1 << 32, 1 << 60, (1 << 64) - 16)),
    st.sampled_from((24, 32, 0, 16, 4096, 0xFFFFFFFF)),
    st.sampled_from((0, 1, 2, 3, 4, 5, 0xFFFF)),
    st.integers(0, 70),
)
executed = [0]
"""Rules so far, of all sessions."""


class Vm:
    """One VM on a device of its own, with a compositor of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ports: PortSelector | None) -> None:
        """`ports` is what the loop waits with, where C is to carry what needs no Python."""
        self.compositors = Compositors(ports, of_own=True)
        self._ports = ports
        self._loop = loop
        self._serving: asyncio.Task[None] | None = None

    async def boot(self, *, memory_slots: bool = True, announces: bool = True) -> FakeFrontend:
        """Connects and starts the guest's driver."""
        ours, theirs = socket.socketpair()
        offer = Offer(self.compositors.new_context, bytes(32), _WINDOW, "fuzz")
        session = GpuSession(theirs, offer, ports=self._ports)
        self._serving = self._loop.create_task(session.serve())
        frontend = FakeFrontend(ours, memory_slots=memory_slots, announces=announces)
        await frontend.boot()
        return frontend

    async def end(self, frontend: FakeFrontend) -> None:
        """Hangs up, and waits until the device has let go of everything."""
        await frontend.close()
        assert self._serving is not None
        await self._serving
        self.compositors.close()


class Sessions(RuleBasedStateMachine):
    """The rules."""

    def __init__(self) -> None:
        super().__init__()
        self.fds = set(os.listdir("/proc/self/fd"))
        self.loop = Loop()
        self.failures: list[object] = []
        self.loop.set_exception_handler(lambda _loop, context: self.failures.append(context))

    @initialize(in_c=st.booleans())
    def boot(self, in_c: bool) -> None:
        """Both VMs start, and C carries what needs no Python, or does not."""
        ports = self.loop.ports if in_c else None
        self.vm, self.neighbour_vm = Vm(self.loop, ports), Vm(self.loop, ports)
        self.neighbour = self._do(self.neighbour_vm.boot())
        self.client = self._do(GuestContext.open(self.neighbour, 1))
        self.frontend = self._do(self.vm.boot())
        self.rings = self._place_rings()
        self.broken = False
        self.polls = 0
        self.syncs = 1

    def _place_rings(self) -> int:
        """A page for each context's rings, where no queue of the driver's is: `break_ring` breaks those."""
        return int(self.frontend.ram.allocate(_CONTEXTS * PAGE))

    def _do(self, steps: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever it returns
        return self.loop.complete(steps, PATIENCE)

    def _command(self, kind: int, body: bytes = b"", *, ctx_id: int = 0, room: int = 64) -> Response:
        """One command, which is answered whatever it says."""
        response: Response = self._do(self.frontend.driver.command(kind, body, ctx_id=ctx_id, room=room))
        assert abi.VIRTIO_GPU_RESP_OK_NODATA <= response.type <= abi.VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
        return response

    # The neighbour.

    @invariant()
    def neighbour_is_served(self) -> None:
        """Its client speaks, its compositor answers, and nothing else arrives there."""
        executed[0] += 1
        assert not self.failures, self.failures
        self._do(self._speak_to_neighbour())

    async def _speak_to_neighbour(self) -> None:
        self.syncs += 1
        assert (await self.client.send(sync(self.syncs))).ok
        connection = self.neighbour_vm.compositors.only
        await turn()
        assert connection.recv(4096) == sync(self.syncs)
        connection.send(delete_id(self.syncs))
        event = await self.client.next_event()
        assert bytes(event.data) == delete_id(self.syncs)

    # The hostile VM: what its programs do.

    @precondition(lambda self: not self.broken)
    @rule(ctx_id=_ids, context_init=st.sampled_from(_INITS))
    def create_context(self, ctx_id: int, context_init: int) -> None:
        """CTX_CREATE, and its rings."""
        driver = self.frontend.driver
        if self._do(driver.ctx_create(ctx_id, context_init=context_init)).ok:
            for resource_id in (2 * ctx_id + 10, 2 * ctx_id + 11):
                self._do(driver.create_guest_blob(resource_id, PAGE, [(self.rings + PAGE * ctx_id, PAGE)]))
                self._do(driver.ctx_attach_resource(ctx_id, resource_id))

    @precondition(lambda self: not self.broken)
    @rule(ctx_id=_ids)
    def destroy_context(self, ctx_id: int) -> None:
        """CTX_DESTROY."""
        self._command(abi.VIRTIO_GPU_CMD_CTX_DESTROY, ctx_id=ctx_id)

    @precondition(lambda self: not self.broken)
    @rule(ctx_id=_ids, data=_input)
    def submit(self, ctx_id: int, data: bytes) -> None:
        """SUBMIT_3D of any command."""
        commands = any_command(Source(data), (2 * ctx_id + 10, 2 * ctx_id + 11))
        self._do(self.frontend.driver.submit_3d(ctx_id, commands))

    @precondition(lambda self: not self.broken)
    @rule(ctx_id=_ids, part=st.integers(0, 3))
    def send(self, ctx_id: int, part: int) -> None:
        """What a client says."""
        rings = 2 * ctx_id + 10, 2 * ctx_id + 11
        init = protocol.encode_init(*rings) if part == 0 else b""
        self._do(self.frontend.driver.submit_3d(ctx_id, init + protocol.encode_send(opening()[part])))

    @precondition(lambda self: not self.broken and self.polls < _MOST_POLLS)
    @rule(ctx_id=_ids)
    def poll(self, ctx_id: int) -> None:
        """A fence that may be held for ever."""
        self.polls += 1
        self._do(self._post_poll(ctx_id))

    async def _post_poll(self, ctx_id: int) -> None:
        self.frontend.driver.post_submit_3d(ctx_id, protocol.encode_poll(), ring_idx=protocol.CHANNEL_RING)

    @rule(data=_input)
    def compositor_acts(self, data: bytes) -> None:
        """Its compositor says anything, reads, or hangs up."""
        self.vm.compositors.act(Source(data))
        self._do(turn())

    @precondition(lambda self: not self.broken)
    @rule(
        resource_id=st.integers(1, 8),
        ctx_id=_ids,
        blob_id=st.integers(0, 4),
        pages=st.sampled_from(_PAGES),
    )
    def create_host_blob(self, resource_id: int, ctx_id: int, blob_id: int, pages: int) -> None:
        """RESOURCE_CREATE_BLOB of the host's memory, named or not."""
        size = pages * PAGE
        self._do(self.frontend.driver.create_host_blob(resource_id, size, ctx_id=ctx_id, blob_id=blob_id))

    @precondition(lambda self: not self.broken)
    @rule(resource_id=st.integers(1, 8), offset=st.sampled_from(_OFFSETS))
    def map_blob(self, resource_id: int, offset: int) -> None:
        """RESOURCE_MAP_BLOB."""
        self._do(self.frontend.driver.map_blob(resource_id, offset))

    @precondition(lambda self: not self.broken)
    @rule(kind=st.sampled_from(_CHANGES), resource_id=st.integers(0, 20), ctx_id=_ids)
    def change_resource(self, kind: int, resource_id: int, ctx_id: int) -> None:
        """A command that names a resource."""
        self._command(kind, resource_id.to_bytes(4, "little") + bytes(4), ctx_id=ctx_id)

    @precondition(lambda self: not self.broken)
    @rule(kind=st.sampled_from(_RAW), body=_input)
    def raw_command(self, kind: int, body: bytes) -> None:
        """Any bytes behind a header."""
        response = self._do(self.frontend.driver.command_raw(encode_header(kind, ctx_id=1) + body, room=64))
        assert isinstance(response, Response)

    @precondition(lambda self: not self.broken)
    @rule(number=st.integers(0, (1 << 64) - 1), count=st.integers(1, _IN_A_ROW))
    def hurry(self, number: int, count: int) -> None:
        """Many of the above in a row, by chance: hypothesis takes longer to choose than they take."""
        random = Random(number)
        for step in range(count):
            self._act_by_chance(random)
            if step % _ASKED == 0:
                self.neighbour_is_served()
            else:
                executed[0] += 1

    def _act_by_chance(self, random: Random) -> None:
        ctx_id, data = random.randrange(_CONTEXTS), random.randbytes(random.choice(_SIZES))
        match random.randrange(12):
            case 0:
                self.create_context(ctx_id=ctx_id, context_init=random.choice(_INITS))
            case 1:
                self.destroy_context(ctx_id=ctx_id)
            case 2 | 3 | 4:
                self.submit(ctx_id=ctx_id, data=data)
            case 5 | 6:
                self.send(ctx_id=ctx_id, part=random.randrange(4))
            case 7 if self.polls < _MOST_POLLS:
                self.poll(ctx_id=ctx_id)
            case 8:
                blob = random.randrange(1, 9), random.choice(_PAGES)
                self.create_host_blob(
                    resource_id=blob[0], ctx_id=ctx_id, blob_id=random.randrange(5), pages=blob[1]
                )
            case 9:
                self.map_blob(resource_id=random.randrange(1, 9), offset=random.choice(_OFFSETS))
            case 10:
                self.change_resource(
                    kind=random.choice(_CHANGES), resource_id=random.randrange(21), ctx_id=ctx_id
                )
            case 11:
                self.raw_command(kind=random.choice(_RAW), body=data)
            case _:
                self.compositor_acts(data=data)

    # What its kernel and its VMM do.

    @precondition(lambda self: not self.broken)
    @rule(
        table=st.lists(_descriptors, min_size=1, max_size=6), head=st.integers(0, 70), queue=st.integers(0, 1)
    )
    def break_ring(self, table: list[Descriptor], head: int, queue: int) -> None:
        """A chain of nonsense; nobody knows whether the device still serves the ring."""
        ring = self.frontend.driver.queues[queue]
        ring.hostile = True
        for index, descriptor in enumerate(table):
            ring.write_descriptor(index, descriptor)
        ring.expose(head % (ring.size + 1))
        self.broken = True
        self._do(self.frontend.barrier())
        self._do(turn())

    @rule()
    def reset(self) -> None:
        """The guest's driver starts anew; its device serves it whatever was before."""
        self._do(self.frontend.reset())
        self.broken, self.polls = False, 0
        assert self._do(self.frontend.driver.get_capset_info()).ok

    @precondition(lambda self: not self.broken)
    @rule()
    def pause_and_resume(self) -> None:
        """The VM stops and goes on."""
        self._do(self.frontend.stop_rings())
        self._do(self.frontend.start_driver())

    @rule(refuse=st.booleans())
    def refuse_maps(self, refuse: bool) -> None:
        """The VMM maps no blobs, or does again."""
        self.frontend.refuse_maps = refuse

    @rule(memory_slots=st.booleans(), announces=st.booleans())
    def crash_and_boot(self, memory_slots: bool, announces: bool) -> None:
        """The VMM is gone from one moment to the next, and another comes."""
        self._do(self.vm.end(self.frontend))
        self.frontend = self._do(self.vm.boot(memory_slots=memory_slots, announces=announces))
        self.rings = self._place_rings()
        self.broken, self.polls = False, 0

    def teardown(self) -> None:
        """Nothing is left of either VM."""
        self._do(self.client.close())
        self._do(self.vm.end(self.frontend))
        self._do(self.neighbour_vm.end(self.neighbour))
        self._do(turn())
        assert not asyncio.all_tasks(self.loop)
        assert not self.failures, self.failures
        self.loop.close()
        assert set(os.listdir("/proc/self/fd")) == self.fds


def fuzz(stop: Callable[[], bool], start: int) -> None:
    """Runs one session after another, each different, until `stop` says so."""
    once = settings(
        max_examples=25,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    while not stop():
        seeded = seed(start)(type("Seeded", (Sessions,), {}))
        run_state_machine_as_test(seeded, settings=once)
        start += 1


def main() -> None:
    """Fuzzes for a time or a number of rules."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0, help="0 for no limit")
    parser.add_argument("--runs", type=int, default=0, help="0 for no limit")
    parser.add_argument("--seed", type=int, default=0, help="0 for any")
    arguments = parser.parse_args()
    logging.disable()
    end = time.monotonic() + arguments.seconds
    asked: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _frame: asked.append(number))
    try:
        fuzz(
            lambda: (
                bool(asked)
                or (bool(arguments.seconds) and time.monotonic() >= end)
                or (bool(arguments.runs) and executed[0] >= arguments.runs)
            ),
            arguments.seed or randrange(1 << 32),
        )
    finally:
        print(f"stat::number_of_executed_units: {executed[0]}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
