"""What a VM is offered as a device, decided before its VMM connects, and what that may use of its host."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from crossdomain.context.memory import HostMemory
from crossdomain.context.pace import Allowance
from crossdomain.context.passage import Chain as PollChain
from crossdomain.context.passage import Passage
from crossdomain.context.selector import PortSelector
from crossdomain.device.expectations import Expectations
from crossdomain.device.profiles import GPU, Profile
from crossdomain.device.resources import AttachedResources


class Context(Protocol):
    """What the device needs of `crossdomain.context.context.Context`."""

    def submit(self, commands: bytes | memoryview, /) -> None:
        """Carries out the commands of one SUBMIT_3D."""
        ...

    def create_fence(
        self, ring_idx: int | None, complete: Callable[[], None], chain: "PollChain | None" = None, /
    ) -> None:
        """Calls `complete` once what was submitted on that ring is done, or has C answer `chain`."""
        ...

    @property
    def passage(self) -> Passage | None:
        """Carries what needs no Python, where there is one."""
        ...

    def take_blob(self, blob_id: int, size: int, /) -> HostMemory:
        """The memory of that blob, which is the caller's."""
        ...

    def close(self) -> None:
        """Ends it; fences that are held are completed."""
        ...


ContextFactory: TypeAlias = Callable[[int, bytes, AttachedResources], Context]
"""Makes the context of that ctx_id, debug_name and resources."""


class Offer(NamedTuple):
    """One of a VM's devices."""

    new_context: ContextFactory
    """For each CTX_CREATE."""
    capset: bytes
    """The data of capset 5."""
    window_size: int
    """Bytes of the host-visible window, a power of two; as much host memory may the guest hold in blobs."""
    name: str
    """Names the VM in log lines."""
    profile: Profile = GPU
    """Which of the two devices it is."""


class Conditions(NamedTuple):
    """What a device may use of its host."""

    allowance: Allowance
    """What the VM may have."""
    ports: PortSelector | None
    """What the running loop waits with, where C is to carry what needs no Python."""
    expectations: Expectations
    """Who expects that the guest imports something here."""
