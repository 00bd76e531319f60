"""Layouts and constants of the cross-domain protocol (virtio-gpu capset 5).

Commands go from guest to host in SUBMIT_3D; events come back at offset 0 of the channel
ring, each completing one POLL fence; the answer to GET_IMAGE_REQUIREMENTS stands at
offset 0 of the query ring.  Everything is little-endian.  The names are those of
rutabaga_gfx's `cross_domain_protocol.rs`.

What is ours alone is named EXTENSION and negotiated: a guest knows from the capset that
the host has it, and the host does nothing new for a guest that did not ask.

Flow control of pipes (`Feature.PIPE_CREDIT`).  A guest asks for it once, before its first pipe,
with a WRITE of identifier 0 and no data.  From then on each side keeps at most PIPE_WINDOW bytes
on the way in each pipe, and the other side says in `credit`, on a message without data, how many
of them have left it:

- READ_PIPE (the host reads): the guest sends WRITE with `credit` bytes that its reader took, or
  with `hang_up` when its reader is gone: the host then closes its end.
- WRITE_PIPE (the guest writes): the host sends READ with `credit` bytes that went into the pipe,
  or once with `hang_up` when the reader is gone: the guest then closes its end.  The last that a
  guest sends before it destroys the context may be more than the window: what stood in its pipe.

The end of a connection (`Feature.LASTING_PIPES`).  A pipe between two Wayland clients outlives
both connections, so these do too:

- A guest whose client has left sends WRITE of identifier 0 with `hang_up`, after the client's last
  SEND: the host closes the connection to the compositor when all of it is delivered, says no more
  of it, and goes on with the pipes until the guest destroys the context.
- After the hang-up of the compositor (RECEIVE of 0 bytes), which comes once, the pipes go on too.

The channel ring in two slots (`Feature.SHARED_RING`).  A guest asks for it with SHARE_RING, after INIT and
before its first POLL.  Events then go to either half of the ring in turn, and two POLLs may be outstanding,
one for each: so a POLL need not be sent alone, but goes in one submit with the next SEND, which the host
carries out at once.  It is answered with an event also where that SEND is refused, or, where a VM has many
contexts, without one: the guest has one POLL less then, and polls again when it has none.

The host writes the first word of an event last, and the guest sets it to 0 when it has taken the event: so
it may look for one before the fence is signalled.  While the second word of the next slot is RING_LOOKED_AT,
which the guest writes and the host leaves there, and another POLL is outstanding, the host completes one
without an interrupt, most of the time; a guest that stops looking clears that word and then looks once more.

The host's clocks (`Feature.CLOCK`): GET_CLOCK, whose layout is in `abi.clock`.  Pages of the guest
(`Feature.PAGES`): COPY_PAGES, in `abi.pages`, and SHOW_PAGES (`Feature.SHOW_PAGES`) there too.  Fences
(`Feature.SYNC`): AWAIT_SYNC, in `abi.sync`.
"""

from enum import IntEnum, IntFlag
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple, TypeAlias

from crossdomain.abi import capset as _capset
from crossdomain.errors import GuestFault, HostFault
from crossdomain.limits import MAX_IDENTIFIERS

Buffer: TypeAlias = bytes | bytearray | memoryview

CAPSET_ID: Final = _capset.CAPSET_ID
CAPSET: Final = _capset.CAPSET
EXTENSION: Final = _capset.EXTENSION


class Command(IntEnum):
    """`cmd` of the header.  12 means different things to rutabaga and to libkrun."""

    INIT = 1
    GET_IMAGE_REQUIREMENTS = 2
    POLL = 3
    SEND = 4
    RECEIVE = 5
    READ = 6
    WRITE = 7
    CREATE_ATOMIC_MEMORY_SENTINEL = 8
    SIGNAL_ATOMIC_MEMORY_SENTINEL = 9
    DESTROY_ATOMIC_MEMORY_SENTINEL = 10
    READ_CREATE_EVENT = 11
    IMPORT_VIRTIOFS_HANDLE = 12
    ASSIGN_SOCKET_UUID = 13
    GET_CLOCK = 0xF0
    """EXTENSION (`Feature.CLOCK`): far from the numbers that others may give next."""
    COPY_PAGES = 0xF1
    """EXTENSION (`Feature.PAGES`)."""
    SHARE_RING = 0xF8
    """EXTENSION (`Feature.SHARED_RING`): the header only."""
    AWAIT_SYNC = 0xF2
    """EXTENSION (`Feature.SYNC`)."""
    SHOW_PAGES = 0xF4
    """EXTENSION (`Feature.SHOW_PAGES`)."""
    EXPECT_PAGES = 0xF6
    CLAIM_PAGES = 0xF7
    """EXTENSION (`Feature.CLAIM_PAGES`)."""


