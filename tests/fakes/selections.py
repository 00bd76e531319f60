"""Clipboards: what a test client offers and pastes, through any of the protocols for that."""

import os
import threading
from itertools import count
from typing import Final, NamedTuple

from tests.fakes.client import FakeClient, Proxy, Value, integer

_NUMBERS: Final = count()


class Protocol(NamedTuple):
    """The names that the protocols do not have in common."""

    manager: str
    create_source: str
    get_device: str
    set: str
    """The request that sets the selection."""
    event: str
    """The event that tells of one."""
    wants_serial: bool


CLIPBOARD: Final = Protocol(
    "wl_data_device_manager", "create_data_source", "get_data_device", "set_selection", "selection", True
)
PRIMARY: Final = Protocol(
    "zwp_primary_selection_device_manager_v1",
    "create_source",
    "get_device",
    "set_selection",
    "selection",
    True,
)


def data_control(prefix: str, *, primary: bool = False) -> Protocol:
    """The clipboard or the primary selection through `zwlr` or `ext` data control."""
    kind = "primary_selection" if primary else "selection"
    manager = f"{prefix}_data_control_manager_v1"
    return Protocol(manager, "create_data_source", "get_data_device", f"set_{kind}", kind, False)


class Offered:
    """What a client offers; each paste is written by a thread, as data is larger than a pipe."""

    def __init__(self, source: Proxy, contents: dict[str, bytes]) -> None:
        self.source = source
        self.mark = f"application/x-test-{next(_NUMBERS)}"
        """A MIME type that tells it from what others offer, and offered before."""
        self._contents = contents
        self._writers: list[threading.Thread] = []
        source.handlers["send"] = self._handle_send
        for mime_type in (*contents, self.mark):
            source.send("offer", mime_type)

    @property
    def pastes(self) -> int:
        """How often it was asked for."""
        return len(self._writers)

    def join(self) -> None:
        """Return when all has been written."""
        for writer in self._writers:
            writer.join()

    def _handle_send(self, values: tuple[Value, ...]) -> None:
        mime_type, fd = values
        assert isinstance(mime_type, str)
        writer = threading.Thread(target=_write, args=(integer(fd), self._contents[mime_type]))
        self._writers.append(writer)
        writer.start()


class Selection:
    """One client's end of a selection; a client without focus needs one of the data controls."""

    def __init__(self, client: FakeClient, protocol: Protocol) -> None:
        self.client = client
        self._protocol = protocol
        self._manager = client.bind(protocol.manager)
        self.device = self._manager.create(protocol.get_device, client.bind("wl_seat"))
        self.device.handlers[protocol.event] = self._handle_selection
        self.offer: Proxy | None = None
        """What can be pasted now."""
        client.round_trip()

    @property
    def mime_types(self) -> set[Value]:
        """What can be pasted now, in which forms."""
        return set() if self.offer is None else {values[0] for values in self.offer.received("offer")}

    def set(self, contents: dict[str, bytes], serial: int = 0) -> Offered:
        """Offer contents by their MIME type; `serial` is an input event's, where the protocol wants one."""
        offered = Offered(self._manager.create(self._protocol.create_source), contents)
        serials = (serial,) if self._protocol.wants_serial else ()
        self.device.send(self._protocol.set, offered.source, *serials)
        self.client.flush()
        return offered

    def paste(self, offered: Offered, mime_type: str) -> bytes:
        """What another client offered, as soon as this one has heard of it."""
        self.client.wait(lambda: offered.mark in self.mime_types, what="the offer")
        assert self.offer is not None
        return receive(self.offer, mime_type, offered)

    def _handle_selection(self, values: tuple[Value, ...]) -> None:
        (offer,) = values
        assert offer is None or isinstance(offer, Proxy)
        self.offer = offer


def receive(offer: Proxy, mime_type: str, offered: Offered) -> bytes:
    """Paste; the other client is served meanwhile."""
    reading, writing = os.pipe()
    before = offered.pastes
    offer.send("receive", mime_type, writing)
    os.close(writing)
    offered.source.client.wait(lambda: offered.pastes > before, what="a paste")
    with open(reading, "rb") as pipe:
        contents = pipe.read()
    offered.join()
    return contents


def _write(fd: int, contents: bytes) -> None:
    with open(fd, "wb") as pipe:
        pipe.write(contents)
