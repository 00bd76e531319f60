"""What one client and the compositor say to each other: bytes with their fds, both ways.

SENDs pass the policy and go to the compositor's socket; what comes from there passes it, too, and waits in
the stream for the guest.  Fds wait on either side for the message that they belong to.
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from crossdomain.abi.cross_domain import parse_send
from crossdomain.context.compositor import CompositorSocket, close_all
from crossdomain.context.counters import Counters
from crossdomain.context.identifiers import Identifiers
from crossdomain.context.outbox import Outbox
from crossdomain.context.pace import Allowance, Rate, Speed
from crossdomain.context.passage import Passage
from crossdomain.context.policy import Batch, ClientPolicy, Mark, split
from crossdomain.context.quotas import ClientQuotas, check_descriptor, exceeded
from crossdomain.context.stream import EventStream
from crossdomain.errors import HostFault, LimitExceeded
from crossdomain.limits import MAX_PENDING_EVENTS, MAX_UNCLAIMED_FDS
from crossdomain.wire.codec import DISPLAY_ID
from crossdomain.wire.engine import Direction
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.policy import Carriage

_log = logging.getLogger("crossdomain.context")

_MOST_UNSEEN: Final = 4096
"""Requests that pass in C before clocks are looked at: some milliseconds' worth."""
_MOST_READS_UNSEEN: Final = 64
"""Reads of the compositor that pass in C before they are, where the VM has a share: some milliseconds'."""
_FOR_EVER: Final = 1 << 62
_SAMPLE: Final = 16
"""Of so many SENDs and reads of the compositor that come here one is timed; C does the same with its own."""


