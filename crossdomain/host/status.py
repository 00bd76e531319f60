"""What the daemon is serving, as data."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Self

from crossdomain.context.context import Context


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
            pipes=context.pipes,
        )


@dataclass(frozen=True, slots=True)
class VmStatus:
    """One VM: its clients, its resources, and what its blobs in host memory may grow to in bytes."""

    name: str
    clients: list[ClientStatus]
    resources: int
    host_bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """The whole daemon: `fds` are its descriptors, `local_bytes` what local clients' memory may grow to."""

    vms: list[VmStatus]
    local: list[ClientStatus]
    local_resources: int
    local_bytes: int
    orphaned_pipes: int
    fds: int

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))
