"""Writes cpio archives in the "newc" format, of which the kernel makes its first file system.

See the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import stat
from typing import Final

_MAGIC: Final = b"070701"


class Archive:
    """An archive under construction; all files belong to root and have no time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0
        self._directories: set[str] = set()

    def add_directory(self, path: str) -> None:
        """Add a directory and those above it, each once."""
        while path and path not in self._directories:
            self._directories.add(path)
            parent = path.rpartition("/")[0]
            if parent:
                self.add_directory(parent)
            self._add(path, stat.S_IFDIR | 0o755, b"")
            return

    def add_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file at `path`, which is relative to the archive's root."""
        self.add_directory(path.rpartition("/")[0])
        self._add(path, stat.S_IFREG | mode, data)

    def add_character_device(self, path: str, major: int, minor: int) -> None:
        """Add a device node, readable and writable by root."""
        self.add_directory(path.rpartition("/")[0])
        self._add(path, stat.S_IFCHR | 0o600, b"", (major, minor))

    def finish(self) -> bytes:
        """Return the whole archive; nothing can be added any more."""
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(self, path: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        name = path.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        header = _MAGIC + b"".join(b"%08X" % field for field in fields) + name
        self._parts += (header, bytes(-len(header) % 4), data, bytes(-len(data) % 4))
