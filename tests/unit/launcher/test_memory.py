"""Sizes of memory that is asked of the host."""

from hypothesis import given
from hypothesis import strategies as st

from crossdomain.context.images import image_requirements
from crossdomain.limits import MAX_BLOB_SIZE
from launcher.channel.memory import linear_image, quantise, round_to_pages

sizes = st.integers(1, MAX_BLOB_SIZE)


@given(sizes)
def test_a_size_is_rounded_up_to_whole_pages_by_an_eighth_at_most(size: int) -> None:
    quantised = quantise(size)
    assert size <= quantised <= max(round_to_pages(size), size + size // 8 + 1)
    assert quantised % 4096 == 0


@given(sizes)
def test_sizes_that_are_offered_again_stay(size: int) -> None:
    assert quantise(quantise(size)) == quantise(size)


@given(sizes)
def test_our_host_gives_exactly_what_is_asked_for(size: int) -> None:
    assert image_requirements(*linear_image(quantise(size))).size == quantise(size)
