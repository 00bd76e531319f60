"""Messages between Xwayland and the compositor: two id spaces, and objects of our own between them."""

import os
from collections import deque
from collections.abc import Callable, Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdomain.errors import GuestFault, HostFault
from crossdomain.wire.codec import Value, decode_arguments, decode_header, encode_message, integer
from crossdomain.wire.tables import Message, load
from launcher.xwayland.limits import MAX_SURFACES
from launcher.xwayland.wayland.entries import Call, Entry, Verdict
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.surfaces import Surface, Surfaces

TABLES = load()
SERVER_ID = 0xFF000000


class Outlet:
    """Keeps what goes out."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.fds: list[int] = []

    def append(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    def append_fd(self, fd: int) -> None:
        self.fds.append(fd)


class Rig:
    """A mediator between a client and a host that are played by the test."""

    def __init__(self) -> None:
        self.to_host = Outlet()
        self.to_client = Outlet()
        self.mediator = Mediator(TABLES, self.to_host, self.to_client)
        self.client_kinds: dict[int, str] = {1: "wl_display"}
        self.host_kinds: dict[int, str] = {1: "wl_display"}

    def request(
        self, interface: str, object_id: int, name: str, *values: Value, fds: tuple[int, ...] = ()
    ) -> None:
        """Xwayland sends a request."""
        data = encode(interface, object_id, name, values, "requests")
        assert self.mediator.handle_requests(data, deque(fds)) == len(data)

    def event(
        self, interface: str, object_id: int, name: str, *values: Value, fds: tuple[int, ...] = ()
    ) -> None:
        """The compositor sends an event."""
        data = encode(interface, object_id, name, values, "events")
        assert self.mediator.handle_events(data, deque(fds)) == len(data)

    def sent(self) -> list[tuple[int, int, int]]:
        """What the compositor got since the last time: object, opcode and size of each message."""
        return headers(self.to_host)

    def told(self) -> list[tuple[int, int, int]]:
        """What Xwayland got since the last time."""
        return headers(self.to_client)

    def sent_values(self, interface: str, name: str) -> tuple[Value, ...]:
        """The values of the only request that the compositor got since the last time."""
        return only_values(self.to_host, interface, name, "requests")

    def told_values(self, interface: str, name: str) -> tuple[Value, ...]:
        """The values of the only event that Xwayland got since the last time."""
        return only_values(self.to_client, interface, name, "events")


def find(interface: str, name: str, kind: str) -> Message:
    """A message's signature; `kind` is requests or events."""
    found = TABLES.interface(interface)
    messages = found.requests if kind == "requests" else found.events
    return next(message for message in messages if message.name == name)


def encode(interface: str, object_id: int, name: str, values: tuple[Value, ...], kind: str) -> bytes:
    """A message as it is on the wire."""
    return encode_message(find(interface, name, kind), object_id, *values)


def headers(outlet: Outlet) -> list[tuple[int, int, int]]:
    """Takes what is in an outlet."""
    found: list[tuple[int, int, int]] = []
    position = 0
    while (header := decode_header(outlet.data, position)) is not None:
        found.append((header.object_id, header.opcode, header.size))
        position += header.size
    assert position == len(outlet.data)
    outlet.data.clear()
    return found


def only_values(outlet: Outlet, interface: str, name: str, kind: str) -> tuple[Value, ...]:
    """Takes the only message in an outlet."""
    message = find(interface, name, kind)
    values = decode_arguments(message, bytes(outlet.data))
    (header,) = headers(outlet)
    assert header[1] == message.opcode
    return values


@pytest.fixture
def rig() -> Rig:
    """One in which an object of ours has the id that Xwayland takes first."""
    made = Rig()
    own = made.mediator.display.create("sync")
    assert own.entry.host_id == 2
    made.to_host.data.clear()
    return made


