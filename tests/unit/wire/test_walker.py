"""What a walker records, keeps in mind and refuses: rules that hold for both implementations."""

from typing import Final

import pytest

from crossdomain.errors import LocalError
from crossdomain.wire.codec import SERVER_ID_START, Value, encode_message
from crossdomain.wire.engine import MAX_RECORDS, Direction, Flag, Walk, Walker
from crossdomain.wire.faults import DisplayError
from crossdomain.wire.tables import NO_INTERFACE, load
from tests.unit.wire.traffic import bind, get_registry

REQUEST, EVENT = Direction.REQUEST, Direction.EVENT
COMPOSITOR, SEAT, DATA_DEVICE_MANAGER, SHM = 3, 4, 5, 6
FIRST_FREE: Final = 7
TOO_MANY = (1, DisplayError.INVALID_METHOD, "too many objects for wl_display#1.sync")
"""With libwayland's code."""
OFFER: Final = SERVER_ID_START


def request(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    found = next(message for message in load().interface(interface).requests if message.name == name)
    return encode_message(found, object_id, *values)


def event(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    found = next(message for message in load().interface(interface).events if message.name == name)
    return encode_message(found, object_id, *values)


def delete_id(object_id: int) -> bytes:
    return event("wl_display", "delete_id", 1, object_id)


def sync(object_id: int) -> bytes:
    return request("wl_display", "sync", 1, object_id)


class Connection:
    """A walker of which every walk but the refused ones takes everything."""

    def __init__(self, walker_class: type[Walker], *, strict: bool = True) -> None:
        tables = load()
        self.walker: Walker = walker_class(tables, [("wl_surface", REQUEST, "commit")], strict=strict)
        globals_ = ("wl_compositor", "wl_seat", "wl_data_device_manager", "wl_shm")
        binds = (bind(tables, name, 3 + number) for number, name in enumerate(globals_))
        self.requests(get_registry(tables), *binds)

    def requests(self, *messages: bytes) -> Walk:
        return self._pass(REQUEST, b"".join(messages))

    def events(self, *messages: bytes) -> Walk:
        return self._pass(EVENT, b"".join(messages))

    def refused(self, direction: Direction, message: bytes) -> tuple[int, int, str]:
        walk = self.walker.walk(direction, message)
        assert (walk.consumed, walk.records) == (0, [])
        assert walk.fault is not None
        return walk.fault.object_id, walk.fault.code, walk.fault.text

    def interface_of(self, object_id: int) -> str | None:
        index = self.walker.interface_of(object_id)
        return None if index is None else load().name(index)

    def _pass(self, direction: Direction, data: bytes) -> Walk:
        walk = self.walker.walk(direction, data)
        assert (walk.consumed, walk.fault) == (len(data), None)
        return walk


@pytest.fixture
def strict(walker_class: type[Walker]) -> Connection:
    """What a launcher sees."""
    return Connection(walker_class)


@pytest.fixture
def lenient(walker_class: type[Walker]) -> Connection:
    """What a host sees."""
    return Connection(walker_class, strict=False)


# Records


def test_messages_nobody_asked_for_are_passed_over(strict: Connection) -> None:
    walk = strict.requests(
        request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE),
        request("wl_surface", "damage", FIRST_FREE, 0, 0, 64, 64),
    )
    assert walk.records == []


def test_records_tell_where_the_message_is(strict: Connection) -> None:
    create = request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE)
    walk = strict.requests(create, request("wl_surface", "commit", FIRST_FREE))
    index = load().index("wl_surface")
    assert walk.records == [(len(create), 8, FIRST_FREE, index, 6, 0, 0, FIRST_FREE + 1)]


def test_records_tell_which_id_was_the_next_then(strict: Connection) -> None:
    commit = request("wl_surface", "commit", FIRST_FREE)
    create = request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE)
    later = request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE + 1)
    walk = strict.requests(create, commit, later, commit)
    assert [record.next_id for record in walk.records] == [FIRST_FREE + 1, FIRST_FREE + 2]


def test_an_interest_may_come_later(strict: Connection) -> None:
    bell = event("wl_seat", "capabilities", SEAT, 3)
    assert strict.events(bell).records == []
    strict.walker.watch("wl_seat", EVENT, "capabilities")
    (record,) = strict.events(bell).records
    assert (record.object_id, record.opcode) == (SEAT, 0)
    with pytest.raises(LocalError, match="no such message"):
        strict.walker.watch("wl_seat", REQUEST, "capabilities")


