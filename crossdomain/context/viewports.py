"""Keeps a client's wp_viewport requests from ending a compositor.

Weston 10 unsets a source rectangle by its width alone, in wp_viewport.set_source(-1, -1, -1, -1)
and in wp_viewport.destroy.  A height with a fraction stays behind, and the next commit of the surface
finds a size that is no integer: with the viewport destroyed an assertion ends the compositor, without
that a client that did nothing wrong.  So a source rectangle of whole pixels goes before each of the
two; both replace it in the same pending state, and no commit sees it.
"""

from typing import Final

from crossdomain.context.edits import REQUEST, Edit, Messages, Passing, find
from crossdomain.errors import LimitExceeded
from crossdomain.limits import MAX_VIEWPORTS
from crossdomain.wire.codec import decode_arguments, encode_message, integer

_GET_VIEWPORT: Final = find("wp_viewporter", REQUEST, "get_viewport")
_SET_SOURCE: Final = find("wp_viewport", REQUEST, "set_source")
_ONE: Final = 256
"""1.0 as a 24.8 fixed number."""


class Viewports:
    """The viewports of one client."""

    def __init__(self) -> None:
        self._surface_of: dict[int, int] = {}
        self._fractional: dict[int, int] = {}
        """Viewport of each living surface whose source rectangle has a fraction."""

    def handle_get_viewport(self, passing: Passing) -> None:
        """wp_viewporter.get_viewport."""
        viewport, surface = map(integer, decode_arguments(_GET_VIEWPORT, passing.data))
        if len(self._surface_of) >= MAX_VIEWPORTS:
            raise LimitExceeded(f"more than {MAX_VIEWPORTS} viewports")
        self._surface_of[viewport] = surface

    def handle_set_source(self, passing: Passing) -> Edit | None:
        """wp_viewport.set_source."""
        source = tuple(map(integer, decode_arguments(_SET_SOURCE, passing.data)))
        viewport = passing.object_id
        if source == (-_ONE, -_ONE, -_ONE, -_ONE):
            return self._before(passing)
        surface = self._surface_of.get(viewport, 0)
        if (source[2] | source[3]) % _ONE:
            self._fractional[surface] = viewport
        else:
            self._fractional.pop(surface, None)
        return None

    def handle_destroy(self, passing: Passing) -> Edit | None:
        """wp_viewport.destroy."""
        edit = self._before(passing)
        self._surface_of.pop(passing.object_id, None)
        return edit

    def handle_surface_destroy(self, passing: Passing) -> None:
        """wl_surface.destroy: from now on its viewport takes no request but destroy."""
        viewport = self._fractional.pop(passing.object_id, None)
        if viewport is not None:
            # Its id may have been taken, and given up, once more: that is the compositor's to refuse.
            self._surface_of.pop(viewport, None)

    def _before(self, passing: Passing) -> Edit | None:
        """Puts a source rectangle of one pixel before a request that unsets one with a fraction."""
        viewport = passing.object_id
        surface = self._surface_of.get(viewport)
        if surface is None or self._fractional.get(surface) != viewport:
            return None
        del self._fractional[surface]
        whole = encode_message(_SET_SOURCE, viewport, 0, 0, _ONE, _ONE)
        return Edit(whole + bytes(passing.data))


HANDLERS: Final[Messages[Viewports]] = {
    ("wp_viewporter", REQUEST, "get_viewport"): Viewports.handle_get_viewport,
    ("wp_viewport", REQUEST, "set_source"): Viewports.handle_set_source,
    ("wp_viewport", REQUEST, "destroy"): Viewports.handle_destroy,
    ("wl_surface", REQUEST, "destroy"): Viewports.handle_surface_destroy,
}
