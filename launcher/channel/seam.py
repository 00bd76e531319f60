"""The way to the host: one channel is one cross-domain context, and carries one client.

The seam between relay/, which knows Wayland, and whatever moves the bytes: `virtgpu` (DRM
ioctls) or `local` (a Unix socket to the same daemon).  A channel decides nothing.  Its events
are those of `crossdomain.abi.cross_domain`, with data that stays valid.
"""

from collections.abc import Callable, Sequence
from mmap import mmap
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import Buffer, Identifier, ReadWrite, SendReceive
from crossdomain.abi.pages import CopyPages, Shown, ShowPages

if TYPE_CHECKING:
    from crossdomain.native._core import RingPointer

Event: TypeAlias = SendReceive | ReadWrite
"""A RECEIVE (of 0 bytes: the compositor is gone) or a READ."""


class Device(NamedTuple):
    """A DRM device of the guest's."""

    path: str
    """Of its render node."""
    number: int
    """dev_t."""
    is_linear: bool
    """Whether its buffers are linear where nobody says how they are."""


class Memory(Protocol):
    """Memory of the host that can be given to the compositor."""

    @property
    def size(self) -> int:
        """Bytes, at least what was asked for."""
        ...

    @property
    def identifier(self) -> Identifier:
        """What a SEND names it by, any number of times."""
        ...

    def close(self) -> None:
        """Unmaps it and gives it up here; the compositor keeps what it was given."""
        ...


class SharedMemory(Memory, Protocol):
    """Memory of the host that is mapped here, too."""

    @property
    def buffer(self) -> mmap:
        """The mapping, writable, valid until `close`."""
        ...


class ImportedFile(Protocol):
    """A file of the client's whose pages the host sees (`crossdomain.abi.pages`)."""

    @property
    def resource_id(self) -> int:
        """What COPY_PAGES names it by."""
        ...

    @property
    def is_copied(self) -> bool:
        """Whether the host copies out of it, too; otherwise it only shows it."""
        ...

    @property
    def key(self) -> bytes:
        """What COPY_PAGES has to show."""
        ...

    @property
    def begin(self) -> int:
        """Where the file's first byte is in the resource, or would be: less than 0 where `start` is not."""
        ...

    @property
    def start(self) -> int:
        """The first byte of the file that the host sees."""
        ...

    @property
    def end(self) -> int:
        """The first byte behind those."""
        ...

    def is_whole(self) -> bool:
        """Whether the file still has all pages that the host sees: none was punched out."""
        ...

    def close(self) -> None:
        """Shows it no longer: nothing that names it may be on its way.  May be called again."""
        ...


class SharedFile(Protocol):
    """A file of the client's that the host knows."""

    @property
    def identifier(self) -> Identifier:
        """What a SEND names it by, any number of times."""
        ...

    def close(self) -> None:
        """Lets the host forget it; the compositor keeps what it was given."""
        ...


class HostCopies(Protocol):
    """What a channel can do whose host sees the guest's own memory."""

    def import_file(self, fd: int, start: int, end: int, /) -> ImportedFile | None:
        """Shows the host the pages of a memory file, from one byte, which begins a page, to another.

        The fd stays the caller's.  Returns None where the file does not allow it, or the kernel not so much.
        """
        ...

    def import_dmabuf(self, fd: int, size: int, /) -> ImportedFile | None:
        """Shows the host a dmabuf of `size` bytes for this channel alone; as `import_file`."""
        ...

    def copy(self, copy: CopyPages) -> None:
        """Has the host copy before it gets the next SEND; only from an open file that `is_copied`."""
        ...

    def show(self, show: ShowPages) -> Shown:
        """Asks whether the compositor reads an image in a file in place.  Waits for the host's answer.

        The answer's identifier is one of IdentifierType.PAGES.
        """
        ...

    def create_memory(self, size: int) -> Memory:
        """As `Channel.create_memory`, for what only the host writes: it costs the VM no mapping."""
        ...


class Way(NamedTuple):
    """How messages that nobody has to decide on pass in C (`launcher.lane`), reading and writing `fileno`."""

    ring: "RingPointer | None"
    """The channel ring, valid until `close`; None where events are packets of `crossdomain.abi.local`."""
    keep: Callable[[bytes, list[int], bool], None]
    """Takes a packet that was read there and is no such message, for `receive`: the bytes, the fds, which are
    given away, and whether something of it is lost.  Raises HostFault."""
    queue: Callable[[bytes], None]
    """Takes COPY_PAGES commands that go before the next `send`."""


