"""Files of the client that the compositor reads: keymaps, gamma ramps and ICC profiles.

The host can't see the guest's files, so the compositor gets a copy in memory of the host.  That has
whole pages, and what lies behind the file's end reads as zeros there: where a compositor would have
found that a file is too short, it is found here.
"""

import fcntl
import os
import stat
from collections.abc import Callable
from struct import Struct
from typing import Final

from crossdomain.abi.cross_domain import Identifier
from crossdomain.errors import LimitExceeded
from crossdomain.limits import MAX_CARRIED_FILE, MAX_FILES_ON_THE_WAY
from crossdomain.wire import Record, WireFault
from crossdomain.wire.faults import DisplayError
from launcher.channel.seam import Channel, SharedMemory
from launcher.relay.messages import EventHandler, Host, RequestHandler, Route, ToClient, ToHost, message

_HEADER: Final = 8
_UINT: Final = Struct("<I")
_FORMAT_SIZE: Final = Struct("<II")
_OFFSET_LENGTH: Final = Struct("<II")
_CHUNK: Final = 1 << 20
"""Bytes that are held twice while a file is copied."""

_GAMMA_CHANNELS: Final = 3
_GAMMA_BYTES: Final = 2
_INVALID_GAMMA: Final = 1
"""zwlr_gamma_control_v1.error."""

_BAD_FD, _BAD_SIZE, _OUT_OF_FILE = 2, 3, 4
"""wp_image_description_creator_icc_v1.error."""
_NO_FILE: Final = "what is no file, or can't be read"


class Files:
    """One client's; a `messages.Part`."""

    def __init__(self, host: Host, channel: Channel) -> None:
        self._host = host
        self._channel = channel
        self._on_the_way = 0
        self._ramp_sizes: dict[int, int] = {}

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("zwp_virtual_keyboard_v1", "keymap"): _closing(self._handle_keymap),
            ("zwlr_gamma_control_v1", "set_gamma"): _closing(self._handle_set_gamma),
            ("zwlr_gamma_control_v1", "destroy"): self._handle_destroy_gamma,
            ("wp_image_description_creator_icc_v1", "set_icc_file"): _closing(self._handle_set_icc_file),
        }

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {("zwlr_gamma_control_v1", "gamma_size"): self._handle_gamma_size}

    def _handle_keymap(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        _format, size = _FORMAT_SIZE.unpack_from(data, record.offset + _HEADER)
        if _size_of(fds[0]) is None:
            raise WireFault(record.object_id, DisplayError.NO_MEMORY, f"a keymap in {_NO_FILE}")
        return self._share(message(record, data), fds[0], 0, size)

    def _handle_set_gamma(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        found = _size_of(fds[0])
        if found is None:
            raise WireFault(record.object_id, _INVALID_GAMMA, f"gamma ramps in {_NO_FILE}")
        needed = self._ramp_sizes.get(record.object_id, found)
        if found < needed:
            text = f"gamma ramps of {found} bytes, where {needed} are needed"
            raise WireFault(record.object_id, _INVALID_GAMMA, text)
        return self._share(message(record, data), fds[0], 0, needed)

    def _handle_gamma_size(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        (entries,) = _UINT.unpack_from(data, record.offset + _HEADER)
        self._ramp_sizes[record.object_id] = entries * _GAMMA_CHANNELS * _GAMMA_BYTES
        return None

    def _handle_destroy_gamma(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        self._ramp_sizes.pop(record.object_id, None)

    def _handle_set_icc_file(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        offset, length = _OFFSET_LENGTH.unpack_from(data, record.offset + _HEADER)
        found = _size_of(fds[0])
        if found is None:
            raise WireFault(record.object_id, _BAD_FD, f"an ICC profile in {_NO_FILE}")
        if not 0 < length <= MAX_CARRIED_FILE:
            raise WireFault(record.object_id, _BAD_SIZE, f"an ICC profile of {length} bytes")
        if offset + length > found:
            text = f"an ICC profile up to byte {offset + length} of a file of {found}"
            raise WireFault(record.object_id, _OUT_OF_FILE, text)
        request = bytearray(message(record, data))
        _OFFSET_LENGTH.pack_into(request, _HEADER, 0, length)
        return self._share(request, fds[0], offset, length)

    def _share(self, request: bytes | bytearray, fd: int, offset: int, length: int) -> ToHost:
        """Returns the request, with `length` bytes of the file from `offset` on beside it."""
        if length > MAX_CARRIED_FILE:
            raise LimitExceeded(f"a file of {length} bytes")
        if self._on_the_way >= MAX_FILES_ON_THE_WAY:
            raise LimitExceeded(f"{MAX_FILES_ON_THE_WAY} files that the host has not taken yet")
        memory = self._channel.create_memory(max(length, 1))
        self._on_the_way += 1
        self._host.when_sent(lambda: self._taken(memory))
        _copy(fd, offset, length, memory)
        return ToHost(bytes(request), (memory.identifier,))

    def _taken(self, memory: SharedMemory) -> None:
        self._on_the_way -= 1
        memory.close()


def _closing(handle: Callable[[Record, memoryview, list[int]], ToHost]) -> RequestHandler:
    """Returns a handler whose fds are closed when it is done."""

    def handle_and_close(record: Record, data: memoryview, fds: list[int]) -> ToHost:
        try:
            return handle(record, data, fds)
        finally:
            for fd in fds:
                os.close(fd)

    return handle_and_close


def _size_of(fd: int) -> int | None:
    """Returns the bytes of a regular file that can be read; None where it is none: reading might block."""
    status = os.fstat(fd)
    readable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_WRONLY
    return status.st_size if readable and stat.S_ISREG(status.st_mode) else None


def _copy(fd: int, offset: int, length: int, memory: SharedMemory) -> None:
    """Fills memory with what the file has; one that was truncated meanwhile leaves zeros."""
    done = 0
    while done < length:
        piece = os.pread(fd, min(_CHUNK, length - done), offset + done)
        if not piece:
            return
        memory.buffer[done : done + len(piece)] = piece
        done += len(piece)