def test_an_interest_that_comes_later_is_of_one_walker_alone(walker_class: type[Walker]) -> None:
    first, second = [
        walker_class(load(), [("wl_display", REQUEST, "get_registry")], strict=True) for _ in "12"
    ]
    first.watch("wl_display", REQUEST, "sync")
    third = walker_class(load(), [("wl_display", REQUEST, "get_registry")], strict=True)
    assert [len(walker.walk(REQUEST, sync(2)).records) for walker in (first, second, third)] == [1, 0, 0]


def test_messages_with_fds_are_recorded_unasked(strict: Connection) -> None:
    walk = strict.requests(request("wl_shm", "create_pool", SHM, FIRST_FREE, None, 4096))
    assert [record.fds for record in walk.records] == [1]


def test_a_call_ends_with_its_last_possible_record(strict: Connection) -> None:
    strict.requests(request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE))
    commit = request("wl_surface", "commit", FIRST_FREE)
    data = commit * (MAX_RECORDS + 2)
    first = strict.walker.walk(REQUEST, data)
    assert (len(first.records), first.consumed) == (MAX_RECORDS, MAX_RECORDS * len(commit))
    second = strict.walker.walk(REQUEST, data[first.consumed :])
    assert (len(second.records), second.consumed) == (2, 2 * len(commit))


def test_bytes_of_any_buffer_are_walked(strict: Connection) -> None:
    assert strict.walker.walk(REQUEST, bytearray(sync(FIRST_FREE))).consumed == 12
    assert strict.walker.walk(REQUEST, memoryview(b"...." + sync(FIRST_FREE + 1))[4:]).consumed == 12
    assert strict.walker.walk(REQUEST, b"") == (0, [], None, 0)


def test_an_interest_in_a_message_that_does_not_exist_is_our_mistake(walker_class: type[Walker]) -> None:
    with pytest.raises(LocalError):
        walker_class(load(), [("wl_surface", REQUEST, "no_such_request")], strict=True)
    with pytest.raises(LocalError):
        walker_class(load(), [("no_such_interface", REQUEST, "commit")], strict=True)


# The life of an object


def test_an_object_has_the_interface_and_version_it_was_made_with(strict: Connection) -> None:
    strict.requests(
        bind(load(), "wl_compositor", FIRST_FREE, version=2),
        request("wl_compositor", "create_surface", FIRST_FREE, FIRST_FREE + 1),
    )
    assert strict.interface_of(FIRST_FREE + 1) == "wl_surface"
    assert strict.walker.version_of(FIRST_FREE + 1) == 2
    assert strict.walker.interface_of(FIRST_FREE + 2) is None
    assert strict.walker.version_of(FIRST_FREE + 2) is None


def test_a_destroyed_object_is_a_zombie_until_delete_id(strict: Connection) -> None:
    strict.requests(request("wl_seat", "get_keyboard", SEAT, FIRST_FREE))
    strict.requests(request("wl_keyboard", "release", FIRST_FREE))
    assert strict.refused(REQUEST, request("wl_keyboard", "release", FIRST_FREE)) == (
        1,
        DisplayError.INVALID_OBJECT,
        f"invalid object {FIRST_FREE}",
    )
    late = strict.events(event("wl_keyboard", "keymap", FIRST_FREE, 1, None, 4096))
    assert [record.fds for record in late.records] == [1]
    strict.events(delete_id(FIRST_FREE))
    assert strict.interface_of(FIRST_FREE) is None


def test_an_id_is_free_again_after_delete_id(strict: Connection) -> None:
    for _ in range(3):
        strict.requests(sync(FIRST_FREE))
        strict.events(event("wl_callback", "done", FIRST_FREE, 0), delete_id(FIRST_FREE))
    assert strict.interface_of(FIRST_FREE) is None


def test_destroying_while_creating_leaves_only_the_new_object(strict: Connection) -> None:
    strict.requests(
        bind(load(), "wp_color_manager_v1", FIRST_FREE),
        request("wp_color_manager_v1", "create_parametric_creator", FIRST_FREE, FIRST_FREE + 1),
        request("wp_image_description_creator_params_v1", "create", FIRST_FREE + 1, FIRST_FREE + 2),
    )
    assert strict.interface_of(FIRST_FREE + 2) == "wp_image_description_v1"
    strict.refused(
        REQUEST, request("wp_image_description_creator_params_v1", "set_luminances", FIRST_FREE + 1, 0, 1, 1)
    )


