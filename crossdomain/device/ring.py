"""One virtqueue with its eventfds on the event loop: kicks in, chains to the device, interrupts out.

`backend` configures it from the VMM's messages; `gpu` gets each chain and answers it with
`complete`, at once or later.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from time import monotonic
from typing import Final

from crossdomain.context.selector import Handover
from crossdomain.device.memory import GuestMemory
from crossdomain.device.passages import Passages
from crossdomain.device.virtqueue import Chain, SplitQueue
from crossdomain.errors import CrossDomainError, HostFault, LocalError
from crossdomain.native import lib

_CHAINS_PER_TURN: Final = 64
"""Then others have their turn."""
_TURN_SECONDS: Final = 0.1
"""And after so long: who watches over this process wants an answer, however much each command asks for."""
_ONE: Final = (1).to_bytes(8, "little")
_NO_FD: Final = -1


class Ring:
    """A virtqueue that is started, enabled, kicked and stopped as vhost-user says (Ring states)."""

    def __init__(
        self,
        memory: GuestMemory,
        loop: asyncio.AbstractEventLoop,
        execute: Callable[[Chain], None],
        broken: Callable[[CrossDomainError], None],
        passages: Passages | None = None,
    ) -> None:
        """Neither started nor enabled.

        `execute` gets every chain and sees to it that `complete` is called for each.  `broken` is told once
        that the driver's ring is of no use; nothing more is taken from it until it is started again.
        `passages` share the queue.
        """
        self.queue = SplitQueue(memory, None if passages is None else passages.queue)
        self._passages = passages
        self._taken: Chain | None = None
        self._loop = loop
        self._execute = execute
        self._broken = broken
        self._kick = self._call = self._error = _NO_FD
        self._enabled = False
        self._draining = False
        self._is_broken = False
        self._scheduled: asyncio.Handle | None = None
        self._held: list[tuple[Chain, bytes]] = []
        self._resting: asyncio.TimerHandle | None = None
        self.rest: Callable[[], float] = _never
        """Asked after every turn: for how many seconds nothing is taken from the ring."""

    @property
    def started(self) -> bool:
        """Whether the VMM has started the ring."""
        return self.queue.running

    def start(self, kick: int) -> None:
        """Starts the ring and takes ownership of `kick`, or of none where it is negative: then the VMM never
        kicks, which this back-end does not serve.

        Raises:
            HostFault: the ring's memory or the fd is of no use.
        """
        self._drop_kick()
        self._kick = kick
        self.queue.start()
        self._is_broken = False
        if kick >= 0:
            self._watch(kick)
        self._flush_held()
        # What was made available before the ring started may never be kicked for (vhost-user, Ring states).
        self._schedule()

    def stop(self) -> int:
        """Stops the ring; chains under way are answered after the next start.

        Returns:
            The free-running index of the next available entry.
        """
        self._drop_kick()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self.queue.stop()
        return self.queue.next_available

    def enable(self, enabled: bool) -> None:
        """SET_VRING_ENABLE."""
        self._enabled = enabled
        self._share()
        if enabled:
            self._schedule()

    def forget(self) -> None:
        """The driver starts anew: nothing that is under way will be answered."""
        self._held.clear()
        self.queue.forget()

    def set_call(self, call: int) -> None:
        """Takes ownership of the eventfd that interrupts the guest; negative for none.

        Raises:
            HostFault: it is none; the one before stays.
        """
        if self._passages is not None:
            self._passages.set_call(_NO_FD)
        self._call = _replace(self._call, call)
        if self._passages is not None:
            self._passages.set_call(self._call)

    def set_error(self, error: int) -> None:
        """Takes ownership of the eventfd that tells the VMM of a broken ring; negative for none.

        Raises:
            HostFault: it is none; the one before stays.
        """
        self._error = _replace(self._error, error)

    def poll(self) -> None:
        """Takes what the driver has made available, also where it has not kicked yet, or the ring rests.

        Whoever wants that pays for it: this is no turn of the ring's.
        """
        self._drain(polled=True)

    def complete(self, chain: Chain, answer: bytes) -> None:
        """Answers `chain` and gives it back to the driver, or keeps it until the ring is started again."""
        queue = self.queue
        if not queue.running:
            self._held.append((chain, answer))
            return
        if self._is_broken:
            return
        try:
            queue.push(chain.head, queue.write_answer(chain, answer))
            if not self._draining and queue.interrupt_wanted():
                _signal(self._call)
        except CrossDomainError as error:
            self._break(error)

    def close(self) -> None:
        """Stops and closes everything; may be called again."""
        self.stop()
        self._held.clear()
        self.set_call(_NO_FD)
        self.set_error(_NO_FD)

    def _watch(self, kick: int) -> None:
        try:
            # The VMM may have read the count itself in between: a blocking read would hang every VM.
            os.set_blocking(kick, False)
            self._loop.add_reader(kick, self._on_kick)
            if self._passages is not None:
                self._passages.attach_kick(kick, self._on_handover)
        except OSError as error:
            self._drop_kick()
            raise HostFault(f"the kick fd cannot be watched: {error}") from error

    def _drop_kick(self) -> None:
        if self._passages is not None:
            self._passages.detach_kick()
        if self._kick >= 0:
            self._loop.remove_reader(self._kick)
            os.close(self._kick)
            self._kick = _NO_FD
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _on_kick(self) -> None:
        try:
            if not os.read(self._kick, 8):
                self._break(HostFault("the kick fd was closed"))
                return
        except BlockingIOError:
            return
        except OSError as error:
            self._break(HostFault(f"the kick fd broke: {error}"))
            return
        self._drain()

    def _on_handover(self, handover: Handover) -> None:
        passages = self._passages
        passage = None if passages is None else passages.taken_passage()
        if passages is not None and handover.kind == lib.XD_COMMAND:
            self._taken = passages.taken_chain(handover.data)
        elif passage is not None and handover.kind == lib.XD_REQUESTS:
            passage.rest_to_host(handover.data)
        self._drain()
        if passage is not None:
            passage.forget_walk()

    def _share(self) -> None:
        if self._passages is not None:
            self.queue.share(self._enabled and not self._is_broken and self._resting is None)

    def _schedule(self) -> None:
        if self._scheduled is None and self.queue.running:
            self._scheduled = self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._scheduled = None
        self._drain()

    def _drain(self, *, polled: bool = False) -> None:
        queue = self.queue
        rests = self._resting is not None and not polled
        if not (queue.running and self._enabled) or self._is_broken or rests:
            return
        before = queue.used_index
        self._draining = True
        # A mistake of ours must not leave a driver waiting for ever, with kicks switched off.
        fault: CrossDomainError | None = LocalError("internal error")
        try:
            finished = self._drain_turn()
            if queue.used_index != before and queue.interrupt_wanted():
                _signal(self._call)
            fault = None
            if not polled and (seconds := self.rest()):
                self._resting = self._loop.call_later(seconds, self._wake)
            elif not finished:
                self._schedule()
        except CrossDomainError as error:
            fault = error
        finally:
            self._draining = False
            self._share()
            if fault is not None:
                self._break(fault)

    def _wake(self) -> None:
        self._resting = None
        self._drain()

    def _drain_turn(self) -> bool:
        queue = self.queue
        pop = queue.pop
        execute = self._execute
        queue.want_kicks(False)
        end = monotonic() + _TURN_SECONDS
        taken, self._taken = self._taken, None
        if taken is not None:
            execute(taken)
        for _ in range(_CHAINS_PER_TURN):
            chain = pop()
            if chain is None:
                queue.want_kicks(True)
                # The driver may have added one before it saw that we want kicks again.
                chain = pop()
                if chain is None:
                    return True
                queue.want_kicks(False)
            execute(chain)
            if self._is_broken or not queue.running:
                return True
            if monotonic() > end:
                return False
        return False

    def _flush_held(self) -> None:
        held, self._held = self._held, []
        for chain, answer in held:
            self.complete(chain, answer)

    def _break(self, error: CrossDomainError) -> None:
        if self._is_broken:
            return
        self._is_broken = True
        self._share()
        self._drop_kick()
        with contextlib.suppress(HostFault):
            _signal(self._error)
        self._broken(error)


def _never() -> float:
    return 0.0


def _replace(old: int, new: int) -> int:
    if new >= 0:
        try:
            os.set_blocking(new, False)
        except OSError as error:  # an O_PATH fd
            os.close(new)
            raise HostFault(f"a virtqueue's fd is of no use: {error}") from error
    if old >= 0:
        os.close(old)
    return new


def _signal(fd: int) -> None:
    if fd < 0:
        return
    try:
        os.write(fd, _ONE)
    except OSError as error:
        # A full counter is a signal already, and a VMM that closed its end will say so on its socket.
        if error.errno not in (errno.EAGAIN, errno.EPIPE):
            raise HostFault(f"an eventfd of the VMM broke: {error}") from error
