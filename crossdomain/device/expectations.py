"""Whose the pages are that a guest imports without a key (`crossdomain.abi.pages`, CLAIM_PAGES)."""

from typing import Final, Protocol

from crossdomain.abi.pages import KEY_PREFIX

_BEGINNING: Final = len(KEY_PREFIX)


class Readable(Protocol):
    """What was imported."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self, offset: int, length: int, /) -> bytes:
        """A copy of `length` bytes from `offset`."""
        ...


class Expectations:
    """Who expects to import something, of one device; no order, and nobody twice."""

    def __init__(self) -> None:
        self._owners: list[object] = []

    def add(self, owner: object) -> None:
        """It expects, until it is discarded."""
        self.discard(owner)
        self._owners.append(owner)

    def discard(self, owner: object) -> None:
        """It does not expect any more, if it did."""
        self._owners = [other for other in self._owners if other is not owner]

    def owner_of(self, pages: Readable) -> object:
        """Returns whose these new pages are; None where that is nobody, or can't be told."""
        if len(self._owners) != 1 or pages.read(0, min(_BEGINNING, pages.size)) == KEY_PREFIX:
            return None
        return self._owners[0]
