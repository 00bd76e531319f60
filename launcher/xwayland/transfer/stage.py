"""What both directions of drag and drop need of the rest, and the X window that stands for us."""

from collections.abc import Callable, Sequence
from typing import Final

from launcher.xwayland.model.window import Window
from launcher.xwayland.transfer import xdnd
from launcher.xwayland.transfer.devices import Device
from launcher.xwayland.transfer.transfers import Transfers
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.requests import EventMask, StackMode

_EVERYWHERE: Final = (0, 0, 32767, 32767)


class Stage:
    """Where drags happen."""

    def __init__(
        self,
        transfers: Transfers,
        mediator: Mediator,
        seats: Seats,
        window_of: Callable[[Surface], Window | None],
        show: Callable[[Surface], None],
    ) -> None:
        """`window_of` finds the X window of a surface; `show` puts it above all others in X."""
        self.transfers = transfers
        self.client = transfers.client
        self.mediator = mediator
        self.seats = seats
        self.window_of = window_of
        self.show = show
        self.device: Device | None = None
        """The seat's, where there is one that can drag."""
        self.selection = self.client.atoms["XdndSelection"]
        self.window = self.client.new_id()
        """Target of what X clients drag, and source of what they get."""
        self._covers = False
        self.keeps_clipboard = False
        """Whether what was copied is kept when its owner quits."""

    def start(self) -> None:
        """Makes the window."""
        client = self.client
        request = requests.create_input_window(
            self.window, client.root, _EVERYWHERE, event_mask=EventMask.PROPERTY_CHANGE
        )
        client.request(request)
        client.set_words(self.window, "XdndAware", "ATOM", (xdnd.VERSION,))

    def cover(self, *, covers: bool) -> None:
        """Puts the window over all others, where X clients find it below their pointer, or takes it away."""
        self._covers = covers
        if covers:
            self.stay_above()
            self.client.request(requests.map_window(self.window))
        else:
            self.client.request(requests.unmap_window(self.window))

    def stay_above(self) -> None:
        """Puts the window over all others again, where it is to be there."""
        if self._covers:
            self.client.request(requests.configure_window(self.window, stack_mode=StackMode.ABOVE))

    def send(self, receiver: int, about: int, type_: str, data: Sequence[int]) -> None:
        """Sends an Xdnd message about a window."""
        self.client.send_message(receiver, about, type_, tuple(data))
