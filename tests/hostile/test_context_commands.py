"""Any guest against one context: typed errors only, no crash, nothing left behind."""

import asyncio
import contextlib
import os
import socket
import struct
from array import array

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crossdomain.abi.cross_domain import (
    CHANNEL_RING,
    FIRST_READ_PIPE,
    HEADER,
    Command,
    Identifier,
    encode_get_image_requirements,
    encode_init,
    encode_poll,
    encode_send,
    encode_write,
)
from crossdomain.errors import GuestFault, HostFault
from tests.unit.context.world import (
    CHANNEL_RING_ID,
    QUERY_RING_ID,
    World,
    delete_id,
    event,
    request,
    sync,
    until,
)

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "400"))
FORMATS = [int.from_bytes(code, "little") for code in (b"R8  ", b"XR24", b"NV12", b"\0\0\0\0")]
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 11, 12, 100, FIRST_READ_PIPE, FIRST_READ_PIPE + 1, 2**32 - 1])

INTERFACES = st.sampled_from(["wl_shm", "wl_seat", "wl_drm", ""])
IDS = st.integers(2, 8)


def raw_command(cmd: int, size: int, body: bytes) -> bytes:
    """A header that may lie, and any body."""
    return HEADER.pack(cmd, 0, size, 0) + body


def get_registry(new_id: int) -> bytes:
    """wl_display.get_registry."""
    return request("wl_display", "get_registry", 1, new_id)


def bind(registry: int, name: int, interface: str, new_id: int) -> bytes:
    """wl_registry.bind."""
    return request("wl_registry", "bind", registry, name, interface, 1, new_id)


def create_pool(shm: int, new_id: int) -> bytes:
    """wl_shm.create_pool, which owns an fd."""
    return request("wl_shm", "create_pool", shm, new_id, None, 4096)


def send(data: list[bytes], ids: list[Identifier]) -> bytes:
    """A SEND."""
    return encode_send(b"".join(data), tuple(ids))


def write(identifier: int, data: bytes, hang_up: bool, credit: int) -> bytes:
    """A WRITE."""
    return encode_write(identifier, data, hang_up=hang_up, credit=credit)


def tear(command: bytes, cut: int) -> bytes:
    """A command that lacks its end."""
    return command[: max(0, len(command) - cut)]


def show(registry: int, name: int, interface: str) -> bytes:
    """wl_registry.global."""
    return event("wl_registry", "global", registry, name, interface, 5)


def keymap(keyboard: int) -> bytes:
    """wl_keyboard.keymap, which owns an fd."""
    return event("wl_keyboard", "keymap", keyboard, 1, None, 5)


def ask_for_data(source: int) -> bytes:
    """wl_data_source.send, which owns an fd that is written."""
    return event("wl_data_source", "send", source, "text", None)


def raw_event(object_id: int, opcode: int, body: bytes) -> bytes:
    """Any event of the right length."""
    return struct.pack("<IHH", object_id, opcode, 8 + len(body)) + body


sizes = st.one_of(st.integers(0, 65535), st.just(8), st.just(24))
numbers_of_commands = st.integers(0, 20) | st.just(int(Command.GET_CLOCK))
raw_commands = st.builds(raw_command, numbers_of_commands, sizes, st.binary(max_size=64))
identifiers = st.builds(Identifier, NUMBERS, st.integers(0, 7), NUMBERS)
messages = st.one_of(
    st.builds(sync, IDS),
    st.builds(get_registry, IDS),
    st.builds(bind, IDS, st.integers(0, 3), INTERFACES, IDS),
    st.builds(create_pool, IDS, IDS),
    st.binary(max_size=24),
)
sends = st.builds(send, st.lists(messages, max_size=4), st.lists(identifiers, max_size=4))
credit = st.sampled_from([0, 1, 65536, 2**32 - 1])
writes = st.builds(write, NUMBERS, st.binary(max_size=100), st.booleans(), credit)
images = st.builds(encode_get_image_requirements, NUMBERS, NUMBERS, st.sampled_from(FORMATS))
torn = st.builds(tear, st.one_of(sends, writes), st.integers(1, 400))
commands = st.one_of(
    st.just(encode_init(QUERY_RING_ID, CHANNEL_RING_ID)),
    st.just(encode_poll()),
    raw_commands,
    sends,
    writes,
    images,
    torn,
)
events = st.one_of(
    st.builds(delete_id, IDS),
    st.builds(show, IDS, st.integers(0, 3), INTERFACES),
    st.builds(keymap, IDS),
    st.builds(ask_for_data, IDS),
    st.builds(raw_event, NUMBERS, st.integers(0, 9), st.binary(max_size=16)),
    st.binary(max_size=24),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), commands),
        st.tuples(st.just("fence"), st.integers(0, 2)),
        st.tuples(st.just("event"), st.tuples(events, st.integers(0, 3))),
        st.tuples(st.just("blob"), st.tuples(NUMBERS, st.sampled_from([0, 1, 4096, 8192, 1 << 40]))),
        st.tuples(st.just("detach"), st.sampled_from([QUERY_RING_ID, CHANNEL_RING_ID])),
        st.tuples(st.just("hang up"), st.none()),
    ),
    max_size=30,
)