class ChannelType(IntEnum):
    """What stands at the other end of a channel."""

    WAYLAND = _capset.CHANNEL_WAYLAND
    CAMERA = 2
    PIPEWIRE = 0x10
    X11 = 0x11
    DBUS_SESSION = 0x12
    DBUS_SYSTEM = 0x13
    INTERNAL_SOCKET = 0xFFFFFFFF


class IdentifierType(IntEnum):
    """`identifier_types` of SEND and RECEIVE; 5 and above differ between the dialects."""

    VIRTGPU_BLOB = 1
    VIRTGPU_SYNC = 2
    READ_PIPE = 3
    WRITE_PIPE = 4
    PAGES = 0xF4
    """EXTENSION (`Feature.SHOW_PAGES`): pages of the guest, in a SEND."""
    TIMELINE = 0xF5
    """EXTENSION (`Feature.POINTS`): a new timeline of the host's, in a SEND."""


RING_NONE: Final = 0xFFFFFFFF
"""`ring_idx` for none; over a local channel also the resource id of both rings."""
QUERY_RING: Final = 0
CHANNEL_RING: Final = 1

FIRST_HOST_IDENTIFIER: Final = 2
"""Received fds and image requirements share one counter, which starts here."""
FIRST_READ_PIPE: Final = 0x80000001
"""Read pipes have a counter of their own, whose numbers the guest guesses in advance."""

RING_SIZE: Final = 4096
"""Bytes of the rings that today's guests make; a larger ring carries a larger RECEIVE."""

HEADER: Final = Struct("<BBHI")
"""cmd, ring_idx, cmd_size (this header included), pad."""
INIT_LEGACY: Final = Struct("<8xII")
"""query_ring_id (of both rings), channel_type.  16 bytes."""
INIT: Final = Struct("<8xIII")
"""query_ring_id, channel_ring_id, channel_type.  20 bytes; every host knows it."""
INIT_SIZES: Final = frozenset((16, 20, 24, 36))
"""Legacy; usual; libkrun's with a protocol_version; rutabaga's with a 16-byte uuid."""
GET_IMAGE_REQUIREMENTS: Final = Struct("<8xIIII")
"""width, height (pixels), drm_format, flags (GBM_BO_USE_*).  24 bytes."""
IMAGE_REQUIREMENTS: Final = Struct("<4I4IQQIIii")
"""strides, offsets, modifier, size, blob_id, map_info, memory_idx, physical_device_idx.  64 bytes."""
SEND_RECEIVE: Final = Struct("<8xII")
"""num_identifiers, opaque_data_size; then three arrays of 28 u32: identifiers, types, sizes."""
IDENTIFIERS: Final = Struct(f"<{3 * MAX_IDENTIFIERS}I")
SEND_RECEIVE_SIZE: Final = SEND_RECEIVE.size + IDENTIFIERS.size
"""352: where the opaque data of SEND and RECEIVE begins."""
READ_WRITE: Final = Struct("<8xIIII")
"""identifier, hang_up, opaque_data_size, pad (EXTENSION: credit).  24 bytes, then the data."""
READ_WRITE_SIZE: Final = READ_WRITE.size


RING_SLOTS: Final = 2
"""EXTENSION (`Feature.SHARED_RING`): events that the channel ring has room for, each in a part of its own."""
RING_LOOKED_AT: Final = 0x6B6F6F6C
"""EXTENSION (`Feature.SHARED_RING`): the guest looks into its channel ring, and needs no interrupt."""


