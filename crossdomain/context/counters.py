"""What passed through one context, counted as cheaply as it can be."""

from crossdomain.context.latency import Latency


class Counters:
    """SENDs and the requests in them, and events (RECEIVE and READ); bytes of Wayland messages and fds, each
    way; bytes of pixels that were copied out of the guest's pages; how often it was held for being too fast.

    By the way that buffers go: memory of the host that the compositor maps, pages of the guest that it reads
    in place, and copies out of the guest's pages.
    """

    __slots__ = (
        "buffers_mapped",
        "buffers_shown",
        "bytes_copied",
        "bytes_to_guest",
        "bytes_to_host",
        "copies",
        "events",
        "fds_to_guest",
        "fds_to_host",
        "held",
        "requests",
        "sends",
        "to_guest",
        "to_host",
    )

    def __init__(self) -> None:
        self.sends = 0
        self.requests = 0
        self.held = 0
        self.bytes_to_host = 0
        self.fds_to_host = 0
        self.events = 0
        self.bytes_to_guest = 0
        self.fds_to_guest = 0
        self.bytes_copied = 0
        self.copies = 0
        self.buffers_mapped = 0
        self.buffers_shown = 0
        self.to_host = Latency()
        """From when a SEND is taken up until the compositor's socket has it, or it waits there; a sample."""
        self.to_guest = Latency()
        """From when events are taken up until the guest's ring or connection has all of them; a sample."""
