"""virtio-gpu commands (virtio 1.3, 5.7.6): what a guest may ask of a device that has only capset 5.

`ring` brings each chain of the control queue; a command is decoded, checked and answered
here, with one error for each mistake.  Cross-domain contexts do the work, `resources` and
`window` hold what they work with.  One Gpu lives from a driver's start to its reset.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from crossdomain.abi import virtio_gpu as abi
from crossdomain.abi.cross_domain import CAPSET_ID, CHANNEL_RING
from crossdomain.abi.cross_domain import Command as SubmitCommand
from crossdomain.context.memory import PAGE_SIZE, HostMemory
from crossdomain.context.quotas import check_descriptor
from crossdomain.device.faults import (
    FaultLog,
    bad_context,
    bad_parameter,
    bad_scanout,
    malformed,
    response_of,
    too_much,
)
from crossdomain.device.memory import GuestMemory
from crossdomain.device.offer import Conditions, Context, Offer
from crossdomain.device.passages import chain_of, pointer_of
from crossdomain.device.resources import AttachedResources, GuestStorage, Resource, ResourceTable
from crossdomain.device.virtqueue import Chain
from crossdomain.device.window import HostVisibleWindow
from crossdomain.errors import CrossDomainError, GuestFault, LimitExceeded
from crossdomain.limits import MAX_BACKING_ENTRIES

if TYPE_CHECKING:
    from crossdomain.native._core import ChainPointer

_HEADER_SIZE: Final = abi.CTRL_HDR.size
_SUBMIT_DATA: Final = _HEADER_SIZE + abi.SUBMIT_3D.size
_BLOB_ENTRIES: Final = _HEADER_SIZE + abi.RESOURCE_CREATE_BLOB.size
_BACKING_ENTRIES: Final = _HEADER_SIZE + abi.RESOURCE_ATTACH_BACKING.size
_ECHOED_FLAGS: Final = abi.VIRTIO_GPU_FLAG_FENCE | abi.VIRTIO_GPU_FLAG_INFO_RING_IDX
_UNFENCED: Final = 0
_OK_NODATA: Final = abi.CTRL_HDR.pack(abi.VIRTIO_GPU_RESP_OK_NODATA, 0, 0, 0, 0)


class Command:
    """One command: its header's fields, its chain, and how it is answered."""

    __slots__ = ("chain", "ctx_id", "fence_id", "flags", "request", "ring_idx", "type")

    def __init__(self, chain: Chain) -> None:
        """Raises struct.error where the request is shorter than a header."""
        self.chain = chain
        self.request = chain.request
        fields = abi.CTRL_HDR.unpack_from(chain.request)
        self.type, self.flags, self.fence_id, self.ctx_id, self.ring_idx = fields

    def encode_answer(self, response: int, body: bytes) -> bytes:
        """The response's bytes; a fence is echoed as it came (virtio 1.3, 5.7.6.7)."""
        flags = self.flags & _ECHOED_FLAGS
        if not flags & abi.VIRTIO_GPU_FLAG_FENCE:
            if response == abi.VIRTIO_GPU_RESP_OK_NODATA:
                return _OK_NODATA
            return abi.CTRL_HDR.pack(response, _UNFENCED, 0, 0, 0) + body
        header = abi.CTRL_HDR.pack(response, flags, self.fence_id, self.ctx_id, self.ring_idx)
        return header + body

    def pointer(self) -> "ChainPointer | None":
        """Its chain for C, where C can answer it."""
        return pointer_of(self.chain, self.flags, self.fence_id, self.ctx_id, self.ring_idx)


class _AttachedContext:
    """A context and the resources that it may name."""

    __slots__ = ("context", "resources")

    def __init__(self, context: Context, resources: AttachedResources) -> None:
        self.context = context
        self.resources = resources


_Handler: TypeAlias = Callable[[Command], None]


