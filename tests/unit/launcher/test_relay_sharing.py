"""Buffers of one surface share a mirror where the compositor gives each back before the next comes."""

import os
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crossdomain.wire.codec import Value, decode_arguments, decode_header
from tests.unit.launcher.fake_channel import TABLES, FakeMemory, RelayedClient, event, request

WIDTH: Final = 16
HEIGHT: Final = 8
STRIDE: Final = WIDTH * 4
SIZE: Final = STRIDE * HEIGHT
BUFFERS: Final = 3
XRGB8888: Final = 1


class Host:
    """A compositor that knows which memory each wl_buffer shows, and what it reads at the moment."""

    def __init__(self, client: RelayedClient) -> None:
        self.client = client
        self.interfaces = {1: "wl_display"}
        self.pools: dict[int, FakeMemory] = {}
        self.buffers: dict[int, FakeMemory] = {}
        self.attached: dict[int, int] = {}
        self.shown: dict[int, tuple[FakeMemory, bytes]] = {}
        """Per surface the memory that is read until the next commit, and what was there at the commit."""
        self._seen = 0

    def listen(self) -> None:
        """Carry out what was sent since the last time."""
        sends = self.client.channel.sends[self._seen :]
        self._seen += len(sends)
        for data, identifiers in sends:
            given = [self.client.channel.memories[entry.identifier - 1] for entry in identifiers]
            offset = 0
            while offset < len(data):
                header = decode_header(data, offset)
                assert header is not None
                interface = TABLES.interface(self.interfaces[header.object_id])
                message = interface.requests[header.opcode]
                values = decode_arguments(message, data, offset)
                self._handle(header.object_id, f"{interface.name}.{message.name}", values, given)
                offset += header.size

    def _handle(self, object_id: int, name: str, values: tuple[Value, ...], given: list[FakeMemory]) -> None:
        numbers = [value for value in values if isinstance(value, int)]
        match name:
            case "wl_display.get_registry":
                self.interfaces[numbers[0]] = "wl_registry"
            case "wl_display.sync":
                self._delete(numbers[0])
            case "wl_registry.bind":
                self.interfaces[numbers[-1]] = str(values[1])
            case "wl_compositor.create_surface":
                self.interfaces[numbers[0]] = "wl_surface"
            case "wl_shm.create_pool":
                self.interfaces[numbers[0]] = "wl_shm_pool"
                self.pools[numbers[0]] = given.pop(0)
            case "wl_shm_pool.create_buffer":
                assert numbers[0] not in self.buffers
                self.interfaces[numbers[0]] = "wl_buffer"
                self.buffers[numbers[0]] = self.pools[object_id]
            case "wl_shm_pool.destroy" | "wl_buffer.destroy":
                assert object_id not in self.attached.values(), "a pending buffer was destroyed"
                self.buffers.pop(object_id, None)
                self._delete(object_id)
            case "wl_surface.attach":
                self.attached[object_id] = numbers[0]
            case "wl_surface.commit":
                self._commit(object_id)
            case _:
                pass

    def _delete(self, object_id: int) -> None:
        self.client.channel.deliver(event("wl_display", "delete_id", 1, object_id))

    def _commit(self, surface: int) -> None:
        buffer = self.attached.pop(surface, None)
        if buffer is not None:
            memory = self.buffers[buffer]
            self.shown[surface] = (memory, memory.buffer[:SIZE])


