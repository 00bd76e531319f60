"""A window of a fake guest: a client that shows one colour, out of one buffer of host memory."""

import struct
from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from tests.fakes.guest_context import MappedBlob
from tests.fakes.wayland_guest import WaylandGuest
from tests.unit.context.world import request

XRGB8888: Final = 1


class GuestWindow:
    """A window of one colour, in one buffer of host memory."""

    def __init__(self, guest: WaylandGuest, width: int, height: int, *, fullscreen: bool = False) -> None:
        """`fullscreen` puts it where nothing else is; the compositor does not stretch it."""
        self._guest = guest
        self._fullscreen = fullscreen
        self._width, self._height = width, height
        self._frames = 0
        self._pool: MappedBlob | None = None

    async def open(self) -> None:
        """Makes it; nothing is shown yet."""
        guest, width, height = self._guest, self._width, self._height
        await guest.list_globals()
        size = width * height * 4
        self._pool = pool = await guest.context.allocate(size)
        await guest.send(
            guest.bind("wl_compositor", 4, 4),
            guest.bind("wl_shm", 1, 5),
            guest.bind("xdg_wm_base", 1, 6),
            request("wl_compositor", "create_surface", 4, 7),
            request("xdg_wm_base", "get_xdg_surface", 6, 8, 7),
            request("xdg_surface", "get_toplevel", 8, 9),
            request("xdg_toplevel", "set_fullscreen", 9, 0) if self._fullscreen else b"",
            request("wl_surface", "commit", 7),
        )
        serial = struct.unpack("<I", await guest.wait_for(8, 0))[0]
        blob = Identifier(pool.resource_id, IdentifierType.VIRTGPU_BLOB, pool.size)
        await guest.send(request("wl_shm", "create_pool", 5, 10, None, size), identifiers=(blob,))
        await guest.send(
            request("wl_shm_pool", "create_buffer", 10, 11, 0, width, height, width * 4, XRGB8888),
            request("xdg_surface", "ack_configure", 8, serial),
        )

    async def close(self) -> None:
        """Ends its client, and gives its memory back as the guest's kernel does."""
        if self._pool is not None:
            await self._pool.destroy()
        await self._guest.context.close()

    async def paint(self, colour: str) -> None:
        """Returns when RRGGBB is on the screen."""
        assert self._pool is not None
        pixel = bytes.fromhex(colour)[::-1] + b"\xff"
        self._pool.view[: len(pixel) * self._width * self._height] = pixel * (self._width * self._height)
        callback = 12 + self._frames % 2  # the other one's id is free again
        self._frames += 1
        await self._guest.send(
            request("wl_surface", "attach", 7, 11, 0, 0),
            request("wl_surface", "damage", 7, 0, 0, self._width, self._height),
            request("wl_surface", "frame", 7, callback),
            request("wl_surface", "commit", 7),
        )
        await self._guest.wait_for(callback, 0)