def bind_compositor(rig: Rig) -> None:
    """Xwayland's 2 is its registry, 3 its wl_compositor."""
    rig.request("wl_display", 1, "get_registry", 2)
    rig.request("wl_registry", 2, "bind", 1, "wl_compositor", 4, 3)
    rig.to_host.data.clear()


def test_xwaylands_objects_have_other_ids_on_the_host(rig: Rig) -> None:
    rig.request("wl_display", 1, "get_registry", 2)
    assert rig.sent_values("wl_display", "get_registry") == (3,)
    rig.request("wl_registry", 2, "bind", 1, "wl_compositor", 4, 3)
    assert rig.sent_values("wl_registry", "bind") == (1, "wl_compositor", 4, 4)
    rig.request("wl_compositor", 3, "create_surface", 4)
    assert rig.sent() == [(4, 0, 12)]


def test_events_come_back_with_xwaylands_ids(rig: Rig) -> None:
    rig.request("wl_display", 1, "get_registry", 2)
    rig.event("wl_registry", 3, "global", 1, "wl_seat", 7)
    assert rig.told() == [(2, 0, 28)]


def test_a_freed_id_is_used_again_on_either_side(rig: Rig) -> None:
    rig.request("wl_display", 1, "sync", 2)
    rig.event("wl_callback", 3, "done", 5)
    rig.event("wl_display", 1, "delete_id", 3)
    assert rig.told() == [(2, 0, 12), (1, 1, 12)]
    rig.to_host.data.clear()
    rig.request("wl_display", 1, "sync", 2)
    assert rig.sent_values("wl_display", "sync") == (3,)


def test_our_own_objects_are_not_xwaylands_business(rig: Rig) -> None:
    heard: list[int] = []
    callback = rig.mediator.display.create("sync")
    callback.handlers["done"] = lambda values, _fds: heard.append(integer(values[0]))
    rig.event("wl_callback", callback.entry.host_id, "done", 77)
    rig.event("wl_display", 1, "delete_id", callback.entry.host_id)
    assert heard == [77]
    assert rig.told() == []
    assert not callback.alive


def test_a_batch_stays_in_order_around_what_somebody_looks_at(rig: Rig) -> None:
    bind_compositor(rig)

    def look(_call: Call) -> Verdict:
        rig.mediator.display.create("sync")
        return Verdict.PASS

    rig.mediator.request_routes["wl_surface", "commit"] = look
    rig.request("wl_compositor", 3, "create_surface", 4)
    rig.to_host.data.clear()
    batch = b"".join(
        encode("wl_surface", 4, name, values, "requests")
        for name, values in (("damage", (1, 2, 3, 4)), ("commit", ()), ("damage", (5, 6, 7, 8)))
    )
    assert rig.mediator.handle_requests(batch, deque()) == len(batch)
    assert [opcode for _, opcode, _ in rig.sent()] == [2, 0, 6, 2]


def test_a_dropped_request_creates_nothing(rig: Rig) -> None:
    bind_compositor(rig)
    rig.mediator.request_routes["wl_compositor", "create_surface"] = lambda _call: Verdict.DROP
    rig.request("wl_compositor", 3, "create_surface", 4)
    assert rig.sent() == []
    assert rig.mediator.find_client(4) is None


def test_a_changed_request_is_sent_as_changed(rig: Rig) -> None:
    bind_compositor(rig)
    rig.request("wl_compositor", 3, "create_surface", 4)
    rig.to_host.data.clear()

    def change(call: Call) -> Verdict:
        call.values[0] = 50
        return Verdict.CHANGED

    rig.mediator.request_routes["wl_surface", "set_buffer_scale"] = change
    rig.request("wl_surface", 4, "set_buffer_scale", 1)
    assert rig.sent_values("wl_surface", "set_buffer_scale") == (50,)


def test_fds_travel_with_their_message(rig: Rig) -> None:
    rig.request("wl_display", 1, "get_registry", 2)
    rig.request("wl_registry", 2, "bind", 1, "wl_shm", 1, 3)
    rig.request("wl_shm", 3, "create_pool", 4, None, 4096, fds=(70,))
    assert rig.to_host.fds == [70]


