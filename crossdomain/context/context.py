"""One cross-domain context: one guest client's connection to the compositor.

Commands of SUBMIT_3D come in; bytes and identifiers become bytes and fds for the compositor,
and the other way round.  Everything happens on the loop's thread and nothing blocks.  On the
path: device (or the local server) -> here -> policy -> the compositor's socket.

How a context ends.  When the compositor hangs up, or the guest or the compositor breaks the
rules, the client is over: its log line says why, the guest gets what was pending, where it is
to blame a wl_display.error, and one RECEIVE of 0 bytes.  What the client still sends is dropped.
When the guest says that its client has left, the same happens in silence.  Pipes go on in both cases,
as between two processes that have a pipe without us.  `close` then frees everything when the guest
destroys the context.  A mistake of ours that shows at a client's commands or events ends that client alone:
whoever runs the loop is told (`asyncio.loop.call_exception_handler`).
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from crossdomain.abi.cross_domain import (
    CHANNEL_RING,
    NO_IDENTIFIER,
    QUERY_RING,
    RING_NONE,
    RING_SLOTS,
    Buffer,
    ChannelType,
    Command,
    Init,
    parse_header,
    parse_init,
    parse_write,
)
from crossdomain.abi.pages import CopyPages, parse_copy_pages
from crossdomain.abi.points import POINTS
from crossdomain.abi.sync import parse_await_sync
from crossdomain.bridge.copy import bytes_of
from crossdomain.context.blobs import Blobs, IdentifierCounter
from crossdomain.context.containment import Containment
from crossdomain.context.counters import Counters
from crossdomain.context.identifiers import Identifiers
from crossdomain.context.memory import HostMemory
from crossdomain.context.outbox import EventSink, Outbox, PollFences, RingSink, Source
from crossdomain.context.pace import Allowance
from crossdomain.context.page_access import PageAccess
from crossdomain.context.passage import Chain, Passage
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans, Pipes
from crossdomain.context.policy import ClientPolicy, refusal
from crossdomain.context.ports import MemoryDevice, Resources
from crossdomain.context.questions import Questions
from crossdomain.context.quotas import ClientQuotas
from crossdomain.context.syncs import Syncs
from crossdomain.context.timelines import TimelineMaker
from crossdomain.context.traffic import Traffic
from crossdomain.errors import GuestFault, HostFault, LimitExceeded, LocalError
from crossdomain.limits import MAX_COPIED_BYTES
from crossdomain.wire.faults import WireFault

_log = logging.getLogger("crossdomain.context")


class Usage(NamedTuple):
    """What one client has now of what its quotas limit; its messages are all that it has sent so far."""

    resources: int
    blob_bytes: int
    objects: int
    surfaces: int
    fds: int
    pipes: int
    queued_bytes: int
    piped_bytes: int
    messages: int


class Surroundings(NamedTuple):
    """What whoever runs a context has for it."""

    connect: Callable[[], socket.socket]
    """A new connection to the compositor, as `CompositorSocket` wants it."""
    policy: ClientPolicy
    """A fresh one."""
    on_close: "Callable[[Context], None]"
    """Called once, at the end of `close`."""
    orphans: Orphans
    """Keeps pipes whose readers are slower than the client's end."""
    allowance: Allowance
    """The VM's: what its clients may have."""
    passage: Passage | None = None
    """Carries what nobody has to look at, with the policy's walker."""
    memory: MemoryDevice | None = None
    """Where what COPY_PAGES and SHOW_PAGES name is, where the guest has pages that we see."""
    knows_points: bool = False
    """Whether the guest may know the compositor's timelines (`crossdomain.abi.points`)."""
    timelines: TimelineMaker | None = None
    """Where those of a guest's with another kernel are made."""


