"""A VMM that breaks vhost-user: it loses its own device, and nothing else; no fd stays behind."""

import asyncio
import os
import random
import socket
import struct
from contextlib import suppress

import pytest

from crossdomain.abi import vhost_user as abi
from crossdomain.device.vhost_user import REQUESTS
from crossdomain.errors import HostFault
from tests.fakes.frontend import FakeFrontend
from tests.fakes.patience import PATIENCE
from tests.fakes.stub_context import StubHost
from tests.fakes.stub_vm import running_vm, serve
from tests.fakes.vhost_socket import VhostSocket

ALL_FEATURES = struct.pack("<Q", 0x15000001D & ~4)
REGION = struct.pack("<8xQQQQ", 0x4000_0000_0000, 4096, 0x1000, 0)


class RawVmm:
    """One connection to a device, on which anything can be said."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.serving = serve(theirs, StubHost())
        self.main = VhostSocket(ours)

    async def ended(self) -> None:
        """Waits until the device is gone, and raises what it raised."""
        try:
            await asyncio.wait_for(self.serving, PATIENCE)
        finally:
            self.main.close()


@pytest.mark.parametrize(
    ("request_id", "payload", "fault"),
    [
        (abi.VHOST_USER_SET_FEATURES, struct.pack("<Q", 1 << 5), "not offered"),
        (abi.VHOST_USER_SET_PROTOCOL_FEATURES, struct.pack("<Q", 1 << 63), "not offered"),
        (abi.VHOST_USER_SET_VRING_NUM, struct.pack("<II", 2, 64), "virtqueue 2 of 2"),
        (abi.VHOST_USER_SET_VRING_NUM, struct.pack("<II", 0, 63), "virtqueue of 63"),
        (abi.VHOST_USER_SET_VRING_BASE, struct.pack("<II", 0xFFFFFFFF, 0), "of 2"),
        (abi.VHOST_USER_SET_VRING_ADDR, struct.pack("<IIQQQQ", 7, 0, 0, 0, 0, 0), "of 2"),
        (abi.VHOST_USER_GET_VRING_BASE, struct.pack("<II", 9, 0), "of 2"),
        (abi.VHOST_USER_SET_VRING_ENABLE, struct.pack("<II", 9, 1), "of 2"),
        (abi.VHOST_USER_SET_VRING_KICK, struct.pack("<Q", 0), "without an fd"),
        (abi.VHOST_USER_SET_VRING_KICK, struct.pack("<Q", 1 << 8), "without a kick fd"),
        (abi.VHOST_USER_SET_VRING_KICK, struct.pack("<Q", 1 << 8 | 3), "of 2"),
        (abi.VHOST_USER_SET_VRING_CALL, struct.pack("<Q", 0), "without an fd"),
        (abi.VHOST_USER_SET_VRING_ERR, struct.pack("<Q", 1 << 8 | 200), "of 2"),
        (abi.VHOST_USER_SET_BACKEND_REQ_FD, b"", "without an fd"),
        (abi.VHOST_USER_SET_MEM_TABLE, struct.pack("<I4x", 1) + REGION[8:], "1 memory regions with 0 fds"),
        (abi.VHOST_USER_ADD_MEM_REG, REGION, "without an fd"),
        (abi.VHOST_USER_REM_MEM_REG, REGION, "no memory region"),
        (abi.VHOST_USER_SET_CONFIG, struct.pack("<III", 0, 4, 0) + bytes(4), "read-only"),
        (abi.VHOST_USER_SET_CONFIG, struct.pack("<III", 0, 16, 1) + bytes(16), "read-only"),
        (abi.VHOST_USER_SET_LOG_BASE, bytes(16), "unknown"),
        (abi.VHOST_USER_GET_INFLIGHT_FD, bytes(24), "unknown"),
        (abi.VHOST_USER_SET_DEVICE_STATE_FD, bytes(8), "unknown"),
        (99, b"", "unknown"),
    ],
)
async def test_a_bad_request_is_refused_or_ends_the_device(
    request_id: int, payload: bytes, fault: str
) -> None:
    vmm = RawVmm()
    # Asked for a reply, the device says no and goes on.
    assert await vmm.main.ask_for_success(request_id, payload) != 0
    assert await vmm.main.ask(abi.VHOST_USER_GET_QUEUE_NUM) == struct.pack("<Q", 2)
    await vmm.main.write(request_id, payload)
    with pytest.raises(HostFault, match=fault):
        await vmm.ended()


@pytest.mark.parametrize("request_id", sorted({*REQUESTS, 0, 99}))
async def test_fds_that_a_request_must_not_have_are_closed(request_id: int) -> None:
    shape = REQUESTS.get(request_id)
    allowed = 8 if shape is None else shape.fds
    if allowed == 8:
        return
    vmm = RawVmm()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    await vmm.main.write(request_id, bytes(shape.smallest if shape else 0), [writing] * (allowed + 1))
    os.close(writing)
    with pytest.raises(HostFault, match="fds"):
        await vmm.ended()
    assert os.read(reading, 1) == b""  # nobody holds the other end any more
    os.close(reading)


async def test_more_fds_than_any_message_has_are_closed() -> None:
    vmm = RawVmm()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    await vmm.main.write(abi.VHOST_USER_SET_MEM_TABLE, bytes(8), [writing] * 40)
    os.close(writing)
    with pytest.raises(HostFault, match="more than 8 fds"):
        await vmm.ended()
    assert os.read(reading, 1) == b""
    os.close(reading)


async def test_a_stream_cut_anywhere_ends_the_device_without_a_word_too_many() -> None:
    stream = struct.pack("<III", abi.VHOST_USER_SET_FEATURES, 1, 8) + bytes(8)
    for length in range(1, len(stream)):
        vmm = RawVmm()
        await vmm.main.write_raw(stream[:length])
        vmm.main.close()
        with pytest.raises(HostFault, match="in the middle"):
            await vmm.ended()


async def test_a_stream_that_ends_between_messages_is_a_clean_end() -> None:
    vmm = RawVmm()
    await vmm.main.write(abi.VHOST_USER_SET_OWNER)
    vmm.main.close()
    await vmm.ended()


@pytest.mark.parametrize("what", ["file", "directory", "socket", "closed pipe"])
async def test_a_kick_fd_that_is_no_eventfd_harms_nobody(what: str) -> None:
    async with running_vm() as vm:
        fds = {
            "file": lambda: [os.memfd_create("kick", os.MFD_CLOEXEC)],
            "directory": lambda: [os.open("/", os.O_RDONLY | os.O_CLOEXEC)],
            "socket": lambda: [end.detach() for end in socket.socketpair()],
            "closed pipe": lambda: list(os.pipe2(os.O_CLOEXEC)),
        }[what]()
        await vm.frontend.stop_rings()
        await vm.frontend.main.write(abi.VHOST_USER_SET_VRING_KICK, struct.pack("<Q", 0), [fds[0]], flags=8)
        answer = await vm.frontend.main.read()
        assert answer.request == abi.VHOST_USER_SET_VRING_KICK
        for fd in fds:
            os.close(fd)
        async with running_vm() as other:
            assert (await other.driver.get_capset_info()).ok
        await vm.frontend.barrier()


@pytest.mark.parametrize("request_id", [abi.VHOST_USER_SET_VRING_CALL, abi.VHOST_USER_SET_VRING_ERR])
async def test_an_fd_that_nothing_can_be_done_with_leaves_the_one_before(request_id: int) -> None:
    path = os.open("/", os.O_PATH)
    async with running_vm() as vm:
        main = vm.frontend.main
        assert await main.ask_for_success(request_id, struct.pack("<Q", 0), [path])
        os.close(path)
        # Interrupts still come, and nobody else's descriptor is closed at the end.
        assert (await vm.driver.get_capset_info()).ok


async def test_a_back_end_channel_that_is_no_socket_is_refused() -> None:
    vmm = RawVmm()
    fd = os.memfd_create("channel", os.MFD_CLOEXEC)
    assert await vmm.main.ask_for_success(abi.VHOST_USER_SET_BACKEND_REQ_FD, fds=[fd]) != 0
    os.close(fd)
    vmm.main.close()
    await vmm.ended()


async def test_a_vmm_that_reads_no_replies_is_left() -> None:
    vmm = RawVmm()
    with suppress(BrokenPipeError):
        while True:
            await vmm.main.write_raw(struct.pack("<III", abi.VHOST_USER_GET_SHMEM_CONFIG, 1, 0) * 64)
    with pytest.raises(HostFault, match="does not read"):
        await vmm.ended()


@pytest.mark.parametrize("is_used", [False, True])
async def test_memory_that_is_not_there_starts_no_ring(is_used: bool) -> None:
    async with running_vm() as vm:
        main = vm.frontend.main
        if is_used:
            assert (await vm.driver.ctx_create(1)).ok
        await vm.frontend.stop_rings()
        far = struct.pack("<IIQQQQ", 0, 0, 1 << 60, 1 << 60, 1 << 60, 0)
        assert await main.ask_for_success(abi.VHOST_USER_SET_VRING_ADDR, far) == 0
        kick = struct.pack("<Q", 0)
        assert await main.ask_for_success(abi.VHOST_USER_SET_VRING_KICK, kick, [vm.driver.control.kick]) != 0
        # With the right addresses it starts after all.
        await vm.frontend.start_driver()
        assert (await vm.driver.get_capset_info()).ok
        assert [context.closed for context in vm.host.contexts] == [False] * is_used


@pytest.mark.parametrize("request_id", [abi.VHOST_USER_SET_VRING_NUM, abi.VHOST_USER_SET_VRING_BASE])
async def test_a_ring_is_not_changed_while_it_runs(request_id: int) -> None:
    async with running_vm() as vm:
        assert await vm.frontend.main.ask_for_success(request_id, struct.pack("<II", 0, 32)) != 0
        moved = struct.pack("<IIQQQQ", 0, 0, 0, 0, 0, 0)
        assert await vm.frontend.main.ask_for_success(abi.VHOST_USER_SET_VRING_ADDR, moved) != 0
        assert (await vm.driver.get_capset_info()).ok


async def test_a_driver_older_than_virtio_1_is_not_served() -> None:
    ours, theirs = socket.socketpair()
    serving = serve(theirs, StubHost())
    async with FakeFrontend(ours) as frontend:
        await frontend.stop_rings()
        await frontend.main.write(abi.VHOST_USER_SET_FEATURES, struct.pack("<Q", 1 << 30))
        kick = struct.pack("<Q", 0)
        await frontend.main.write(abi.VHOST_USER_SET_VRING_KICK, kick, [frontend.driver.control.kick])
        post = frontend.driver.post(0x0108, bytes(8), room=40)
        await frontend.barrier()
        assert not post.done()
    await asyncio.wait_for(serving, PATIENCE)


@pytest.mark.parametrize("seed", range(20))
async def test_random_requests_never_bring_down_more_than_their_device(seed: int) -> None:
    chance = random.Random(seed)
    vmm = RawVmm()
    fd = os.memfd_create("anything", os.MFD_CLOEXEC)
    os.truncate(fd, 8192)
    for _ in range(200):
        request_id = chance.choice([*REQUESTS, chance.randrange(64)])
        shape = REQUESTS.get(request_id)
        size = chance.choice([shape.smallest, shape.largest] if shape else [0, 8, 64])
        payload = bytes(chance.choice((0, 0, 0, 1, 2, 16, 255)) for _ in range(size))
        fds = [fd] * chance.choice([0, shape.fds if shape else 1])
        try:
            # need_reply keeps a refusal from being the end.
            await vmm.main.write(request_id, payload, fds, flags=8)
            answer = await asyncio.wait_for(vmm.main.read(), PATIENCE)
        except (EOFError, OSError):
            break
        assert answer.request == request_id
    os.close(fd)
    vmm.main.close()
    try:
        await vmm.ended()
    except HostFault:
        return
