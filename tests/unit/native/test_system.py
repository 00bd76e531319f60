"""System calls that Python lacks, and the C core as a part of the installation."""

import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossdomain.bridge.copy import Pixels, TruncatedFault, copy_damage
from crossdomain.bridge.damage import Rectangle
from crossdomain.bridge.formats import Layout, layout
from crossdomain.native.system import FileMapping, address_of, open_signalfd

ROOT = Path(__file__).resolve().parents[3]
SIGINFO_SIZE = 128


@pytest.fixture
def file() -> Iterator[int]:
    """A file of two pages: the first full of 1, the second of 2."""
    fd = os.memfd_create("file")
    os.write(fd, b"\1" * 4096 + b"\2" * 4096)
    yield fd
    os.close(fd)


def page_layout() -> Layout:
    found = layout(0, 32, 32, 128)
    assert found is not None
    return found


def read_page(mapping: FileMapping, number: int) -> bytes:
    page = bytearray(4096)
    source = Pixels(mapping.address, mapping.size).part(number * 4096, 4096)
    copy_damage(Pixels(address_of(page), 4096), source, page_layout(), [Rectangle(0, 0, 32, 32)])
    return bytes(page)


def test_a_file_can_be_mapped_beyond_its_end_and_followed_when_it_grows(file: int) -> None:
    mapping = FileMapping(file, 3 * 4096)
    assert read_page(mapping, 1) == b"\2" * 4096
    os.pwrite(file, b"\3" * 4096, 2 * 4096)
    assert read_page(mapping, 2) == b"\3" * 4096
    mapping.close()


def write_page(mapping: FileMapping, number: int, byte: int) -> int:
    page = bytes([byte]) * 4096
    target = Pixels(mapping.address, mapping.size).part(number * 4096, 4096)
    return copy_damage(target, Pixels(address_of(page), 4096), page_layout(), [Rectangle(0, 0, 32, 32)])


def test_a_mapping_can_be_made_writable_and_stays_so_when_it_grows(file: int) -> None:
    mapping = FileMapping(file, 4096)
    mapping.make_writable()
    mapping.resize(2 * 4096)
    mapping.make_writable()
    assert write_page(mapping, 1, 7) == 4096
    assert os.pread(file, 4096, 4096) == b"\7" * 4096
    mapping.close()


def test_a_file_that_was_opened_for_reading_can_not_be_made_writable(file: int) -> None:
    reading = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    mapping = FileMapping(reading, 4096)
    os.close(reading)
    with pytest.raises(PermissionError):
        mapping.make_writable()
    mapping.close()


def test_writing_beyond_the_end_of_a_file_is_survived(file: int) -> None:
    mapping = FileMapping(file, 3 * 4096)
    mapping.make_writable()
    with pytest.raises(TruncatedFault) as caught:
        write_page(mapping, 2, 7)
    # Within the row, memcpy writes in an order of its own.
    assert caught.value.offset < 4096
    assert caught.value.copied == 0
    mapping.close()


def test_a_mapping_grows_and_shrinks_with_its_pool(file: int) -> None:
    mapping = FileMapping(file, 4096)
    mapping.resize(64 * 4096)
    assert (mapping.size, read_page(mapping, 1)) == (64 * 4096, b"\2" * 4096)
    mapping.resize(4096)
    assert (mapping.size, read_page(mapping, 0)) == (4096, b"\1" * 4096)
    mapping.close()
    mapping.close()


@pytest.mark.parametrize(("fd", "size", "error"), [(-1, 4096, errno.EBADF), (None, 0, errno.EINVAL)])
def test_what_can_not_be_mapped_is_an_os_error(file: int, fd: int | None, size: int, error: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        FileMapping(file if fd is None else fd, size)
    assert caught.value.errno == error


def test_a_signalfd_tells_which_signal_came_from_whom() -> None:
    fd = open_signalfd([signal.SIGUSR2, signal.SIGTERM])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        assert not os.get_inheritable(fd)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
        with pytest.raises(BlockingIOError):
            os.read(fd, SIGINFO_SIZE)
        signal.raise_signal(signal.SIGUSR2)
        number, _, _, sender = struct.unpack_from("<IiiI", os.read(fd, SIGINFO_SIZE))
        assert (number, sender) == (signal.SIGUSR2, os.getpid())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(fd)


def test_an_address_is_where_the_bytes_are() -> None:
    page = bytearray(b"\7" * 4096)
    copied = bytearray(4096)
    source = Pixels(address_of(page), 4096)
    assert (
        copy_damage(Pixels(address_of(copied), 4096), source, page_layout(), [Rectangle(0, 0, 32, 32)])
        == 4096
    )
    assert copied == page


def test_a_core_that_was_not_built_says_what_to_do() -> None:
    program = """
import sys
sys.modules["crossdomain.native._core"] = None
from crossdomain.errors import EnvironmentFault
try:
    import crossdomain.wire
except EnvironmentFault as fault:
    print(fault, fault.hint, sep="\\n")
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    message, hint = result.stdout.splitlines()
    assert message.startswith("the C core cannot be loaded")
    assert "build_ext" in hint