class Client:
    """Two surfaces, a pool of three buffers, and the pictures that the client means."""

    def __init__(self) -> None:
        self.relayed = RelayedClient()
        self.host = Host(self.relayed)
        shm, compositor = self.relayed.bind("wl_shm", 2), self.relayed.bind("wl_compositor", 6)
        self.surfaces = [self.relayed.new_id() for _ in range(2)]
        for surface in self.surfaces:
            self.relayed.say(request("wl_compositor", "create_surface", compositor, surface))
        self.fd = os.memfd_create("pool")
        os.ftruncate(self.fd, BUFFERS * SIZE)
        pool = self.relayed.new_id()
        values = (pool, None, BUFFERS * SIZE)
        self.relayed.say(request("wl_shm", "create_pool", shm, *values), fds=[os.dup(self.fd)])
        self.buffers = [self.relayed.new_id() for _ in range(BUFFERS)]
        for index, buffer in enumerate(self.buffers):
            made = (buffer, index * SIZE, WIDTH, HEIGHT, STRIDE, XRGB8888)
            self.relayed.say(request("wl_shm_pool", "create_buffer", pool, *made))
        self.relayed.say(request("wl_shm_pool", "destroy", pool))
        self.host.listen()
        self.busy: dict[int, int] = {}
        """Surface that each buffer was committed to and not given back from, both by index."""
        self.pictures = [bytearray(SIZE) for _ in self.surfaces]
        """What each surface shows, as the client means it."""
        self.colour = 0

    def show(self, surface: int, buffer: int, row: int) -> None:
        """Draw one more row into the surface's picture, and show that from a buffer that is free."""
        self.colour = self.colour % 250 + 1
        picture = self.pictures[surface]
        picture[row * STRIDE : (row + 1) * STRIDE] = bytes([self.colour]) * STRIDE
        os.pwrite(self.fd, picture, buffer * SIZE)
        self.relayed.say(
            request("wl_surface", "attach", self.surfaces[surface], self.buffers[buffer], 0, 0),
            request("wl_surface", "damage_buffer", self.surfaces[surface], 0, row, WIDTH, 1),
            request("wl_surface", "commit", self.surfaces[surface]),
        )
        self.busy[buffer] = surface
        self.host.listen()

    def give_back(self, buffer: int) -> None:
        """The compositor has uploaded what it was given."""
        surface = self.busy.pop(buffer)
        if buffer not in {held for held, where in self.busy.items() if where == surface}:
            self.host.shown.pop(self.surfaces[surface], None)
        self.relayed.channel.deliver(event("wl_buffer", "release", self.buffers[buffer]))
        self.relayed.serve()

    def free(self) -> list[int]:
        """Buffers that the client may draw in, by index."""
        return [index for index in range(BUFFERS) if index not in self.busy]

    def close(self) -> None:
        """Give everything up."""
        os.close(self.fd)
        self.relayed.close()


def frames(client: Client, count: int, *, early: bool) -> int:
    """Show a moving row in two buffers in turn; returns the bytes copied."""
    before = client.relayed.stats.totals().bytes_copied
    for number in range(count):
        buffer = number % 2
        client.show(0, buffer, number % HEIGHT)
        given_back = buffer if early else 1 - buffer
        if given_back in client.busy:
            client.give_back(given_back)
    return client.relayed.stats.totals().bytes_copied - before


def test_no_more_is_copied_than_was_damaged_where_buffers_come_back_early() -> None:
    client = Client()
    frames(client, 6, early=True)
    assert frames(client, 20, early=True) == 20 * STRIDE
    client.close()


def test_a_compositor_that_holds_what_it_shows_gets_the_damage_of_two_frames() -> None:
    client = Client()
    frames(client, 6, early=False)
    assert frames(client, 20, early=False) == 2 * 20 * STRIDE
    client.close()


def test_what_is_shown_is_not_drawn_over_when_a_compositor_begins_to_hold() -> None:
    client = Client()
    frames(client, 9, early=True)
    client.show(0, 1, 3)
    memory, shown = client.host.shown[client.surfaces[0]]
    client.show(0, 0, 4)
    assert memory.buffer[:SIZE] == shown
    assert client.host.shown[client.surfaces[0]][1] == client.pictures[0]
    client.close()


def test_a_buffer_keeps_its_place_in_the_ids() -> None:
    client = Client()
    frames(client, 9, early=True)
    assert client.relayed.hear().count(event("wl_display", "delete_id", 1, client.buffers[0])) == 0
    client.relayed.say(request("wl_buffer", "destroy", client.buffers[0]))
    client.host.listen()
    assert event("wl_display", "delete_id", 1, client.buffers[0]) in client.relayed.hear()
    client.close()


@settings(max_examples=60, stateful_step_count=40)
class AnyOrder(RuleBasedStateMachine):
    """Whatever a client shows where, and whenever the compositor gives it back."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client()

    @precondition(lambda self: self.client.free())
    @rule(surface=st.integers(0, 1), row=st.integers(0, HEIGHT - 1), data=st.data())
    def show(self, surface: int, row: int, data: st.DataObject) -> None:
        self.client.show(surface, data.draw(st.sampled_from(self.client.free())), row)
        shown = self.client.host.shown[self.client.surfaces[surface]][1]
        assert shown == self.client.pictures[surface]

    @precondition(lambda self: self.client.busy)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        self.client.give_back(data.draw(st.sampled_from(sorted(self.client.busy))))

    @rule(count=st.integers(1, 8), early=st.booleans())
    def run_on(self, count: int, early: bool) -> None:
        for buffer in list(self.client.busy):
            self.client.give_back(buffer)
        frames(self.client, count, early=early)

    @invariant()
    def nothing_shown_changes(self) -> None:
        for memory, shown in self.client.host.shown.values():
            assert memory.buffer[:SIZE] == shown

    @invariant()
    def the_client_lives(self) -> None:
        assert not self.client.relayed.closed

    def teardown(self) -> None:
        self.client.close()


TestAnyOrder = AnyOrder.TestCase
