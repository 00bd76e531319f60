"""Two ends of a clipboard, as clients of any display: who copies, and who pastes.

`python3 -m tests.fakes.clipboard copy SIZE` copies, says `copied`, writes the first SIZE bytes of
`tests.fakes.stream` for the first one who asks, and ends; `paste SIZE` pastes them and says
`SIZE bytes in SECONDS s`.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.fakes import stream
from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Buffer, Window

MIME: Final = "text/plain;charset=utf-8"

_KEPT: Final = "application/x-kept-by-the-compositor"
"""Weston asks for the first type itself, and keeps what it gets for when its owner has gone."""


def show_window(client: FakeClient, title: str) -> Buffer:
    """Show a window, which gets the keyboard; its only buffer."""
    buffer = solid_buffer(client, 64, 64, "208020")
    Window(client, title=title).show(buffer)
    return buffer


def _newest_serial() -> int:
    """Weston takes a selection whose serial is newer than the last one's, which may be another machine's."""
    return int(time.time() * 1000) % (1 << 32)


class Copier:
    """A client with a window that owns the selection.

    Each fd that somebody wants the data in goes to `on_send`, which owns it, or waits in `asked`.
    """

    def __init__(self, display: str) -> None:
        self.client = FakeClient(display)
        self._manager = self.client.bind("wl_data_device_manager")
        self._device = self._manager.create("get_data_device", self.client.bind("wl_seat"))
        self._device.handlers["data_offer"] = lambda _values: None
        self.asked: list[int] = []
        self.on_send: Callable[[int], None] = self.asked.append
        self._source: Proxy | None = None
        self._serial = 0
        self._buffer = show_window(self.client, "copier")

    def copy(self) -> None:
        """Set the selection (again)."""
        if self._source is not None and self._source.alive:
            self._source.send("destroy")
        source = self._source = self._manager.create("create_data_source")
        source.handlers["send"] = self._handle_send
        source.send("offer", _KEPT)
        source.send("offer", MIME)
        # Two of one millisecond would be the same to Weston.
        self._serial = max(self._serial + 1, _newest_serial())
        self._device.send("set_selection", source, self._serial)
        self.client.round_trip()

    def wait_asked(self, count: int = 1) -> list[int]:
        """The next fds to write into, which are the caller's."""
        self.client.wait(lambda: len(self.asked) >= count, what="wl_data_source.send")
        taken, self.asked[:] = self.asked[:count], self.asked[count:]
        return taken

    def close(self) -> None:
        """Leave without a word."""
        self.client.close()
        self._buffer.pool.close()
        for fd in self.asked:
            os.close(fd)

    def _handle_send(self, values: tuple[Value, ...]) -> None:
        mime, fd = values
        if mime == _KEPT:
            os.close(integer(fd))
        else:
            self.on_send(integer(fd))


class Paster:
    """A client with a window, which has the keyboard and is offered the selection."""

    def __init__(self, display: str) -> None:
        self.client = FakeClient(display)
        self._offer: Proxy | None = None
        self.offers = 0
        """Selections that were offered so far."""
        self.offer_ids: set[int] = set()
        """The object ids of all of them."""
        manager, seat = self.client.bind("wl_data_device_manager"), self.client.bind("wl_seat")
        self._device = manager.create("get_data_device", seat)
        self._device.handlers = {"data_offer": lambda _values: None, "selection": self._handle_selection}
        self._buffer = show_window(self.client, "paster")

    def wait_offer(self) -> None:
        """Return when a copier's selection is offered."""
        self.client.wait(self._is_offered, what="wl_data_device.selection")

    def paste(self) -> int:
        """Ask for the selection; the end to read it from, which is the caller's."""
        reading, writing = os.pipe()
        self.paste_into(writing)
        os.close(writing)
        return reading

    def paste_into(self, fd: int) -> None:
        """Ask for the selection in any fd, which stays the caller's."""
        assert self._offer is not None
        self._offer.send("receive", MIME, fd)
        self.client.flush()

    def close(self) -> None:
        """Leave without a word."""
        self.client.close()
        self._buffer.pool.close()

    def _is_offered(self) -> bool:
        return self._offer is not None and (MIME,) in self._offer.received("offer")

    def _handle_selection(self, values: tuple[Value, ...]) -> None:
        if self._offer is not None:
            self._offer.send("destroy")
        (offer,) = values
        assert offer is None or isinstance(offer, Proxy)
        self._offer = offer
        if offer is not None:
            self.offers += 1
            self.offer_ids.add(offer.object_id)


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    display = os.path.join(os.environ["XDG_RUNTIME_DIR"], os.environ["WAYLAND_DISPLAY"])
    direction, size = arguments[0], arguments[1]
    if direction == "copy":
        copier = Copier(display)
        copier.copy()
        print("copied", flush=True)
        (fd,) = copier.wait_asked()
        stream.write(fd, int(size))
        return 0
    paster = Paster(display)
    paster.wait_offer()
    os.dup2(paster.paste(), sys.stdin.fileno())
    return stream.main(["read", size])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
