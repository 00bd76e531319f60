"""A guest's kernel in this process, on a real daemon: the launcher as it is shipped, without a VM around it.

`python3 -m tests.fakes.guest_kernel GPU_SOCKET ARGUMENT...` is `crossdomain-run ARGUMENT...` in a guest whose
two virtio-gpus are those of the daemon at GPU_SOCKET.  It needs a kernel with udmabuf: what the launcher
makes of clients' files is real, and these files become memory of the guest's, which is shown to the daemon as
a VMM shows what is plugged in.  So guest and host can be one machine, and the host's udmabuf is real too.
"""

import asyncio
import contextlib
import errno
import mmap
import os
import socket
import sys
import threading
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from crossdomain.abi import cross_domain, virtgpu_drm
from crossdomain.bridge.udmabuf import Span, Udmabuf
from crossdomain.device.qemu import memory_socket
from launcher import run
from launcher.channel import drm
from launcher.loop import Loop
from tests.fakes.early_painter import NOTES
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_ram import PAGE, GuestRam
from tests.fakes.patience import in_time
from tests.fakes.vhost_socket import connected

T = TypeVar("T")

GPU_NODE: Final = "virtio-gpu"
MEMORY_NODE: Final = "memory device"
_RAM: Final = 16 << 20
_PLUGGED: Final = 0x10_0000_0000
"""Guest address of the first file that becomes memory."""


class _Blob(NamedTuple):
    """What stands behind a GEM handle."""

    resource_id: int
    size: int
    address: int = 0
    """In guest memory; 0 for what is elsewhere."""
    is_mapped: bool = False
    plugged: tuple[tuple[int, int], ...] = ()
    """Address and size of what became memory for it."""


class _File:
    """One open file of a node."""

    def __init__(self, path: str, events: socket.socket) -> None:
        """`events` is the kernel's end: what is sent there can be read from the file."""
        self.path = path
        self.ctx_id = 0
        self.events = events
        self.blobs: dict[int, _Blob] = {}


