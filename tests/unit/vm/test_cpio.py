"""The archive is one that cpio, and so the kernel, unpacks."""

import stat
import subprocess
from pathlib import Path

from crossdomain.vm.cpio import Archive


def unpack(archive: bytes, folder: Path) -> None:
    subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=folder, check=True)


def test_files_arrive_with_contents_and_modes(tmp_path: Path) -> None:
    archive = Archive()
    archive.add_file("init", b"#!/bin/sh\n", 0o755)
    archive.add_file("a/b/c", b"12345")
    archive.add_file("a/b/empty", b"")
    unpack(archive.finish(), tmp_path)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
    assert (tmp_path / "a/b/c").read_bytes() == b"12345"
    assert (tmp_path / "a/b/empty").read_bytes() == b""


def test_directories_come_before_what_they_hold_and_only_once() -> None:
    archive = Archive()
    archive.add_directory("a/b")
    archive.add_file("a/b/c", b"")
    archive.add_directory("a")
    listing = subprocess.run(
        ["cpio", "-t", "--quiet"], input=archive.finish(), capture_output=True, check=True
    )
    assert listing.stdout.decode().split() == ["a", "a/b", "a/b/c"]


def test_a_device_keeps_its_numbers() -> None:
    archive = Archive()
    archive.add_character_device("dev/console", 5, 1)
    listing = subprocess.run(
        ["cpio", "-tv", "--quiet"], input=archive.finish(), capture_output=True, check=True
    )
    line = listing.stdout.decode().splitlines()[-1]
    assert line.startswith("crw-------")
    assert "5,   1" in line