def test_an_object_of_the_compositors_gets_an_id_without_a_hole(rig: Rig) -> None:
    """Where one is left, libwayland refuses the message."""
    rig.request("wl_display", 1, "get_registry", 2)
    rig.request("wl_registry", 2, "bind", 1, "zwp_tablet_manager_v2", 1, 3)
    rig.request("wl_registry", 2, "bind", 2, "wl_seat", 1, 4)
    rig.request("zwp_tablet_manager_v2", 3, "get_tablet_seat", 5, 4)
    seat = rig.mediator.find_client(5)
    assert seat is not None
    rig.to_client.data.clear()
    rig.event("zwp_tablet_seat_v2", seat.host_id, "tool_added", SERVER_ID + 7)
    assert rig.told_values("zwp_tablet_seat_v2", "tool_added") == (SERVER_ID,)
    rig.event("zwp_tablet_tool_v2", SERVER_ID + 7, "done")
    assert rig.told() == [(SERVER_ID, find("zwp_tablet_tool_v2", "done", "events").opcode, 8)]
    rig.request("zwp_tablet_tool_v2", SERVER_ID, "destroy")
    rig.event("zwp_tablet_tool_v2", SERVER_ID + 7, "done")
    assert rig.told() == []
    rig.event("zwp_tablet_seat_v2", seat.host_id, "tool_added", SERVER_ID + 7)
    assert rig.told_values("zwp_tablet_seat_v2", "tool_added") == (SERVER_ID,)


def test_an_event_that_names_our_own_object_is_kept_from_xwayland(rig: Rig) -> None:
    bind_compositor(rig)
    rig.request("wl_registry", 2, "bind", 2, "wl_seat", 1, 4)
    rig.request("wl_seat", 4, "get_pointer", 5)
    pointer = rig.mediator.find_client(5)
    compositor = rig.mediator.find_client(3)
    assert pointer is not None
    assert compositor is not None
    own = rig.mediator.create_own(TABLES.interface("wl_surface"), 4)
    rig.event("wl_pointer", pointer.host_id, "enter", 1, own.entry.host_id, 0, 0)
    assert rig.told() == []


def test_an_emulated_global_is_served_here(rig: Rig) -> None:
    heard: list[str] = []

    def serve(call: Call) -> Verdict:
        heard.append(call.message.name)
        return Verdict.DROP

    globals_ = Globals(rig.mediator, TABLES)
    globals_.emulate("xwayland_shell_v1", 1, serve)
    rig.request("wl_display", 1, "get_registry", 2)
    name, interface, version = rig.told_values("wl_registry", "global")
    assert (interface, version) == ("xwayland_shell_v1", 1)
    rig.to_host.data.clear()
    rig.request("wl_registry", 2, "bind", name, interface, version, 3)
    rig.request("xwayland_shell_v1", 3, "destroy")
    assert rig.sent() == []
    assert heard == ["destroy"]
    assert rig.told_values("wl_display", "delete_id") == (3,)


def test_xwayland_sees_no_global_that_nobody_knows(rig: Rig) -> None:
    Globals(rig.mediator, TABLES)
    rig.request("wl_display", 1, "get_registry", 2)
    rig.event("wl_registry", 3, "global", 1, "made_up_manager", 2)
    assert rig.told() == []
    rig.event("wl_registry", 3, "global", 1, "wl_compositor", 999)
    assert rig.told_values("wl_registry", "global")[2] == TABLES.interface("wl_compositor").version


BREAKS: list[Callable[[Rig], object]] = [
    lambda rig: rig.request("wl_surface", 9, "commit"),
    lambda rig: rig.mediator.handle_requests(bytes(4) + b"\x00\x00\x04\x00", deque()),
    lambda rig: rig.mediator.handle_requests(b"\x01\x00\x00\x00\x63\x00\x08\x00", deque()),
    lambda rig: rig.request("wl_display", 1, "sync", 1),
    lambda rig: rig.mediator.handle_requests(b"\x01\x00\x00\x00\x00\x00\x08\x00", deque()),
]


