"""What several connections, those of one VM's clients, have together: walkers count it (`Walker.join`)."""

from typing import TYPE_CHECKING, Final

from crossdomain.limits import IDS_PER_OBJECT
from crossdomain.native import ffi, lib

if TYPE_CHECKING:
    from crossdomain.native._core import TotalsPointer

_MOST: Final = 0xFFFFFFFF


class Totals:
    """Objects, wl_displays among them, surfaces, and ids in use now or once.  Without limits at first."""

    def __init__(self) -> None:
        pointer = lib.xd_totals_create()
        if not pointer:
            raise MemoryError
        self._totals = ffi.gc(pointer, lib.xd_totals_release)

    @property
    def pointer(self) -> "TotalsPointer":
        """The numbers themselves, for C; good while this object lives."""
        return self._totals

    @property
    def objects(self) -> int:
        """How many there are now."""
        return self._totals.live

    @property
    def surfaces(self) -> int:
        """How many there are now."""
        return self._totals.counted

    @property
    def ids(self) -> int:
        """How many have been in use by those that are here, each of which takes memory until it leaves."""
        return self._totals.ids

    @property
    def most(self) -> tuple[int, int, int]:
        """How many objects, surfaces and ids there may be."""
        return self._totals.max_live, self._totals.max_counted, self._totals.max_ids

    def limit(self, objects: int, surfaces: int) -> None:
        """So many may there be, and IDS_PER_OBJECT as many ids as objects; what is there already stays."""
        self._totals.max_live, self._totals.max_counted = min(objects, _MOST), min(surfaces, _MOST)
        self._totals.max_ids = min(objects * IDS_PER_OBJECT, _MOST)

    def add(self, objects: int, surfaces: int, ids: int) -> None:
        """So many more, or fewer: for a walker without C."""
        self._totals.live += objects
        self._totals.counted += surfaces
        self._totals.ids += ids
