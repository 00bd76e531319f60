"""One cross-domain context: one guest client's connection to the compositor.

Commands of SUBMIT_3D come in; bytes and identifiers become bytes and fds for the compositor,
and the other way round.  Everything happens on the loop's thread and nothing blocks.  On the
path: device (or the local server) -> here -> policy -> the compositor's socket.

How a context ends.  When the compositor hangs up, or the guest or the compositor breaks the
rules, the client is over: its log line says why, the guest gets what was pending, where it is
to blame a wl_display.error, and one RECEIVE of 0 bytes.  What the client still sends is dropped.
When the guest says that its client has left, the same happens in silence.  Pipes go on in both cases,
as between two processes that have a pipe without us.  `close` then frees everything when the guest
destroys the context.
"""

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable

from crossdomain.abi.clock import encode_clock, parse_get_clock
from crossdomain.abi.cross_domain import (
    CHANNEL_RING,
    GET_IMAGE_REQUIREMENTS,
    NO_IDENTIFIER,
    QUERY_RING,
    RING_NONE,
    Buffer,
    ChannelType,
    Command,
    Init,
    encode_image_requirements,
    parse_header,
    parse_init,
    parse_send,
    parse_write,
)
from crossdomain.abi.pages import (
    encode_claimed,
    encode_shown,
    parse_claim_pages,
    parse_copy_pages,
    parse_show_pages,
)
from crossdomain.abi.sync import parse_await_sync
from crossdomain.context.blobs import Blobs, IdentifierCounter
from crossdomain.context.compositor import CompositorSocket, close_all
from crossdomain.context.counters import Counters
from crossdomain.context.identifiers import Identifiers
from crossdomain.context.memory import HostMemory
from crossdomain.context.outbox import EventSink, Outbox, PollFences, RingSink, Source
from crossdomain.context.page_access import PageAccess
from crossdomain.context.pipes import Orphans, Pipes
from crossdomain.context.policy import Batch, ClientPolicy, refusal, split
from crossdomain.context.ports import MemoryDevice, Resources
from crossdomain.context.stream import EventStream
from crossdomain.context.syncs import Syncs
from crossdomain.errors import GuestFault, HostFault, LimitExceeded
from crossdomain.limits import MAX_PENDING_EVENTS, MAX_UNCLAIMED_FDS
from crossdomain.wire.codec import DISPLAY_ID
from crossdomain.wire.engine import Direction
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.policy import Carriage

_log = logging.getLogger("crossdomain.context")


