"""vhost-user messages, sans-IO: bytes and fds in, messages out, and back to bytes.

Serves both sockets of a session: the main one, where the front-end (the VMM) asks, and
the back-end channel, where it answers.  `transport` moves the bytes, `backend` acts on
the messages.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from crossdomain.abi import vhost_user as abi
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_VHOST_USER_PAYLOAD


class Shape(NamedTuple):
    """What one message may look like: payload bytes, and how many fds come with it."""

    smallest: int
    largest: int
    fds: int = 0


_EMPTY: Final = Shape(0, 0)
_U64: Final = Shape(abi.U64.size, abi.U64.size)
_U64_FD: Final = Shape(abi.U64.size, abi.U64.size, 1)
_STATE: Final = Shape(abi.VRING_STATE.size, abi.VRING_STATE.size)
_REGION: Final = Shape(abi.SINGLE_MEMORY_REGION.size, abi.SINGLE_MEMORY_REGION.size, 1)
_CONFIG: Final = Shape(abi.CONFIG_HEADER.size, abi.CONFIG_HEADER.size + abi.CONFIG_MAX_SIZE)

REQUESTS: Final[Mapping[int, Shape]] = {
    abi.VHOST_USER_GET_FEATURES: _EMPTY,
    abi.VHOST_USER_SET_FEATURES: _U64,
    abi.VHOST_USER_SET_OWNER: _EMPTY,
    abi.VHOST_USER_RESET_OWNER: _EMPTY,
    abi.VHOST_USER_SET_MEM_TABLE: Shape(
        abi.MEMORY_HEADER.size,
        abi.MEMORY_HEADER.size + abi.MEMORY_MAX_REGIONS * abi.MEMORY_REGION.size,
        abi.MEMORY_MAX_REGIONS,
    ),
    abi.VHOST_USER_SET_VRING_NUM: _STATE,
    abi.VHOST_USER_SET_VRING_ADDR: Shape(abi.VRING_ADDR.size, abi.VRING_ADDR.size),
    abi.VHOST_USER_SET_VRING_BASE: _STATE,
    abi.VHOST_USER_GET_VRING_BASE: _STATE,
    abi.VHOST_USER_SET_VRING_KICK: _U64_FD,
    abi.VHOST_USER_SET_VRING_CALL: _U64_FD,
    abi.VHOST_USER_SET_VRING_ERR: _U64_FD,
    abi.VHOST_USER_GET_PROTOCOL_FEATURES: _EMPTY,
    abi.VHOST_USER_SET_PROTOCOL_FEATURES: _U64,
    abi.VHOST_USER_GET_QUEUE_NUM: _EMPTY,
    abi.VHOST_USER_SET_VRING_ENABLE: _STATE,
    abi.VHOST_USER_SET_BACKEND_REQ_FD: Shape(0, abi.U64.size, 1),
    abi.VHOST_USER_GET_CONFIG: _CONFIG,
    abi.VHOST_USER_SET_CONFIG: _CONFIG,
    abi.VHOST_USER_RESET_DEVICE: _EMPTY,
    abi.VHOST_USER_GET_MAX_MEM_SLOTS: _EMPTY,
    abi.VHOST_USER_ADD_MEM_REG: _REGION,
    abi.VHOST_USER_REM_MEM_REG: _REGION,
    abi.VHOST_USER_GET_SHMEM_CONFIG: Shape(0, abi.SHMEM_CONFIG.size),
}
"""The requests of a front-end that this back-end knows."""

BACKEND_REPLIES: Final[Mapping[int, Shape]] = {
    abi.VHOST_USER_BACKEND_SHMEM_MAP: _U64,
    abi.VHOST_USER_BACKEND_SHMEM_UNMAP: _U64,
}
"""What a front-end may answer on the back-end channel."""

_NO_REQUEST: Final = -1
_UNKNOWN: Final = Shape(0, MAX_VHOST_USER_PAYLOAD, abi.MAX_FDS)


class Message(NamedTuple):
    """One message.

    Whoever handles it takes the fds that it keeps out of `fds`; `close_fds` closes the rest.
    """

    request: int
    needs_reply: bool
    payload: bytes
    fds: list[int]

    def close_fds(self) -> None:
        """Closes the fds that nobody took."""
        close_all(self.fds)
        self.fds.clear()


def close_all(fds: Iterable[int]) -> None:
    """Closes every fd of `fds`."""
    for fd in fds:
        os.close(fd)


class Decoder:
    """One direction of one socket.

    Read at most `wanted` bytes, give them to `feed` with the fds that came along, and repeat.
    Reading no further than that keeps each fd with its own message: a front-end sends them with
    the header's first byte (vhost-user, Communication).
    """

    __slots__ = ("_buffer", "_fds", "_flags", "_replies", "_request", "_shapes", "_size")

    def __init__(self, shapes: Mapping[int, Shape], *, replies: bool) -> None:
        """`replies` says whether the messages of this direction carry the reply flag, or must not."""
        self._shapes = shapes
        self._replies = replies
        self._buffer = bytearray()
        self._fds: list[int] = []
        self._request = _NO_REQUEST
        self._flags = 0
        self._size = 0

    @property
    def wanted(self) -> int:
        """Bytes still missing of the header, or of the payload once the header is there; never 0."""
        end = abi.HEADER.size if self._request == _NO_REQUEST else self._size
        return end - len(self._buffer)

    @property
    def idle(self) -> bool:
        """Whether the stream may end here: no message has begun."""
        return self._request == _NO_REQUEST and not self._buffer

    def feed(self, data: bytes, fds: Iterable[int] = ()) -> Message | None:
        """Takes up to `wanted` bytes, and `fds`, which are closed where they belong to nothing.

        Returns:
            The message that this completes.

        Raises:
            HostFault: the header, the size or the number of fds is wrong.  The stream is of no use then.
        """
        came = list(fds)
        if came and not self.idle:
            close_all(came)
            raise HostFault(f"{len(came)} fds in the middle of a vhost-user message")
        self._fds += came
        self._buffer += data
        if self._request == _NO_REQUEST:
            if len(self._buffer) < abi.HEADER.size:
                return None
            self._take_header()
        if len(self._buffer) < self._size:
            return None
        return self._take_message()

    def close(self) -> None:
        """Closes the fds of a message that never became whole."""
        close_all(self._fds)
        self._fds.clear()

    def _take_header(self) -> None:
        request, flags, size = abi.HEADER.unpack_from(self._buffer)
        if flags & abi.VHOST_USER_VERSION_MASK != abi.VHOST_USER_VERSION:
            raise HostFault(f"vhost-user version {flags & abi.VHOST_USER_VERSION_MASK} in message {request}")
        if bool(flags & abi.VHOST_USER_REPLY_MASK) != self._replies:
            raise HostFault(f"vhost-user message {request} goes the wrong way: flags {flags:#x}")
        shape = self._shapes.get(request, _UNKNOWN)
        if not shape.smallest <= size <= shape.largest:
            raise HostFault(f"vhost-user message {request} of {size} bytes")
        if len(self._fds) > shape.fds:
            raise HostFault(f"vhost-user message {request} with {len(self._fds)} fds")
        self._request, self._flags, self._size = request, flags, size
        self._buffer.clear()

    def _take_message(self) -> Message:
        needs_reply = bool(self._flags & abi.VHOST_USER_NEED_REPLY_MASK)
        message = Message(self._request, needs_reply, bytes(self._buffer), self._fds)
        self._request = _NO_REQUEST
        self._buffer.clear()
        self._fds = []
        return message


def encode_request(request: int, payload: bytes, *, needs_reply: bool = False) -> bytes:
    """A request, in either direction."""
    flags = abi.VHOST_USER_VERSION | (abi.VHOST_USER_NEED_REPLY_MASK if needs_reply else 0)
    return abi.HEADER.pack(request, flags, len(payload)) + payload


def encode_reply(request: int, payload: bytes) -> bytes:
    """The reply to `request`."""
    return (
        abi.HEADER.pack(request, abi.VHOST_USER_VERSION | abi.VHOST_USER_REPLY_MASK, len(payload)) + payload
    )


def encode_reply_u64(request: int, value: int) -> bytes:
    """A reply of one number; as an acknowledgement 0 means success (vhost-user, REPLY_ACK)."""
    return encode_reply(request, abi.U64.pack(value))


class Region(NamedTuple):
    """One memory region as the front-end describes it; sizes and offsets in bytes."""

    guest_address: int
    size: int
    user_address: int
    fd_offset: int


def parse_mem_table(payload: bytes) -> list[Region]:
    """SET_MEM_TABLE's regions, in the order of its fds.

    Raises:
        HostFault: it counts more regions than the message holds.
    """
    (count,) = abi.MEMORY_HEADER.unpack_from(payload)
    body = payload[abi.MEMORY_HEADER.size :]
    if count > abi.MEMORY_MAX_REGIONS or count * abi.MEMORY_REGION.size > len(body):
        raise HostFault(f"SET_MEM_TABLE says {count} regions in {len(payload)} bytes")
    return [Region(*abi.MEMORY_REGION.unpack_from(body, i * abi.MEMORY_REGION.size)) for i in range(count)]


def encode_shmem_config(sizes: Mapping[int, int]) -> bytes:
    """GET_SHMEM_CONFIG's reply: bytes of each shared-memory region by its id (virtio 1.3, 2.10)."""
    table = [sizes.get(shmid, 0) for shmid in range(256)]
    return abi.SHMEM_CONFIG.pack(sum(1 for size in table if size), *table)
