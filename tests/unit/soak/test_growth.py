"""What counts as growth in a soak."""

import pytest

from tests.soak.growth import LEAST_ROUNDS, compare


def test_what_stays_the_same_has_not_grown() -> None:
    assert not compare("daemon", "fds", [12] * LEAST_ROUNDS).is_too_much


def test_what_rises_at_first_and_stays_then_has_not_grown() -> None:
    assert not compare("daemon", "fds", [5, 9, 11] + [12] * 3 * LEAST_ROUNDS).is_too_much


def test_what_differs_now_and_then_has_not_grown() -> None:
    assert not compare("daemon", "fds", [12, 14, 12, 12, 13, 12] * LEAST_ROUNDS).is_too_much


@pytest.mark.parametrize("rounds", [LEAST_ROUNDS, 10 * LEAST_ROUNDS])
def test_one_more_in_every_round_is_growth(rounds: int) -> None:
    assert compare("sharing", "fds", list(range(rounds))).is_too_much


def test_one_more_in_every_hundredth_round_is_growth() -> None:
    assert compare("sharing", "fds", [number // 100 for number in range(1000)]).is_too_much


def test_memory_may_move_a_little() -> None:
    assert not compare("sharing", "memory", [(10 << 20) + 4096 * n for n in range(100)]).is_too_much
    assert compare("sharing", "memory", [(10 << 20) + 65536 * n for n in range(100)]).is_too_much


def test_too_few_rounds_tell_nothing() -> None:
    with pytest.raises(ValueError, match="tell nothing"):
        compare("sharing", "fds", [1] * (LEAST_ROUNDS - 1))
