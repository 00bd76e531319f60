"""How much one VM and one client may have at a time: the settings' numbers, see docs/host.toml.

The defaults are limits.py's, which says why.  Reaching a quota costs the client that asks for more: its
command is refused, or it ends with a wl_display.error, and a line of the log tells.  Rates slow it down.
"""

from dataclasses import dataclass, field

from crossdomain import limits
from crossdomain.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class VmQuotas:
    """All clients of a VM, or of a local socket, together."""

    contexts: int = limits.MAX_CONTEXTS
    resources: int = limits.MAX_RESOURCES
    blob_bytes: int = limits.MAX_BLOB_BYTES
    fds: int = limits.MAX_WORKER_FDS
    objects: int = limits.MAX_VM_OBJECTS
    surfaces: int = limits.MAX_VM_SURFACES
    messages_per_second: int = limits.VM_MESSAGES_PER_SECOND
    cpu_percent: int = limits.VM_CPU_PERCENT


@dataclass(frozen=True, slots=True)
class ClientQuotas:
    """One client."""

    resources: int = limits.MAX_LOCAL_RESOURCES
    blob_bytes: int = limits.MAX_BLOB_BYTES
    fds: int = limits.MAX_CLIENT_DESCRIPTORS
    pipes: int = limits.MAX_PIPES
    queued_bytes: int = limits.MAX_OUTGOING
    piped_bytes: int = limits.MAX_PIPE_BYTES
    objects: int = limits.MAX_LIVE_OBJECTS
    surfaces: int = limits.MAX_SURFACES
    pool_bytes: int = limits.MAX_POOL_BYTES
    messages_per_second: int = limits.CLIENT_MESSAGES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Quotas:
    """Those of one VM."""

    vm: VmQuotas = field(default_factory=VmQuotas)
    client: ClientQuotas = field(default_factory=ClientQuotas)


def exceeded(quota: str, what: str) -> LimitExceeded:
    """The fault of a client that wants more than a quota grants: `what` says what it has.

    A client's quota has the name that the settings give it, one of its VM has "vm." before that.
    """
    return LimitExceeded(f"{what} (quota {quota})")


def check_descriptor(fd: int, most: int) -> None:
    """Whether this process may have `fd`, its newest descriptor.

    The kernel gives the lowest number that is free, so all below are in use.

    Raises:
        LimitExceeded: it has more than `most`.
    """
    if fd >= most:
        raise exceeded("vm.fds", f"more than {most} descriptors of one VM")