class Feature(IntFlag):
    """`features` of the capset's EXTENSION."""

    MAX_SEND = 1
    """`max_send` is valid: payload bytes of a SEND that this host takes."""
    PIPE_CREDIT = 2
    """Pipes have flow control for a guest that asks for it; see the module's docstring."""
    POLICY = 4
    """The host decides which globals this guest may see: the guest shows all that it can carry."""
    CLOCK = 8
    """GET_CLOCK tells the host's time."""
    SHARE_FILES = 16
    """Local channel: memory files of the launcher's may go to the compositor as they are."""
    LASTING_PIPES = 32
    """Pipes outlive the connection to the compositor; see the module's docstring."""
    PAGES = 64
    """COPY_PAGES copies on the host, out of the guest's own pages."""
    SYNC = 256
    """Fences cross in both directions; see `abi.sync`."""
    SHOW_PAGES = 1024
    """SHOW_PAGES may let the compositor read them in place."""
    CLAIM_PAGES = 4096
    """Pages without a key belong to the context that has claimed them."""
    POINTS = 16384
    """Points of timelines are told in both directions; see `abi.points`."""
    SHARED_RING = 262144
    """The channel ring may have two slots, and be looked at; see the module's docstring."""


EXTENSION_MAGIC: Final = 0x4D4F4458
"""'XDOM'."""
NO_IDENTIFIER: Final = 0
"""A WRITE with this identifier and no data asks for PIPE_CREDIT; with `hang_up`, the client has left."""
MAX_SEND: Final = 60000
"""Payload bytes of one SEND to our host: with its 352 bytes it fits `cmd_size`'s 16 bits."""
MAX_SEND_FOREIGN: Final = RING_SIZE - SEND_RECEIVE_SIZE
"""What every host takes in one SEND, and sends in one RECEIVE into a one-page ring: 3744."""
PIPE_WINDOW: Final = 65536
"""Bytes that a side with PIPE_CREDIT keeps on the way in one pipe, a Linux pipe's own size."""


class Identifier(NamedTuple):
    """One entry of SEND or RECEIVE: `size` in bytes for a blob, 0 for a pipe."""

    identifier: int
    type: int
    size: int


class Init(NamedTuple):
    """INIT in any of its sizes."""

    query_ring_id: int
    channel_ring_id: int
    channel_type: int


class SendReceive(NamedTuple):
    """SEND or RECEIVE.  `data` is a view of what was parsed; a RECEIVE of 0 bytes is a hang-up."""

    identifiers: tuple[Identifier, ...]
    data: memoryview


class ReadWrite(NamedTuple):
    """READ or WRITE.  `data` is a view of what was parsed, `credit` in bytes is our EXTENSION."""

    identifier: int
    hang_up: bool
    data: memoryview
    credit: int


class ImageRequirements(NamedTuple):
    """The answer to GET_IMAGE_REQUIREMENTS: bytes per row and of each plane's start."""

    strides: tuple[int, int, int, int]
    offsets: tuple[int, int, int, int]
    modifier: int
    size: int
    blob_id: int


class Capset(NamedTuple):
    """Capset 5 with what our EXTENSION adds; without it `features` is 0 and `max_send` the common one."""

    version: int
    supported_channels: int
    supports_dmabuf: bool
    features: int
    max_send: int


_NO_IDENTIFIERS: Final = bytes(IDENTIFIERS.size)
_PHYSICAL_DEVICE_NONE: Final = -1


def encode_init(query_ring_id: int, channel_ring_id: int, channel_type: int = ChannelType.WAYLAND) -> bytes:
    """INIT of 20 bytes, which every host takes."""
    body = INIT.pack(query_ring_id, channel_ring_id, channel_type)
    return HEADER.pack(Command.INIT, 0, len(body), 0) + body[HEADER.size :]


def encode_poll() -> bytes:
    """POLL; its fence on CHANNEL_RING completes with the next event."""
    return HEADER.pack(Command.POLL, CHANNEL_RING, HEADER.size, 0)


def encode_share_ring() -> bytes:
    """SHARE_RING."""
    return HEADER.pack(Command.SHARE_RING, 0, HEADER.size, 0)


def encode_get_image_requirements(width: int, height: int, drm_format: int, flags: int = 0) -> bytes:
    """GET_IMAGE_REQUIREMENTS; `width` and `height` in pixels."""
    body = GET_IMAGE_REQUIREMENTS.pack(width, height, drm_format, flags)
    return HEADER.pack(Command.GET_IMAGE_REQUIREMENTS, QUERY_RING, len(body), 0) + body[HEADER.size :]


