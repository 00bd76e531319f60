"""Messages as text for people."""

import pytest

from crossdomain.wire.codec import Value, encode_message
from crossdomain.wire.engine import Direction, messages_of
from crossdomain.wire.faults import WireFault
from crossdomain.wire.tables import load
from crossdomain.wire.trace import trace


def traced(direction: Direction, interface: str, name: str, *values: Value) -> str:
    messages = messages_of(load(), load().index(interface), direction)
    message = next(message for message in messages if message.name == name)
    return trace(direction, load().interface(interface), 5, message, encode_message(message, 5, *values))


def test_requests_and_events_show_their_arguments() -> None:
    assert (
        traced(Direction.REQUEST, "wl_surface", "attach", 7, -1, 2)
        == "-> wl_surface#5.attach(wl_buffer#7, -1, 2)"
    )
    assert traced(Direction.REQUEST, "wl_surface", "attach", 0, 0, 0) == "-> wl_surface#5.attach(nil, 0, 0)"
    assert (
        traced(Direction.EVENT, "wl_pointer", "motion", 1, 384, -64)
        == "<- wl_pointer#5.motion(1, 1.5, -0.25)"
    )
    assert traced(Direction.EVENT, "wl_keyboard", "keymap", 1, None, 9) == "<- wl_keyboard#5.keymap(1, fd, 9)"
    assert traced(Direction.EVENT, "xdg_toplevel", "wm_capabilities", b"1234").endswith("(array[4])")
    assert traced(Direction.REQUEST, "wl_data_offer", "accept", 1, None).endswith("(1, nil)")
    assert traced(Direction.REQUEST, "wl_registry", "bind", 3, "wl_shm", 1, 9).endswith(
        "(3, 'wl_shm', 1, new id object#9)"
    )


def test_strings_of_peers_are_quoted_and_cut() -> None:
    assert traced(Direction.REQUEST, "xdg_toplevel", "set_title", "a\n\udcff").endswith("('a\\n\\udcff')")
    assert len(traced(Direction.REQUEST, "xdg_toplevel", "set_title", "x" * 5000)) < 140


@pytest.mark.parametrize(
    ("direction", "interface", "name", "values"),
    [
        (Direction.EVENT, "wl_keyboard", "key", (1, 2, 30, 1)),
        (Direction.EVENT, "zwp_text_input_v3", "commit_string", ("secret",)),
        (Direction.REQUEST, "zwp_text_input_v3", "set_surrounding_text", ("secret", 1, 1)),
        (Direction.EVENT, "zwp_text_input_v1", "keysym", (1, 2, 30, 1, 0)),
    ],
)
def test_what_a_person_types_is_not_shown(
    direction: Direction, interface: str, name: str, values: tuple[Value, ...]
) -> None:
    assert traced(direction, interface, name, *values).endswith(f"{interface}#5.{name}(...)")


def test_what_is_no_such_message_is_a_fault() -> None:
    surface = load().interface("wl_surface")
    with pytest.raises(WireFault):
        trace(Direction.REQUEST, surface, 5, surface.requests[1], b"\5\0\0\0\1\0\x08\0")
