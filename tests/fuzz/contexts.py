"""Real contexts whose compositor is in the fuzzer's hands."""

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final

from crossdomain.abi.pages import Verdict
from crossdomain.bridge.udmabuf import Span
from crossdomain.context.context import Context, Surroundings
from crossdomain.context.outbox import EventSink
from crossdomain.context.pace import Allowance
from crossdomain.context.passage import Passage
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans
from crossdomain.context.policy import ClientPolicy
from crossdomain.context.ports import Image, MemoryDevice, Resources
from crossdomain.context.quotas import Quotas
from crossdomain.context.rules import Flow, Guest, Rules
from crossdomain.context.selector import PortSelector
from crossdomain.context.shown import DMABUF, QUIET_VERSION
from crossdomain.device.vhost_user import close_all
from crossdomain.host.local import LocalResources
from crossdomain.wire import load, policy
from tests.fakes.host_timelines import HostDevice
from tests.fuzz.descriptors import KINDS, memory
from tests.fuzz.source import Source
from tests.unit.context.world import event

_FDS: Final = 40
"""Received with one message at most: libwayland sends 28."""

GLOBALS: Final = b"".join(
    event("wl_registry", "global", 2, number, name, 1)
    for number, name in enumerate(
        ("wl_compositor", "wl_shm", "wl_seat", "wl_data_device_manager", "xdg_wm_base", "wp_viewporter"), 1
    )
)
"""What a compositor answers to a get_registry of id 2."""
_ANNOUNCED: Final = GLOBALS + event("wl_registry", "global", 2, 7, DMABUF, QUIET_VERSION)
"""The same of one that reads the guest's pages."""
_RULES: Final = Rules(
    "{vm}: {title}", "vm.{app_id}", Flow.ASK, Flow.TO_HOST, frozenset({int.from_bytes(b"NV12", "little")})
)
"""As much as rules can ask for."""
_RULED: Final = Guest("fuzz", _RULES)
_PLAIN: Final = Guest("fuzz", Rules())
_ALLOWANCE: Final = Allowance(Quotas())
_IN_CIRCLES: Final = ("_policy", "_traffic", "passage")
"""Parts of a context that refer to it, or to each other, in circles."""


class _Showing:
    """A compositor of which it depends on the image whether it takes one, and a kernel likewise."""

    cuts = True

    def judge(self, image: Image, _memories: Sequence[Sequence[Span]], /) -> Verdict:
        """See `Showing`."""
        return (Verdict.YES, Verdict.ASKING, Verdict.NO)[image.height // 32 % 3]

    def modifier(self, _image: Image, /) -> int:
        """See `Showing`."""
        return 0

    def distrust(self) -> None:
        """See `Showing`."""

    def create_dmabuf(self, spans: Sequence[Span], /) -> int:
        """See `Showing`."""
        if not all(span.size and os.fstat(span.fd).st_size >= span.offset + span.size for span in spans):
            raise OSError(errno.EINVAL, "no such pages")
        return memory()


_SHOWING: Final = _Showing()


class Compositors:
    """Makes contexts, and is what they are connected to."""

    def __init__(self, ports: PortSelector | None = None, *, of_own: bool = False) -> None:
        """`ports` is what the running loop waits with, where C is to carry what needs no Python.

        The VM is one `of_own`, or the same as ever: what an end forgets to give back shows then.
        """
        self._ports = ports
        self.memory: MemoryDevice | None = None
        """Where a VM's clients show pages."""
        guest = _RULED if ports is None else _PLAIN
        self._guest = Guest("fuzz", guest.rules) if of_own else guest
        self._orphans = Orphans()
        self.allowance = Allowance(Quotas()) if of_own else _ALLOWANCE
        self._open: list[socket.socket] = []
        self._contexts: list[Context] = []

    def new_context(self, ctx_id: int, _name: bytes, resources: Resources, /) -> Context:
        """As a device asks for it."""
        return self.make(f"ctx {ctx_id}", resources)

    def new_local_context(self, name: str, resources: LocalResources, sink: EventSink, /) -> Context:
        """As a local connection asks for it."""
        self.memory = resources
        return self.make(name, resources, sink)

    def make(self, name: str, resources: Resources, sink: EventSink | None = None) -> Context:
        """A context of the VM."""
        client_policy = ClientPolicy(load(), policy.load(), self._guest, _SHOWING)
        surroundings = Surroundings(
            connect=self._connect,
            policy=client_policy,
            on_close=_forget,
            orphans=self._orphans,
            allowance=self.allowance,
            passage=None if self._ports is None else Passage(self._ports, client_policy.walker),
            memory=self.memory,
            knows_points=True,
            timelines=HostDevice(),
        )
        context = Context(Peer.of_gpu_client("vm fuzz", 1, name), resources, surroundings, sink)
        self._contexts.append(context)
        return context

    def act(self, source: Source) -> None:
        """One compositor says something, reads, or hangs up."""
        if not self._open:
            return
        connection = source.choice(self._open)
        match source.byte() % 8:
            case 0:
                self._open.remove(connection)
                connection.close()
            case 1 | 2:
                _drain(connection)
            case 3:
                _say(connection, _ANNOUNCED, [])
            case _:
                _say(
                    connection, source.any_block(), [source.choice(KINDS)() for _ in range(source.byte() % 3)]
                )

    @property
    def only(self) -> socket.socket:
        """The one connection that there is."""
        (connection,) = self._open
        return connection

    def close(self) -> None:
        """Hangs up on all."""
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._orphans.close()

    def end(self) -> list[object]:
        """Call it when all has been closed.

        Returns:
            All contexts that were made, what of each is in circles, and this, see `Watch.take_apart`.

        Raises:
            AssertionError: something of what they had still counts.
        """
        allowance, totals = self.allowance, self.allowance.totals
        counted = allowance.resources, allowance.blob_bytes, totals.objects, totals.surfaces, totals.ids
        assert not any(counted), f"resources, bytes of blobs, objects, surfaces and ids are left: {counted}"
        found: list[object] = [self, *self._contexts]
        for context in self._contexts:
            own = vars(context)
            found += [own[name] for name in _IN_CIRCLES if own[name] is not None]
            found.append(own["_policy"].timelines)
        return found

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._open.append(theirs)
        return ours


def _forget(_context: Context) -> None:
    """Nobody counts them here."""


def _say(connection: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    try:
        if data:
            socket.send_fds(connection, [data], list(fds))
    except OSError:  # it is gone, or does not read
        pass
    finally:
        close_all(fds)


def _drain(connection: socket.socket) -> None:
    while True:
        try:
            data, fds, _flags, _address = socket.recv_fds(connection, 1 << 16, _FDS)
        except OSError:
            return
        close_all(fds)
        if not data:
            return