def encode_send(data: Buffer, identifiers: tuple[Identifier, ...] = ()) -> bytes:
    """SEND.  At most MAX_IDENTIFIERS identifiers and the host's `max_send` bytes."""
    return _encode_send_receive(Command.SEND, data, identifiers)


def encode_receive(data: Buffer, identifiers: tuple[Identifier, ...] = ()) -> bytes:
    """RECEIVE, as it stands in the channel ring."""
    return _encode_send_receive(Command.RECEIVE, data, identifiers)


def encode_write(identifier: int, data: Buffer, *, hang_up: bool = False, credit: int = 0) -> bytes:
    """WRITE: data for a write pipe or its end; credit or the end of a read pipe."""
    return _encode_read_write(Command.WRITE, identifier, data, hang_up, credit)


def encode_read(identifier: int, data: Buffer, *, hang_up: bool = False, credit: int = 0) -> bytes:
    """READ, as it stands in the channel ring: data of a read pipe or its end; credit of a write pipe."""
    return _encode_read_write(Command.READ, identifier, data, hang_up, credit)


def encode_image_requirements(requirements: ImageRequirements) -> bytes:
    """The 64 bytes of the query ring."""
    return IMAGE_REQUIREMENTS.pack(
        *requirements.strides,
        *requirements.offsets,
        requirements.modifier,
        requirements.size,
        requirements.blob_id,
        0,
        0,
        _PHYSICAL_DEVICE_NONE,
    )


def encode_capset(
    supported_channels: int, *, supports_dmabuf: bool = False, features: int, max_send: int = MAX_SEND
) -> bytes:
    """The 32 bytes of our capset: the common 16, then EXTENSION."""
    return CAPSET.pack(1, supported_channels, supports_dmabuf, 0) + EXTENSION.pack(
        EXTENSION_MAGIC, features, max_send, 0
    )


def parse_header(data: memoryview) -> tuple[int, int]:
    """`cmd` and `cmd_size` of the command at the start of `data`; the whole command is inside `data`.

    Raises:
        GuestFault: `cmd_size` is below the header's or beyond the end.
    """
    if len(data) < HEADER.size:
        raise GuestFault(f"{len(data)} bytes left, less than a command's header")
    cmd, _ring_idx, cmd_size, _pad = HEADER.unpack_from(data)
    if not HEADER.size <= cmd_size <= len(data):
        raise GuestFault(f"command {cmd} says {cmd_size} bytes, and {len(data)} are left")
    return cmd, cmd_size


def parse_init(command: memoryview) -> Init:
    """INIT, told apart by its exact size.

    Raises:
        GuestFault: a size that no dialect has.
    """
    if len(command) not in INIT_SIZES:
        raise GuestFault(f"INIT of {len(command)} bytes")
    if len(command) == INIT_LEGACY.size:
        ring_id, channel_type = INIT_LEGACY.unpack(command)
        return Init(ring_id, ring_id, channel_type)
    return Init(*INIT.unpack_from(command))


def parse_send(command: memoryview) -> SendReceive:
    """SEND.

    Raises:
        GuestFault: too short, more than MAX_IDENTIFIERS identifiers, or data beyond the command.
    """
    try:
        return _parse_send_receive(command)
    except ValueError as error:
        raise GuestFault(f"SEND: {error}") from None


def parse_write(command: memoryview) -> ReadWrite:
    """WRITE.

    Raises:
        GuestFault: too short, or data beyond the command.
    """
    try:
        return _parse_read_write(command)
    except ValueError as error:
        raise GuestFault(f"WRITE: {error}") from None


def parse_event(ring: Buffer) -> SendReceive | ReadWrite:
    """What the host wrote at offset 0 of the channel ring (or into a local EVENT).

    The data is a view of `ring`: use it before the next POLL.  `cmd_size` is not looked at,
    because hosts differ in what they count.

    Raises:
        HostFault: neither RECEIVE nor READ, or a length beyond the ring.
    """
    view = memoryview(ring)
    try:
        cmd = view[0]
        if cmd == Command.RECEIVE:
            return _parse_send_receive(view)
        if cmd == Command.READ:
            return _parse_read_write(view)
    except (ValueError, IndexError) as error:
        raise HostFault(f"an event that does not fit its ring: {error}") from None
    raise HostFault(f"event {cmd} is neither RECEIVE nor READ")


