"""Files of the client that the compositor reads: keymaps, gamma ramps, ICC profiles."""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest

from crossdomain.limits import MAX_CARRIED_FILE, MAX_FILES_ON_THE_WAY
from crossdomain.wire.codec import decode_arguments
from tests.unit.launcher.fake_channel import TABLES, FakeMemory, RelayedClient, event, request

GAMMA_ENTRIES: Final = 256
GAMMA_SIZE: Final = 6 * GAMMA_ENTRIES
RAMPS: Final = bytes(range(256)) * 6


def file_of(contents: bytes) -> int:
    """A file with these contents."""
    fd = os.memfd_create("file")
    os.write(fd, contents)
    return fd


def keyboard(client: RelayedClient) -> int:
    seat = client.bind("wl_seat", 8)
    manager = client.bind("zwp_virtual_keyboard_manager_v1", 1)
    made = client.new_id()
    client.say(request("zwp_virtual_keyboard_manager_v1", "create_virtual_keyboard", manager, seat, made))
    return made


def gamma_control(client: RelayedClient) -> int:
    output = client.bind("wl_output", 4)
    manager = client.bind("zwlr_gamma_control_manager_v1", 1)
    made = client.new_id()
    client.say(request("zwlr_gamma_control_manager_v1", "get_gamma_control", manager, made, output))
    client.channel.deliver(event("zwlr_gamma_control_v1", "gamma_size", made, GAMMA_ENTRIES))
    client.hear()
    return made


def icc_creator(client: RelayedClient) -> int:
    manager = client.bind("wp_color_manager_v1", 1)
    made = client.new_id()
    client.say(request("wp_color_manager_v1", "create_icc_creator", manager, made))
    return made


class Carried(NamedTuple):
    """A request that owns a file."""

    make: Callable[[RelayedClient], int]
    interface: str
    name: str
    rest: tuple[int | None, ...]
    """Its arguments; None is the fd."""

    def bytes(self, object_id: int) -> bytes:
        return request(self.interface, self.name, object_id, *self.rest)


KEYMAP: Final = Carried(keyboard, "zwp_virtual_keyboard_v1", "keymap", (1, None, 14))
SET_GAMMA: Final = Carried(gamma_control, "zwlr_gamma_control_v1", "set_gamma", (None,))
SET_ICC: Final = Carried(icc_creator, "wp_image_description_creator_icc_v1", "set_icc_file", (None, 3, 5))

every_file = pytest.mark.parametrize("carried", [KEYMAP, SET_GAMMA, SET_ICC], ids=lambda found: found.name)


def say(client: RelayedClient, carried: Carried, fd: int) -> int:
    """Send the request with that file, which is given away; its object."""
    made = carried.make(client)
    client.hear()
    client.channel.sends.clear()
    client.say(carried.bytes(made), fds=[fd])
    return made


def shared(client: RelayedClient) -> FakeMemory:
    """The memory that went beside what was sent."""
    (identifier,) = client.channel.identifiers
    return client.channel.memories[identifier.identifier - 1]


def error_of(heard: bytes) -> tuple[object, ...]:
    """Object, code and text of a wl_display.error."""
    return decode_arguments(TABLES.interface("wl_display").events[0], heard)


def test_a_keymap_goes_to_the_host_as_a_copy(client: RelayedClient) -> None:
    made = say(client, KEYMAP, file_of(b"xkb_keymap {}\0"))
    assert client.channel.sent.startswith(KEYMAP.bytes(made))
    assert shared(client).contents[:14] == b"xkb_keymap {}\0"


def test_gamma_ramps_go_to_the_host_as_a_copy(client: RelayedClient) -> None:
    made = say(client, SET_GAMMA, file_of(RAMPS))
    assert client.channel.sent.startswith(SET_GAMMA.bytes(made))
    assert shared(client).contents[:GAMMA_SIZE] == RAMPS


def test_of_a_file_with_a_profile_inside_only_the_profile_goes(client: RelayedClient) -> None:
    made = say(client, SET_ICC, file_of(b"...12345..."))
    assert client.channel.sent.startswith(request(*SET_ICC[1:3], made, None, 0, 5))
    assert shared(client).contents == b"12345"


@every_file
def test_the_copy_is_given_up_when_the_host_has_it(client: RelayedClient, carried: Carried) -> None:
    made = carried.make(client)
    client.hear()
    client.channel.sends.clear()
    client.channel.fill()
    client.say(carried.bytes(made), fds=[file_of(RAMPS)])
    (memory,) = client.channel.memories
    before = memory.closed
    client.channel.make_room()
    client.serve()
    assert (before, shared(client).closed) == (False, True)
    assert client.hear() == b""
    assert not client.closed


@every_file
def test_the_copy_is_given_up_with_the_client(client: RelayedClient, carried: Carried) -> None:
    made = carried.make(client)
    client.channel.fill()
    client.say(carried.bytes(made), fds=[file_of(RAMPS)])
    client.connection.close()
    assert [memory.closed for memory in client.channel.memories] == [True]


@every_file
def test_what_is_no_file_is_refused(client: RelayedClient, carried: Carried) -> None:
    reading, writing = os.pipe()
    made = say(client, carried, reading)
    object_id, _, text = error_of(client.hear())
    assert (object_id, "no file" in str(text)) == (made, True)
    os.close(writing)


@every_file
def test_a_file_that_can_not_be_read_is_refused(client: RelayedClient, carried: Carried) -> None:
    fd = file_of(RAMPS)
    writing = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    os.close(fd)
    say(client, carried, writing)
    assert b"can't be read" in client.hear()


@pytest.mark.parametrize(
    ("carried", "size", "code"),
    [
        (SET_GAMMA, GAMMA_SIZE - 1, 1),
        (SET_ICC, 7, 4),
        (SET_ICC._replace(rest=(None, 0, 0)), 8, 3),
        (SET_ICC._replace(rest=(None, 0, MAX_CARRIED_FILE + 1)), MAX_CARRIED_FILE + 1, 3),
        (SET_ICC._replace(rest=(None, 0xFFFFFFFF, 0xFFFFFFFF)), 8, 3),
    ],
)
def test_a_file_of_the_wrong_size_is_refused_as_by_a_compositor(
    client: RelayedClient, carried: Carried, size: int, code: int
) -> None:
    fd = os.memfd_create("file")
    os.ftruncate(fd, size)
    made = say(client, carried, fd)
    assert error_of(client.hear())[:2] == (made, code)
    assert client.channel.memories == []


def test_a_keymap_that_is_shorter_than_it_says_is_what_the_file_has(client: RelayedClient) -> None:
    say(client, KEYMAP, file_of(b"short"))
    assert shared(client).contents[:14] == b"short".ljust(14, b"\0")


def test_a_keymap_without_end_is_refused(client: RelayedClient) -> None:
    fd = os.memfd_create("file")
    os.ftruncate(fd, MAX_CARRIED_FILE + 1)
    say(client, KEYMAP._replace(rest=(1, None, MAX_CARRIED_FILE + 1)), fd)
    assert f"a file of {MAX_CARRIED_FILE + 1} bytes".encode() in client.hear()


def test_only_so_many_files_are_copied_at_a_time(client: RelayedClient) -> None:
    made = gamma_control(client)
    client.hear()
    count = MAX_FILES_ON_THE_WAY + 1
    client.say(SET_GAMMA.bytes(made) * count, fds=[file_of(RAMPS) for _ in range(count)])
    assert b"has not taken yet" in client.hear()
    assert all(memory.closed for memory in client.channel.memories)