class Channel(Protocol):
    """One connection to a compositor on the host.

    Every method raises HostFault where the other side is broken or gone, and OSError where
    the machine has no more fds or memory; after either, `close` is all that is left to do.
    """

    @property
    def max_send(self) -> int:
        """Payload bytes of one `send`."""
        ...

    @property
    def has_pipe_credit(self) -> bool:
        """Whether pipes have flow control (`cross_domain.Feature.PIPE_CREDIT`)."""
        ...

    @property
    def way(self) -> Way | None:
        """None where all messages go through `send` and `receive`."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits here for the next `send` or `receive`."""
        ...

    @property
    def device(self) -> Device | None:
        """The DRM device that clients may allocate buffers on, if there is one."""
        ...

    @property
    def has_policy(self) -> bool:
        """Whether the host decides which globals may be seen (`cross_domain.Feature.POLICY`)."""
        ...

    @property
    def has_clock(self) -> bool:
        """Whether the host tells its time (`cross_domain.Feature.CLOCK`)."""
        ...

    @property
    def has_lasting_pipes(self) -> bool:
        """Whether pipes outlive the connection to the compositor (`cross_domain.Feature.LASTING_PIPES`)."""
        ...

    @property
    def has_fences(self) -> bool:
        """Whether fences of the compositor's can be had (`cross_domain.Feature.SYNC`)."""
        ...

    @property
    def proves(self) -> bool:
        """Whether `prove` tells of the host: where nothing else would tell of its end."""
        ...

    @property
    def has_points(self) -> bool:
        """Whether the compositor can have timelines of the client's (`cross_domain.Feature.POINTS`)."""
        ...

    @property
    def shares_fences(self) -> bool:
        """Whether the compositor can have the client's fences: it is on the same kernel."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the host itself is gone, where its end can be seen: nothing more comes, pipes included."""
        ...

    @property
    def has_events(self) -> bool:
        """Whether `receive` has what `fileno` does not tell of: it came while an answer was awaited."""
        ...

    @property
    def host_copies(self) -> HostCopies | None:
        """None where the host sees none of the guest's memory."""
        ...

    def fileno(self) -> int:
        """Readable where `receive` has something; writable where a full channel has room again."""
        ...

    def send(self, data: Buffer, identifiers: Sequence[Identifier] = ()) -> bool:
        """Sends bytes of the Wayland connection; the identifiers arrive as fds with the first byte.

        At most `max_send` bytes and MAX_IDENTIFIERS identifiers.  Returns False where the channel
        is full: nothing was taken.
        """
        ...

    def write_pipe(self, identifier: int, data: Buffer, *, hang_up: bool = False, credit: int = 0) -> bool:
        """Sends WRITE: data for a pipe, its end, or credit.  At most `max_send` bytes.

        Returns False where the channel is full: nothing was taken.
        """
        ...

    def receive(self) -> Sequence[Event]:
        """Returns the events that are there, possibly none.  Never blocks.

        A client that must not get more is served by not calling this: the host waits then.
        """
        ...

    def share_file(self, fd: int, size: int, /) -> SharedFile | None:
        """Lets the host know a memory file (`crossdomain.bridge.memory_file`) of at least `size` bytes.

        The fd stays the caller's.  Returns None where the host is another machine, or must not have it.
        """
        ...

    def share_dmabuf(self, fd: int, size: int, /) -> SharedFile | None:
        """Lets the compositor have a dmabuf that is a blob in host memory; as `share_file`.

        Returns None where it is any other.
        """
        ...

    def create_memory(self, size: int) -> SharedMemory:
        """Creates shared memory of at least `size` bytes, zeroed.  Waits for the host's answer."""
        ...

    def read_blob(self, identifier: Identifier) -> bytes:
        """Returns the contents of a VIRTGPU_BLOB that a RECEIVE brought: good once.

        Waits for the host's answer.
        """
        ...

    def share_fence(self, fd: int, /) -> Identifier:
        """Lets the host know a sync file or a DRM timeline; what it returns is good for one SEND.

        The fd stays the caller's.  Only where `shares_fences`.
        """
        ...

    def open_fence(self, identifier: Identifier, /) -> int:
        """Returns the fd of a fence that a VIRTGPU_SYNC of a RECEIVE stands for: good once.

        It is of this machine's kernel, over when the compositor's fence is, and the caller's.  Only where
        `has_fences`.
        """
        ...

    def read_clock(self, clock_id: ClockId) -> int:
        """Returns a clock of the host's in ns, read at some moment between call and return.

        Only where `has_clock`.  Waits for the host's answer.
        """
        ...

    def prove(self) -> int:
        """Returns an fd that is readable once the host has handled what was sent so far; it is the caller's.

        Negative where it does not (`proves`).
        """
        ...

    def close(self) -> None:
        """Ends the context, and with it the connection to the compositor.  May be called again."""
        ...


OpenChannel: TypeAlias = Callable[[str], Channel]
"""Opens a channel for the client of that name; raises EnvironmentFault, HostFault or OSError."""
