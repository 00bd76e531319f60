"""A cross-domain context that does nothing but remember: for tests of the device alone."""

from collections.abc import Callable

from crossdomain.context.memory import HostMemory
from crossdomain.context.passage import Chain
from crossdomain.context.ports import Resources
from crossdomain.errors import CrossDomainError, GuestFault


class StubContext:
    """What the device asked of one context; the test completes fences and says what fails."""

    def __init__(self, ctx_id: int, name: bytes, resources: Resources) -> None:
        self.ctx_id = ctx_id
        self.name = name
        self.resources = resources
        self.submitted: list[bytes] = []
        self.held: list[Callable[[], None]] = []
        self.fenced: list[int | None] = []
        self.blobs: dict[int, bytes] = {}
        """What is in each blob that can be taken."""
        self.fault: CrossDomainError | None = None
        """Raised by the next `submit`."""
        self.closed = False

    @property
    def passage(self) -> None:
        """Nothing passes without it."""
        return

    def submit(self, commands: bytes | memoryview, /) -> None:
        """Remembers the commands."""
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.submitted.append(bytes(commands))

    def create_fence(
        self, ring_idx: int | None, complete: Callable[[], None], _chain: "Chain | None" = None, /
    ) -> None:
        """Holds fences of ring 1 until the test completes them; there are two rings."""
        self.fenced.append(ring_idx)
        if ring_idx == 1:
            self.held.append(complete)
        elif ring_idx:
            raise GuestFault(f"ring {ring_idx} of 2")
        else:
            complete()

    def take_blob(self, blob_id: int, size: int, /) -> HostMemory:
        """Fresh memory that begins with `blobs[blob_id]`."""
        content = self.blobs.get(blob_id)
        if content is None:
            raise GuestFault(f"blob {blob_id} is unknown")
        memory = HostMemory.create(size)
        memory.write(0, content)
        return memory

    def complete_oldest(self) -> None:
        """Signals the fence that was held longest."""
        self.held.pop(0)()

    def close(self) -> None:
        """Completes what is held, as the real one does."""
        self.closed = True
        while self.held:
            self.complete_oldest()


class StubHost:
    """Makes the contexts, and keeps them all for the test to look at."""

    def __init__(self) -> None:
        self.contexts: list[StubContext] = []
        self.fault: CrossDomainError | None = None
        """Raised by the next `new_context`."""

    def new_context(self, ctx_id: int, name: bytes, resources: Resources, /) -> StubContext:
        """A context, as the daemon makes one."""
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.contexts.append(StubContext(ctx_id, name, resources))
        return self.contexts[-1]

    @property
    def last(self) -> StubContext:
        """The context made last."""
        return self.contexts[-1]