def test_ids_of_the_compositor_are_used_again_without_a_word(strict: Connection) -> None:
    strict.requests(
        request("wl_data_device_manager", "get_data_device", DATA_DEVICE_MANAGER, FIRST_FREE, SEAT)
    )
    for _ in range(3):
        strict.events(event("wl_data_device", "data_offer", FIRST_FREE, OFFER))
        walk = strict.requests(request("wl_data_offer", "receive", OFFER, "text/plain", None))
        assert [record.fds for record in walk.records] == [1]
        strict.requests(request("wl_data_offer", "destroy", OFFER))
        strict.refused(REQUEST, request("wl_data_offer", "destroy", OFFER))
        strict.events(delete_id(OFFER))
        assert strict.interface_of(OFFER) == "wl_data_offer"


def test_the_display_can_not_be_deleted(strict: Connection) -> None:
    strict.events(delete_id(1))
    strict.requests(sync(FIRST_FREE))


def test_a_used_id_may_be_taken_again_before_a_host(lenient: Connection) -> None:
    lenient.requests(sync(FIRST_FREE), request("wl_shm", "create_pool", SHM, FIRST_FREE, None, 4096))
    assert lenient.interface_of(FIRST_FREE) == "wl_shm_pool"
    lenient.events(event("wl_callback", "done", FIRST_FREE, 0), delete_id(FIRST_FREE))
    assert lenient.interface_of(FIRST_FREE) == "wl_shm_pool"
    lenient.requests(request("wl_shm_pool", "destroy", FIRST_FREE))
    lenient.events(delete_id(FIRST_FREE))
    assert lenient.interface_of(FIRST_FREE) is None


def test_ten_thousand_lives_of_one_id_leave_nothing(lenient: Connection) -> None:
    for _ in range(10):
        lenient.requests(sync(FIRST_FREE) * 1000)
        lenient.events(delete_id(FIRST_FREE) * 1000)
    assert lenient.interface_of(FIRST_FREE) is None
    assert lenient.walker.next_id() == FIRST_FREE + 1


def test_an_id_can_not_live_more_often_than_is_counted(lenient: Connection) -> None:
    lenient.requests(sync(FIRST_FREE) * 0xFFFF)
    assert lenient.refused(REQUEST, sync(FIRST_FREE)) == TOO_MANY
    lenient.events(delete_id(FIRST_FREE) * 0xFFFF)
    assert lenient.interface_of(FIRST_FREE) is None


# What is refused


def test_a_request_to_an_unknown_object(strict: Connection, lenient: Connection) -> None:
    for connection in (strict, lenient):
        for object_id in (0, FIRST_FREE, OFFER, 0xFEFFFFFF, 0xFFFFFFFF):
            expected = (1, DisplayError.INVALID_OBJECT, f"invalid object {object_id}")
            assert connection.refused(REQUEST, request("wl_surface", "commit", object_id)) == expected


def test_a_request_with_an_unknown_opcode(strict: Connection, lenient: Connection) -> None:
    message = (1).to_bytes(4, "little") + b"\x63\0\x08\0"
    for connection in (strict, lenient):
        expected = (1, DisplayError.INVALID_METHOD, "invalid method 99, object wl_display#1")
        assert connection.refused(REQUEST, message) == expected


def test_a_request_newer_than_the_version_that_was_bound(strict: Connection, lenient: Connection) -> None:
    for connection in (strict, lenient):
        connection.requests(
            bind(load(), "wl_compositor", FIRST_FREE, version=3),
            request("wl_compositor", "create_surface", FIRST_FREE, FIRST_FREE + 1),
            request("wl_surface", "set_buffer_scale", FIRST_FREE + 1, 2),
        )
        _, code, text = connection.refused(
            REQUEST, request("wl_surface", "damage_buffer", FIRST_FREE + 1, 0, 0, 1, 1)
        )
        assert (code, text) == (
            DisplayError.INVALID_METHOD,
            f"invalid method 9 (version 3), object wl_surface#{FIRST_FREE + 1}",
        )


