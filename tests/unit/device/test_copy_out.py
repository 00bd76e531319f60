"""Copies out of scattered pages, against a picture."""

import mmap
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdomain.abi.pages import CopyPages
from crossdomain.bridge.copy import Pixels
from crossdomain.device.memory import GuestMemory
from crossdomain.device.resources import GuestStorage
from crossdomain.device.vhost_user import Region
from crossdomain.errors import GuestFault
from crossdomain.native.system import address_of

PAGE = 4096
PAGES = 6
STRIDE = 300
"""No divisor of a page: rows cross from one page into the next."""
ROWS = (PAGES * PAGE - 500) // STRIDE
OFFSET = 333

orders = st.permutations(range(PAGES))
rectangles = st.lists(
    st.tuples(
        st.integers(0, STRIDE // 3 - 1), st.integers(0, ROWS - 1), st.integers(0, 40), st.integers(0, 40)
    ),
    max_size=5,
)


def copied(order: list[int], content: bytes, areas: list[tuple[int, int, int, int]]) -> tuple[bytes, int]:
    """What is in the mirror after a copy out of pages that lie in RAM in that order, and the bytes."""
    fd = os.memfd_create("ram")
    os.ftruncate(fd, PAGES * PAGE)
    memory = GuestMemory()
    memory.add(Region(0, PAGES * PAGE, 0x7000_0000, 0), fd)
    for index, place in enumerate(order):
        memory.write(place * PAGE, content[index * PAGE : (index + 1) * PAGE])
    storage = GuestStorage(memory, PAGES * PAGE, [(place * PAGE, PAGE) for place in order])
    packed = b"".join(struct.pack("<4i", *area) for area in areas)
    mirror = mmap.mmap(-1, PAGES * PAGE)
    copy = CopyPages(1, 2, b"", 12, OFFSET + 12, STRIDE, STRIDE, 3, packed)
    try:
        count = storage.copy_out(Pixels(address_of(mirror), len(mirror)), copy)
        return mirror[:], count
    finally:
        mirror.close()
        memory.close()
        os.close(fd)


@given(orders, rectangles)
def test_a_copy_is_that_of_a_picture(order: list[int], areas: list[tuple[int, int, int, int]]) -> None:
    inside = [(x, y, min(w, STRIDE // 3 - x), min(h, ROWS - y)) for x, y, w, h in areas]
    content = np.random.default_rng(1).bytes(PAGES * PAGE)
    mirror, count = copied(order, content, inside)
    shape = (ROWS, STRIDE // 3, 3)
    drawn = np.frombuffer(content[OFFSET + 12 :], dtype=np.uint8)[: ROWS * STRIDE].reshape(shape)
    expected = np.zeros(shape, dtype=np.uint8)
    for x, y, width, height in inside:
        expected[y : y + height, x : x + width] = drawn[y : y + height, x : x + width]
    assert np.array_equal(
        np.frombuffer(mirror[12:], dtype=np.uint8)[: ROWS * STRIDE].reshape(shape), expected
    )
    assert mirror[:12] == bytes(12)
    assert count == sum(3 * width * height for _, _, width, height in inside)


def test_a_copy_that_leaves_the_pages_is_refused() -> None:
    with pytest.raises(GuestFault, match="leaves"):
        copied(list(range(PAGES)), bytes(PAGES * PAGE), [(0, ROWS, 1, 2)])