def parse_image_requirements(answer: Buffer) -> ImageRequirements:
    """The query ring's first 64 bytes.

    Raises:
        HostFault: too short.
    """
    try:
        fields = IMAGE_REQUIREMENTS.unpack_from(answer)
    except StructError as error:
        raise HostFault(f"image requirements: {error}") from None
    s0, s1, s2, s3, o0, o1, o2, o3, modifier, size, blob_id, _map_info, _memory, _device = fields
    return ImageRequirements((s0, s1, s2, s3), (o0, o1, o2, o3), modifier, size, blob_id)


def parse_capset(capset: Buffer) -> Capset:
    """Capset 5 of any host: 16 bytes, and our EXTENSION where there is one.

    Raises:
        HostFault: too short.
    """
    try:
        version, channels, supports_dmabuf, _external = CAPSET.unpack_from(capset)
    except StructError as error:
        raise HostFault(f"capset 5: {error}") from None
    features, max_send = 0, MAX_SEND_FOREIGN
    if len(capset) >= CAPSET.size + EXTENSION.size:
        magic, offered, offered_max_send, _reserved = EXTENSION.unpack_from(capset, CAPSET.size)
        features = offered if magic == EXTENSION_MAGIC else 0
        max_send = offered_max_send if features & Feature.MAX_SEND else MAX_SEND_FOREIGN
    return Capset(version, channels, bool(supports_dmabuf), features, max_send)


def _cmd_size(cmd: int, size: int) -> int:
    # Hosts leave it 0 in events, and guests exist that take the header's first 4 bytes for the command.
    return 0 if cmd in (Command.RECEIVE, Command.READ) else size


def _encode_send_receive(cmd: int, data: Buffer, identifiers: tuple[Identifier, ...]) -> bytes:
    size = len(data)
    header = HEADER.pack(cmd, 0, _cmd_size(cmd, SEND_RECEIVE_SIZE + size), 0)
    counts = SEND_RECEIVE.pack(len(identifiers), size)[HEADER.size :]
    arrays = _encode_identifiers(identifiers) if identifiers else _NO_IDENTIFIERS
    return b"".join((header, counts, arrays, data))


def _encode_identifiers(identifiers: tuple[Identifier, ...]) -> bytes:
    padding = (0,) * (MAX_IDENTIFIERS - len(identifiers))
    columns = [column + padding for column in zip(*identifiers, strict=True)]
    return IDENTIFIERS.pack(*columns[0], *columns[1], *columns[2])


def _parse_send_receive(command: memoryview) -> SendReceive:
    if len(command) < SEND_RECEIVE_SIZE:
        raise ValueError(f"{len(command)} bytes")
    count, size = SEND_RECEIVE.unpack_from(command)
    if count > MAX_IDENTIFIERS:
        raise ValueError(f"{count} identifiers")
    if size > len(command) - SEND_RECEIVE_SIZE:
        raise ValueError(f"{size} bytes of data where {len(command) - SEND_RECEIVE_SIZE} are left")
    data = command[SEND_RECEIVE_SIZE : SEND_RECEIVE_SIZE + size]
    if not count:
        return SendReceive((), data)
    words = IDENTIFIERS.unpack_from(command, SEND_RECEIVE.size)
    types = MAX_IDENTIFIERS
    sizes = 2 * MAX_IDENTIFIERS
    entries = (Identifier(words[i], words[types + i], words[sizes + i]) for i in range(count))
    return SendReceive(tuple(entries), data)


def _encode_read_write(cmd: int, identifier: int, data: Buffer, hang_up: bool, credit: int) -> bytes:
    header = HEADER.pack(cmd, 0, _cmd_size(cmd, READ_WRITE_SIZE + len(data)), 0)
    body = READ_WRITE.pack(identifier, hang_up, len(data), credit)[HEADER.size :]
    return b"".join((header, body, data))


def _parse_read_write(command: memoryview) -> ReadWrite:
    if len(command) < READ_WRITE_SIZE:
        raise ValueError(f"{len(command)} bytes")
    identifier, hang_up, size, credit = READ_WRITE.unpack_from(command)
    if size > len(command) - READ_WRITE_SIZE:
        raise ValueError(f"{size} bytes of data where {len(command) - READ_WRITE_SIZE} are left")
    return ReadWrite(identifier, bool(hang_up), command[READ_WRITE_SIZE : READ_WRITE_SIZE + size], credit)