class Gpu:
    """The device between a driver's start and its reset."""

    def __init__(
        self,
        memory: GuestMemory,
        window: HostVisibleWindow,
        offer: Offer,
        conditions: Conditions,
        complete: Callable[[Chain, bytes], None],
        log: FaultLog,
    ) -> None:
        """`complete` gives a chain of the control queue back with its answer."""
        self._memory = memory
        self._window = window
        self._offer = offer
        self._conditions = conditions
        self._complete = complete
        self._log = log
        self._contexts: dict[int, _AttachedContext] = {}
        self._resources = ResourceTable(window.size, conditions.allowance)
        self._used = False
        self._closed = False
        self._handlers = self._make_handlers()

    def _make_handlers(self) -> dict[int, tuple[int, _Handler]]:
        # Type of command: bytes that it has at least, and what carries it out.
        one_id = _HEADER_SIZE + abi.RESOURCE_ID.size
        return {
            abi.VIRTIO_GPU_CMD_SUBMIT_3D: (_SUBMIT_DATA, self._handle_submit_3d),
            abi.VIRTIO_GPU_CMD_CTX_CREATE: (_HEADER_SIZE + abi.CTX_CREATE.size, self._handle_ctx_create),
            abi.VIRTIO_GPU_CMD_CTX_DESTROY: (_HEADER_SIZE, self._handle_ctx_destroy),
            abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE: (one_id, self._handle_ctx_attach_resource),
            abi.VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE: (one_id, self._handle_ctx_detach_resource),
            abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB: (_BLOB_ENTRIES, self._handle_resource_create_blob),
            abi.VIRTIO_GPU_CMD_RESOURCE_UNREF: (one_id, self._handle_resource_unref),
            abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB: (
                _HEADER_SIZE + abi.RESOURCE_MAP_BLOB.size,
                self._handle_resource_map_blob,
            ),
            abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB: (one_id, self._handle_resource_unmap_blob),
            abi.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING: (
                _BACKING_ENTRIES,
                self._handle_resource_attach_backing,
            ),
            abi.VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING: (one_id, self._handle_resource_detach_backing),
            abi.VIRTIO_GPU_CMD_GET_CAPSET_INFO: (
                _HEADER_SIZE + abi.GET_CAPSET_INFO.size,
                self._handle_get_capset_info,
            ),
            abi.VIRTIO_GPU_CMD_GET_CAPSET: (_HEADER_SIZE + abi.GET_CAPSET.size, self._handle_get_capset),
            abi.VIRTIO_GPU_CMD_GET_DISPLAY_INFO: (_HEADER_SIZE, self._handle_get_display_info),
            abi.VIRTIO_GPU_CMD_GET_EDID: (_HEADER_SIZE + abi.GET_EDID.size, self._handle_get_edid),
        }

    @property
    def is_used(self) -> bool:
        """Whether the driver has asked for anything yet."""
        return self._used

    @property
    def contexts(self) -> int:
        """How many contexts there are."""
        return len(self._contexts)

    @property
    def resources(self) -> int:
        """How many resources there are."""
        return len(self._resources)

    @property
    def host_bytes(self) -> int:
        """Bytes of host memory behind the resources."""
        return self._resources.host_bytes

    def guest_pages(self, resource_id: int) -> GuestStorage | None:
        """The guest's pages behind a resource; None where there is no such one."""
        if resource_id not in self._resources:
            return None
        storage = self._resources.get(resource_id).storage
        return storage if isinstance(storage, GuestStorage) else None

    def execute(self, chain: Chain) -> None:
        """Carries out one command of the control queue; its chain is completed now or later."""
        self._used = True
        if len(chain.request) < _HEADER_SIZE:
            # Too long to be walked, or too short to say what it is: there is no fence to echo.
            self._log.add("control queue", malformed(f"a command of {len(chain.request)} bytes"))
            self._complete(chain, abi.CTRL_HDR.pack(abi.VIRTIO_GPU_RESP_ERR_UNSPEC, _UNFENCED, 0, 0, 0))
            return
        command = Command(chain)
        try:
            self._dispatch(command)
        except GuestFault as fault:
            response = response_of(fault)
            attached = self._contexts.get(command.ctx_id)
            if response == abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY and attached is not None:
                attached.resources.refusal = str(fault)
            self._refuse(command, fault, response)
        except (CrossDomainError, OSError) as error:
            # Not the guest's mistake, but nobody else's business either: a compositor that went away.
            self._refuse(command, error, abi.VIRTIO_GPU_RESP_ERR_UNSPEC)

    def complete_poll(self, chain: "ChainPointer") -> None:
        """Answers a POLL that C has taken."""
        if not self._closed:
            fields = chain.flags & _ECHOED_FLAGS, chain.fence_id, chain.ctx_id, chain.ring_idx
            answer = abi.CTRL_HDR.pack(abi.VIRTIO_GPU_RESP_OK_NODATA, *fields)
            self._complete(chain_of(chain), answer)

    def close(self) -> None:
        """Ends all contexts and gives up all memory; nothing is answered any more.  May be called again."""
        self._closed = True
        contexts = list(self._contexts.values())
        self._contexts.clear()
        for attached in contexts:
            attached.context.close()
        self._resources.close()

    def _dispatch(self, command: Command) -> None:
        known = self._handlers.get(command.type)
        if known is None:
            if command.type in (abi.VIRTIO_GPU_CMD_SET_SCANOUT, abi.VIRTIO_GPU_CMD_SET_SCANOUT_BLOB):
                raise bad_scanout(0)
            raise malformed(f"command {command.type:#x} is unknown")
        size, handler = known
        if len(command.request) < size:
            raise malformed(f"command {command.type:#x} of {len(command.request)} bytes, at least {size}")
        if command.chain.oversized:
            raise too_much(f"command {command.type:#x} is too long")
        handler(command)

    def _answer(self, command: Command, response: int, body: bytes = b"") -> None:
        if not self._closed:
            self._complete(command.chain, command.encode_answer(response, body))

    def _refuse(self, command: Command, fault: Exception, response: int) -> None:
        self._note(command, fault)
        self._answer(command, response)

    def _note(self, command: Command, fault: Exception) -> None:
        self._log.add(f"context {command.ctx_id}, command {command.type:#x}", fault)

    def _answer_ok(self, command: Command) -> None:
        self._answer(command, abi.VIRTIO_GPU_RESP_OK_NODATA)

    # Contexts.

    def _context(self, ctx_id: int) -> _AttachedContext:
        attached = self._contexts.get(ctx_id)
        if attached is None:
            raise bad_context(ctx_id, "is unknown")
        return attached

    def _handle_submit_3d(self, command: Command) -> None:
        context = self._context(command.ctx_id).context
        request = command.request
        (size,) = abi.SUBMIT_3D.unpack_from(request, _HEADER_SIZE)
        if size > len(request) - _SUBMIT_DATA:
            raise bad_parameter(f"SUBMIT_3D says {size} bytes, and {len(request) - _SUBMIT_DATA} came")
        commands = memoryview(request)[_SUBMIT_DATA : _SUBMIT_DATA + size]
        is_fenced = command.flags & _ECHOED_FLAGS == _ECHOED_FLAGS
        if is_fenced and command.ring_idx == CHANNEL_RING:
            self._handle_poll(command, context, commands)
            return
        if commands:
            context.submit(commands)
        if is_fenced:
            context.create_fence(command.ring_idx, partial(self._answer_ok, command))
        else:
            self._answer_ok(command)

    def _handle_poll(self, command: Command, context: Context, commands: memoryview) -> None:
        """A POLL is answered with an event, whatever becomes of the SEND that goes with it.

        Answered now, it would be taken by the guest's kernel for the end of an older one, too.
        """
        try:
            if commands:
                context.submit(commands)
        except (CrossDomainError, OSError) as fault:
            if commands[0] != SubmitCommand.POLL:
                raise
            self._note(command, fault)
        context.create_fence(CHANNEL_RING, partial(self._answer_ok, command), command.pointer())

    def _handle_ctx_create(self, command: Command) -> None:
        length, context_init, name = abi.CTX_CREATE.unpack_from(command.request, _HEADER_SIZE)
        ctx_id = command.ctx_id
        if not ctx_id or ctx_id in self._contexts:
            raise bad_context(ctx_id, "is in use" if ctx_id else "is no number")
        most = self._conditions.allowance.quotas.vm.contexts
        if len(self._contexts) >= most:
            raise too_much(f"more than {most} contexts of one VM (quota vm.contexts)")
        if context_init != CAPSET_ID:
            raise bad_parameter(f"context_init {context_init:#x} does not name capset {CAPSET_ID}")
        if length > len(name):
            raise bad_parameter(f"a debug_name of {length} bytes")
        resources = AttachedResources(self._conditions.allowance)
        context = self._offer.new_context(ctx_id, name[:length].rstrip(b"\0"), resources)
        self._contexts[ctx_id] = _AttachedContext(context, resources)
        self._answer_ok(command)

    def _handle_ctx_destroy(self, command: Command) -> None:
        attached = self._context(command.ctx_id)
        del self._contexts[command.ctx_id]
        for resource in self._resources:
            resource.contexts.discard(command.ctx_id)
        attached.context.close()
        self._answer_ok(command)

    def _handle_ctx_attach_resource(self, command: Command) -> None:
        attached = self._context(command.ctx_id)
        resource = self._resources.get(_resource_id(command))
        attached.resources.attach(resource)
        resource.contexts.add(command.ctx_id)
        self._answer_ok(command)

    def _handle_ctx_detach_resource(self, command: Command) -> None:
        attached = self._context(command.ctx_id)
        resource = self._resources.get(_resource_id(command))
        attached.resources.detach(resource.resource_id)
        resource.contexts.discard(command.ctx_id)
        self._answer_ok(command)

    # Resources.

    def _handle_resource_create_blob(self, command: Command) -> None:
        fields = abi.RESOURCE_CREATE_BLOB.unpack_from(command.request, _HEADER_SIZE)
        resource_id, blob_mem, blob_flags, entry_count, blob_id, size = fields
        if blob_flags & ~abi.VIRTIO_GPU_BLOB_FLAG_MASK:
            raise bad_parameter(f"blob flags {blob_flags:#x}")
        if not size or size % PAGE_SIZE:
            raise bad_parameter(f"a blob of {size} bytes, which are no pages")
        entries = _parse_entries(command, _BLOB_ENTRIES, entry_count)
        in_host = blob_mem == abi.VIRTIO_GPU_BLOB_MEM_HOST3D
        self._resources.check_new(resource_id, size if in_host else 0)
        storage: GuestStorage | HostMemory
        if in_host:
            if entries:
                raise bad_parameter("a blob in host memory with guest pages")
            storage = self._take_blob(command.ctx_id, blob_id, size)
        elif blob_mem in (abi.VIRTIO_GPU_BLOB_MEM_GUEST, abi.VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST):
            # HOST3D_GUEST asks for host memory *or* the guest's pages behind it: the pages always serve.
            storage = GuestStorage(self._memory, size, entries)
            storage.owner = self._conditions.expectations.owner_of(storage)
        else:
            raise bad_parameter(f"blob_mem {blob_mem}")
        mappable = bool(blob_flags & abi.VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE)
        self._resources.add(Resource(resource_id, storage, mappable=mappable))
        self._answer_ok(command)

    def _take_blob(self, ctx_id: int, blob_id: int, size: int) -> HostMemory:
        attached = self._context(ctx_id)
        attached.resources.check_new(size)
        memory = attached.context.take_blob(blob_id, size)
        if memory.size != size:
            # The window would show the guest more, or less, than it has room for.
            memory.close()
            raise bad_parameter(f"blob {blob_id} has {memory.size} bytes, not {size}")
        try:
            check_descriptor(memory.fd, self._conditions.allowance.quotas.vm.fds)
        except LimitExceeded:
            memory.close()
            raise
        return memory

    def _handle_resource_unref(self, command: Command) -> None:
        resource = self._resources.remove(_resource_id(command))
        for ctx_id in resource.contexts:
            self._contexts[ctx_id].resources.detach(resource.resource_id)
        if resource.mapping is not None:
            self._window.unmap(resource.mapping, lambda _success: None)
        resource.close()
        self._answer_ok(command)

    def _handle_resource_map_blob(self, command: Command) -> None:
        resource_id, offset = abi.RESOURCE_MAP_BLOB.unpack_from(command.request, _HEADER_SIZE)
        resource = self._resources.get(resource_id)
        if resource.host is None or not resource.mappable:
            raise bad_parameter(f"resource {resource_id} is not mappable")
        if resource.mapping is not None:
            raise bad_parameter(f"resource {resource_id} is mapped already")
        resource.mapping = self._window.map(
            offset, resource.host, partial(self._on_mapped, command, resource)
        )

    def _on_mapped(self, command: Command, resource: Resource, success: bool) -> None:
        if success:
            body = abi.RESP_MAP_INFO.pack(abi.VIRTIO_GPU_MAP_CACHE_CACHED)
            self._answer(command, abi.VIRTIO_GPU_RESP_OK_MAP_INFO, body)
            return
        # It may be mapped elsewhere by now: the guest need not wait for one before it asks for the next.
        if resource.mapping is not None and resource.mapping.failed:
            resource.mapping = None
        self._refuse(
            command, too_much("the VMM does not map the blob"), abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
        )

    def _handle_resource_unmap_blob(self, command: Command) -> None:
        resource = self._resources.get(_resource_id(command))
        if resource.mapping is None:
            raise bad_parameter(f"resource {resource.resource_id} is not mapped")
        mapping, resource.mapping = resource.mapping, None
        self._window.unmap(mapping, lambda _success: self._answer_ok(command))

    def _handle_resource_attach_backing(self, command: Command) -> None:
        resource_id, count = abi.RESOURCE_ATTACH_BACKING.unpack_from(command.request, _HEADER_SIZE)
        storage = self._guest_storage(resource_id)
        if storage.has_backing:
            raise bad_parameter(f"resource {resource_id} has pages already")
        storage.attach(_parse_entries(command, _BACKING_ENTRIES, count))
        self._answer_ok(command)

    def _handle_resource_detach_backing(self, command: Command) -> None:
        resource_id = _resource_id(command)
        storage = self._guest_storage(resource_id)
        if not storage.has_backing:
            raise bad_parameter(f"resource {resource_id} has no pages")
        storage.detach()
        for ctx_id in self._resources.get(resource_id).contexts:
            self._contexts[ctx_id].resources.lost()
        self._answer_ok(command)

    def _guest_storage(self, resource_id: int) -> GuestStorage:
        storage = self._resources.get(resource_id).storage
        if not isinstance(storage, GuestStorage):
            raise bad_parameter(f"resource {resource_id} has its pages in the host")
        return storage

    # Capabilities, and the screens that there are not.

    def _handle_get_capset_info(self, command: Command) -> None:
        (index,) = abi.GET_CAPSET_INFO.unpack_from(command.request, _HEADER_SIZE)
        if index:
            raise bad_parameter(f"capset index {index}")
        body = abi.RESP_CAPSET_INFO.pack(CAPSET_ID, 0, len(self._offer.capset))
        self._answer(command, abi.VIRTIO_GPU_RESP_OK_CAPSET_INFO, body)

    def _handle_get_capset(self, command: Command) -> None:
        capset_id, version = abi.GET_CAPSET.unpack_from(command.request, _HEADER_SIZE)
        if capset_id != CAPSET_ID or version:
            raise bad_parameter(f"capset {capset_id} of version {version}")
        self._answer(command, abi.VIRTIO_GPU_RESP_OK_CAPSET, self._offer.capset)

    def _handle_get_display_info(self, command: Command) -> None:
        self._answer(command, abi.VIRTIO_GPU_RESP_OK_DISPLAY_INFO, bytes(abi.RESP_DISPLAY_INFO_SIZE))

    def _handle_get_edid(self, command: Command) -> None:
        (scanout,) = abi.GET_EDID.unpack_from(command.request, _HEADER_SIZE)
        raise bad_scanout(scanout)


def _resource_id(command: Command) -> int:
    (resource_id,) = abi.RESOURCE_ID.unpack_from(command.request, _HEADER_SIZE)
    return int(resource_id)


def _parse_entries(command: Command, at: int, count: int) -> list[tuple[int, int]]:
    if count > MAX_BACKING_ENTRIES:
        raise too_much(f"{count} runs of guest pages, at most {MAX_BACKING_ENTRIES}")
    end = at + count * abi.MEM_ENTRY.size
    if end > len(command.request):
        raise bad_parameter(f"{count} runs of guest pages in {len(command.request)} bytes")
    return [(address, length) for address, length in abi.MEM_ENTRY.iter_unpack(command.request[at:end])]