@pytest.mark.parametrize(("interface", "version"), [("no_such", 1), ("wl_seat", 0), ("wl_seat", 12), ("", 1)])
def test_a_bind_of_what_the_tables_do_not_have(
    strict: Connection, lenient: Connection, interface: str, version: int
) -> None:
    message = request("wl_registry", "bind", 2, 1, interface, version, FIRST_FREE)
    for connection in (strict, lenient):
        assert connection.refused(REQUEST, message) == (2, DisplayError.INVALID_OBJECT, "invalid global")


@pytest.mark.parametrize("new_id", [1, FIRST_FREE + 1, OFFER, 0xFEFFFFFF, 0xFFFFFFFF])
def test_a_new_id_that_leaves_a_hole_or_is_not_the_clients(
    strict: Connection, lenient: Connection, new_id: int
) -> None:
    for connection in (strict, lenient):
        assert connection.refused(REQUEST, sync(new_id))[0] == 1
        connection.requests(sync(FIRST_FREE))


@pytest.mark.parametrize("destroyed", [False, True])
def test_a_new_id_that_a_plain_client_still_uses(strict: Connection, destroyed: bool) -> None:
    strict.requests(request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE))
    strict.requests(*[request("wl_surface", "destroy", FIRST_FREE)] * destroyed)
    assert strict.refused(REQUEST, request("wl_compositor", "create_region", COMPOSITOR, FIRST_FREE)) == (
        1,
        DisplayError.INVALID_METHOD,
        f"invalid arguments for wl_compositor#{COMPOSITOR}.create_region",
    )


def test_an_argument_that_names_no_object_or_one_of_another_kind(
    strict: Connection, lenient: Connection
) -> None:
    for connection in (strict, lenient):
        connection.requests(
            request("wl_compositor", "create_surface", COMPOSITOR, FIRST_FREE),
            request("wl_compositor", "create_region", COMPOSITOR, FIRST_FREE + 1),
            request("wl_surface", "set_opaque_region", FIRST_FREE, FIRST_FREE + 1),
            request("wl_surface", "set_opaque_region", FIRST_FREE, 0),
            request("wl_region", "destroy", FIRST_FREE + 1),
        )
        for object_id in (FIRST_FREE, FIRST_FREE + 1, FIRST_FREE + 2, OFFER):
            connection.refused(REQUEST, request("wl_surface", "set_opaque_region", FIRST_FREE, object_id))


def test_more_objects_than_the_limit(walker_class: type[Walker], monkeypatch: pytest.MonkeyPatch) -> None:
    limit = FIRST_FREE + 100
    monkeypatch.setattr("crossdomain.wire.walker.MAX_OBJECTS", limit)
    monkeypatch.setattr("crossdomain.wire.native.MAX_OBJECTS", limit)
    for connection in (Connection(walker_class), Connection(walker_class, strict=False)):
        connection.requests(*(sync(object_id) for object_id in range(FIRST_FREE, limit)))
        assert connection.refused(REQUEST, sync(limit)) == TOO_MANY
        connection.events(delete_id(limit - 1))
        connection.requests(sync(limit - 1))


def test_a_size_that_no_message_has(strict: Connection, lenient: Connection) -> None:
    for connection in (strict, lenient):
        for size in (0, 4, 7, 9, 13):
            message = sync(FIRST_FREE)[:6] + size.to_bytes(2, "little") + bytes(8)
            for direction in Direction:
                assert connection.refused(direction, message)[2] == f"invalid message size {size}, object 1"


@pytest.mark.parametrize("string", [b"te\0t", b"text", b"\0\0\0\0"])
def test_a_string_that_c_reads_differently(strict: Connection, string: bytes) -> None:
    strict.requests(
        bind(load(), "xdg_activation_v1", FIRST_FREE),
        request("xdg_activation_v1", "get_activation_token", FIRST_FREE, FIRST_FREE + 1),
    )
    good = request("xdg_activation_token_v1", "set_app_id", FIRST_FREE + 1, "tex")
    strict.requests(good)
    strict.refused(REQUEST, good[:12] + string)


# Events


def test_events_of_unknown_objects_are_passed_over(strict: Connection, lenient: Connection) -> None:
    for connection in (strict, lenient):
        for object_id in (0, FIRST_FREE, OFFER + 3, 0xFEFFFFFF, 0xFFFFFFFF):
            assert connection.events(event("wl_callback", "done", object_id, 0)).records == []


def test_events_that_a_host_does_not_understand_are_passed_over(lenient: Connection) -> None:
    unknown_opcode = SEAT.to_bytes(4, "little") + b"\x63\0\x08\0"
    too_short = SEAT.to_bytes(4, "little") + b"\0\0\x08\0"
    lenient.events(unknown_opcode, too_short)


