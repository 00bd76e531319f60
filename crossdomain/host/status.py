"""What the daemon is serving, as data."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast, get_type_hints

from crossdomain.context.context import Context
from crossdomain.context.quotas import Quotas
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_TEXT


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One client, by its `name` in log lines, and by its VM's number for it: what it has now, and what passed
    through it so far.  Bytes are of Wayland messages each way, and of pixels that were copied on the host;
    buffers by the way they go; times in us, of a sample, at the percentile.
    """

    name: str
    context: int
    alive: bool
    sends: int
    requests: int
    bytes_to_host: int
    fds_to_host: int
    events: int
    bytes_to_guest: int
    fds_to_guest: int
    bytes_copied: int
    copies: int
    buffers_mapped: int
    buffers_shown: int
    held: int
    """How often it was slowed down."""
    resources: int
    blob_bytes: int
    objects: int
    surfaces: int
    fds: int
    pipes: int
    queued_bytes: int
    piped_bytes: int
    messages: int
    """Requests and other commands so far."""
    messages_per_second: int
    """Since the status was asked last, or since it connected."""
    to_host_p50: int
    to_host_p95: int
    to_host_p99: int
    to_guest_p50: int
    to_guest_p95: int
    to_guest_p99: int

    @classmethod
    def of(cls, context: Context) -> Self:
        """A snapshot of one context."""
        counters = context.counters
        times = {
            f"{name}_p{percent}": latency.percentile(percent)
            for name, latency in (("to_host", counters.to_host), ("to_guest", counters.to_guest))
            for percent in (50, 95, 99)
        }
        counted = {name: getattr(counters, name) for name in _COUNTED}
        usage = context.usage._asdict()
        return cls(
            name=context.name,
            context=context.name.context or 0,
            alive=context.alive,
            messages_per_second=context.look_at_speed(),
            **counted,
            **usage,
            **times,
        )


_MOST: Final = (1 << 63) - 1
_COUNTED: Final = (
    *("sends", "requests", "bytes_to_host", "fds_to_host", "events", "bytes_to_guest", "fds_to_guest"),
    *("bytes_copied", "copies", "buffers_mapped", "buffers_shown", "held"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Clients, and what they have and use together: contexts, resources, what blobs in host memory may grow
    to in bytes, objects and surfaces.

    Messages and milliseconds of the processor are all so far; what they are a second, and a share of a
    processor in percent, is since the status was asked last, or since the worker began.
    """

    clients: list[ClientStatus]
    contexts: int
    resources: int
    host_bytes: int
    objects: int
    surfaces: int
    messages: int
    messages_per_second: int
    cpu_ms: int
    cpu_percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus(Served):
    """What one worker serves."""

    orphaned_pipes: int


def parse_worker_status(fields: Mapping[str, object]) -> WorkerStatus:
    """What a worker said of itself.

    Raises:
        HostFault: that is no status.
    """
    status = fields.get("status")
    if not isinstance(status, dict):
        raise HostFault("a worker without a status")
    members = cast("dict[str, object]", status)
    clients = members.get("clients")
    if not isinstance(clients, list):
        raise HostFault("a worker without clients")
    numbers = {field.name: members.get(field.name) for field in dataclasses.fields(WorkerStatus)}
    del numbers["clients"]
    for name, value in numbers.items():
        if not _is_number(value):
            raise HostFault(f"a worker whose {name} is {value!r:.80}")
    return WorkerStatus(
        clients=[_parse_client(client) for client in cast("list[object]", clients)],
        **cast("dict[str, int]", numbers),
    )


def _parse_client(client: object) -> ClientStatus:
    kinds = get_type_hints(ClientStatus)
    if not isinstance(client, dict):
        raise HostFault("a client without a status")
    members = cast("dict[str, object]", client)
    if set(members) != set(kinds):
        raise HostFault("a client with an unusual status")
    for name, value in members.items():
        if type(value) is not kinds[name]:
            raise HostFault(f"a client's {name} is {value!r:.80}")
        if len(value) > MAX_TEXT if isinstance(value, str) else not _is_number(value, bool):
            raise HostFault(f"a client's {name} is not to be believed")
    return ClientStatus(**cast("dict[str, Any]", members))


def _is_number(value: object, *others: type) -> bool:
    """Whether it is one that something can be counted with; or of those types."""
    return type(value) in others or (type(value) is int and 0 <= value <= _MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmStatus(Served):
    """One VM: what it is served, the descriptors of its worker, and its quotas."""

    name: str
    fds: int
    quotas: Quotas

    @classmethod
    def of(cls, name: str, worker: WorkerStatus, fds: int, quotas: Quotas) -> Self:
        """What a worker says, with what the supervisor knows."""
        told = {field.name: getattr(worker, field.name) for field in dataclasses.fields(Served)}
        return cls(name=name, fds=fds, quotas=quotas, **told)


@dataclass(frozen=True, slots=True)
class Status:
    """The whole daemon: `fds` of all its processes, `local_bytes` what local clients' memory may grow to, and
    what the workers of local sockets use together.
    """

    vms: list[VmStatus]
    local: list[ClientStatus]
    local_resources: int
    local_bytes: int
    local_messages_per_second: int
    local_cpu_ms: int
    local_cpu_percent: int
    orphaned_pipes: int
    fds: int

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))