class Context:
    """See the module's docstring.  Made by CTX_CREATE or by a local connection."""

    def __init__(
        self,
        *,
        name: str,
        resources: Resources,
        connect: Callable[[], socket.socket],
        policy: ClientPolicy,
        on_close: "Callable[[Context], None]",
        sink: EventSink | None = None,
        orphans: Orphans | None = None,
        memory: MemoryDevice | None = None,
    ) -> None:
        """Nothing happens before INIT.  The running loop is the one it lives on.

        Args:
            name: for log lines: VM, ctx_id and client.
            resources: what is attached to this context.
            connect: a new connection to the compositor, as `CompositorSocket` wants it.
            policy: a fresh one.
            on_close: called once, at the end of `close`.
            sink: where events go if not into rings in guest memory.
            orphans: keeps pipes whose readers are slower than the client's end.
            memory: where what COPY_PAGES and SHOW_PAGES name is, where the guest has pages that we see.
        """
        self.name = name
        self.counters = Counters()
        self._resources = resources
        self._connect = connect
        self._policy = policy
        policy.transfers.deliver = self._deliver
        self._on_close = on_close
        self._pages = PageAccess(memory)
        self._local_sink = sink
        self._loop = asyncio.get_running_loop()
        self._fences = PollFences()
        self._stream = EventStream()
        self._sink: EventSink | None = None
        self._outbox: Outbox | None = None
        self._compositor: CompositorSocket | None = None
        self._counter = IdentifierCounter()
        self._blobs = Blobs(self._counter)
        self._pipes = Pipes(self._counter, self._loop, self._wake, Orphans() if orphans is None else orphans)
        self._syncs = Syncs(name, self._counter, self._loop)
        self._identifiers = Identifiers(resources, self._blobs, self._pipes, self._syncs, policy.shown)
        self._from_guest: deque[int] = deque()
        self._from_compositor: deque[int] = deque()
        self._over = False
        self._closed = False
        self._handlers: dict[int, Callable[[memoryview], None]] = {
            Command.INIT: self._handle_init,
            Command.GET_IMAGE_REQUIREMENTS: self._handle_get_image_requirements,
            Command.POLL: self._handle_poll,
            Command.SEND: self._handle_send,
            Command.WRITE: self._handle_write,
            Command.COPY_PAGES: self._handle_copy_pages,
            Command.SHOW_PAGES: self._handle_show_pages,
            Command.EXPECT_PAGES: self._handle_expect_pages,
            Command.CLAIM_PAGES: self._handle_claim_pages,
            Command.GET_CLOCK: self._handle_get_clock,
            Command.AWAIT_SYNC: self._handle_await_sync,
        }

    @property
    def alive(self) -> bool:
        """Whether the client is connected."""
        return self._compositor is not None and not self._over

    @property
    def pipes(self) -> int:
        """Open pipes."""
        return len(self._pipes)

    def submit(self, commands: Buffer) -> None:
        """Carries out the commands of one SUBMIT_3D, in order; never blocks.

        The first bad one ends the submit.  A refused SEND ends the client as well: its byte stream
        has a hole, and the guest's ioctl has already said that all is well.

        Args:
            commands: copied out of guest memory, and unchanging from now on.

        Raises:
            GuestFault: a malformed, unknown or refused command.
            HostFault: INIT found no compositor.
        """
        self._syncs.begin_submit()
        rest = memoryview(commands)
        while rest:
            cmd, size = parse_header(rest)
            handler = self._handlers.get(cmd)
            if handler is None:
                raise GuestFault(f"command {cmd} is not offered")
            handler(rest[:size])
            rest = rest[size:]

    def create_fence(self, ring_idx: int | None, complete: Callable[[], None]) -> None:
        """A fence that came with a command of this context.

        One on the channel ring is a POLL: it is held until an event stands in that ring.  One on
        the query ring, or on none, completes at once, and one on a further ring when what was
        awaited in its submit is over.  `complete` may be called before this returns.
        """
        if ring_idx is None or ring_idx == QUERY_RING or self._closed:
            complete()
            return
        try:
            if ring_idx == CHANNEL_RING:
                self._fences.hold(complete)
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
        if self._compositor is not None:
            self._compositor.retry()

    def take_blob(self, blob_id: int, size: int) -> HostMemory:
        """The memory for RESOURCE_CREATE_BLOB(HOST3D); the caller owns it.

        A received file is good once; image requirements are good again and again, with fresh
        memory each time.

        Raises:
            GuestFault: no such blob_id, or not of that size.
        """
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
        self._disconnect()
        self._give_up_pipes()
        self._blobs.close()
        self._syncs.close()
        self._pages.close()
        self._fences.complete_all()
        self._on_close(self)

    def _handle_init(self, command: memoryview) -> None:
        init = parse_init(command)
        if self._outbox is not None:
            raise GuestFault("a second INIT")
        if init.channel_type != ChannelType.WAYLAND:
            raise GuestFault(f"channel type {init.channel_type:#x} is not offered")
        self._sink = self._open_sink(init)
        self._outbox = Outbox(self._sink, self.counters)
        try:
            self._compositor = CompositorSocket(
                self._connect, self._loop, self._guard, self._handle_events, self._handle_end
            )
        except OSError as error:
            self._end(f"the compositor can't be reached: {error.strerror}", logging.WARNING)
            raise HostFault(f"the compositor can't be reached: {error.strerror}") from error
        _log.info("%s: connected", self.name)

    def _open_sink(self, init: Init) -> EventSink:
        if self._local_sink is None:
            return RingSink(self._resources, init.query_ring_id, init.channel_ring_id, self._fences)
        if (init.query_ring_id, init.channel_ring_id) != (RING_NONE, RING_NONE):
            raise GuestFault("a local channel has no rings")
        return self._local_sink

    def _handle_get_image_requirements(self, command: memoryview) -> None:
        if len(command) != GET_IMAGE_REQUIREMENTS.size:
            raise GuestFault(f"GET_IMAGE_REQUIREMENTS of {len(command)} bytes")
        width, height, drm_format, _flags = GET_IMAGE_REQUIREMENTS.unpack(command)
        requirements = self._blobs.require_image(width, height, drm_format)
        self._answer(encode_image_requirements(requirements))

    def _handle_get_clock(self, command: memoryview) -> None:
        clock_id = parse_get_clock(command)
        self._answer(encode_clock(clock_id, time.clock_gettime_ns(clock_id)))

    def _handle_poll(self, command: memoryview) -> None:
        """What counts is the fence, which comes through `create_fence`."""

    def _handle_await_sync(self, command: memoryview) -> None:
        self._syncs.expect(parse_await_sync(command))

    def _handle_write(self, command: memoryview) -> None:
        write = parse_write(command)
        if self._outbox is None:
            raise GuestFault("WRITE before INIT")
        if write.identifier == NO_IDENTIFIER and write.hang_up:
            self._leave()
            return
        try:
            self._pipes.handle_write(write)
        except LimitExceeded as fault:
            # The data can't wait, and a reader must not take half a paste for a whole one.
            self._give_up_pipes()
            self._fail(fault)
            raise

    def _handle_copy_pages(self, command: memoryview) -> None:
        if self._over:
            return
        try:
            copy = parse_copy_pages(command)
            pages = self._pages.open(copy.source, copy.key)
            copied = pages.copy_out(self._resources.lookup(copy.destination).pixels(), copy)
        except GuestFault as fault:
            # What the compositor would show is not what the client has drawn.
            self._fail(fault)
            raise
        self.counters.bytes_copied += copied

    def _handle_show_pages(self, command: memoryview) -> None:
        show = parse_show_pages(command)
        self._answer(encode_shown(self._policy.shown.ask(show, self._pages.open(show.source, show.key))))

    def _handle_expect_pages(self, _command: memoryview) -> None:
        self._pages.expect()
        self._answer(encode_claimed(is_own=False))

    def _handle_claim_pages(self, command: memoryview) -> None:
        self._answer(encode_claimed(is_own=self._pages.claim(parse_claim_pages(command))))

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
            self._send(command)
        except GuestFault as fault:
            self._fail(fault)
            raise
        except OSError as error:
            refused = LimitExceeded(f"the host can't carry this: {error.strerror}")
            self._fail(refused)
            raise refused from error

    def _send(self, command: memoryview) -> None:
        send = parse_send(command)
        if send.identifiers:
            self._from_guest += self._identifiers.resolve(send.identifiers)
            if len(self._from_guest) > MAX_UNCLAIMED_FDS:
                raise LimitExceeded(f"{len(self._from_guest)} fds that no request takes")
        batch = self._policy.to_host(send.data, self._from_guest)
        self.counters.sends += 1
        self.counters.bytes_to_host += len(send.data)
        self._forward(batch)

    def _forward(self, batch: Batch) -> None:
        compositor = self._compositor
        if compositor is None:
            return
        if batch.marks:
            batch = self._withhold(batch, self._from_guest, _request_lacks_fd)
        if not batch.data:
            return
        if not batch.marks:
            compositor.send(batch.data, [])
            return
        for part in split(batch):
            if len(self._from_guest) < part.fds:
                raise _request_lacks_fd()
            self.counters.fds_to_host += part.fds
            compositor.send(part.data, _take(self._from_guest, part.fds))

    def _handle_events(self, data: bytes, fds: list[int]) -> None:
        self._from_compositor += fds
        if len(self._from_compositor) > MAX_UNCLAIMED_FDS:
            raise HostFault(f"{len(self._from_compositor)} fds that no event takes")
        batch = self._policy.to_guest(data, self._from_compositor)
        if batch.marks:
            batch = self._withhold(batch, self._from_compositor, _event_lacks_fd)
            self._append_with_fds(batch)
        else:
            self._stream.append(batch.data)
        self.counters.bytes_to_guest += len(batch.data)
        self._pump_stream()

    def _withhold(self, batch: Batch, waiting: deque[int], lacks: Callable[[], Exception]) -> Batch:
        """Gives the fds of messages that do not pass to who takes them; returns the rest of the batch.

        Raises what `lacks` says where fds are missing.
        """
        if all(mark.take is None for mark in batch.marks):
            return batch
        if sum(mark.fds for mark in batch.marks) > len(waiting):
            raise lacks()
        kept: list[int] = []
        for mark in batch.marks:
            fds = _take(waiting, mark.fds)
            if mark.take is None:
                kept += fds
            else:
                mark.take(fds)
        waiting.extendleft(reversed(kept))
        return Batch(batch.data, [mark for mark in batch.marks if mark.take is None])

    def _deliver(self, direction: Direction, data: bytes, fds: list[int]) -> None:
        """A message that waited for an answer passes now; the fds are ours."""
        if self._over or self._compositor is None:
            close_all(fds)
        elif direction is Direction.REQUEST:
            compositor = self._compositor
            self.counters.fds_to_host += len(fds)
            self._guard(lambda: compositor.send(memoryview(data), fds))
        else:
            self.counters.fds_to_guest += len(fds)
            self._guard(lambda: self._append_one(data, fds))

    def _append_one(self, event: bytes, fds: list[int]) -> None:
        self._stream.append(memoryview(event), self._identifiers.announce(fds, [Carriage.PIPE] * len(fds)))
        self._pump_stream()

    def _append_with_fds(self, batch: Batch) -> None:
        carriages = [mark.carriage for mark in batch.marks for _ in range(mark.fds)]
        if len(carriages) > len(self._from_compositor):
            raise _event_lacks_fd()
        position = 0
        for part in split(batch):
            wanted = carriages[position : position + part.fds]
            fds = _take(self._from_compositor, part.fds)
            self._stream.append(part.data, self._identifiers.announce(fds, wanted))
            position += part.fds
        self.counters.fds_to_guest += position

    def _handle_end(self) -> None:
        error = self._policy.compositor_error
        if error is None:
            self._end("the compositor closed the connection", logging.INFO)
        else:
            self._end(f"the compositor ended the client: {error!r}", logging.WARNING)

    def _pump_stream(self) -> None:
        if self._outbox is None or self._compositor is None:
            return
        self._outbox.wake(self._stream)
        if self._stream.pending > MAX_PENDING_EVENTS:
            self._compositor.pause()

    def _pump(self) -> None:
        if self._outbox is None:
            return
        self._outbox.pump()
        if self.alive and self._compositor and self._stream.pending <= MAX_PENDING_EVENTS // 2:
            self._compositor.resume()

    def _wake(self, source: Source) -> None:
        outbox = self._outbox
        if outbox is not None:
            self._guard(lambda: outbox.wake(source))

    def _guard(self, call: Callable[[], None]) -> None:
        """Runs what may find a fault; the fault ends this client and nobody else.

        So does a mistake of ours, which goes on to the loop's exception handler.
        """
        mistaken = True
        try:
            call()
            mistaken = False
        except (GuestFault, HostFault) as fault:
            self._fail(fault)
            mistaken = False
        except OSError as error:
            self._fail(HostFault(f"{type(error).__name__}: {error.strerror}"))
            mistaken = False
        finally:
            if mistaken:
                self._end("internal error", logging.ERROR)

    def _fail(self, fault: GuestFault | HostFault) -> None:
        if self._over:
            return
        told = fault if isinstance(fault, WireFault) else refusal(str(fault))
        self._stream.append(memoryview(self._policy.error_event(told)))
        self._end(str(fault), logging.WARNING)

    def _end(self, reason: str, level: int) -> None:
        """The client is over; the guest is told after what is pending."""
        if self._over:
            return
        self._over = True
        _log.log(level, "%s: %s", self.name, reason)
        self._disconnect()
        self._stream.finish()
        if self._outbox is not None:
            try:
                self._outbox.wake(self._stream)
                self._outbox.pump()
            except GuestFault:
                self._give_up_pipes()
                self._fences.complete_all()

    def _leave(self) -> None:
        """The guest's client has left: what it sent still arrives, and its pipes go on."""
        if self._over:
            return
        self._over = True
        _log.info("%s: left", self.name)
        if self._compositor is not None:
            self._compositor.finish()
        self._close_unclaimed()

    def _disconnect(self) -> None:
        if self._compositor is not None:
            self._compositor.close()
        self._close_unclaimed()

    def _close_unclaimed(self) -> None:
        self._policy.transfers.close()
        self._policy.shown.close()
        for waiting in (self._from_guest, self._from_compositor):
            while waiting:
                os.close(waiting.popleft())

    def _give_up_pipes(self) -> None:
        if self._outbox is not None:
            self._outbox.forget()
        self._pipes.close()


def _request_lacks_fd() -> WireFault:
    return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, "file descriptor expected")


def _event_lacks_fd() -> HostFault:
    return HostFault("an event came without its fd")


def _take(waiting: deque[int], count: int) -> list[int]:
    """The first `count` fds, which are the caller's now."""
    return [waiting.popleft() for _ in range(count)]
