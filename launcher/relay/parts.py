"""The parts of the relay that look at single messages, put together for one client."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple, TypeVar

from crossdomain.abi.cross_domain import Buffer, Identifier
from crossdomain.errors import HostFault, LocalError
from crossdomain.wire import Direction, Record, WireFault
from crossdomain.wire.faults import DisplayError
from crossdomain.wire.policy import Policy
from crossdomain.wire.tables import Tables
from launcher.channel.seam import Channel
from launcher.relay import families
from launcher.relay.capture import Capture
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.descriptors import Descriptors
from launcher.relay.dmabuf.drm import Drm
from launcher.relay.dmabuf.images import Images
from launcher.relay.dmabuf.served import LinuxDmabuf
from launcher.relay.files import Files
from launcher.relay.host_clock import HostClocks
from launcher.relay.imports import Imports
from launcher.relay.input_times import InputTimes
from launcher.relay.messages import (
    EVENT,
    REQUEST,
    EmulatedPart,
    EventHandler,
    Host,
    Part,
    RequestHandler,
    Route,
    ToClient,
    ToHost,
)
from launcher.relay.pipes import Pipes
from launcher.relay.registry import Registry
from launcher.relay.security_contexts import MANAGER, SecurityContexts
from launcher.relay.shm import Shm
from launcher.relay.stand_ins import StandIns
from launcher.relay.steady import Frames
from launcher.relay.surfaces import Surfaces
from launcher.relay.sync.commits import Commits
from launcher.relay.sync.fences import Fences as ExplicitFences
from launcher.relay.sync.host_timelines import HostTimelines
from launcher.relay.sync.timelines import Timelines
from launcher.relay.sync.watches import Watches
from launcher.relay.times import TIMED_GLOBALS, Times
from launcher.services import Services
from launcher.stats import ClientStats

_Message = TypeVar("_Message")
_Handler = TypeVar("_Handler")


class Parts:
    """Who handles which message.

    The keys of the handlers are `interface << 16 | opcode`, with the index in the tables.
    """

    def __init__(
        self, host: Host, services: Services, channel: Channel, pipes: Pipes, stats: ClientStats
    ) -> None:
        self._tables: Final = services.tables
        self._imports = Imports(host, channel)
        self._buffers = ClientBuffers(host, channel, stats)
        self._shm = Shm(host, channel, self._buffers, self._imports, stats)
        commits = Commits()
        self._surfaces = Surfaces(host, self._buffers, commits, channel.host_copies, services.stats, stats)
        self._timelines: HostTimelines | None = None
        syncs: tuple[EmulatedPart, ...] = ()
        if services.sync_device is not None:
            stand_ins = StandIns(host)
            if channel.has_points:
                watches = Watches(services.loop, host)
                self._timelines = HostTimelines(host, channel, stand_ins, watches, pipes.write)
            timelines = Timelines(stand_ins, services.sync_device, commits, self._timelines)
            syncs = (timelines, ExplicitFences(host, commits))
        clocks = HostClocks(channel) if channel.has_clock else None
        times = () if clocks is None else (Times(clocks), InputTimes(host, clocks))
        self._emulated: list[EmulatedPart] = []
        if services.open_sandbox is not None:
            self._emulated.append(SecurityContexts(host, services.open_sandbox))
        self._emulated += syncs
        images = Images(host, channel, self._buffers, self._imports, stats)
        self._emulated.append(LinuxDmabuf(host, self._buffers, images, channel.device))
        self._emulated.append(Drm(host, images, channel.device))
        parts: tuple[Part, ...] = (
            Registry(
                _policy_of(services, channel, syncs),
                self._emulated,
                () if self._timelines is None else (self._timelines.manager,),
            ),
            Descriptors(services.tables, services.policy, channel, pipes, shares_fences=not syncs),
            Files(host, channel),
            self._buffers,
            self._shm,
            self._surfaces,
            Capture(host, self._buffers, stats, clocks),
            *times,
        )
        requests: dict[Route, RequestHandler] = {}
        for part in (*parts, *self._emulated):
            _add(requests, part.request_routes())
        events: dict[Route, EventHandler] = {}
        for part in parts:
            _add(events, part.event_routes())
        routing = _route(services.tables, tuple(requests), tuple(events))
        self.request_handlers: Final = dict(zip(routing.requests, requests.values(), strict=True))
        self.event_handlers: Final = dict(zip(routing.events, events.values(), strict=True))
        self.interest: Final = routing.interest
        """What the walker has to find; events that are added later are not in it."""
        self.observed: Final = routing.observed
        """The keys of requests that `families` has to be told of."""

    @property
    def shows_anything(self) -> bool:
        """Whether the compositor shows a buffer of this client."""
        return self._surfaces.shows_anything

    def add_event_handlers(self, routes: dict[Route, EventHandler]) -> None:
        """Adds handlers of events that had none."""
        keys = _keys(routes, self._tables.event_key)
        _add(self.event_handlers, dict(zip(keys, routes.values(), strict=True)))

    def carry_frames(self, frames: Frames | None) -> None:
        """Those of steady surfaces are carried there from now on."""
        self._surfaces.frames = frames

    def hide_everything(self) -> bytes:
        """Returns the requests after which `shows_anything` is false."""
        return self._surfaces.hide_everything()

    def end_batch(self) -> None:
        """All that the walker has seen is handled."""
        self._surfaces.end_batch()

    def drop_commit(self, surface_id: int) -> None:
        """A commit that waits will never be."""
        self._surfaces.drop_commit(surface_id)

    def refuse_request(self, record: Record, _data: memoryview, fds: list[int]) -> ToHost | None:
        """Handles a request that nobody else does: it has fds, for which there is no way."""
        for fd in fds:
            os.close(fd)
        name = self._tables.name(record.interface)
        message = self._tables.at(record.interface).requests[record.opcode].name
        text = f"{name}.{message}: this file descriptor can't cross to the host"
        raise WireFault(record.object_id, DisplayError.IMPLEMENTATION, text)

    def refuse_event(
        self, record: Record, _data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        """Handles an event that nobody else does: it has fds, for which there is no way."""
        name = self._tables.name(record.interface)
        message = self._tables.at(record.interface).events[record.opcode].name
        raise HostFault(f"{name}.{message}: this file descriptor can't cross from the host")

    def handle_points(self, data: Buffer) -> None:
        """The host tells of points of timelines."""
        if self._timelines is not None:
            self._timelines.handle_points(data)

    def close(self) -> None:
        """Gives up what the parts hold."""
        if self._timelines is not None:
            self._timelines.close()
        self._surfaces.close()
        self._buffers.close()
        self._shm.close()
        self._imports.close()
        for served in self._emulated:
            served.close()


class _Routing(NamedTuple):
    """The keys of messages in the order in which they were asked for, and who else wants to see some."""

    requests: tuple[int, ...]
    events: tuple[int, ...]
    observed: frozenset[int]
    interest: tuple[tuple[str, Direction, str], ...]


@cache
def _route(tables: Tables, requests: tuple[Route, ...], events: tuple[Route, ...]) -> _Routing:
    """Finds messages in the tables, once for all clients whose parts handle the same."""
    return _Routing(
        _keys(requests, tables.request_key),
        _keys(events, tables.event_key),
        frozenset(_keys(families.ROUTES, tables.request_key)),
        tuple(
            (interface, direction, name)
            for direction, routes in ((REQUEST, requests + families.ROUTES), (EVENT, events))
            for interface, name in routes
        ),
    )


def _keys(routes: Iterable[Route], find: Callable[[Route], int | None]) -> tuple[int, ...]:
    found: list[int] = []
    for route in routes:
        key = find(route)
        if key is None:
            raise LocalError(f"no such message: {'.'.join(route)}")
        found.append(key)
    return tuple(found)


def _add(handlers: dict[_Message, _Handler], more: dict[_Message, _Handler]) -> None:
    """Adds who handles what nobody handles yet."""
    if not handlers.keys().isdisjoint(more):
        raise LocalError(f"two parts handle {handlers.keys() & more.keys()}")
    handlers.update(more)


def _policy_of(services: Services, channel: Channel, syncs: Sequence[EmulatedPart]) -> Policy:
    """Which globals the client sees: those of the session that this channel and this guest can serve."""
    policy = services.policy
    if syncs:
        policy = policy.emulating(sync.interface for sync in syncs)
    elif not channel.shares_fences:
        policy = policy.without((ExplicitFences.interface,))
    if services.open_sandbox is None:
        policy = policy.with_groups(deny=policy.grantable).without({MANAGER})
    elif channel.has_policy:
        policy = policy.with_groups(policy.grantable)
    return policy if channel.has_clock else policy.without(TIMED_GLOBALS)