class GuestKernel:
    """What `launcher.channel.drm` asks of the kernel, for any number of open files."""

    def __init__(self, gpu_socket: Path) -> None:
        """Boots both devices."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._timelines = drm.render_nodes()
        """Timelines are the real kernel's."""
        self._ram = GuestRam(_RAM)
        self._gpu = self._call(self._boot(gpu_socket))
        self._memory = self._call(self._boot(memory_socket(gpu_socket)))
        self._files: dict[int, _File] = {}
        self._contexts = 0
        self._handles = 0
        self._plugged = _PLUGGED
        self._udmabufs: dict[int, list[Span]] = {}
        """What the launcher's are of, by inode."""

    def install(self) -> None:
        """From now on this is the kernel of the launcher in this process."""
        for name in (
            "render_nodes", "open_node", "driver_name", "get_parameter", "get_capset", "create_context",
            "create_blob", "import_dmabuf", "map_blob", "close_handle", "execute",
            "execute_fenced", "wait",
        ):  # fmt: skip
            setattr(drm, name, getattr(self, name))
        # C asks the real one.
        setattr(run, "Loop", partial(Loop, has_lanes=False))  # noqa: B010 (as below)
        create = Udmabuf.create

        def noted(udmabuf: Udmabuf, spans: Sequence[Span]) -> int:
            # What the real kernel knows of a dmabuf, this one has to see.
            made = create(udmabuf, spans)
            self._udmabufs[os.fstat(made).st_ino] = list(spans)
            return made

        setattr(Udmabuf, "create", noted)  # noqa: B010 (a method, as the checkers see it, is for good)

    def render_nodes(self) -> list[str]:
        """See `drm`."""
        return [GPU_NODE, MEMORY_NODE, *self._timelines]

    def open_node(self, path: str) -> int:
        """See `drm`."""
        ours, node = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        node.setblocking(False)
        fd = node.detach()
        opened = self._files[fd] = _File(path, ours)
        asyncio.run_coroutine_threadsafe(self._watch(opened), self._loop)
        return fd

    def driver_name(self, _fd: int) -> bytes:
        """See `drm`."""
        return virtgpu_drm.DRIVER_NAME

    def get_parameter(self, fd: int, parameter: int) -> int:
        """See `drm`."""
        is_gpu = self._files[fd].path == GPU_NODE
        known = {
            virtgpu_drm.VIRTGPU_PARAM_RESOURCE_BLOB: 1,
            virtgpu_drm.VIRTGPU_PARAM_3D_FEATURES: int(is_gpu),
            virtgpu_drm.VIRTGPU_PARAM_HOST_VISIBLE: int(is_gpu),
            virtgpu_drm.VIRTGPU_PARAM_CONTEXT_INIT: int(is_gpu),
            virtgpu_drm.VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs: 1 << cross_domain.CAPSET_ID,
        }
        return known.get(parameter, 0)

    def get_capset(self, _fd: int, capset_id: int, size: int) -> bytes:
        """See `drm`."""
        answer = self._call(self._gpu.driver.get_capset(capset_id, room=24 + size))
        return answer.body[:size].ljust(size, b"\0")

    def create_context(self, fd: int, capset_id: int, _rings: int, _mask: int, name: str) -> None:
        """See `drm`."""
        self._contexts += 1
        self._files[fd].ctx_id = self._contexts
        made = self._gpu.driver.ctx_create(self._contexts, name=name.encode()[:64], context_init=capset_id)
        assert self._call(made).ok

    def create_blob(self, fd: int, memory: int, _flags: int, size: int, blob_id: int) -> drm.Blob:
        """See `drm`."""
        opened = self._files[fd]
        resource_id = self._gpu.new_resource_id()
        self._handles += 1
        driver = self._gpu.driver
        address = 0
        if memory == virtgpu_drm.VIRTGPU_BLOB_MEM_GUEST:
            ((address, _length),) = runs = driver.pages(size // PAGE)
            # Nobody finds there what somebody else has left: so it is in Linux, and a ring begins empty.
            self._ram.write(address, bytes(size))
            self._call(driver.create_guest_blob(resource_id, size, runs))
        else:
            # As in Linux, a refusal is only seen where the blob is used.
            self._call(driver.create_host_blob(resource_id, size, ctx_id=opened.ctx_id, blob_id=blob_id))
        self._call(driver.ctx_attach_resource(opened.ctx_id, resource_id))
        opened.blobs[self._handles] = _Blob(resource_id, size, address)
        return drm.Blob(self._handles, resource_id)

    def import_dmabuf(self, fd: int, dmabuf: int) -> drm.Blob:
        """See `drm`."""
        opened = self._files[fd]
        if opened.path != MEMORY_NODE:
            # Linux imports nobody else's where there are 3D commands.
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        resource_id = self._memory.new_resource_id()
        self._handles += 1
        runs = [self._call(self._plug(span)) for span in self._pages_of(dmabuf)]
        size = sum(length for _address, length in runs)
        assert self._call(self._memory.driver.create_guest_blob(resource_id, size, runs)).ok
        opened.blobs[self._handles] = _Blob(resource_id, size, plugged=tuple(runs))
        return drm.Blob(self._handles, resource_id)

    def map_blob(self, fd: int, handle: int, size: int) -> mmap.mmap:
        """See `drm`."""
        blob = self._files[fd].blobs[handle]
        if blob.address:
            return mmap.mmap(self._ram.fd, size, offset=self._ram.offset_of(blob.address))
        offset = self._gpu.window.reserve(size)
        if not self._call(self._gpu.driver.map_blob(blob.resource_id, offset)).ok:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._files[fd].blobs[handle] = blob._replace(is_mapped=True)
        return self._gpu.window.map_again(offset)

    def close_handle(self, fd: int, handle: int) -> None:
        """See `drm`."""
        opened = self._files[fd]
        self._call(self._destroy(opened, opened.blobs.pop(handle)))

    def execute(self, fd: int, commands: bytes, *, ring_idx: int | None = None, handle: int = 0) -> None:
        """See `drm`; what is not a POLL is done when this returns, so that `wait` has nothing to wait for."""
        del handle
        opened = self._files[fd]
        if ring_idx == cross_domain.CHANNEL_RING:
            self._call(self._poll(opened, commands))
            return
        driver = self._gpu.driver
        fence_id = None if ring_idx is None else driver.next_fence()
        self._call(driver.submit_3d(opened.ctx_id, commands, fence_id=fence_id, ring_idx=ring_idx))

    def execute_fenced(self, fd: int, commands: bytes, ring_idx: int) -> int:
        """See `drm`; it is done already."""
        self.execute(fd, commands, ring_idx=ring_idx)
        return os.eventfd(1, os.EFD_CLOEXEC)

    def wait(self, fd: int, handle: int) -> None:
        """See `drm`."""

    def _pages_of(self, dmabuf: int) -> list[Span]:
        """Where a udmabuf's pages are: the launcher's, or a client's that has noted it."""
        inode = os.fstat(dmabuf).st_ino
        found = self._udmabufs.get(inode)
        if found is None:
            # Open as long as this process is, as its pages are in use.
            file = os.open(f"{os.environ[NOTES]}/{inode}", os.O_RDWR | os.O_CLOEXEC)
            found = self._udmabufs[inode] = [Span(file, 0, os.fstat(file).st_size)]
        return found

    async def _boot(self, path: Path) -> FakeFrontend:
        return await FakeFrontend(connected(path), ram=self._ram).__aenter__()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives that runs in the devices' own thread."""
        return asyncio.run_coroutine_threadsafe(in_time(coroutine), self._loop).result()

    async def _watch(self, opened: _File) -> None:
        """Gives up what the launcher forgot with a file: Linux does so when the last fd is closed."""
        await self._loop.sock_recv(opened.events, 1)
        opened.events.close()
        for blob in opened.blobs.values():
            await self._destroy(opened, blob)
        if opened.ctx_id:
            assert (await self._gpu.driver.ctx_destroy(opened.ctx_id)).ok

    async def _poll(self, opened: _File, commands: bytes) -> None:
        done = self._gpu.driver.post_submit_3d(opened.ctx_id, commands, ring_idx=cross_domain.CHANNEL_RING)

        def signal(_answer: "asyncio.Future[bytes]") -> None:
            # The launcher may have closed the file meanwhile.
            with contextlib.suppress(OSError):
                opened.events.send(virtgpu_drm.DRM_EVENT.pack(virtgpu_drm.VIRTGPU_EVENT_FENCE_SIGNALED, 8))

        done.add_done_callback(signal)

    async def _plug(self, span: Span) -> tuple[int, int]:
        """Makes a part of a client's file memory of the guest's; its guest address and size."""
        address, self._plugged = self._plugged, self._plugged + span.size
        await self._memory.plug(address, span.size, span.fd, span.offset)
        return address, span.size

    async def _destroy(self, opened: _File, blob: _Blob) -> None:
        if opened.path == MEMORY_NODE:
            assert (await self._memory.driver.resource_unref(blob.resource_id)).ok
            for address, size in blob.plugged:
                await self._memory.unplug(address, size)
            return
        driver = self._gpu.driver
        # What the host refused to make is not there; Linux does not ask either.
        await driver.ctx_detach_resource(opened.ctx_id, blob.resource_id)
        if blob.is_mapped:
            await driver.unmap_blob(blob.resource_id)
        await driver.resource_unref(blob.resource_id)
        if blob.address:
            self._ram.free(blob.address, blob.size)


def main() -> None:
    """The launcher, in this guest."""
    GuestKernel(Path(sys.argv.pop(1))).install()
    run.main()


if __name__ == "__main__":
    main()
