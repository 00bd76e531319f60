"""A copy of what an X client has in its clipboard, for when it quits (`--x11-keep-clipboard`)."""

import os
from collections import deque

from launcher.xwayland.limits import MAX_KEPT, MAX_KEPT_KINDS
from launcher.xwayland.transfer.reader import MemorySink, PipeSink
from launcher.xwayland.transfer.transfers import MAX_TRANSFERS, Transfers


class Copy:
    """What one owner has, as far as it was read; to be given away when the owner is gone."""

    def __init__(self, transfers: Transfers, selection: int, kinds: dict[str, str]) -> None:
        """Begins to read; `kinds` are MIME types, each with the X target to ask for."""
        self._transfers = transfers
        self._selection = selection
        self._kinds = kinds
        self._data: dict[str, bytes] = {}
        self._giving: deque[PipeSink] = deque()
        self._is_over = False
        self._left = MAX_KEPT
        # Text comes first: it is small, and what people miss.
        targets = dict.fromkeys(sorted(kinds.values(), key=lambda target: "/" in target))
        self._wanted = list(targets)[:MAX_KEPT_KINDS]
        self._read_next()

    @property
    def mimes(self) -> list[str]:
        """The MIME types of what there is."""
        return [mime for mime, target in self._kinds.items() if target in self._data]

    @property
    def is_there(self) -> bool:
        """See `transfer.transfers.Content`."""
        return True

    def receive(self, mime: str) -> int:
        """See `transfer.transfers.Content`."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self.give(mime, writing)
        return reading

    def give(self, mime: str, fd: int) -> None:
        """Writes the data of a MIME type to an fd that it owns."""
        sink = PipeSink(self._transfers.loop, fd)

        def done() -> None:
            sink.finish()
            self._giving.remove(sink)

        sink.drained = sink.broken = done
        if len(self._giving) >= MAX_TRANSFERS:
            self._giving.popleft().finish()
        self._giving.append(sink)
        sink.write(self._data.get(self._kinds.get(mime, ""), b""))

    def end(self) -> None:
        """Reads no more: the selection is another owner's."""
        self._is_over = True

    def close(self) -> None:
        """Gives nothing more."""
        self.end()
        for sink in self._giving:
            sink.finish()
        self._giving.clear()

    def _read_next(self) -> None:
        if self._is_over or not self._wanted:
            return
        target = self._wanted.pop(0)

        def found(atoms: list[int]) -> None:
            if not self._is_over:
                self._transfers.read(self._selection, atoms[0], MemorySink(self._left, taken))

        def taken(data: bytes | None) -> None:
            if data is not None:
                self._data[target] = data
                self._left -= len(data)
            self._read_next()

        self._transfers.names.find_atoms([target], found)
