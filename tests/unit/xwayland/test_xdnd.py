"""The messages of XDND, word for word as in its specification."""

from launcher.xwayland.transfer import xdnd

OTHER, COPY_ATOM = 0x400001, 0x77


def test_enter_names_three_types_and_says_whether_there_are_more() -> None:
    assert xdnd.encode_enter(OTHER, 5, [1, 2]) == (OTHER, 5 << 24, 1, 2)
    assert xdnd.encode_enter(OTHER, 5, [1, 2, 3, 4]) == (OTHER, 5 << 24 | 1, 1, 2, 3)
    assert xdnd.parse_enter((OTHER, 4 << 24, 1, 0, 3)) == xdnd.Enter(OTHER, 4, (1, 3))
    assert xdnd.parse_enter((OTHER, 5 << 24 | 1, 1, 2, 3)) == xdnd.Enter(OTHER, 5, None)


def test_a_position_is_two_signed_numbers_in_one_word() -> None:
    assert xdnd.encode_position(OTHER, 0x102, -2, 9, COPY_ATOM) == (OTHER, 0, 0x0102FFFE, 9, COPY_ATOM)


def test_a_status_is_an_action_or_a_refusal() -> None:
    assert xdnd.encode_status(OTHER, COPY_ATOM) == (OTHER, 3, 0, 0, COPY_ATOM)
    assert xdnd.encode_status(OTHER, 0) == (OTHER, 2, 0, 0, 0)
    assert xdnd.parse_status((OTHER, 1, 0, 0, COPY_ATOM)) == xdnd.Status(
        OTHER, accepted=True, action=COPY_ATOM
    )
    assert not xdnd.parse_status((OTHER, 2, 0, 0, COPY_ATOM)).accepted


def test_the_end_tells_of_success_since_version_5() -> None:
    assert xdnd.encode_finished(OTHER, COPY_ATOM) == (OTHER, 1, COPY_ATOM)
    assert xdnd.encode_finished(OTHER, 0) == (OTHER, 0, 0)
    assert xdnd.is_success((OTHER, 1, COPY_ATOM), 5)
    assert not xdnd.is_success((OTHER, 0, 0), 5)
    assert xdnd.is_success((OTHER, 0, 0), 4)


def test_actions_are_what_both_sides_know() -> None:
    names = ["XdndActionCopy", "XdndActionMove", "XdndActionAsk", "XdndActionLink", None]
    assert xdnd.actions_of(names) == xdnd.COPY | xdnd.MOVE | xdnd.ASK
    assert [xdnd.name_of(action) for action in (xdnd.COPY, xdnd.MOVE, xdnd.ASK, 8)] == [*names[:3], names[0]]
