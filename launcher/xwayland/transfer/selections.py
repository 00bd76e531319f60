"""All selections of a session, and the seats that they belong to."""

from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.transfer.devices import CLIPBOARD, PRIMARY, Device
from launcher.xwayland.transfer.drags import Drags
from launcher.xwayland.transfer.selection import Selection
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.wayland.globals import Global, Globals
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.x11 import events, requests


class Selections:
    """CLIPBOARD, PRIMARY, and XdndSelection with drag and drop."""

    def __init__(self, stage: Stage, drags: Drags, objects: Objects, globals_: Globals, window: int) -> None:
        """`window` is our own X window."""
        self._client = stage.client
        self._mediator = stage.mediator
        self._objects = objects
        self._globals = globals_
        self._seats = stage.seats
        self._window = window
        self._transfers = stage.transfers
        self._drags = drags
        self._seat: tuple[int, Proxy] | None = None
        self._clipboard = self._create("CLIPBOARD", keeps=stage.keeps_clipboard)
        self._primary = self._create("PRIMARY")
        self._by_atom: dict[int, Selection | Drags] = {
            self._clipboard.atom: self._clipboard,
            self._primary.atom: self._primary,
            stage.selection: drags,
        }

    def start(self) -> None:
        """Watches both sides."""
        major = self._client.extensions.xfixes.major_opcode
        for atom in self._by_atom:
            self._client.request(requests.xfixes_select_selection_input(major, self._window, atom))
        self._globals.added.append(self._add_global)
        self._globals.removed.append(self._remove_global)
        self._find_seat()

    def watches(self, window: int) -> bool:
        """Whether a window's PropertyNotifys are wanted here."""
        return self._transfers.watches(window)

    def handle(self, event: events.Event) -> None:
        """Takes what belongs to selections."""
        match event:
            case events.SelectionOwnerNotify():
                selection = self._by_atom.get(event.selection)
                if selection is not None:
                    selection.handle_owner(event)
            case events.SelectionRequest():
                selection = self._by_atom.get(event.selection)
                if selection is not None:
                    selection.handle_request(event)
            case events.SelectionNotify():
                reader = self._transfers.find_reader(event.requestor)
                if reader is not None:
                    reader.handle_notify(event)
            case events.PropertyNotify():
                reader = self._transfers.find_reader(event.window)
                if reader is not None:
                    reader.handle_property(event)
                for writer in self._transfers.find_writers(event.window):
                    writer.handle_property(event)
            case events.DestroyNotify():
                self._transfers.forget_window(event.window)
                self._drags.forget_window(event.window)
            case _:
                return

    def focus_came(self) -> None:
        """An X window has got the keyboard."""
        self._clipboard.focus_came()
        self._primary.focus_came()

    def serial_came(self) -> None:
        """The user has done something with an X window."""
        self._clipboard.serial_came()
        self._primary.serial_came()

    def close(self) -> None:
        """Ends all transfers."""
        self._drags.close()
        self._transfers.close()
        self._clipboard.close()

    def _create(self, name: str, *, keeps: bool = False) -> Selection:
        atom = self._client.atoms[name]
        return Selection(self._transfers, atom, self._window, self._seats, keeps=keeps)

    # Seats: the first one's selections are the X server's.

    def _add_global(self, found: Global) -> None:
        if found.interface == "wl_seat" and self._seat is None:
            self._find_seat()

    def _remove_global(self, found: Global) -> None:
        if self._seat is not None and self._seat[0] == found.name:
            self._seat = None
            self._drags.set_device(None)
            self._clipboard.set_device(None)
            self._primary.set_device(None)
            self._find_seat()

    def _find_seat(self) -> None:
        found = self._globals.find("wl_seat")
        seat = None if found is None else self._globals.bind_global(found, 1)
        if found is None or seat is None:
            return
        self._seat = (found.name, seat)
        manager = self._objects.find("wl_data_device_manager")
        if manager is not None:
            device = Device(self._mediator, manager, seat, CLIPBOARD)
            self._clipboard.set_device(device)
            self._drags.set_device(device)
        manager = self._objects.find("zwp_primary_selection_device_manager_v1")
        if manager is not None:
            self._primary.set_device(Device(self._mediator, manager, seat, PRIMARY))
