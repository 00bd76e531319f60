"""The Wayland side of selections: wl_data_device, and zwp_primary_selection_device_v1, which is alike."""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from crossdomain.wire.codec import Value, integer, text
from launcher.xwayland.transfer.targets import MAX_KINDS
from launcher.xwayland.wayland.entries import Entry
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy

_MARKER: Final = f"application/x-crossdomain-{os.getpid()}-{os.urandom(4).hex()}"
"""A MIME type that says that an offer is our own source: nobody else tells."""


class Kind(NamedTuple):
    """The words of one of the two protocols."""

    get_device: str
    create_source: str
    destroy: str
    """Of the device: the request, and the version that has it."""
    destroy_since: int


CLIPBOARD: Final = Kind("get_data_device", "create_data_source", "release", 2)
PRIMARY: Final = Kind("get_device", "create_source", "destroy", 1)


class Offer:
    """What a Wayland client offers."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.mimes: list[str] = []
        self.source_actions = 0
        """What the source of a drag lets be done with its data (wl_data_device_manager.dnd_action)."""
        self.action = 0
        """What the compositor has chosen to be done."""
        self.action_changed: Callable[[], None] = lambda: None
        """Called when it has chosen something."""
        proxy.handlers["offer"] = self._handle_offer
        proxy.handlers["source_actions"] = self._handle_source_actions
        proxy.handlers["action"] = self._handle_action

    @property
    def is_own(self) -> bool:
        """Whether it comes from here."""
        return _MARKER in self.mimes

    @property
    def is_there(self) -> bool:
        """See `transfer.transfers.Content`."""
        return self.proxy.alive

    def receive(self, mime: str) -> int:
        """Asks for the data; returns the end of a pipe to read it from, owned by the caller.

        Raises OSError where there is no pipe to be had.
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self.proxy.send("receive", mime, writing)
        return reading

    def destroy(self) -> None:
        """Gives it up."""
        if self.proxy.alive:
            self.proxy.send("destroy")

    def _handle_source_actions(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self.source_actions = integer(values[0])

    def _handle_action(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self.action = integer(values[0])
        self.action_changed()

    def _handle_offer(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        if len(self.mimes) <= MAX_KINDS:
            self.mimes.append(text(values[0]))


class Source:
    """What we offer in an X client's name."""

    def __init__(self, proxy: Proxy, mimes: list[str], send: Callable[[str, int], None]) -> None:
        """`send` is called with a MIME type and the fd that its data is to be written to, and owns that."""
        self.proxy = proxy
        self._send = send
        self.cancelled: Callable[[], None] = lambda: None
        """Called when nobody wants it any more."""
        proxy.handlers["send"] = self._handle_send
        proxy.handlers["cancelled"] = self._handle_cancelled
        for mime in (*mimes, _MARKER):
            proxy.send("offer", mime)

    def destroy(self) -> None:
        """Gives it up."""
        if self.proxy.alive:
            self.proxy.send("destroy")

    def _handle_send(self, values: tuple[Value, ...], fds: list[int]) -> None:
        (fd,) = fds
        self._send(text(values[0]), fd)

    def _handle_cancelled(self, _values: tuple[Value, ...], _fds: list[int]) -> None:
        self.destroy()
        self.cancelled()


class Device:
    """One seat's clipboard, or primary selection."""

    def __init__(self, mediator: Mediator, manager: Proxy, seat: Proxy | Entry, kind: Kind) -> None:
        self._mediator = mediator
        self._manager = manager
        self._kind = kind
        self.proxy = manager.create(kind.get_device, seat)
        self._offers: dict[int, Offer] = {}
        self._selection: Offer | None = None
        self.selected: Callable[[Offer | None], None] = lambda _offer: None
        """Called with what there is now; the offer is ours, and good until the next call."""
        self.proxy.handlers["data_offer"] = self._handle_offer
        self.proxy.handlers["selection"] = self._handle_selection

    def create_source(self, mimes: list[str], send: Callable[[str, int], None]) -> Source:
        """Makes a source; see `Source`."""
        return Source(self._manager.create(self._kind.create_source), mimes, send)

    def set_selection(self, source: Source | None, serial: int) -> None:
        """Offers a source to all, or nothing."""
        self.proxy.send("set_selection", None if source is None else source.proxy, serial)

    def settle(self, settled: Callable[[], None]) -> None:
        """Calls `settled` when the compositor has handled all that it was sent, and its answers have come."""
        self._mediator.settle(settled)

    def close(self) -> None:
        """Gives it up."""
        if self.proxy.version >= self._kind.destroy_since:
            self.proxy.send(self._kind.destroy)

    def take_offer(self, host_id: int) -> Offer | None:
        """Returns an offer that came, by the id in an event; it is the caller's to destroy."""
        return self._offers.pop(host_id, None)

    def _handle_offer(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        host_id = integer(values[0])
        self._offers[host_id] = Offer(self._mediator.find_own(host_id))

    def _handle_selection(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        before, self._selection = self._selection, self.take_offer(integer(values[0]))
        self.selected(self._selection)
        if before is not None:
            before.destroy()
