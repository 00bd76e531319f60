"""A client that breaks the protocol hears what it would have heard without the proxy."""

import contextlib
import os
import struct
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.weston import Weston
from tests.fakes.windows import Buffer, Layout, Pool, Window

SIZE = 64 * 64 * 4
XRGB8888 = 1


@pytest.fixture
def launcher(weston: Weston, runtime_dir: Path) -> Generator[RunningLauncher]:
    with (
        running_daemon(runtime_dir, weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as running,
    ):
        yield running
        running.assert_alive()


class Heard(NamedTuple):
    """What tells one protocol error from another: the object's interface and its code."""

    interface: str
    code: int


def hear(display: str, break_protocol: Callable[[FakeClient], None]) -> Heard:
    """The error that a client of that display gets."""
    with FakeClient(display) as client, contextlib.ExitStack() as left:
        left.callback(close_pools, client)
        with pytest.raises(ProtocolError) as error:
            provoke(client, break_protocol)
    return Heard(error.value.interface, error.value.code)


def provoke(client: FakeClient, break_protocol: Callable[[FakeClient], None]) -> None:
    """Do the wrong thing, and wait for what comes of it."""
    break_protocol(client)
    client.round_trip()


POOLS: list[Pool] = []


def close_pools(_client: FakeClient) -> None:
    """Give up the memory of all pools."""
    while POOLS:
        POOLS.pop().close()


def pool_of(client: FakeClient, size: int = SIZE) -> Pool:
    """A pool; its memory is given up by `close_pools`."""
    pool = Pool(client, client.bind("wl_shm"), size)
    POOLS.append(pool)
    return pool


def create_pool(size: int) -> Callable[[FakeClient], None]:
    def act(client: FakeClient) -> None:
        fd = os.memfd_create("wrong")
        client.bind("wl_shm").create("create_pool", fd, size)
        os.close(fd)

    return act


def pool_of_a_pipe(client: FakeClient) -> None:
    reading, writing = os.pipe()
    client.bind("wl_shm").create("create_pool", reading, SIZE)
    client.flush()
    os.close(reading)
    os.close(writing)


def create_buffer(*values: int) -> Callable[[FakeClient], None]:
    """`values`: offset, width, height, stride, format."""

    def act(client: FakeClient) -> None:
        pool_of(client).proxy.create("create_buffer", *values)

    return act


def shrink(client: FakeClient) -> None:
    pool_of(client).proxy.send("resize", SIZE // 2)


def truncate(client: FakeClient) -> None:
    """The file ends while the compositor reads it."""
    window = Window(client, title="truncated", fullscreen=True)
    pool = pool_of(client)
    buffer = Buffer(pool, Layout(0, 64, 64, 256, 4), XRGB8888)
    os.ftruncate(pool.fd, 0)
    window.surface.attach(buffer)
    window.surface.damage_all()
    window.surface.commit_and_show()


def unknown_object(client: FakeClient) -> None:
    client.send_raw(b"\x63\0\0\0\0\0\x08\0")


def unknown_opcode(client: FakeClient) -> None:
    client.send_raw(b"\x01\0\0\0\x63\0\x08\0")


def short_message(client: FakeClient) -> None:
    client.send_raw(b"\x01\0\0\0\0\0\x08\0")


def id_in_use(client: FakeClient) -> None:
    client.send_raw(b"\x01\0\0\0\0\0\x0c\0\x02\0\0\0")


def id_with_a_hole(client: FakeClient) -> None:
    client.send_raw(b"\x01\0\0\0\0\0\x0c\0\x00\x10\0\0")


def id_above_a_small_hole(client: FakeClient) -> None:
    new_id(client, client.display.create("sync").object_id + 2)


def id_of_nothing(client: FakeClient) -> None:
    new_id(client, 0)


def id_of_the_display(client: FakeClient) -> None:
    new_id(client, 1)


def id_of_a_surface(client: FakeClient) -> None:
    new_id(client, client.bind("wl_compositor").create("create_surface").object_id)


def first_id_of_the_compositors(client: FakeClient) -> None:
    new_id(client, 0xFF000000)


def last_id_of_all(client: FakeClient) -> None:
    new_id(client, 0xFFFFFFFF)


def new_id(client: FakeClient, object_id: int) -> None:
    """wl_display.sync whose callback gets that id."""
    client.send_raw(struct.pack("<IHHI", 1, 0, 12, object_id))


def bind_at_an_id_in_use(client: FakeClient) -> None:
    entry = next(entry for entry in client.globals if entry.interface == "wl_output")
    bound = client.allocate("wl_output", 1)
    bound.object_id = 2
    client.send(client.registry, "bind", (entry.name, "wl_output", 1), bound)


def request_to_an_object_of_the_compositors(client: FakeClient) -> None:
    client.send_raw(struct.pack("<IHH", 0xFF000000, 0, 8))


def request_to_nothing(client: FakeClient) -> None:
    client.send_raw(struct.pack("<IHH", 0, 0, 8))


def argument_of_the_compositors(client: FakeClient) -> None:
    surface = client.bind("wl_compositor").create("create_surface")
    client.flush()
    client.send_raw(struct.pack("<IHHIii", surface.object_id, 1, 20, 0xFF000000, 0, 0))


def argument_that_is_nothing(client: FakeClient) -> None:
    base, xdg_surface = client.bind("xdg_wm_base"), client.allocate("xdg_surface", 1)
    client.flush()
    client.send_raw(struct.pack("<IHHII", base.object_id, 2, 16, xdg_surface.object_id, 0))


def destroyed_argument(client: FakeClient) -> None:
    compositor = client.bind("wl_compositor")
    surface, region = compositor.create("create_surface"), compositor.create("create_region")
    region.send("destroy")
    surface.send("set_input_region", region)


def bind_newer(client: FakeClient) -> None:
    entry = next(entry for entry in client.globals if entry.interface == "wl_output")
    client.bind_name(entry.name, "wl_output", entry.version + 1)


def bind_other(client: FakeClient) -> None:
    entry = next(entry for entry in client.globals if entry.interface == "wl_output")
    client.bind_name(entry.name, "wl_seat", 1)


def wrong_interface(client: FakeClient) -> None:
    compositor = client.bind("wl_compositor")
    compositor.create("create_surface").send("attach", compositor, 0, 0)


def dead_object(client: FakeClient) -> None:
    surface = client.bind("wl_compositor").create("create_surface")
    surface.send("destroy")
    surface.send("commit")


def commit_without_role(client: FakeClient) -> None:
    """The compositor's own rule: none of the proxy's business."""
    window = Window(client, title="no role", fullscreen=True)
    client.bind("xdg_wm_base").create("get_xdg_surface", window.surface.proxy)


@pytest.mark.parametrize(
    "break_protocol",
    [
        pytest.param(create_pool(0), id="pool of no bytes"),
        pytest.param(create_pool(-4096), id="pool of negative size"),
        pytest.param(pool_of_a_pipe, id="pool of a pipe"),
        pytest.param(create_buffer(-4, 64, 64, 256, XRGB8888), id="negative offset"),
        pytest.param(create_buffer(4, 64, 64, 256, XRGB8888), id="offset beyond the pool"),
        pytest.param(create_buffer(0, 0, 64, 256, XRGB8888), id="no width"),
        pytest.param(create_buffer(0, 64, 0, 256, XRGB8888), id="no height"),
        pytest.param(create_buffer(0, 64, -1, 256, XRGB8888), id="negative height"),
        pytest.param(create_buffer(0, 64, 64, 63, XRGB8888), id="stride below the width"),
        pytest.param(create_buffer(0, 64, 64, 1 << 30, XRGB8888), id="stride that overflows"),
        pytest.param(create_buffer(0, 64, 64, 256, 0x12345678), id="unknown format"),
        shrink,
        truncate,
        unknown_object,
        unknown_opcode,
        short_message,
        id_in_use,
        id_with_a_hole,
        id_above_a_small_hole,
        id_of_nothing,
        id_of_the_display,
        id_of_a_surface,
        first_id_of_the_compositors,
        last_id_of_all,
        bind_at_an_id_in_use,
        request_to_an_object_of_the_compositors,
        request_to_nothing,
        argument_of_the_compositors,
        argument_that_is_nothing,
        destroyed_argument,
        bind_newer,
        bind_other,
        wrong_interface,
        dead_object,
        commit_without_role,
    ],
)
def test_the_error_is_the_compositors(
    weston: Weston, launcher: RunningLauncher, break_protocol: Callable[[FakeClient], None]
) -> None:
    direct = hear(str(weston.socket_path), break_protocol)
    assert hear(launcher.socket, break_protocol) == direct
