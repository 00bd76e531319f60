"""One local client between a launcher and a compositor of the test's, on a loop with ports or without."""

import asyncio
import os
import socket
from array import array
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from crossdomain.abi import local
from crossdomain.abi.cross_domain import RING_NONE, SendReceive, encode_init, encode_send, parse_event
from crossdomain.abi.local import ToDaemon, ToLauncher
from crossdomain.context.capset import capset
from crossdomain.context.context import Context, Surroundings
from crossdomain.context.pace import Allowance
from crossdomain.context.passage import Passage
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans
from crossdomain.context.policy import ClientPolicy
from crossdomain.context.ports import Resources
from crossdomain.context.quotas import Quotas
from crossdomain.context.rules import Guest, Rules
from crossdomain.context.selector import PortSelector
from crossdomain.host.local import LocalConnection
from crossdomain.wire import load, policy

_TURNS: Final = 12
"""Of the loop: more than anything takes to get from one end to the other."""

_Result = TypeVar("_Result")


def run(
    story: "Callable[[House], Awaitable[_Result]]", *, ports: bool = True, quotas: Quotas | None = None
) -> _Result:
    """Plays a story in a house of its own."""
    selector = PortSelector()

    async def play() -> _Result:
        house = House(selector if ports else None, quotas)
        try:
            return await story(house)
        finally:
            house.close()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(play())


class House:
    """One client that has said HELLO and INIT, and both ends."""

    def __init__(self, ports: PortSelector | None, quotas: Quotas | None = None) -> None:
        self.launcher, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.launcher.setblocking(False)
        self.compositor: socket.socket | None = None
        self.requests = bytearray()
        """What the compositor got."""
        self.events = bytearray()
        """What the launcher got: the data of RECEIVEs."""
        self.identifiers = 0
        self.errors: list[bytes] = []
        self.hung_up = False
        """The launcher was told that the compositor did."""
        self._ports = ports
        self._orphans = Orphans()
        self.allowance = Allowance(Quotas()) if quotas is None else Allowance(quotas)
        self.connection = LocalConnection(
            theirs, self._new_context, lambda _connection: None, capset(), self.allowance
        )
        self.say(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(local.VERSION)))
        self.submit(encode_init(RING_NONE, RING_NONE))

    @property
    def host(self) -> socket.socket:
        """The compositor's end, which is there after a turn."""
        assert self.compositor is not None
        return self.compositor

    @property
    def context(self) -> Context:
        """The client's."""
        assert self.connection.context is not None
        return self.connection.context

    def say(self, packet: bytes, fds: Sequence[int] = ()) -> None:
        """One packet of the launcher's."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        self.launcher.sendmsg([packet], rights)

    def submit(self, commands: bytes) -> None:
        """One SUBMIT."""
        self.say(local.encode_packet(ToDaemon.SUBMIT, commands))

    def send(self, requests: bytes) -> None:
        """One SEND."""
        self.submit(encode_send(requests))

    def tell(self, events: bytes, fds: Sequence[int] = ()) -> None:
        """What the compositor says; the fds stay the caller's."""
        with suppress(BrokenPipeError):
            socket.send_fds(self.host, [events], list(fds))

    async def settle(self) -> None:
        """Lets everything arrive, and takes it at both ends."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self.take_requests()
        self.take_events()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def take_requests(self, most: int = 1 << 30) -> None:
        """Takes what the compositor has got, or so many bytes of it."""
        with suppress(BlockingIOError, ConnectionResetError):
            while self.compositor is not None and most and (data := self.compositor.recv(min(most, 1 << 20))):
                self.requests += data
                most -= len(data)

    def take_events(self, most: int = 1 << 30) -> None:
        """Takes what the launcher has got, or so many packets of it."""
        with suppress(BlockingIOError, ConnectionResetError):
            for _ in range(most):
                data, fds, _flags, _address = socket.recv_fds(self.launcher, local.MAX_PACKET, 1)
                for fd in fds:
                    os.close(fd)
                if not data:
                    return
                self._note(local.parse_packet(data))

    def close(self) -> None:
        """All ends."""
        self.connection.close()
        self._orphans.close()
        self.launcher.close()
        if self.compositor is not None:
            self.compositor.close()

    def _note(self, packet: local.Packet) -> None:
        match packet.type:
            case ToLauncher.EVENT:
                event = parse_event(packet.payload)
                assert isinstance(event, SendReceive)
                self.identifiers += len(event.identifiers)
                self.events += event.data
                self.hung_up |= not event.data
            case ToLauncher.ERROR:
                self.errors.append(bytes(packet.payload))
            case _:
                pass

    def _new_context(self, name: str, resources: Resources, sink: LocalConnection) -> Context:
        surroundings = surroundings_of(self._connect, self._orphans, self.allowance, self._ports)
        return Context(Peer.of_local_client("local", 1, name), resources, surroundings, sink)

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.compositor = theirs
        return ours


def surroundings_of(
    connect: Callable[[], socket.socket], orphans: Orphans, allowance: Allowance, ports: PortSelector | None
) -> Surroundings:
    """Those of one context under the default policy, with a passage where there are `ports`."""
    policies = ClientPolicy(load(), policy.load(), Guest("test", Rules()))
    return Surroundings(
        connect=connect,
        policy=policies,
        on_close=_forget,
        orphans=orphans,
        allowance=allowance,
        passage=None if ports is None else Passage(ports, policies.walker),
    )


def _forget(_context: Context) -> None:
    """Nobody counts them here."""
