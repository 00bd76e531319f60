"""A relayed client with a clipboard, whose host is in the test's hands."""

import os
from typing import Final

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from tests.unit.launcher.fake_channel import RelayedClient, event, request

OFFER: Final = 0xFF000000


class Pasting:
    """A client that was offered data, and offers some itself."""

    def __init__(self, client: RelayedClient) -> None:
        self.client = client
        manager = client.bind("wl_data_device_manager", 3)
        seat = client.bind("wl_seat", 8)
        self.device = client.new_id()
        self.source = client.new_id()
        client.say(
            request("wl_data_device_manager", "get_data_device", manager, self.device, seat),
            request("wl_data_device_manager", "create_data_source", manager, self.source),
        )
        client.channel.deliver(event("wl_data_device", "data_offer", self.device, OFFER))
        client.hear()
        client.channel.sends.clear()

    def paste(self) -> int:
        """Ask for the offered data; the end to read from."""
        reading, writing = os.pipe()
        self.client.say(request("wl_data_offer", "receive", OFFER, "text/plain", None), fds=[writing])
        os.set_blocking(reading, False)
        return reading

    def ask(self, identifier: int = 5) -> int:
        """Let the host ask for our data; the end that the client writes into."""
        data = event("wl_data_source", "send", self.source, "text/plain", None)
        self.client.channel.deliver(data, (Identifier(identifier, IdentifierType.WRITE_PIPE, 0),))
        heard, fds = self.client.hear_fds()
        assert heard == data
        (writing,) = fds
        return writing

    def show_window(self) -> int:
        """Let the compositor show a buffer; the surface."""
        client = self.client
        shm, compositor = client.bind("wl_shm", 1), client.bind("wl_compositor", 5)
        surface, pool, buffer = client.new_id(), client.new_id(), client.new_id()
        fd = os.memfd_create("pool")
        os.ftruncate(fd, 4096)
        client.say(
            request("wl_compositor", "create_surface", compositor, surface),
            request("wl_shm", "create_pool", shm, pool, None, 4096),
            request("wl_shm_pool", "create_buffer", pool, buffer, 0, 8, 8, 32, 0),
            request("wl_surface", "attach", surface, buffer, 0, 0),
            request("wl_surface", "commit", surface),
            fds=[fd],
        )
        client.hear()
        client.channel.sends.clear()
        return surface

    def show_pixel(self) -> int:
        """Let the compositor show a buffer of which the relay knows nothing; the surface."""
        client = self.client
        manager, compositor = (
            client.bind("wp_single_pixel_buffer_manager_v1", 1),
            client.bind("wl_compositor", 5),
        )
        surface, buffer = client.new_id(), client.new_id()
        create = "create_u32_rgba_buffer"
        client.say(
            request("wl_compositor", "create_surface", compositor, surface),
            request("wp_single_pixel_buffer_manager_v1", create, manager, buffer, 0, 0, 0, 0),
            request("wl_surface", "attach", surface, buffer, 0, 0),
            request("wl_surface", "commit", surface),
        )
        client.hear()
        client.channel.sends.clear()
        return surface

    @property
    def written(self) -> bytes:
        """What the host got in WRITEs."""
        return b"".join(bytes(write.data) for write in self.client.channel.writes)

    @property
    def hang_ups(self) -> list[int]:
        """The identifiers that the host was told the end of."""
        return [write.identifier for write in self.client.channel.writes if write.hang_up]


def drain(fd: int) -> bytes:
    """All that can be read now."""
    found = bytearray()
    try:
        while data := os.read(fd, 1 << 20):
            found += data
    except BlockingIOError:
        pass
    return bytes(found)
