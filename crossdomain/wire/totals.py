"""What several connections, those of one VM's clients, have together: walkers count it (`Walker.join`)."""

from typing import TYPE_CHECKING, Final

from crossdomain.native import ffi, lib

if TYPE_CHECKING:
    from crossdomain.native._core import TotalsPointer

_MOST: Final = 0xFFFFFFFF


class Totals:
    """Objects, wl_displays among them, and surfaces.  Without limits at first."""

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
    def most(self) -> tuple[int, int]:
        """How many objects and how many surfaces there may be."""
        return self._totals.max_live, self._totals.max_counted

    def limit(self, objects: int, surfaces: int) -> None:
        """So many may there be; what is there already stays."""
        self._totals.max_live, self._totals.max_counted = min(objects, _MOST), min(surfaces, _MOST)

    def add(self, objects: int, surfaces: int) -> None:
        """So many more, or fewer: for a walker without C."""
        self._totals.live += objects
        self._totals.counted += surfaces