@pytest.mark.parametrize(
    "break_it", BREAKS, ids=["unknown object", "size", "opcode", "id in use", "truncated"]
)
def test_what_xwayland_does_wrong_is_its_fault(rig: Rig, break_it: Callable[[Rig], object]) -> None:
    with pytest.raises(GuestFault):
        break_it(rig)


def test_a_message_without_its_fd_is_a_fault(rig: Rig) -> None:
    rig.request("wl_display", 1, "get_registry", 2)
    rig.request("wl_registry", 2, "bind", 1, "wl_shm", 1, 3)
    with pytest.raises(GuestFault):
        rig.request("wl_shm", 3, "create_pool", 4, None, 4096)


def test_an_error_of_the_compositors_ends_it(rig: Rig) -> None:
    with pytest.raises(HostFault, match="bad thing"):
        rig.event("wl_display", 1, "error", 1, 3, "bad thing")


@given(st.binary(max_size=200))
def test_any_bytes_are_handled_or_refused(data: bytes) -> None:
    mediator = Mediator(TABLES, Outlet(), Outlet())
    for handle, fault in ((mediator.handle_requests, GuestFault), (mediator.handle_events, HostFault)):
        try:
            assert handle(data, deque()) <= len(data)
        except fault:
            continue


class Listener:
    """Who is told of surfaces."""

    def __init__(self) -> None:
        self.surfaces: list[Surface] = []
        self.numbers: list[int] = []
        self.destroyed: list[Surface] = []

    def surface_created(self, surface: Surface) -> None:
        self.surfaces.append(surface)

    def surface_numbered(self, surface: Surface, serial: int) -> None:
        assert surface in self.surfaces
        self.numbers.append(serial)

    def surface_destroyed(self, surface: Surface) -> None:
        self.destroyed.append(surface)


