"""Our own X client: the connection, the atoms, the extensions and the ids of its resources."""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from crossdomain.errors import HostFault
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.atoms import NEEDED, Atoms
from launcher.xwayland.x11.connection import Connection, Failed, Reply
from launcher.xwayland.x11.events import Extension, ExtensionEvents, parse_atom, parse_extension
from launcher.xwayland.x11.setup import Setup

_NEEDED_EXTENSIONS: Final = ("Composite", "XFIXES")
_MILLISECOND: Final = 1_000_000


class Extensions(NamedTuple):
    """Where the extensions' requests and events are; opcode 0: one is missing."""

    composite: Extension
    xfixes: Extension
    shape: Extension
    sync: Extension
    res: Extension
    render: Extension


class XClient:
    """What all parts of the X side share."""

    extensions: Extensions
    events: ExtensionEvents

    def __init__(self, connection: Connection, setup: Setup) -> None:
        self.connection = connection
        self.setup = setup
        self.root = setup.root
        self.atoms = Atoms()
        self.time = requests.CURRENT_TIME
        """The server's time at the last event that told it, ms; CURRENT_TIME before that."""
        self._last_id = 0
        self._ids: set[int] = set()
        """Those in use."""
        self._missing = 0

    def start(self, ready: Callable[[], None]) -> None:
        """Asks for atoms and extensions; `ready` is called when they are known.

        Raises (later, out of `connection.receive`) HostFault where an extension is missing.
        """
        found: dict[str, Extension] = {}
        names = ("Composite", "XFIXES", "SHAPE", "SYNC", "X-Resource", "RENDER")
        self._missing = len(names) + len(NEEDED)

        def answered() -> None:
            self._missing -= 1
            if not self._missing:
                self._take_extensions([found[name] for name in names])
                ready()

        for name in names:
            self._ask_extension(name, found, answered)
        for atom in NEEDED:
            self._ask_atom(atom, answered)

    def new_id(self) -> int:
        """Returns the id of a resource to be made; `free_id` takes it back.

        Those that were used longest ago come first, for events may still name one that was freed lately.
        """
        mask = self.setup.resource_id_mask
        if len(self._ids) >= mask:
            raise HostFault("the X server has no resource ids left")
        while True:
            self._last_id = self._last_id % mask + 1
            if self._last_id not in self._ids:
                self._ids.add(self._last_id)
                return self.setup.resource_id_base | self._last_id

    def free_id(self, resource: int) -> None:
        """A resource of ours is gone, or was never made."""
        self._ids.discard(resource & self.setup.resource_id_mask)

    def owns(self, resource: int) -> bool:
        """Whether a resource is our own."""
        return resource & ~self.setup.resource_id_mask == self.setup.resource_id_base

    def request(self, data: bytes, failed: Failed | None = None) -> None:
        """Sends a request without a reply; it may fail."""
        self.connection.request(data, failed)

    def ask(self, data: bytes, reply: Reply, failed: Failed | None = None) -> None:
        """Sends a request whose reply is given to `reply`; it may fail."""
        self.connection.ask(data, reply, failed)

    def set_words(self, window: int, name: str, type_: str, words: Iterable[int]) -> None:
        """Writes a property of format 32."""
        data = requests.encode_words(words)[: requests.MAX_PROPERTY_PART]
        self.request(requests.change_property(window, self.atoms[name], self.atoms[type_], 32, data))

    def set_bytes(self, window: int, name: str, type_: str, data: bytes) -> None:
        """Writes a property of format 8."""
        self.request(requests.change_property(window, self.atoms[name], self.atoms[type_], 8, data))

    def delete(self, window: int, name: str) -> None:
        """Removes a property."""
        self.request(requests.delete_property(window, self.atoms[name]))

    def send_message(
        self, destination: int, window: int, type_: str, data: tuple[int, ...], mask: int = 0
    ) -> None:
        """Sends a client message about a window."""
        event = requests.encode_client_message(window, self.atoms[type_], data)
        self.request(requests.send_event(destination, mask, event))

    def saw_time(self, timestamp: int) -> None:
        """An event has told the server's time."""
        if timestamp:
            self.time = timestamp

    def now(self) -> int:
        """Returns the server's time as far as it is known: servers count the clock's milliseconds."""
        return self.time or time.monotonic_ns() // _MILLISECOND & 0xFFFFFFFF

    def _ask_extension(self, name: str, found: dict[str, Extension], answered: Callable[[], None]) -> None:
        def reply(data: bytes) -> None:
            found[name] = parse_extension(data)
            if not found[name].major_opcode and name in _NEEDED_EXTENSIONS:
                raise HostFault(f"the X server has no {name} extension")
            answered()

        self.ask(requests.query_extension(name.encode()), reply)

    def _ask_atom(self, name: str, answered: Callable[[], None]) -> None:
        def reply(data: bytes) -> None:
            self.atoms.add(name, parse_atom(data))
            answered()

        self.ask(requests.intern_atom(name.encode()), reply)

    def _take_extensions(self, found: list[Extension]) -> None:
        self.extensions = Extensions(*found)
        self.events = ExtensionEvents(
            self.extensions.xfixes.first_event,
            self.extensions.shape.first_event,
            self.extensions.sync.first_event,
        )
