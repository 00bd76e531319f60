"""Reads windows' properties, when they are shown and whenever they change.

A storm of changes costs one GetProperty at a time for each property: what changes while one is on its
way is read once more when it has come.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from launcher.xwayland import reading
from launcher.xwayland.model.window import Window
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import NO_PROPERTY, Property, parse_property

Changed = Callable[[Window], None]


class Loader:
    """Fills windows' records."""

    def __init__(self, client: XClient, find: Callable[[int], Window | None]) -> None:
        """`find` returns the record of a window that is still there."""
        self._client = client
        self._find = find
        self._under_way: dict[tuple[int, str], bool] = {}
        self._loading: Counter[Window] = Counter()
        """How often each window's properties are being loaded: more than once, where others ask meanwhile."""

    def load(self, window: Window, loaded: Changed, names: Sequence[str] = reading.names()) -> None:
        """Reads everything, or these properties; `loaded` is called unless the window is gone by then."""
        self._loading[window] += 1
        for name in names[:-1]:
            self.read(window, name, lambda _window: None)

        def done(window: Window) -> None:
            self._loading -= Counter((window,))
            loaded(window)

        self.read(window, names[-1], done)

    def is_loading(self, window: Window) -> bool:
        """Whether properties are being loaded: what changes meanwhile may have been read before."""
        return window in self._loading

    def is_reading(self, window: Window, name: str) -> bool:
        """Whether a property has changed and was not read since."""
        return (window.window, name) in self._under_way

    def reload(self, window: Window, atom: int, changed: Changed) -> None:
        """Reads one property that has changed."""
        name = self._client.atoms.name(atom)
        if name is None or not reading.words_of(name):
            return
        key = (window.window, name)
        if key in self._under_way:
            self._under_way[key] = True
            return
        self._under_way[key] = False
        self.read(window, name, lambda found: self._reloaded(found, atom, key, changed))

    def read(self, window: Window, name: str, done: Changed) -> None:
        """Reads one property; `done` is called unless the window is gone by then."""
        number = window.window

        def take(found: Property) -> None:
            if self._find(number) is window:
                reading.apply(window, name, found, self._client.atoms)
                done(window)

        def failed(_error: XError) -> None:
            take(NO_PROPERTY)

        request = requests.get_property(number, self._client.atoms[name], reading.words_of(name))
        self._client.ask(request, lambda reply: take(parse_property(reply)), failed)

    def matters(self, atom: int) -> bool:
        """Whether a property is read at all."""
        name = self._client.atoms.name(atom)
        return name is not None and bool(reading.words_of(name))

    def forget(self, window: Window) -> None:
        """A window is gone."""
        del self._loading[window]
        for key in [key for key in self._under_way if key[0] == window.window]:
            del self._under_way[key]

    def _reloaded(self, window: Window, atom: int, key: tuple[int, str], changed: Changed) -> None:
        again = self._under_way.pop(key, False)
        if again:
            self.reload(window, atom, changed)
        else:
            changed(window)