class Context:
    """See the module's docstring.  Made by CTX_CREATE or by a local connection."""

    def __init__(
        self, name: Peer, resources: Resources, surroundings: Surroundings, sink: EventSink | None = None
    ) -> None:
        """Nothing happens before INIT.  The running loop is the one it lives on.

        Args:
            name: for log lines: VM, ctx_id and client.
            resources: what is attached to this context.
            surroundings: what it needs besides.
            sink: where events go if not into rings in guest memory.
        """
        self.name = name
        self.passage = surroundings.passage
        """For whoever has the guest's end of it."""
        self._counters = Counters()
        self._resources = resources
        self._surroundings = surroundings
        self._policy = policy = surroundings.policy
        self._pages = PageAccess(surroundings.memory)
        self._local_sink = sink
        self._fences = PollFences(self.passage)
        self._sink: EventSink | None = None
        self._outbox: Outbox | None = None
        counter, loop = IdentifierCounter(), asyncio.get_running_loop()
        self._blobs = Blobs(counter)
        self._pipes = Pipes(counter, loop, self._wake, surroundings.orphans)
        self._syncs = Syncs(name, counter, loop)
        identifiers = Identifiers(
            resources, self._blobs, self._pipes, self._syncs, policy.shown, policy.timelines, self._counters
        )
        allowance = surroundings.allowance
        self._traffic = Traffic(
            name, policy, identifiers, self._counters, self._guard, allowance, self.passage
        )
        if surroundings.timelines is not None:
            wake = partial(self._wake, policy.timelines)
            policy.timelines.open(surroundings.timelines, name, wake, self._guard)
        self.apply(allowance.quotas.client)
        policy.join(allowance.totals)
        self._submitted_bytes = 0
        """To be copied by the submit that is carried out."""
        self._over = False
        self._closed = False
        self._contained = Containment(name, loop, self._give_up, self._let_go)
        self._handlers: dict[int, Callable[[memoryview], None]] = {
            **Questions(self._blobs, self._pages, policy.shown, self._answer).handlers,
            Command.INIT: self._handle_init,
            Command.POLL: self._handle_poll,
            Command.SHARE_RING: self._handle_share_ring,
            Command.SEND: self._handle_send,
            Command.WRITE: self._handle_write,
            Command.COPY_PAGES: self._handle_copy_pages,
            Command.AWAIT_SYNC: self._handle_await_sync,
        }

    @property
    def counters(self) -> Counters:
        """What has passed so far."""
        if self.passage is not None:
            self.passage.collect(self._counters)
        return self._counters

    @property
    def alive(self) -> bool:
        """Whether the client is connected."""
        return self._traffic.connected and not self._over

    @property
    def usage(self) -> Usage:
        """What it has of what is limited."""
        objects, surfaces = self._policy.live()
        traffic = self._traffic
        return Usage(
            len(self._resources),
            self._resources.host_bytes,
            objects,
            surfaces,
            traffic.descriptors,
            len(self._pipes),
            traffic.queued_bytes,
            self._pipes.pending,
            traffic.messages,
        )

    @property
    def unsettled(self) -> int:
        """See `Traffic.unsettled`."""
        return self._traffic.unsettled

    def look_at_speed(self) -> int:
        """See `Traffic.look_at_speed`."""
        return self._traffic.look_at_speed()

    @property
    def is_held(self) -> bool:
        """Whether its client was too fast, and what it sends waits."""
        return self._traffic.is_held

    def apply(self, quotas: ClientQuotas) -> None:
        """Quotas for what is asked from now on; what there is already stays."""
        self._policy.apply(quotas)
        self._traffic.apply(quotas)
        self._pipes.most = quotas.pipes
        self._pipes.most_bytes = quotas.piped_bytes

    def submit(self, commands: Buffer) -> None:
        """Carries out the commands of one SUBMIT_3D, in order; never blocks.

        The first bad one ends the submit.  A refused SEND ends the client as well: its byte stream
        has a hole, and the guest's ioctl has already said that all is well.

        Args:
            commands: copied out of guest memory, and unchanging from now on.

        Raises:
            GuestFault: a malformed, unknown or refused command.
            HostFault: INIT found no compositor.
            LocalError: a mistake of ours; the client is over.
        """
        with self._contained:
            self._submit(commands)

    def _submit(self, commands: Buffer) -> None:
        self._syncs.begin_submit()
        self._submitted_bytes = 0
        rest = memoryview(commands)
        others = 0
        try:
            while rest:
                cmd, size = parse_header(rest)
                handler = self._handlers.get(cmd)
                if handler is None:
                    raise GuestFault(f"command {cmd} is not offered")
                others += cmd != Command.SEND
                handler(rest[:size])
                rest = rest[size:]
        finally:
            if others:
                self._traffic.spend(others)
            self._traffic.settle()

    def create_fence(
        self, ring_idx: int | None, complete: Callable[[], None], chain: "Chain | None" = None
    ) -> None:
        """A fence that came with a command of this context.

        One on the channel ring is a POLL: it is held until an event stands in that ring.  One on
        the query ring, or on none, completes at once, and one on a further ring when what was
        awaited in its submit is over.  `complete` may be called before this returns, and answers `chain`,
        which C may do instead.
        """
        if ring_idx is None or ring_idx == QUERY_RING or self._closed:
            complete()
            return
        try:
            if ring_idx == CHANNEL_RING:
                self._fences.hold(complete, chain)
            else:
                self._syncs.hold(ring_idx, complete)
        except LimitExceeded as fault:
            self._fail(fault)
        self.pump()

    def pump(self) -> None:
        """The guest has room for events again."""
        self._guard(self._pump)

    def retry_connect(self) -> None:
        """Whoever makes the connection to the compositor has come to an end with it."""
        self._traffic.retry_connect()

    def take_blob(self, blob_id: int, size: int) -> HostMemory:
        """The memory for RESOURCE_CREATE_BLOB(HOST3D); the caller owns it.

        A received file is good once; image requirements are good again and again, with fresh
        memory each time.

        Raises:
            GuestFault: no such blob_id, or not of that size.
            LocalError: as for `submit`.
        """
        with self._contained:
            return self._blobs.take(blob_id, size)

    def give_sync(self, identifier: int, fd: int) -> None:
        """A fence or a timeline of a launcher's on this kernel, see `Syncs.give`."""
        self._syncs.give(identifier, fd)

    def take_sync(self, identifier: int) -> int:
        """The fd of a fence of the compositor's, for a launcher on this kernel; the caller owns it.

        Raises:
            GuestFault: there is none.
        """
        return self._syncs.take(identifier).detach()

    def close(self) -> None:
        """Frees everything and completes all fences.  May be called again."""
        if self._closed:
            return
        if self.alive:
            _log.info("%s: left", self.name)
        self._over = self._closed = True
        self._policy.leave()
        self._traffic.close()
        self._give_up_pipes()
        self._blobs.close()
        self._syncs.close()
        self._pages.close()
        self._fences.complete_all()
        if self.passage is not None:
            self.passage.close()
        self._surroundings.on_close(self)

    def _handle_init(self, command: memoryview) -> None:
        init = parse_init(command)
        if self._outbox is not None:
            raise GuestFault("a second INIT")
        if init.channel_type != ChannelType.WAYLAND:
            raise GuestFault(f"channel type {init.channel_type:#x} is not offered")
        self._sink = self._open_sink(init)
        self._outbox = Outbox(self._sink, self._counters)
        try:
            self._traffic.connect(self._outbox, self._surroundings.connect, self._handle_end)
        except OSError as error:
            self._end(f"the compositor can't be reached: {error.strerror}", logging.WARNING)
            raise HostFault(f"the compositor can't be reached: {error.strerror}") from error
        _log.info("%s: connected", self.name)

    def _open_sink(self, init: Init) -> EventSink:
        if self._local_sink is None:
            rings = init.query_ring_id, init.channel_ring_id
            return RingSink(self._resources, *rings, self._fences, self.passage)
        if (init.query_ring_id, init.channel_ring_id) != (RING_NONE, RING_NONE):
            raise GuestFault("a local channel has no rings")
        return self._local_sink

    def _handle_poll(self, command: memoryview) -> None:
        """What counts is the fence, which comes through `create_fence`."""

    def _handle_share_ring(self, _command: memoryview) -> None:
        if self._outbox is None or self._local_sink is not None:
            raise GuestFault("SHARE_RING where there is no ring")
        self._fences.split(RING_SLOTS)

    def _handle_await_sync(self, command: memoryview) -> None:
        self._syncs.expect(parse_await_sync(command))

    def _handle_write(self, command: memoryview) -> None:
        write = parse_write(command)
        if self._outbox is None:
            raise GuestFault("WRITE before INIT")
        if write.identifier == NO_IDENTIFIER and write.hang_up:
            self._leave()
            return
        if write.identifier == POINTS and self._surroundings.knows_points:
            self._hear_of_points(write.data)
            return
        try:
            self._pipes.handle_write(write)
        except LimitExceeded as fault:
            # The data can't wait, and a reader must not take half a paste for a whole one.
            self._give_up_pipes()
            self._fail(fault)
            raise

    def _hear_of_points(self, data: memoryview) -> None:
        if data:
            self._policy.timelines.signal(data)
        else:
            self._policy.show_timelines()

    def _handle_copy_pages(self, command: memoryview) -> None:
        if self._over:
            return
        try:
            copy = parse_copy_pages(command)
            self._check_copy(copy)
            pages = self._pages.open(copy.source, copy.key)
            pixels = self._resources.lookup(copy.destination).pixels()
            copied = pages.copy_out(pixels, copy)
        except GuestFault as fault:
            # What the compositor would show is not what the client has drawn.
            self._fail(fault)
            raise
        self._counters.copies += 1
        self._counters.bytes_copied += copied
        if self.passage is not None:
            self.passage.add_route(copy, pixels, pages, by_key=pages.owner is not self._pages)

    def _check_copy(self, copy: CopyPages) -> None:
        self._submitted_bytes += bytes_of(copy.rectangles, copy.block_bytes)
        if self._submitted_bytes > MAX_COPIED_BYTES:
            raise LimitExceeded(f"more than {MAX_COPIED_BYTES} bytes to copy at once")

    def _answer(self, answer: bytes) -> None:
        if self._sink is None:
            raise GuestFault("a question before INIT")
        self._sink.answer(answer)

    def _handle_send(self, command: memoryview) -> None:
        if self._outbox is None:
            raise GuestFault("SEND before INIT")
        if self._over:
            return
        try:
            self._traffic.send(command)
        except GuestFault as fault:
            self._fail(fault)
            raise
        except OSError as error:
            refused = LimitExceeded(f"the host can't carry this: {error.strerror}")
            self._fail(refused)
            raise refused from error

    def _handle_end(self) -> None:
        error = self._policy.compositor_error
        if error is None:
            self._end("the compositor closed the connection", logging.INFO)
        else:
            self._end(f"the compositor ended the client: {error!r}", logging.WARNING)

    def _pump(self) -> None:
        if self._outbox is None:
            return
        self._outbox.pump()
        self._traffic.pump()

    def _wake(self, source: Source) -> None:
        outbox = self._outbox
        if outbox is not None:
            self._guard(lambda: outbox.wake(source))

    def _guard(self, call: Callable[[], None]) -> None:
        """Runs what may find a fault; the fault, or a mistake of ours, ends this client and nobody else."""
        with suppress(LocalError), self._contained:
            try:
                call()
            except (GuestFault, HostFault) as fault:
                self._fail(fault)
            except OSError as error:
                self._fail(HostFault(f"{type(error).__name__}: {error.strerror}"))
            self._traffic.settle()

    def _fail(self, fault: GuestFault | HostFault) -> None:
        if self._over:
            return
        self._tell(fault if isinstance(fault, WireFault) else refusal(str(fault)))
        self._end(str(fault), logging.WARNING)

    def _tell(self, fault: WireFault) -> None:
        self._traffic.append(self._policy.error_event(fault))

    def _end(self, reason: str, level: int) -> None:
        """The client is over, and the log says why."""
        if not self._over:
            _log.log(level, "%s: %s", self.name, reason)
            self._hang_up()

    def _hang_up(self) -> None:
        """The client is over; the guest is told after what is pending."""
        self._over = True
        self._policy.leave()
        self._traffic.close()
        try:
            self._traffic.hang_up()
        except GuestFault:
            self._forget_guest()

    def _give_up(self) -> None:
        """A mistake of ours has shown."""
        if self._over:
            self._let_go()
        else:
            self._tell(refusal("internal error of the host: its log says more"))
            self._hang_up()

    def _let_go(self) -> None:
        """Nobody is told any more."""
        self._traffic.close()
        self._forget_guest()

    def _forget_guest(self) -> None:
        """Nothing goes to the guest any more."""
        self._give_up_pipes()
        self._fences.complete_all()

    def _leave(self) -> None:
        """The guest's client has left: what it sent still arrives, and its pipes go on."""
        if self._over:
            return
        self._over = True
        _log.info("%s: left", self.name)
        self._policy.leave()
        self._traffic.finish()

    def _give_up_pipes(self) -> None:
        if self._outbox is not None:
            self._outbox.forget()
        self._pipes.close()
