"""The commands of a context that ask for something: each is answered in the query ring, at once."""

import time
from collections.abc import Callable, Mapping

from crossdomain.abi.clock import encode_clock, parse_get_clock
from crossdomain.abi.cross_domain import GET_IMAGE_REQUIREMENTS, Command, encode_image_requirements
from crossdomain.abi.pages import encode_claimed, encode_shown, parse_claim_pages, parse_show_pages
from crossdomain.context.blobs import Blobs
from crossdomain.context.page_access import PageAccess
from crossdomain.context.shown import ShownPages
from crossdomain.errors import GuestFault


class Questions:
    """Those of one context.  A handler raises GuestFault where a command is malformed, or asks too much."""

    def __init__(
        self, blobs: Blobs, pages: PageAccess, shown: ShownPages, answer: Callable[[bytes], None]
    ) -> None:
        """`answer` delivers one answer; it raises GuestFault before INIT."""
        self._blobs = blobs
        self._pages = pages
        self._shown = shown
        self._answer = answer

    @property
    def handlers(self) -> Mapping[int, Callable[[memoryview], None]]:
        """By command."""
        return {
            Command.GET_IMAGE_REQUIREMENTS: self._get_image_requirements,
            Command.SHOW_PAGES: self._show_pages,
            Command.EXPECT_PAGES: self._expect_pages,
            Command.CLAIM_PAGES: self._claim_pages,
            Command.GET_CLOCK: self._get_clock,
        }

    def _get_image_requirements(self, command: memoryview) -> None:
        if len(command) != GET_IMAGE_REQUIREMENTS.size:
            raise GuestFault(f"GET_IMAGE_REQUIREMENTS of {len(command)} bytes")
        width, height, drm_format, _flags = GET_IMAGE_REQUIREMENTS.unpack(command)
        requirements = self._blobs.require_image(width, height, drm_format)
        self._answer(encode_image_requirements(requirements))

    def _get_clock(self, command: memoryview) -> None:
        clock_id = parse_get_clock(command)
        self._answer(encode_clock(clock_id, time.clock_gettime_ns(clock_id)))

    def _show_pages(self, command: memoryview) -> None:
        show = parse_show_pages(command)
        planes = ((show.source, show.key), *((plane.source, plane.key) for plane in show.planes))
        pages = {source: self._pages.open(source, key) for source, key in planes}
        self._answer(encode_shown(self._shown.ask(show, pages)))

    def _expect_pages(self, _command: memoryview) -> None:
        self._pages.expect()
        self._answer(encode_claimed(is_own=False))

    def _claim_pages(self, command: memoryview) -> None:
        self._answer(encode_claimed(is_own=self._pages.claim(parse_claim_pages(command))))
