"""Carries out what `holds` decides: waits for fences, and lets requests go on when they are over.

A fence that is not over in time costs its surface the frame: the commit is dropped, with the next one the
surface lives on.
"""

from collections.abc import Callable
from typing import Protocol

from crossdomain.limits import FENCE_SECONDS
from launcher import log
from launcher.loop import READABLE, Loop, Timer
from launcher.relay.holds import Hold, Holds, Request
from launcher.relay.messages import Wait


class Guard(Protocol):
    """Whose handlers these are; `connection` is it."""

    @property
    def name(self) -> str:
        """The client's, for the log."""
        ...

    def guard(self, serve: Callable[[int], None], events: int) -> None:
        """Calls a handler; a failure of any kind costs this client only."""
        ...


class Relay(Protocol):
    """What has to be done with requests; `requests` is it."""

    def relay_request(self, request: Request) -> Wait | None:
        """Sends a request to the host, or what stands for it; returns what it has to wait for, instead."""
        ...

    def drop_commit(self, surface_id: int) -> None:
        """A commit will never be."""
        ...

    def stand_in(self, object_id: int) -> None:
        """The client's next object is not created yet: something has to take its id on the host."""
        ...

    def end_batch(self) -> None:
        """Requests have gone on, outside of what the client sends now."""
        ...


class Waiting:
    """One client's requests that wait."""

    def __init__(self, loop: Loop, guard: Guard, relay: Relay, holds: Holds) -> None:
        self._loop = loop
        self._guard = guard
        self._relay = relay
        self._holds = holds
        self._timers: dict[Hold, Timer] = {}

    def __bool__(self) -> bool:
        """Whether any wait."""
        return bool(self._holds)

    @property
    def is_full(self) -> bool:
        """Whether the client has to wait as a whole."""
        return self._holds.is_full

    def hold(self, commit: Request, wait: Wait) -> None:
        """A commit has to wait for a fence, which stays the caller's."""
        self._watch(self._holds.begin(commit, wait))

    def take(self, request: Request) -> None:
        """The client sends a request while others wait: it goes on, or waits behind them."""
        placed = self._holds.place(request)
        if placed is None:
            wait = self._relay.relay_request(request)
            if wait is not None:
                self.hold(request, wait)
            return
        for object_id in placed.created:
            self._relay.stand_in(object_id)
        for hold in placed.joined:
            self._unwatch(hold)

    def close(self) -> list[int]:
        """Nothing goes on any more; returns the fds that came with what has waited."""
        for hold in list(self._timers):
            self._unwatch(hold)
        fds: list[int] = []
        for hold in self._holds.clear():
            while hold:
                fds += hold.take_first().fds
        return fds

    def _watch(self, hold: Hold) -> None:
        def resume(_events: int) -> None:
            self._guard.guard(lambda _: self._resume(hold), 0)

        def give_up() -> None:
            self._guard.guard(lambda _: self._give_up(hold), 0)

        self._loop.add(hold.fence.fileno(), READABLE, resume)
        self._timers[hold] = self._loop.call_later(FENCE_SECONDS, give_up)

    def _unwatch(self, hold: Hold) -> None:
        self._timers.pop(hold).cancel()
        self._loop.remove(hold.fence.fileno())

    def _resume(self, hold: Hold) -> None:
        self._unwatch(hold)
        self._go_on(hold)

    def _give_up(self, hold: Hold) -> None:
        surface_id = hold.first.record.object_id
        text = f"surface {surface_id} loses a frame: its fence is not over after {FENCE_SECONDS:g} s"
        log.warning(text, client=self._guard.name)
        self._unwatch(hold)
        hold.take_first()
        self._relay.drop_commit(surface_id)
        self._go_on(hold)

    def _go_on(self, hold: Hold) -> None:
        """Lets go on what need not wait any more."""
        while hold:
            wait = self._relay.relay_request(hold.first)
            if wait is not None:
                hold.fence = wait.fence
                hold.pinned.add(wait.buffer_id)
                self._watch(hold)
                break
            hold.take_first()
        else:
            self._holds.end(hold)
        self._relay.end_batch()
