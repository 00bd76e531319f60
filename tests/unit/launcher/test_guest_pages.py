"""Which files the host gets to see, and what the launcher does about the others."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.abi import udmabuf
from crossdomain.abi.pages import (
    KEY_SIZE,
    PAGE_SIZE,
    encode_claim_pages,
    encode_claimed,
    encode_expect_pages,
)
from crossdomain.bridge.udmabuf import Udmabuf
from crossdomain.errors import HostFault
from launcher.channel import drm
from launcher.channel.guest_pages import GuestPages
from tests.fakes.holes import punch_hole

SIZE = 300_000
"""No whole pages."""


class FakeKernel:
    """udmabuf and the memory device's driver, as far as `guest_pages` asks them."""

    def __init__(self) -> None:
        self.items: list[tuple[int, int, int, int]] = []
        """memfd's inode, pad, offset and size of what the last udmabuf was made of."""
        self.key = b""
        self.refuses_udmabuf = False
        self.refuses_import = 0
        """The error of an import; 0: none."""
        self.punches = 0
        """Bytes that a client takes out of its file and puts back while that becomes a udmabuf."""
        self.closed: list[int] = []

    def ioctl(self, _fd: int, request: int, argument: bytearray) -> int:
        """UDMABUF_CREATE_LIST."""
        assert request == udmabuf.UDMABUF_CREATE_LIST
        if self.refuses_udmabuf:
            raise OSError(22, "Invalid argument")
        _flags, count = udmabuf.CREATE_LIST.unpack_from(argument)
        items = list(udmabuf.CREATE_ITEM.iter_unpack(argument[udmabuf.CREATE_LIST.size :]))
        assert len(items) == count
        for memfd, _pad, offset, size in items:
            assert fcntl.fcntl(memfd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
            assert offset % PAGE_SIZE == size % PAGE_SIZE == 0
            assert offset + size <= os.fstat(memfd).st_size
        self.key = os.pread(items[0][0], KEY_SIZE, 0)
        if self.punches:
            punch_hole(items[1][0], items[1][2], self.punches)
            os.pwrite(items[1][0], bytes(self.punches), items[1][2])
        self.items = [(os.fstat(item[0]).st_ino, *item[1:]) for item in items]
        return os.open("/dev/null", os.O_RDONLY)

    def import_dmabuf(self, _fd: int, _dmabuf: int) -> drm.Blob:
        """See `drm`."""
        if self.refuses_import:
            raise OSError(self.refuses_import, os.strerror(self.refuses_import))
        return drm.Blob(5, 55)

    def close_handle(self, _fd: int, handle: int) -> None:
        """See `drm`."""
        self.closed.append(handle)


def fake_udmabuf() -> Udmabuf:
    """The device, with a kernel's usual limits."""
    return Udmabuf(os.open("/dev/null", os.O_RDWR), udmabuf.LIST_LIMIT, udmabuf.SIZE_LIMIT)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    made = FakeKernel()
    monkeypatch.setattr("crossdomain.bridge.udmabuf.fcntl.ioctl", made.ioctl)
    monkeypatch.setattr(drm, "import_dmabuf", made.import_dmabuf)
    monkeypatch.setattr(drm, "close_handle", made.close_handle)
    return made


@pytest.fixture
def pages(kernel: FakeKernel) -> Generator[GuestPages]:
    del kernel  # it has to be there first
    made = GuestPages(os.open("/dev/null", os.O_RDWR), fake_udmabuf())
    yield made
    made.close()


@pytest.fixture
def pool() -> Generator[int]:
    """A client's pool that can be sealed."""
    fd = os.memfd_create("pool", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    yield fd
    os.close(fd)


def test_a_file_is_shown_behind_a_page_with_the_key(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    shown = pages.import_file(pool, 0, SIZE)
    assert shown is not None
    assert (shown.resource_id, shown.start, shown.end) == (55, 0, SIZE)
    assert shown.key == kernel.key != bytes(KEY_SIZE)
    (_, _, _, first), (inode, _, offset, second) = kernel.items
    assert (first, inode, offset) == (PAGE_SIZE, os.fstat(pool).st_ino, 0)
    assert 0 <= second - SIZE < PAGE_SIZE


def test_a_part_of_a_file_is_shown(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    shown = pages.import_file(pool, 2 * PAGE_SIZE, 3 * PAGE_SIZE)
    assert shown is not None
    assert (shown.begin, shown.start, shown.end) == (-PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE)
    _key, (inode, _, offset, size) = kernel.items
    assert (inode, offset, size) == (os.fstat(pool).st_ino, 2 * PAGE_SIZE, PAGE_SIZE)


def test_a_file_that_loses_pages_is_whole_no_more(pages: GuestPages, pool: int) -> None:
    shown = pages.import_file(pool, 16 * PAGE_SIZE, SIZE)
    assert shown is not None
    os.pwrite(pool, b"drawn" * (SIZE // 5), 0)
    punch_hole(pool, 0, 16 * PAGE_SIZE)
    assert shown.is_whole()
    punch_hole(pool, 20 * PAGE_SIZE, PAGE_SIZE)
    os.pwrite(pool, b"drawn" * (SIZE // 5), 0)
    assert not shown.is_whole()
    shown.close()


def test_pages_that_go_while_a_file_is_shown_are_missed(
    kernel: FakeKernel, pages: GuestPages, pool: int
) -> None:
    kernel.punches = PAGE_SIZE
    shown = pages.import_file(pool, 0, SIZE)
    assert shown is not None
    assert not shown.is_whole()
    shown.close()


def test_a_file_that_nobody_can_watch_is_not_shown(
    pages: GuestPages, pool: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.channel.kept_pages._PAGEMAP", "/nowhere")
    assert pages.import_file(pool, 0, SIZE) is None


def test_every_launcher_has_a_key_of_its_own(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    pages.import_file(pool, 0, SIZE)
    first = kernel.key
    other = GuestPages(os.open("/dev/null", os.O_RDWR), fake_udmabuf())
    other.import_file(pool, 0, SIZE)
    other.close()
    assert kernel.key != first


def test_a_file_is_shown_until_it_is_closed(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    shown = pages.import_file(pool, 0, SIZE)
    assert shown is not None
    assert kernel.closed == []
    shown.close()
    shown.close()
    assert kernel.closed == [5]


def unsealable() -> int:
    """A memfd whose maker forbade seals."""
    fd = os.memfd_create("pool")
    os.ftruncate(fd, SIZE)
    return fd


def on_disk() -> int:
    """A file that has no seals, and no whole pages."""
    with tempfile.NamedTemporaryFile(dir=Path(__file__).parent) as file:
        file.write(bytes(SIZE))
        file.flush()
        return os.dup(file.fileno())


@pytest.mark.parametrize("make", [unsealable, on_disk])
def test_a_file_that_can_not_be_sealed_is_not_shown(pages: GuestPages, make: Callable[[], int]) -> None:
    fd = make()
    before = os.fstat(fd)
    assert pages.import_file(fd, 0, before.st_size) is None
    assert os.fstat(fd).st_size == before.st_size
    os.close(fd)


def test_the_largest_that_a_udmabuf_holds_is_shown_and_no_more(pages: GuestPages, pool: int) -> None:
    largest = udmabuf.SIZE_LIMIT - PAGE_SIZE
    assert pages.import_file(pool, 0, largest) is not None
    assert pages.import_file(pool, 0, largest + 1) is None


def test_what_the_kernel_refuses_is_not_shown(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    kernel.refuses_import = errno.ENOMEM
    assert pages.import_file(pool, 0, SIZE) is None
    kernel.refuses_udmabuf = True
    assert pages.import_file(pool, 0, SIZE) is None
    kernel.refuses_import, kernel.refuses_udmabuf = 0, False
    shown = pages.import_file(pool, 0, SIZE)
    assert shown is not None
    shown.close()


def test_a_kernel_that_never_imports_costs_other_files_nothing(
    kernel: FakeKernel, pages: GuestPages, pool: int
) -> None:
    kernel.refuses_import = errno.ENODEV
    assert pages.import_file(pool, 0, SIZE) is None
    kernel.refuses_import = 0
    other = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.ftruncate(other, SIZE)
    assert pages.import_file(other, 0, SIZE) is None
    status = os.fstat(other)
    assert (status.st_size, status.st_blocks, fcntl.fcntl(other, fcntl.F_GET_SEALS)) == (SIZE, 0, 0)
    os.close(other)


def test_a_machine_without_a_memory_device_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drm, "render_nodes", list[str])
    assert GuestPages.open() is None


class Asked:
    """A context's questions and the host's answers to them, in turn."""

    def __init__(self, *answers: bytes) -> None:
        self.commands: list[bytes] = []
        self._answers = list(answers)

    def __call__(self, command: bytes) -> bytes:
        """See `GuestPages.import_dmabuf`."""
        self.commands.append(command)
        return self._answers.pop(0)


EXPECTED: Final = encode_claimed(is_own=False)
OWN: Final = encode_claimed(is_own=True)
REFUSED: Final = bytes(8)


def test_a_dmabuf_is_expected_imported_and_claimed(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    ask = Asked(EXPECTED, OWN)
    shown = pages.import_dmabuf(pool, SIZE, ask)
    assert shown is not None
    assert ask.commands == [encode_expect_pages(), encode_claim_pages(55)]
    assert (shown.resource_id, shown.begin, shown.end) == (55, 0, SIZE)
    shown.close()
    shown.close()
    assert kernel.closed == [5]


def test_a_dmabuf_that_others_may_have_is_not_shown(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    assert pages.import_dmabuf(pool, SIZE, Asked(EXPECTED, encode_claimed(is_own=False))) is None
    assert kernel.closed == [5]


def test_a_dmabuf_is_not_shown_where_the_host_fails_to_say_whose_it_is(
    kernel: FakeKernel, pages: GuestPages, pool: int
) -> None:
    def ask(command: bytes) -> bytes:
        if command == encode_expect_pages():
            return EXPECTED
        raise HostFault("the host does not answer")

    with pytest.raises(HostFault):
        pages.import_dmabuf(pool, SIZE, ask)
    assert kernel.closed == [5]


def test_a_host_that_expects_nothing_gets_nothing(kernel: FakeKernel, pages: GuestPages, pool: int) -> None:
    assert pages.import_dmabuf(pool, SIZE, Asked(REFUSED)) is None
    assert kernel.closed == []


def test_nothing_is_expected_after_an_import_that_failed(
    kernel: FakeKernel, pages: GuestPages, pool: int
) -> None:
    kernel.refuses_import = errno.ENODEV
    ask = Asked(EXPECTED, REFUSED)
    assert pages.import_dmabuf(pool, SIZE, ask) is None
    assert ask.commands == [encode_expect_pages(), encode_claim_pages(0)]


def test_a_dmabuf_is_shown_as_long_as_one_import_of_it_is_there(
    kernel: FakeKernel, pages: GuestPages, pool: int
) -> None:
    first = pages.import_dmabuf(pool, SIZE, Asked(EXPECTED, OWN))
    second = pages.import_dmabuf(pool, SIZE, Asked(EXPECTED, OWN))
    assert first is not None
    assert second is not None
    first.close()
    assert kernel.closed == []
    second.close()
    assert kernel.closed == [5]
