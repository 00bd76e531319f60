"""What the daemon is serving, as data."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast, get_type_hints

from crossdomain.context.context import Context
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_TEXT


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One client: bytes of Wayland messages, of pixels that were copied on the host, batches and fds so far;
    pipes that are open now.
    """

    name: str
    alive: bool
    sends: int
    bytes_to_host: int
    fds_to_host: int
    events: int
    bytes_to_guest: int
    fds_to_guest: int
    bytes_copied: int
    pipes: int

    @classmethod
    def of(cls, context: Context) -> Self:
        """A snapshot of one context."""
        counters = context.counters
        return cls(
            name=context.name,
            alive=context.alive,
            sends=counters.sends,
            bytes_to_host=counters.bytes_to_host,
            fds_to_host=counters.fds_to_host,
            events=counters.events,
            bytes_to_guest=counters.bytes_to_guest,
            fds_to_guest=counters.fds_to_guest,
            bytes_copied=counters.bytes_copied,
            pipes=context.usage.pipes,
        )


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What one worker serves."""

    clients: list[ClientStatus]
    resources: int
    host_bytes: int
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
    numbers = [members.get(name) for name in ("resources", "host_bytes", "orphaned_pipes")]
    if not all(isinstance(value, int) for value in numbers):
        raise HostFault("a worker that counts nothing")
    resources, host_bytes, orphaned_pipes = cast("list[int]", numbers)
    return WorkerStatus(
        [_parse_client(client) for client in cast("list[object]", clients)],
        resources,
        host_bytes,
        orphaned_pipes,
    )


def _parse_client(client: object) -> ClientStatus:
    kinds = get_type_hints(ClientStatus)
    if not isinstance(client, dict):
        raise HostFault("a client without a status")
    members = cast("dict[str, object]", client)
    if set(members) != set(kinds):
        raise HostFault("a client with an unusual status")
    for name, value in members.items():
        if type(value) is not kinds[name] or (isinstance(value, str) and len(value) > MAX_TEXT):
            raise HostFault(f"a client's {name} is {value!r:.80}")
    return ClientStatus(**cast("dict[str, Any]", members))


@dataclass(frozen=True, slots=True)
class VmStatus:
    """One VM: its clients, its resources, and what its blobs in host memory may grow to in bytes."""

    name: str
    clients: list[ClientStatus]
    resources: int
    host_bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """The whole daemon: `fds` of all its processes, `local_bytes` what local clients' memory may grow to."""

    vms: list[VmStatus]
    local: list[ClientStatus]
    local_resources: int
    local_bytes: int
    orphaned_pipes: int
    fds: int

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))