class SurfaceRig(Rig):
    """One in which Xwayland has a surface (4) and a buffer of 30 x 20 px (7)."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = Listener()
        self.surfaces = Surfaces(self.mediator, self.listener)
        bind_compositor(self)
        self.request("wl_registry", 2, "bind", 2, "wl_shm", 1, 5)
        self.request("wl_compositor", 3, "create_surface", 4)
        self.reading, self.writing = os.pipe()
        self.request("wl_shm", 5, "create_pool", 6, None, 4096, fds=(self.reading,))
        self.request("wl_shm_pool", 6, "create_buffer", 7, 0, 30, 20, 120, 0)
        self.request("wl_shm_pool", 6, "create_buffer", 8, 0, 40, 20, 160, 0)
        self.surface = self.listener.surfaces[0]
        self.to_host.data.clear()

    def draw(self, buffer: int, callback: int) -> None:
        """Xwayland draws a frame, as it does."""
        self.request("wl_surface", 4, "attach", buffer, 0, 0)
        self.request("wl_surface", 4, "damage", 0, 0, 5, 5)
        self.request("wl_surface", 4, "frame", callback)
        self.request("wl_surface", 4, "commit")

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def drawn() -> Generator[SurfaceRig]:
    """One whose fds are closed."""
    made = SurfaceRig()
    yield made
    made.close()


ATTACH, DAMAGE, FRAME, COMMIT = 1, 2, 3, 6


def opcodes(sent: list[tuple[int, int, int]]) -> list[int]:
    """What was asked of surfaces."""
    return [opcode for _, opcode, _ in sent]


def test_contents_are_held_back_until_the_surface_has_a_role(drawn: SurfaceRig) -> None:
    drawn.draw(7, 9)
    assert opcodes(drawn.sent()) == [DAMAGE]
    assert (drawn.surface.width, drawn.surface.height) == (30, 20)
    drawn.surface.release()
    assert opcodes(drawn.sent()) == [ATTACH, DAMAGE, FRAME, COMMIT]
    drawn.draw(8, 10)
    assert opcodes(drawn.sent()) == [ATTACH, DAMAGE, FRAME, COMMIT]
    assert drawn.surface.width == 40


def test_what_was_never_committed_is_not_committed_by_us(drawn: SurfaceRig) -> None:
    drawn.request("wl_surface", 4, "attach", 7, 0, 0)
    drawn.surface.release()
    assert opcodes(drawn.sent()) == [ATTACH, DAMAGE]


def test_a_buffer_that_is_replaced_before_it_is_shown_comes_back(drawn: SurfaceRig) -> None:
    drawn.draw(7, 9)
    drawn.surface.pulse()
    assert drawn.told()[0][0] == 9
    drawn.draw(8, 9)
    assert drawn.told() == [(7, 0, 8)]
    drawn.sent()
    drawn.surface.release()
    entry = drawn.mediator.find_client(8)
    assert entry is not None
    attach = bytes(drawn.to_host.data[:20])
    assert decode_arguments(find("wl_surface", "attach", "requests"), attach) == (entry.host_id, 0, 0)


def test_a_buffer_that_is_destroyed_before_it_is_shown_is_not(drawn: SurfaceRig) -> None:
    drawn.draw(7, 9)
    drawn.request("wl_buffer", 7, "destroy")
    drawn.sent()
    drawn.surface.release()
    assert opcodes(drawn.sent()) == [FRAME]


def test_a_surface_that_goes_frees_the_callbacks_that_nobody_knows(drawn: SurfaceRig) -> None:
    drawn.draw(7, 9)
    drawn.request("wl_buffer", 7, "destroy")
    drawn.request("wl_surface", 4, "destroy")
    assert drawn.told_values("wl_display", "delete_id") == (9,)
    assert drawn.listener.destroyed == [drawn.surface]


def test_cursors_are_not_held_back(drawn: SurfaceRig) -> None:
    drawn.request("wl_registry", 2, "bind", 3, "wl_seat", 1, 10)
    drawn.request("wl_seat", 10, "get_pointer", 11)
    drawn.request("wl_pointer", 11, "set_cursor", 1, 4, 0, 0)
    drawn.sent()
    drawn.draw(7, 9)
    assert opcodes(drawn.sent()) == [ATTACH, DAMAGE, FRAME, COMMIT]


def test_a_surface_can_be_taken_back(drawn: SurfaceRig) -> None:
    drawn.draw(7, 9)
    drawn.surface.release()
    drawn.sent()
    drawn.surface.hold()
    assert opcodes(drawn.sent()) == [ATTACH, COMMIT]
    drawn.surface.release()
    assert opcodes(drawn.sent()) == [ATTACH, DAMAGE, COMMIT]


def test_our_commit_waits_for_one_that_is_under_way(drawn: SurfaceRig) -> None:
    drawn.surface.release()
    drawn.request("wl_surface", 4, "attach", 7, 0, 0)
    drawn.sent()
    drawn.surface.commit()
    assert drawn.sent() == []
    drawn.request("wl_surface", 4, "commit")
    drawn.sent()
    drawn.surface.commit()
    assert opcodes(drawn.sent()) == [COMMIT]


def test_the_owner_hears_of_commits_and_of_the_end(drawn: SurfaceRig) -> None:
    heard: list[str] = []

    class Owner:
        def surface_commits(self, surface: Surface) -> None:
            heard.append(f"commit {surface.width}")

        def surface_destroyed(self, surface: Surface) -> None:
            assert surface is drawn.surface
            assert opcodes(drawn.sent())[-1] == COMMIT
            heard.append("destroyed")

    drawn.surface.owner = Owner()
    drawn.surface.release()
    drawn.draw(7, 9)
    drawn.request("wl_surface", 4, "destroy")
    assert heard == ["commit 30", "destroyed"]


def test_the_serial_of_a_surface_is_told(drawn: SurfaceRig) -> None:
    shell = drawn.mediator.create_local("xwayland_shell_v1", 1, 12, drawn.surfaces.handle_shell_request)
    assert isinstance(shell, Entry)
    drawn.request("xwayland_shell_v1", 12, "get_xwayland_surface", 13, 4)
    drawn.request("xwayland_surface_v1", 13, "set_serial", 5, 1)
    assert drawn.listener.numbers == [(1 << 32) + 5]
    assert drawn.sent() == []


@pytest.fixture
def full(drawn: SurfaceRig) -> SurfaceRig:
    """One in which Xwayland has as many surfaces as the compositor may know of."""
    for number in range(1, MAX_SURFACES):
        drawn.request("wl_compositor", 3, "create_surface", 100 + number)
    drawn.request("wl_compositor", 3, "create_region", 10)
    drawn.sent()
    return drawn


def test_the_compositor_hears_nothing_of_a_surface_too_many(full: SurfaceRig) -> None:
    full.request("wl_compositor", 3, "create_surface", 50)
    full.request("wl_surface", 50, "set_input_region", 10)
    full.request("wl_surface", 50, "damage", 0, 0, 5, 5)
    full.request("wl_surface", 50, "frame", 51)
    full.request("wl_surface", 50, "commit")
    assert full.sent() == []
    assert full.listener.surfaces[-1].is_surplus
    full.request("wl_surface", 50, "destroy")
    assert full.sent() == []
    assert full.told() == [(1, 1, 12), (1, 1, 12)]
    assert full.listener.destroyed == [full.listener.surfaces[-1]]


def test_a_buffer_for_a_surface_too_many_comes_back_and_is_gone(full: SurfaceRig) -> None:
    entry = full.mediator.find_client(7)
    assert entry is not None
    host_id = entry.host_id
    full.request("wl_compositor", 3, "create_surface", 50)
    full.request("wl_surface", 50, "attach", 7, 0, 0)
    assert full.sent() == [(host_id, 0, 8)]
    assert full.told() == [(7, 0, 8)]
    full.event("wl_buffer", host_id, "release")
    full.event("wl_display", 1, "delete_id", host_id)
    assert full.told() == []
    full.request("wl_surface", 50, "attach", 7, 0, 0)
    full.request("wl_surface", 4, "attach", 7, 0, 0)
    full.request("wl_buffer", 7, "destroy")
    assert full.sent() == []
    assert full.told_values("wl_display", "delete_id") == (7,)


def test_what_is_asked_for_a_surface_too_many_is_ignored(full: SurfaceRig) -> None:
    full.request("wl_registry", 2, "bind", 4, "wp_viewporter", 1, 11)
    full.request("wl_registry", 2, "bind", 3, "wl_seat", 1, 12)
    full.request("wl_seat", 12, "get_pointer", 13)
    full.request("wl_compositor", 3, "create_surface", 50)
    full.sent()
    full.request("wp_viewporter", 11, "get_viewport", 14, 50)
    full.request("wp_viewport", 14, "set_destination", 5, 5)
    full.request("wp_viewport", 14, "destroy")
    full.request("wl_pointer", 13, "set_cursor", 1, 50, 0, 0)
    assert full.sent() == []
    assert full.told_values("wl_display", "delete_id") == (14,)


def test_there_is_room_for_surfaces_when_some_have_gone(full: SurfaceRig) -> None:
    had_room = full.surfaces.has_room
    for number in range(1, MAX_SURFACES // 2):
        full.request("wl_surface", 100 + number, "destroy")
    assert (had_room, full.surfaces.has_room) == (False, True)
    full.request("wl_compositor", 3, "create_surface", 50)
    assert not full.listener.surfaces[-1].is_surplus


def test_a_buffer_that_nobody_has_seen_comes_back_with_the_end_of_its_surface(drawn: SurfaceRig) -> None:
    drawn.draw(7, 9)
    drawn.request("wl_surface", 4, "destroy")
    assert (7, 0, 8) in drawn.told()