class Traffic:
    """That of one context.  It owns the connection to the compositor, and every fd that waits."""

    def __init__(
        self,
        name: str,
        policy: ClientPolicy,
        identifiers: Identifiers,
        counters: Counters,
        guard: Callable[[Callable[[], None]], None],
        allowance: Allowance,
        passage: Passage | None = None,
    ) -> None:
        """Args:
        name: for log lines.
        policy: the client's.
        identifiers: what the fds are to the guest.
        counters: are kept.
        guard: calls what the loop or a person's answer brings; a fault in it ends the client.
        allowance: the VM's.
        passage: carries what nobody has to look at, where there is one: `settle` opens it.
        """
        self._name = name
        self._policy = policy
        policy.transfers.deliver = self._deliver
        self._identifiers = identifiers
        self._counters = counters
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._stream = EventStream()
        self._outbox: Outbox | None = None
        self._compositor: CompositorSocket | None = None
        self._from_guest: deque[int] = deque()
        self._from_compositor: deque[int] = deque()
        self._over = False
        self._batches = 0
        self._timed = 0.0
        """When events came whose way is timed, s; 0 where none are."""
        self._allowance = allowance
        self._rate = Rate(allowance.quotas.client.messages_per_second)
        self._speed = Speed()
        self._passage = passage
        if passage is not None:
            passage.rest_to_host = self._send_rest
            passage.rest_to_guest = self._append_rest
            self._renew(passage)
            self._renew_reads(passage)

    @property
    def descriptors(self) -> int:
        """Fds that the client holds of this process."""
        waiting = len(self._from_guest) + len(self._from_compositor)
        if self._compositor is not None:
            waiting += self._compositor.waiting_fds
        return waiting + self._identifiers.descriptors

    @property
    def unsettled(self) -> int:
        """Messages that have passed in C and that no rate knows of yet."""
        return 0 if self._passage is None else self._passage.spent

    @property
    def messages(self) -> int:
        """What counts as the client's messages, so far."""
        return int(self._rate.spent) + self.unsettled

    def look_at_speed(self) -> int:
        """Messages per second, see `Speed`."""
        return round(self._speed.look(self.messages))

    @property
    def queued_bytes(self) -> int:
        """Bytes of requests that wait for the compositor."""
        return 0 if self._compositor is None else self._compositor.pending

    @property
    def is_held(self) -> bool:
        """Whether the client is too fast, and what it sends waits."""
        return self._compositor is not None and self._compositor.is_held

    def apply(self, quotas: ClientQuotas) -> None:
        """Quotas of requests: how many, and how many may wait."""
        self._rate.set(quotas.messages_per_second)
        if self._passage is not None:
            self._renew_reads(self._passage)
        if self._compositor is not None:
            self._compositor.most_pending = quotas.queued_bytes

    @property
    def connected(self) -> bool:
        """Whether there is, or was, a connection to the compositor, or one is on its way."""
        return self._compositor is not None

    def connect(
        self, outbox: Outbox, connect: Callable[[], socket.socket], on_end: Callable[[], None]
    ) -> None:
        """Begins: `outbox` takes the events, `connect` and `on_end` are as `CompositorSocket` wants them.

        Raises:
            OSError: there is no compositor.
        """
        self._outbox = outbox
        self._compositor = CompositorSocket(
            connect, self._loop, self._guard, self._handle_events, on_end, self._passage
        )
        self._compositor.most_pending = self._allowance.quotas.client.queued_bytes

    def retry_connect(self) -> None:
        """Whoever makes the connection to the compositor has come to an end with it."""
        if self._compositor is not None:
            self._compositor.retry()

    def settle(self) -> None:
        """Opens the passage where nothing waits here, or closes it: after whatever may have changed that."""
        passage, compositor, outbox = self._passage, self._compositor, self._outbox
        if passage is None or compositor is None or outbox is None:
            return
        policy = self._policy
        passage.open(
            to_host=not self._over
            and not self._from_guest
            and compositor.is_clear
            and policy.is_whole(Direction.REQUEST),
            to_guest=not self._over
            and not self._from_compositor
            and not self._stream.pending
            and outbox.has_none_but(self._stream)
            and policy.is_whole(Direction.EVENT),
        )

    def send(self, command: memoryview) -> None:
        """One SEND; about one in _SAMPLE is timed.

        Raises:
            GuestFault: it is malformed or refused; the client's byte stream has a hole.
            OSError: the host can't carry it.
        """
        if self._counters.sends % _SAMPLE:
            self._send(command)
        else:
            start = monotonic()
            self._send(command)
            self._counters.to_host.add(monotonic() - start)

    def _send(self, command: memoryview) -> None:
        send = parse_send(command)
        if send.identifiers:
            fds = self._identifiers.resolve(send.identifiers)
            self._from_guest += fds
            if len(self._from_guest) > MAX_UNCLAIMED_FDS:
                raise LimitExceeded(f"{len(self._from_guest)} fds that no request takes")
            self._check_descriptors(fds)
        batch = self._policy.to_host(send.data, self._from_guest)
        self._counters.sends += 1
        self._counters.bytes_to_host += len(send.data)
        self._counters.requests += self._policy.requests
        self._forward(batch)
        self.spend(max(1, self._policy.requests))  # an empty one takes time, too

    def pump(self) -> None:
        """The guest has taken events: reads the compositor again where few are left."""
        if self._timed and not self._stream.pending:
            self._time()
        if not self._over and self._compositor and self._stream.pending <= MAX_PENDING_EVENTS // 2:
            self._compositor.resume()

    def append(self, event: bytes) -> None:
        """An event of the host's own, after what is pending."""
        self._stream.append(memoryview(event))

    def hang_up(self) -> None:
        """Tells the guest, after what is pending, that this is over.

        Raises:
            GuestFault: the guest took its ring away.
        """
        self._stream.finish()
        if self._outbox is not None:
            self._outbox.wake(self._stream)
            self._outbox.pump()

    def finish(self) -> None:
        """The client has left: what it sent still reaches the compositor."""
        if self._compositor is not None:
            self._compositor.finish()
        self._end()

    def close(self) -> None:
        """Ends the connection with what waits for it.  May be called again."""
        if self._passage is not None:
            # What it has said counts for its VM, also when it comes, speaks and leaves in a loop.
            self._allowance.pace.spend(self._passage.spent)
            self._passage.renew(0)
        if self._compositor is not None:
            self._compositor.close()
        self._end()

    def _time(self) -> None:
        """The guest has all events of a batch that is timed."""
        self._counters.to_guest.add(monotonic() - self._timed)
        self._timed = 0.0

    def _end(self) -> None:
        self._over = True
        self._policy.transfers.close()
        self._policy.shown.close()
        self._policy.timelines.close()
        for waiting in (self._from_guest, self._from_compositor):
            while waiting:
                os.close(waiting.popleft())

    def _check_descriptors(self, fds: list[int]) -> None:
        """`fds` are the newest, and held already."""
        quotas = self._allowance.quotas
        check_descriptor(max(fds), quotas.vm.fds)
        held = self.descriptors
        if held > quotas.client.fds:
            raise exceeded("fds", f"{held} descriptors wait for one client, at most {quotas.client.fds}")

    def spend(self, messages: int) -> None:
        """So many requests or other commands have come here, and as many as it tells through the passage."""
        passage = self._passage
        if passage is not None:
            messages += passage.spent
        self._allowance.pace.spend(messages)
        wait = self._rate.spend(messages)
        if passage is not None:
            self._renew(passage)
        if wait:
            self._slow_down(wait)

    def _renew(self, passage: Passage) -> None:
        passage.renew(min(self._rate.left, self._allowance.pace.left, _MOST_UNSEEN))

    def _renew_reads(self, passage: Passage) -> None:
        passage.renew_reads(_MOST_READS_UNSEEN if self._allowance.pace.has_share else _FOR_EVER)

    def _slow_down(self, seconds: float) -> None:
        compositor = self._compositor
        if compositor is not None and not compositor.is_held:
            self._counters.held += 1
            _log.warning(
                "%s: slowed down for %.1f s: more than %d messages a second (quota messages_per_second)",
                self._name,
                seconds,
                self._allowance.quotas.client.messages_per_second,
            )
            compositor.hold(seconds)

    def _forward(self, batch: Batch) -> None:
        compositor = self._compositor
        if compositor is None:
            return
        if batch.marks:
            batch = _withhold(batch, self._from_guest, _request_lacks_fd)
        if not batch.data:
            return
        if not batch.marks:
            compositor.send(batch.data, [])
            return
        for part in split(batch):
            if len(self._from_guest) < part.fds:
                raise _request_lacks_fd()
            self._counters.fds_to_host += part.fds
            compositor.send(part.data, _take(self._from_guest, part.fds))

    def _send_rest(self, requests: bytes) -> None:
        compositor = self._compositor
        if compositor is not None:
            self._guard(lambda: compositor.send(memoryview(requests), []))

    def _append_rest(self, events: bytes) -> None:
        self._stream.append(memoryview(events))
        if self._passage is not None and not self._timed:
            self._timed = self._passage.take_timed()
        self._guard(self._pump_stream)

    def _handle_events(self, data: bytes, fds: list[int]) -> None:
        self._from_compositor += fds
        if len(self._from_compositor) > MAX_UNCLAIMED_FDS:
            raise HostFault(f"{len(self._from_compositor)} fds that no event takes")
        if fds:
            self._check_descriptors(fds)
        start = 0.0 if self._batches % _SAMPLE else monotonic()
        batch = self._policy.to_guest(data, self._from_compositor)
        if batch.marks:
            batch = _withhold(batch, self._from_compositor, _event_lacks_fd)
            self._append_with_fds(batch)
        else:
            self._stream.append(batch.data)
        self._counters.bytes_to_guest += len(batch.data)
        self._timed = self._timed or start
        self._batches += 1
        self._pump_stream()
        self._rest_where_due()

    def _rest_where_due(self) -> None:
        """Reads nothing for a while where the VM has had its share of the processor: events cost time."""
        compositor = self._compositor
        if self._passage is not None:
            self._renew_reads(self._passage)
        if compositor is None or not (seconds := self._allowance.pace.cpu_rest()):
            return
        self._counters.held += 1
        _log.warning("%s: slowed down for %.1f s: events (quota vm.cpu_percent)", self._name, seconds)
        compositor.rest(seconds, self.pump)

    def _deliver(self, direction: Direction, data: bytes, fds: list[int]) -> None:
        """A message that waited for an answer passes now; the fds are ours."""
        if self._over or self._compositor is None:
            close_all(fds)
        elif direction is Direction.REQUEST:
            compositor = self._compositor
            self._counters.fds_to_host += len(fds)
            self._guard(lambda: compositor.send(memoryview(data), fds))
        else:
            self._counters.fds_to_guest += len(fds)
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
        self._counters.fds_to_guest += position

    def _pump_stream(self) -> None:
        if self._outbox is None or self._compositor is None:
            return
        self._outbox.wake(self._stream)
        if self._stream.pending > MAX_PENDING_EVENTS:
            self._compositor.pause()
        elif self._timed and not self._stream.pending:
            self._time()


def _withhold(batch: Batch, waiting: deque[int], lacks: Callable[[], Exception]) -> Batch:
    """Gives the fds of messages that do not pass to who takes them; returns the rest of the batch.

    What is given for the others is among `waiting` then.  Raises what `lacks` says where fds are missing.
    """
    if all(mark.take is None and mark.give is None for mark in batch.marks):
        return batch
    if sum(mark.fds for mark in batch.marks) > len(waiting):
        raise lacks()
    kept: list[int] = []
    marks: list[Mark] = []
    for mark in batch.marks:
        fds = _take(waiting, mark.fds)
        if mark.take is not None:
            mark.take(fds)
            continue
        if mark.give is not None:
            fds += mark.give()
        kept += fds
        marks.append(mark._replace(fds=len(fds), give=None))
    waiting.extendleft(reversed(kept))
    return Batch(batch.data, marks)


def _request_lacks_fd() -> WireFault:
    return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, "file descriptor expected")


def _event_lacks_fd() -> HostFault:
    return HostFault("an event came without its fd")


def _take(waiting: deque[int], count: int) -> list[int]:
    """The first `count` fds, which are the caller's now."""
    return [waiting.popleft() for _ in range(count)]
