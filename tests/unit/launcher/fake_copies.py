"""A host that sees the guest's memory, in the test's hands: it copies as the real one does."""

import os

from crossdomain.abi.pages import PAGE_SIZE, RECTANGLE, CopyPages, Shown, ShowPages, Verdict
from launcher.channel.kept_pages import KeptPages
from launcher.channel.memory import round_to_pages
from launcher.relay.imports import LARGEST
from tests.unit.launcher.fake_channel import FakeChannel, FakeMemory


class FakeImport:
    """A part of a file whose pages the host sees."""

    def __init__(self, fd: int, resource_id: int, start: int, end: int) -> None:
        """Takes ownership of `fd`."""
        self.resource_id = resource_id
        self.key = b"the sixteen byte"
        self.is_copied = True
        self.begin = PAGE_SIZE - start
        self.start = start
        self.end = end
        self.closed = False
        self._fd = fd
        self._kept = KeptPages(fd, start, round_to_pages(end))

    def is_whole(self) -> bool:
        """See `ImportedFile`."""
        return self._kept.are_whole()

    def read(self, offset: int, length: int) -> bytes:
        """What the host sees from its own first byte on."""
        assert not self.closed, "the host was told to copy what it does not see any more"
        return os.pread(self._fd, length, offset - self.begin)

    def close(self) -> None:
        """See `ImportedFile`."""
        if not self.closed:
            os.close(self._fd)
            self._kept.close()
        self.closed = True


class FakeCopies:
    """See `HostCopies`; `refuses` makes every import fail."""

    def __init__(self, channel: FakeChannel) -> None:
        self.imports: list[FakeImport] = []
        self.copies: list[CopyPages] = []
        self.refuses = False
        self.only_shows = False
        """Whether dmabufs can be shown and not copied, as on one kernel."""
        self.verdicts: list[Verdict] = []
        """The answers about the next images; NO when there are none left."""
        self.asked: list[ShowPages] = []
        self.granted: list[int] = []
        """Buffers that were said YES to."""
        self.channel = channel

    def import_file(self, fd: int, start: int, end: int, /) -> FakeImport | None:
        """See `HostCopies`."""
        if self.refuses or end - start > LARGEST:
            return None
        made = FakeImport(os.dup(fd), len(self.imports) + 1, start, end)
        self.imports.append(made)
        return made

    def import_dmabuf(self, fd: int, size: int, /) -> FakeImport | None:
        """See `HostCopies`."""
        made = self.import_file(fd, 0, size)
        if made is not None:
            made.begin = 0
            made.is_copied = not self.only_shows
        return made

    def copy(self, copy: CopyPages) -> None:
        """Copies at once."""
        source = self.imports[copy.source - 1]
        memory = self.channel.memories[copy.destination - 1]
        assert copy.key == source.key
        for x, y, width, height in RECTANGLE.iter_unpack(copy.rectangles):
            for row in range(y, y + height):
                left = x * copy.block_bytes
                at = copy.offset + row * copy.stride + left
                length = width * copy.block_bytes
                read = source.read(copy.source_offset + row * copy.source_stride + left, length)
                memory.buffer[at : at + length] = read
        self.copies.append(copy)

    def show(self, show: ShowPages) -> Shown:
        """See `HostCopies`; identifiers count from 1."""
        source = self.imports[show.source - 1]
        assert show.key == source.key
        assert not source.closed
        self.asked.append(show)
        verdict = self.verdicts.pop(0) if self.verdicts else Verdict.NO
        if verdict is Verdict.YES:
            self.granted.append(show.buffer_id)
        return Shown(verdict, len(self.asked) if verdict is Verdict.YES else 0)

    def create_memory(self, size: int) -> FakeMemory:
        """See `HostCopies`."""
        return self.channel.new_memory(size)
