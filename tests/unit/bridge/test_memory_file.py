"""Which files may be handed to a compositor."""

import os
import tempfile
from pathlib import Path

from crossdomain.bridge.memory_file import is_memory_file


def test_a_memfd_is_one_with_and_without_seals() -> None:
    for flags in (0, os.MFD_ALLOW_SEALING):
        fd = os.memfd_create("pool", flags)
        assert is_memory_file(fd)
        os.close(fd)


def test_a_file_of_a_tmpfs_is_one() -> None:
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        assert is_memory_file(file.fileno())


def test_a_file_on_a_disk_is_none() -> None:
    with Path(__file__).open("rb") as file:
        assert not is_memory_file(file.fileno())


def test_a_pipe_and_a_device_are_none() -> None:
    reading, writing = os.pipe()
    device = os.open("/dev/zero", os.O_RDWR)
    for fd in (reading, writing, device):
        assert not is_memory_file(fd)
        os.close(fd)
