"""Messages to the VMM where descriptors, or the kernel's room for them, are short."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import pytest

from crossdomain.abi.vhost_user import HEADER, MMAP
from crossdomain.abi.vhost_user import VHOST_USER_BACKEND_SHMEM_MAP as MAP
from crossdomain.device.backend_channel import BackendChannel
from crossdomain.errors import CrossDomainError
from tests.fakes.crowded import ERRORS, CrowdedSocket, no_descriptor_left
from tests.unit.context.world import until, wait_readable

REQUEST_SIZE: Final = HEADER.size + MMAP.size


class Vmm:
    """Both ends of a back-end channel."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        self.crowded = CrowdedSocket.of(ours)
        self.faults: list[CrossDomainError] = []
        loop = asyncio.get_running_loop()
        self.channel = BackendChannel(self.crowded, loop, self.faults.append)

    def ask(self, content: bytes) -> None:
        """A request with a file of that content."""
        fd = os.memfd_create("asked")
        os.write(fd, content)
        self.channel.request(MAP, bytes(MMAP.size), lambda _success: None, fd)

    async def asked(self) -> bytes:
        """The content of the file of the next request."""
        await wait_readable(self.socket.fileno())
        data, fds, _flags, _address = socket.recv_fds(self.socket, REQUEST_SIZE, 1)
        assert len(data) == REQUEST_SIZE
        content = os.pread(fds[0], 64, 0)
        os.close(fds[0])
        return content

    def close(self) -> None:
        """Hangs up."""
        self.channel.close()
        self.socket.close()


@pytest.fixture
async def vmm() -> AsyncGenerator[Vmm]:
    """One that answers nothing."""
    made = Vmm()
    yield made
    made.close()
    assert not made.faults


async def test_a_request_that_waits_takes_no_further_descriptor(vmm: Vmm) -> None:
    before = 0
    with suppress(BlockingIOError):
        while True:
            before += vmm.crowded.send(bytes(4096))
    fd = os.memfd_create("asked")
    os.write(fd, b"blob")
    with no_descriptor_left():
        vmm.channel.request(MAP, bytes(MMAP.size), lambda _success: None, fd)
    while before:
        before -= len(vmm.socket.recv(min(before, 1 << 16)))
    assert await vmm.asked() == b"blob"


@pytest.mark.parametrize("error", ERRORS)
async def test_what_the_kernel_has_no_room_for_is_asked_later(vmm: Vmm, error: int) -> None:
    vmm.crowded.error = error
    vmm.ask(b"blob")
    await until(lambda: vmm.crowded.attempts > 2)
    vmm.crowded.error = None
    assert await vmm.asked() == b"blob"
