"""What the VMM asks over vhost-user, carried out: negotiation, memory, rings, configuration.

`session` brings the messages and takes the replies.  This side knows when a device
starts, pauses and starts anew; `gpu` knows what it does in between.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

from crossdomain.abi import vhost_user as abi
from crossdomain.abi import virtio_gpu as gpu_abi
from crossdomain.device.backend_channel import BackendChannel
from crossdomain.device.faults import FaultLog, logger
from crossdomain.device.gpu import Gpu
from crossdomain.device.memory import GuestMemory
from crossdomain.device.offer import Conditions, Context, Offer
from crossdomain.device.passages import Passages
from crossdomain.device.resources import AttachedResources, GuestStorage
from crossdomain.device.ring import Ring
from crossdomain.device.vhost_user import (
    Message,
    Region,
    encode_reply,
    encode_reply_u64,
    encode_shmem_config,
    parse_mem_table,
)
from crossdomain.device.virtqueue import Chain
from crossdomain.device.window import HostVisibleWindow
from crossdomain.errors import CrossDomainError, GuestFault, HostFault
from crossdomain.limits import MAX_MEMORY_SLOTS

_VERSION_1: Final = 1 << gpu_abi.VIRTIO_F_VERSION_1
_SUCCESS: Final = 0
_FAILURE: Final = 1
_NO_FD: Final = -1


class Backend:
    """One device of one VM, from the VMM's connection to its end."""

    def __init__(
        self, offer: Offer, conditions: Conditions, broken: Callable[[CrossDomainError], None]
    ) -> None:
        """`broken` is told where the VMM does not keep to the protocol on the back-end channel."""
        self._loop = loop = asyncio.get_running_loop()
        self._offer = offer
        self._conditions = conditions
        self._broken = broken
        self._log = FaultLog(offer.name)
        self._features = 0
        self._stopped_state: tuple[object, ...] | None = None
        self._memory = GuestMemory()
        self._window = HostVisibleWindow(offer.window_size, loop)
        self._passages = None if conditions.ports is None else Passages(conditions.ports)
        if self._passages is not None:
            self._memory.changed = self._passages.map
        self._control = Ring(self._memory, loop, self._execute, self._on_ring_broken, self._passages)
        self._control.rest = self._rest
        self._cursor = Ring(self._memory, loop, self._discard, self._on_ring_broken)
        self._rings = (self._control, self._cursor)
        self._gpu = self._make_gpu()
        self._handlers = self._make_handlers()

    def _make_gpu(self) -> Gpu:
        return Gpu(
            self._memory,
            self._window,
            self._offer._replace(new_context=self._make_context),
            self._conditions,
            self._control.complete,
            self._log,
        )

    def _make_context(self, ctx_id: int, name: bytes, resources: AttachedResources) -> Context:
        context = self._offer.new_context(ctx_id, name, resources)
        if self._passages is not None and context.passage is not None:
            self._passages.add(ctx_id, context.passage, self._gpu.complete_poll)
            resources.lost = context.passage.lose_resources
        return context

    def _make_handlers(self) -> Mapping[int, Callable[[Message], bytes | None]]:
        # A handler returns the payload of the reply that the request always has, or None where it has none.
        return {
            abi.VHOST_USER_GET_FEATURES: lambda _message: abi.U64.pack(self._offer.profile.features),
            abi.VHOST_USER_SET_FEATURES: self._handle_set_features,
            abi.VHOST_USER_SET_OWNER: self._handle_nothing,
            abi.VHOST_USER_RESET_OWNER: self._handle_nothing,
            abi.VHOST_USER_GET_PROTOCOL_FEATURES: lambda _message: abi.U64.pack(
                self._offer.profile.protocol_features
            ),
            abi.VHOST_USER_SET_PROTOCOL_FEATURES: self._handle_set_protocol_features,
            abi.VHOST_USER_GET_QUEUE_NUM: lambda _message: abi.U64.pack(gpu_abi.QUEUE_COUNT),
            abi.VHOST_USER_GET_MAX_MEM_SLOTS: lambda _message: abi.U64.pack(MAX_MEMORY_SLOTS),
            abi.VHOST_USER_GET_SHMEM_CONFIG: self._handle_get_shmem_config,
            abi.VHOST_USER_SET_BACKEND_REQ_FD: self._handle_set_backend_req_fd,
            abi.VHOST_USER_SET_MEM_TABLE: self._handle_set_mem_table,
            abi.VHOST_USER_ADD_MEM_REG: self._handle_add_mem_reg,
            abi.VHOST_USER_REM_MEM_REG: self._handle_rem_mem_reg,
            abi.VHOST_USER_SET_VRING_NUM: self._handle_set_vring_num,
            abi.VHOST_USER_SET_VRING_ADDR: self._handle_set_vring_addr,
            abi.VHOST_USER_SET_VRING_BASE: self._handle_set_vring_base,
            abi.VHOST_USER_GET_VRING_BASE: self._handle_get_vring_base,
            abi.VHOST_USER_SET_VRING_KICK: self._handle_set_vring_kick,
            abi.VHOST_USER_SET_VRING_CALL: self._handle_set_vring_call,
            abi.VHOST_USER_SET_VRING_ERR: self._handle_set_vring_err,
            abi.VHOST_USER_SET_VRING_ENABLE: self._handle_set_vring_enable,
            abi.VHOST_USER_GET_CONFIG: self._handle_get_config,
            abi.VHOST_USER_SET_CONFIG: self._handle_set_config,
            abi.VHOST_USER_RESET_DEVICE: self._handle_reset_device,
        }

    @property
    def gpu(self) -> Gpu:
        """The device as its driver has it now."""
        return self._gpu

    @property
    def files(self) -> frozenset[tuple[int, int]]:
        """Device and inode of all that the VMM calls the guest's memory."""
        return self._memory.files

    def find_pages(self, resource_id: int) -> GuestStorage:
        """The guest's pages behind a resource.

        Linux does not kick for the import of a dmabuf, so the ring is looked at where there is none yet.

        Raises:
            GuestFault: there is none, or it has no pages of the guest's.
        """
        found = self._gpu.guest_pages(resource_id)
        if found is None:
            self._control.poll()
            found = self._gpu.guest_pages(resource_id)
        if found is None:
            raise GuestFault(f"the memory device has no pages of the number {resource_id}")
        return found

    def handle(self, message: Message) -> bytes | None:
        """Carries out one request of the VMM.

        Returns:
            The whole reply to send, or None where none is due.

        Raises:
            HostFault: the VMM broke the protocol, and did not ask to be told.
        """
        handler = self._handlers.get(message.request)
        try:
            if handler is None:
                raise HostFault(f"vhost-user request {message.request} is unknown, or was not offered")
            payload = handler(message)
        except CrossDomainError as error:
            if not message.needs_reply:
                raise
            logger.warning("%s: %s", self._offer.name, error)
            return encode_reply_u64(message.request, _FAILURE)
        if payload is not None:
            return encode_reply(message.request, payload)
        return encode_reply_u64(message.request, _SUCCESS) if message.needs_reply else None

    def close(self) -> None:
        """Ends contexts, rings, mappings and memory; may be called again."""
        self._gpu.close()
        for ring in self._rings:
            ring.close()
        self._window.close()
        self._memory.close()

    # The rings' side.

    def _execute(self, chain: Chain) -> None:
        self._gpu.execute(chain)

    def _rest(self) -> float:
        seconds, quota = self._conditions.allowance.pace.rest()
        if seconds:
            logger.warning("%s: slowed down for %.1f s (quota %s)", self._offer.name, seconds, quota)
        return seconds

    def _discard(self, chain: Chain) -> None:
        # Cursor commands have no answer, and there is no screen for them.
        self._cursor.complete(chain, b"")

    def _on_ring_broken(self, error: CrossDomainError) -> None:
        # The VM itself goes on, and a driver that starts anew is served.
        logger.warning("%s: the device stops until its driver resets it: %s", self._offer.name, error)
        self._reset()

    def _reset(self) -> None:
        self._gpu.close()
        self._window.reset()
        for ring in self._rings:
            ring.forget()
        self._stopped_state = None
        self._gpu = self._make_gpu()

    # Negotiation.

    def _handle_nothing(self, _message: Message) -> None:
        return None

    def _handle_set_features(self, message: Message) -> None:
        (features,) = abi.U64.unpack(message.payload)
        if features & ~self._offer.profile.features:
            raise HostFault(f"features {features:#x} were not offered")
        self._features = features
        if not features >> abi.VHOST_USER_F_PROTOCOL_FEATURES & 1:
            for ring in self._rings:
                ring.enable(True)

    def _handle_set_protocol_features(self, message: Message) -> None:
        (features,) = abi.U64.unpack(message.payload)
        if features & ~self._offer.profile.protocol_features:
            raise HostFault(f"protocol features {features:#x} were not offered")
        if self._offer.profile.has_window and not features >> abi.VHOST_USER_PROTOCOL_F_SHMEM_MAP & 1:
            logger.warning(
                "%s: the VMM gives the guest no host-visible window (QEMU has one from 11.1 on)",
                self._offer.name,
            )

    def _handle_get_shmem_config(self, _message: Message) -> bytes:
        return encode_shmem_config({gpu_abi.VIRTIO_GPU_SHM_ID_HOST_VISIBLE: self._window.size})

    def _handle_set_backend_req_fd(self, message: Message) -> None:
        fd = _take_fd(message)
        try:
            connection = socket.socket(fileno=fd)
        except OSError as error:
            os.close(fd)
            raise HostFault(f"the back-end channel is no socket: {error}") from error
        self._window.connect(BackendChannel(connection, self._loop, self._broken))

    # Memory.

    def _handle_set_mem_table(self, message: Message) -> None:
        regions = parse_mem_table(message.payload)
        if len(regions) != len(message.fds):
            raise HostFault(f"{len(regions)} memory regions with {len(message.fds)} fds")
        identities = [_identity(fd) for fd in message.fds]
        ours = [self._window.owns(identity) for identity in identities]
        self._memory.replace(
            (region, fd, not our) for region, fd, our in zip(regions, message.fds, ours, strict=True)
        )
        for identity in identities:
            self._window.note_announced(identity)

    def _handle_add_mem_reg(self, message: Message) -> None:
        if len(message.fds) != 1:
            raise HostFault("ADD_MEM_REG without an fd")
        identity = _identity(message.fds[0])
        # The guest has no business naming our own blobs as its memory, and each mapping costs a descriptor.
        # A memory device has no window, so that it maps them: a plane of a dmabuf of several may be one.
        addressable = not self._window.owns(identity)
        self._memory.add(_parse_region(message), message.fds[0], addressable=addressable)
        self._window.note_announced(identity)

    def _handle_rem_mem_reg(self, message: Message) -> None:
        self._memory.remove(_parse_region(message))

    # Rings.

    def _ring(self, index: int) -> Ring:
        if index >= len(self._rings):
            raise HostFault(f"virtqueue {index} of {len(self._rings)}")
        return self._rings[index]

    def _state(self, message: Message) -> tuple[Ring, int]:
        index, number = abi.VRING_STATE.unpack(message.payload)
        return self._ring(index), number

    def _stopped_ring(self, message: Message) -> tuple[Ring, int]:
        ring, number = self._state(message)
        if ring.started:
            raise HostFault(f"request {message.request} for a virtqueue that runs")
        return ring, number

    def _handle_set_vring_num(self, message: Message) -> None:
        ring, size = self._stopped_ring(message)
        ring.queue.size = size

    def _handle_set_vring_base(self, message: Message) -> None:
        ring, base = self._stopped_ring(message)
        ring.queue.next_available = base & 0xFFFF

    def _handle_set_vring_addr(self, message: Message) -> None:
        index, _flags, descriptor, used, available, _log = abi.VRING_ADDR.unpack(message.payload)
        ring = self._ring(index)
        addresses = (descriptor, available, used)
        if ring.started and addresses != ring.queue.addresses:
            raise HostFault("addresses for a virtqueue that runs")
        ring.queue.addresses = addresses

    def _handle_get_vring_base(self, message: Message) -> bytes:
        ring, _number = self._state(message)
        base = ring.stop()
        if ring is self._control:
            self._window.suspend(True)
            if self._gpu.is_used:
                self._stopped_state = self._control_state()
        index, _ = abi.VRING_STATE.unpack(message.payload)
        return abi.VRING_STATE.pack(index, base)

    def _control_state(self) -> tuple[object, ...]:
        queue = self._control.queue
        return queue.addresses, queue.size, queue.next_available, queue.used_index

    def _handle_set_vring_kick(self, message: Message) -> None:
        ring, has_kick = self._fd_ring(message)
        if not has_kick:
            raise HostFault("a virtqueue without a kick fd")
        if not self._features & _VERSION_1:
            logger.warning(
                "%s: the guest's driver is older than virtio 1.0 and is not served", self._offer.name
            )
            return
        if ring is self._control and not ring.started:
            self._reset_unless_resumed()
        ring.start(_take_fd(message))
        if ring is self._control:
            self._window.suspend(False)

    def _reset_unless_resumed(self) -> None:
        # A VM that was paused goes on where its ring stood, with fences still held; a driver that starts anew
        # has an empty ring.  QEMU asks both with the same messages, and RESET_DEVICE not in every case.
        if self._stopped_state is not None:
            self._control.queue.load()
            stopped, self._stopped_state = self._stopped_state, None
            if stopped != self._control_state():
                self._reset()

    def _handle_set_vring_call(self, message: Message) -> None:
        ring, has_fd = self._fd_ring(message)
        ring.set_call(_take_fd(message) if has_fd else _NO_FD)

    def _handle_set_vring_err(self, message: Message) -> None:
        ring, has_fd = self._fd_ring(message)
        ring.set_error(_take_fd(message) if has_fd else _NO_FD)

    def _fd_ring(self, message: Message) -> tuple[Ring, bool]:
        """The virtqueue, and whether the VMM has an fd for it, which is there to be taken then."""
        (value,) = abi.U64.unpack(message.payload)
        has_fd = not value & abi.VRING_NOFD_MASK
        if has_fd:
            _check_fd(message)
        return self._ring(value & abi.VRING_INDEX_MASK), has_fd

    def _handle_set_vring_enable(self, message: Message) -> None:
        ring, enabled = self._state(message)
        ring.enable(bool(enabled))

    def _handle_reset_device(self, _message: Message) -> None:
        for ring in self._rings:
            ring.stop()
            ring.enable(False)
        self._reset()

    # Configuration space.

    def _handle_get_config(self, message: Message) -> bytes:
        offset, size, flags = abi.CONFIG_HEADER.unpack_from(message.payload)
        config = self._offer.profile.config
        if offset + size > len(config):
            return b""
        return abi.CONFIG_HEADER.pack(offset, size, flags) + config[offset : offset + size]

    def _handle_set_config(self, message: Message) -> None:
        offset, size, _flags = abi.CONFIG_HEADER.unpack_from(message.payload)
        if (offset, size) != (gpu_abi.CONFIG_EVENTS_CLEAR_OFFSET, 4):
            raise HostFault(f"{size} bytes at {offset} of the configuration space are read-only")


def _check_fd(message: Message) -> None:
    if len(message.fds) != 1:
        raise HostFault(f"request {message.request} without an fd")


def _take_fd(message: Message) -> int:
    _check_fd(message)
    return message.fds.pop()


def _parse_region(message: Message) -> Region:
    return Region(*abi.SINGLE_MEMORY_REGION.unpack(message.payload))


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
