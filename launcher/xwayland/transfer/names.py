"""Atoms of kinds of data: asked for when they are met, and remembered."""

from collections.abc import Callable, Sequence

from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import parse_atom, parse_atom_name


class Names:
    """Translates atoms to names and back.

    What clients make the server remember for ever, it remembers for ever; so do we.
    """

    def __init__(self, client: XClient) -> None:
        self._client = client

    def find_names(self, atoms: Sequence[int], found: Callable[[list[str]], None]) -> None:
        """Calls `found` with the names of those atoms that have one, in their order."""
        known = self._client.atoms

        def done() -> None:
            found([name for atom in atoms if (name := known.name(atom)) is not None])

        waiting = _Waiting(done)
        for atom in dict.fromkeys(atoms):
            if known.name(atom) is None:
                self._ask_name(atom, waiting)
        waiting.start()

    def find_atoms(self, names: Sequence[str], found: Callable[[list[int]], None]) -> None:
        """Calls `found` with the atoms of names, in their order."""
        known = self._client.atoms
        waiting = _Waiting(lambda: found([known[name] for name in names]))
        for name in dict.fromkeys(names):
            if not known.knows(name):
                self._ask_atom(name, waiting)
        waiting.start()

    def _ask_name(self, atom: int, waiting: "_Waiting") -> None:
        def take(reply: bytes) -> None:
            self._client.atoms.add(parse_atom_name(reply).decode("latin-1"), atom)
            waiting.answered()

        def failed(_error: XError) -> None:
            waiting.answered()

        waiting.count += 1
        self._client.ask(requests.get_atom_name(atom), take, failed)

    def _ask_atom(self, name: str, waiting: "_Waiting") -> None:
        def take(reply: bytes) -> None:
            self._client.atoms.add(name, parse_atom(reply))
            waiting.answered()

        waiting.count += 1
        self._client.ask(requests.intern_atom(name.encode("latin-1", "replace")), take)


class _Waiting:
    """Counts answers that are still to come."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.count = 0
        self._done = done

    def start(self) -> None:
        """All questions were asked."""
        if not self.count:
            self._done()

    def answered(self) -> None:
        """One answer has come; the first can't be here before all were asked for."""
        self.count -= 1
        if not self.count:
            self._done()