def test_events_that_a_plain_client_can_not_understand_are_refused(strict: Connection) -> None:
    unknown_opcode = SEAT.to_bytes(4, "little") + b"\x63\0\x08\0"
    too_short = SEAT.to_bytes(4, "little") + b"\0\0\x08\0"
    assert strict.refused(EVENT, unknown_opcode)[2] == f"invalid method 99, object wl_seat#{SEAT}"
    assert strict.refused(EVENT, too_short)[2] == f"invalid arguments for wl_seat#{SEAT}.capabilities"


@pytest.mark.parametrize("new_id", [FIRST_FREE + 1, OFFER + 1, 0xFFFFFFFF])
def test_an_event_can_not_create_an_object_of_the_clients_or_leave_a_hole(
    walker_class: type[Walker], new_id: int
) -> None:
    get_device = request("wl_data_device_manager", "get_data_device", DATA_DEVICE_MANAGER, FIRST_FREE, SEAT)
    message = event("wl_data_device", "data_offer", FIRST_FREE, new_id)
    strict, lenient = Connection(walker_class), Connection(walker_class, strict=False)
    strict.requests(get_device)
    lenient.requests(get_device)
    strict.refused(EVENT, message)
    lenient.events(message)
    assert lenient.interface_of(new_id) is None


# Objects of the proxy's own


def test_events_of_an_own_object_are_marked_until_its_delete_id(strict: Connection) -> None:
    strict.walker.own(FIRST_FREE)
    walk = strict.events(event("wl_callback", "done", FIRST_FREE, 1), delete_id(FIRST_FREE))
    assert [(record.object_id, record.interface, record.flags) for record in walk.records] == [
        (FIRST_FREE, NO_INTERFACE, Flag.OWN),
        (1, load().index("wl_display"), Flag.OWN),
    ]
    assert strict.walker.own_pending(FIRST_FREE) == 0
    assert strict.events(event("wl_callback", "done", FIRST_FREE, 1)).records == []


def test_own_delete_ids_do_not_touch_the_clients_object(strict: Connection) -> None:
    strict.requests(request("wl_shm", "create_pool", SHM, FIRST_FREE, None, 4096))
    strict.walker.own(FIRST_FREE)
    strict.walker.own(FIRST_FREE, deletes=2)
    strict.events(delete_id(FIRST_FREE) * 2)
    assert strict.walker.own_pending(FIRST_FREE) == 1
    strict.requests(request("wl_shm_pool", "destroy", FIRST_FREE))
    strict.events(delete_id(FIRST_FREE))
    assert strict.walker.own_pending(FIRST_FREE) == 0
    assert strict.interface_of(FIRST_FREE) == "wl_shm_pool"
    strict.walker.release(FIRST_FREE)
    strict.requests(sync(FIRST_FREE))


def test_the_client_may_take_an_id_that_the_proxy_uses_for_a_moment(strict: Connection) -> None:
    own_id = strict.walker.next_id()
    strict.walker.own(own_id)
    strict.requests(sync(own_id))
    marked = strict.events(event("wl_callback", "done", own_id, 0), delete_id(own_id))
    assert [record.flags for record in marked.records] == [Flag.OWN, Flag.OWN]
    the_clients = strict.events(event("wl_callback", "done", own_id, 0), delete_id(own_id))
    assert the_clients.records == []
    assert strict.interface_of(own_id) is None


@pytest.mark.parametrize(
    ("object_id", "deletes"),
    [
        (0, 1),
        (1, 1),
        (FIRST_FREE + 1, 1),
        (OFFER, 1),
        (FIRST_FREE, 0),
        (FIRST_FREE, 0x10000),
        (FIRST_FREE, -1),
    ],
)
def test_an_own_object_that_can_not_be_is_our_mistake(
    strict: Connection, object_id: int, deletes: int
) -> None:
    with pytest.raises(LocalError):
        strict.walker.own(object_id, deletes)
    assert strict.walker.next_id() == FIRST_FREE


@pytest.mark.parametrize("object_id", [0, 1, FIRST_FREE, OFFER])
def test_releasing_what_is_not_in_use_is_our_mistake(strict: Connection, object_id: int) -> None:
    with pytest.raises(LocalError):
        strict.walker.release(object_id)
