"""What belongs together on the host: one VM, or all clients of one local socket."""

from typing import NamedTuple

from crossdomain.context.context import Context, Surroundings
from crossdomain.context.outbox import EventSink
from crossdomain.context.pace import Allowance, Speed
from crossdomain.context.passage import Passage
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans
from crossdomain.context.policy import ClientPolicy
from crossdomain.context.ports import DmabufMaker, MemoryDevice, Resources
from crossdomain.context.rules import Guest
from crossdomain.context.selector import PortSelector
from crossdomain.context.timelines import TimelineMaker
from crossdomain.host.broker import Dial, Dials
from crossdomain.host.local import LocalResources
from crossdomain.host.settings import Settings
from crossdomain.host.showing import Showing
from crossdomain.host.status import ClientStatus
from crossdomain.wire import load as load_tables
from crossdomain.wire.policy import Policy


class Names(NamedTuple):
    """What one VM is called."""

    vm: str
    """In titles, and to the compositor; no other VM that is connected has it."""
    section: str
    """In the settings."""
    label: Peer
    """In log lines."""


class Tenant:
    """Makes the contexts of its clients, and knows what they share."""

    def __init__(
        self,
        names: Names,
        dials: Dials,
        policy: Policy,
        settings: Settings,
        dmabufs: DmabufMaker | None = None,
        ports: PortSelector | None = None,
    ) -> None:
        """Args:
        names: chosen by the host.
        dials: the way to the compositor, and to a person who is asked.
        policy: what guests may see where the settings say nothing.
        settings: in force until `apply`.
        dmabufs: for guests whose memory may be shown in place; stays the caller's.
        ports: what the running loop waits with, where C is to carry what nobody has to look at.
        """
        self.name = names.label
        self.orphans = Orphans()
        self.allowance = Allowance(settings.quotas)
        self._message_speed, self._cpu_speed = Speed(), Speed()
        self.contexts: dict[Context, None] = {}
        self.memory: MemoryDevice | None = None
        """Where the guest's own pages are, for a VM that may show us some."""
        self.knows_points = False
        """Whether guests may know the compositor's timelines."""
        self.timelines: TimelineMaker | None = None
        """Where those of a VM's are made; stays the caller's."""
        self._dials = dials
        self._ports = ports
        self._last_local = 0
        self._dialled: dict[Context, Dial] = {}
        self._trial = None if dmabufs is None else dials.dial()
        self._showing = None
        if dmabufs is not None and self._trial is not None:
            self._showing = Showing(dmabufs, self._trial.connect, names.label)
        self._base_policy = policy
        self._guest = Guest(names.vm, settings.rules, dials)
        self._policy = policy
        self.apply(settings)

    def apply(self, settings: Settings) -> None:
        """New settings: they hold for what is decided and asked from now on, globals for new clients."""
        self._guest.rules = settings.rules
        self.allowance.set(settings.quotas)
        for context in self.contexts:
            context.apply(settings.quotas.client)
        self._policy = self._base_policy.with_groups(settings.allow, settings.deny)

    def new_context(
        self,
        peer: Peer,
        resources: Resources,
        sink: EventSink | None = None,
        memory: MemoryDevice | None = None,
    ) -> Context:
        """A context whose client is called `peer` in log lines; what it shows us is in `memory`."""
        dial = self._dials.dial()
        policy = ClientPolicy(load_tables(), self._policy, self._guest, self._showing)
        surroundings = Surroundings(
            connect=dial.connect,
            policy=policy,
            on_close=self._forget,
            orphans=self.orphans,
            allowance=self.allowance,
            passage=None if self._ports is None else Passage(self._ports, policy.walker),
            memory=memory,
            knows_points=self.knows_points,
            timelines=self.timelines,
        )
        context = Context(peer, resources, surroundings, sink)
        dial.ready = context.retry_connect
        self.contexts[context] = None
        self._dialled[context] = dial
        return context

    def new_gpu_context(self, ctx_id: int, debug_name: bytes, resources: Resources) -> Context:
        """What GpuSession asks for on CTX_CREATE."""
        client = debug_name[:64].decode(errors="replace")
        peer = Peer.of_gpu_client(self.name, ctx_id, client)
        return self.new_context(peer, resources, memory=self.memory)

    def new_local_context(self, name: str, resources: LocalResources, sink: EventSink) -> Context:
        """What LocalConnection asks for on HELLO."""
        self._last_local += 1
        peer = Peer.of_local_client(self.name, self._last_local, name)
        return self.new_context(peer, resources, sink, resources)

    def clients(self) -> list[ClientStatus]:
        """A snapshot of its contexts."""
        return [ClientStatus.of(context) for context in self.contexts]

    def used(self) -> dict[str, int]:
        """What its clients have and use together, as a `WorkerStatus` has it."""
        allowance = self.allowance
        messages = allowance.pace.spent + sum(context.unsettled for context in self.contexts)
        cpu_seconds = allowance.pace.cpu_seconds
        return {
            "objects": allowance.totals.objects,
            "surfaces": allowance.totals.surfaces,
            "messages": messages,
            "messages_per_second": round(self._message_speed.look(messages)),
            "cpu_ms": round(1000 * cpu_seconds),
            "cpu_percent": round(100 * self._cpu_speed.look(cpu_seconds)),
        }

    def close(self) -> None:
        """Gives up what is left of it."""
        for context in list(self.contexts):
            context.close()
        self.orphans.close()
        if self._showing is not None:
            self._showing.close()
        if self._trial is not None:
            self._dials.hang_up(self._trial)

    def _forget(self, context: Context) -> None:
        self.contexts.pop(context, None)
        dial = self._dialled.pop(context, None)
        if dial is not None:
            self._dials.hang_up(dial)