class Play:
    """One session, step by step."""

    def __init__(self) -> None:
        self.world = World()
        self.world.share(100)
        self.fences = 0
        self.completed = 0

    def step(self, kind: str, value: object) -> None:
        """Does one thing; GuestFault and HostFault are the only errors that may come."""
        match kind, value:
            case "submit", bytes():
                self.world.context.submit(value)
            case "fence", int():
                self.fences += 1
                self.world.context.create_fence(value, self._complete)
            case "event", (bytes() as data, int() as fds):
                self._send(data, fds)
            case "blob", (int() as blob_id, int() as size):
                self.world.context.take_blob(blob_id, size).close()
            case "detach", int():
                self.world.resources.attached.pop(value, None)
            case _:
                if self.world.compositor is not None:
                    self.world.compositor.close()

    def _complete(self) -> None:
        self.completed += 1

    def _send(self, data: bytes, fds: int) -> None:
        compositor = self.world.compositor
        if compositor is None or compositor.connection.fileno() < 0 or not data:
            return
        files = [os.memfd_create("fuzz") for _ in range(fds)]
        for fd in files:
            os.write(fd, b"12345")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", files))] if files else []
            compositor.connection.sendmsg([data], ancillary)
        for fd in files:
            os.close(fd)


async def play(script: list[tuple[str, object]]) -> None:
    """Plays a script to its end; every fence completes and every fd is closed."""
    unexpected: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unexpected.append(context))
    session = Play()
    for kind, value in script:
        with contextlib.suppress(GuestFault, HostFault):
            session.step(kind, value)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    session.world.close()
    assert session.completed == session.fences
    assert not unexpected


INIT = ("submit", encode_init(QUERY_RING_ID, CHANNEL_RING_ID))
POLL = ("fence", CHANNEL_RING)
CONNECTED = [
    INIT,
    ("submit", encode_send(get_registry(2))),
    ("event", (show(2, 1, "wl_shm") + show(2, 2, "wl_seat") + show(2, 3, "wl_data_device_manager"), 0)),
    ("submit", encode_send(bind(2, 1, "wl_shm", 3) + bind(2, 2, "wl_seat", 4))),
    (
        "submit",
        encode_send(bind(2, 3, "wl_data_device_manager", 5) + request("wl_seat", "get_keyboard", 4, 6)),
    ),
    ("submit", encode_send(request("wl_data_device_manager", "create_data_source", 5, 7))),
    POLL,
]
"""A client with wl_shm 3, a keyboard 6 and a data source 7, whose messages carry fds."""


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
@example([INIT, POLL, ("detach", CHANNEL_RING_ID), ("event", (delete_id(2), 3))])
@example([INIT, ("submit", HEADER.pack(Command.SEND, 0, 8, 0)), POLL, POLL, POLL])
@example([INIT, ("hang up", None), POLL, ("submit", encode_send(sync(2))), POLL])
def test_any_session_ends_with_typed_errors_and_leaves_nothing(script: list[tuple[str, object]]) -> None:
    fds = len(os.listdir("/proc/self/fd"))
    asyncio.run(play([INIT, *script]))
    asyncio.run(play([*CONNECTED, *script]))
    assert len(os.listdir("/proc/self/fd")) == fds


async def test_the_prepared_client_of_these_sessions_is_alive() -> None:
    session = Play()
    for kind, value in CONNECTED:
        session.step(kind, value)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    session.step("event", (keymap(6) + ask_for_data(7), 2))
    await until(lambda: session.world.context.counters.fds_to_guest == 2)
    assert session.world.context.alive
    session.world.close()
