"""What passed through one context, counted as cheaply as it can be."""


class Counters:
    """SENDs and the requests in them, and events (RECEIVE and READ); bytes of Wayland messages and fds, each
    way; bytes of pixels that were copied out of the guest's pages; how often it was held for being too fast.
    """

    __slots__ = (
        "bytes_copied",
        "bytes_to_guest",
        "bytes_to_host",
        "events",
        "fds_to_guest",
        "fds_to_host",
        "held",
        "requests",
        "sends",
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
