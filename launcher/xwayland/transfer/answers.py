"""Answers what X clients ask of a selection that we own for somebody else (ICCCM 2.6.2)."""

from collections.abc import Sequence
from typing import Final

from launcher.xwayland.model.properties import parse_words
from launcher.xwayland.transfer.targets import targets_of
from launcher.xwayland.transfer.transfers import Content, Transfers
from launcher.xwayland.transfer.writer import Conversion
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import SelectionRequest, parse_property

_MAX_PAIRS: Final = 64
"""Conversions of one MULTIPLE; toolkits ask for two or three."""


class Answers:
    """Gives away what there is."""

    def __init__(self, transfers: Transfers, content: Content, time: int) -> None:
        """`time` is the server's, when the selection became ours."""
        self._transfers = transfers
        self._client = transfers.client
        self.content = content
        self.time = time
        self._targets = targets_of(content.mimes)

    def handle(self, request: SelectionRequest) -> None:
        """Answers a request, at once or when the data has come."""

        def answer(is_there: bool) -> None:
            notify(self._transfers, request, property_ if is_there else 0)

        # Clients from before ICCCM name no property (ICCCM 2.2).
        property_ = request.property or request.target
        self._transfers.names.find_names(
            [request.target],
            lambda names: self._convert(
                request, Conversion(request.requestor, property_, "".join(names), answer)
            ),
        )

    def _convert(self, request: SelectionRequest, conversion: Conversion) -> None:
        if conversion.target == "MULTIPLE":
            if request.property:
                self._ask_pairs(request, conversion)
            else:
                conversion.answer(False)
        else:
            self._convert_one(conversion)

    def _convert_one(self, conversion: Conversion) -> None:
        target = conversion.target
        if target == "TARGETS":
            self._transfers.names.find_atoms(
                list(self._targets), lambda atoms: self._send_targets(conversion, atoms)
            )
        elif target == "TIMESTAMP":
            self._send_words(conversion, "INTEGER", (self.time,))
        elif target in self._targets and self.content.is_there:
            self._transfers.names.find_atoms([target], lambda _atoms: self._send(conversion))
        else:
            conversion.answer(False)

    def _send(self, conversion: Conversion) -> None:
        if self.content.is_there:
            self._transfers.write(conversion, self.content, self._targets[conversion.target])
        else:
            conversion.answer(False)

    def _send_targets(self, conversion: Conversion, atoms: list[int]) -> None:
        known = self._client.atoms
        self._send_words(
            conversion, "ATOM", (known["TARGETS"], known["TIMESTAMP"], known["MULTIPLE"], *atoms)
        )

    def _send_words(self, conversion: Conversion, type_: str, words: Sequence[int]) -> None:
        self._write_words(conversion.requestor, conversion.property, type_, words)
        conversion.answer(True)

    def _write_words(self, window: int, property_: int, type_: str, words: Sequence[int]) -> None:
        type_atom = self._client.atoms[type_]
        data = requests.encode_words(words)
        self._client.request(requests.change_property(window, property_, type_atom, 32, data))

    # MULTIPLE: a property that names targets and the properties that they are to be put into.

    def _ask_pairs(self, request: SelectionRequest, conversion: Conversion) -> None:
        def take(reply: bytes) -> None:
            words = parse_words(parse_property(reply).value)
            targets = words[::2][: len(words) // 2]
            self._transfers.names.find_names(
                targets, lambda _names: _Multiple(self, conversion, list(words[: 2 * len(targets)])).start()
            )

        def failed(_error: XError) -> None:
            conversion.answer(False)

        get = requests.get_property(request.requestor, request.property, 2 * _MAX_PAIRS)
        self._client.ask(get, take, failed)

    def convert_pair(self, conversion: Conversion) -> None:
        """Makes one conversion of several."""
        self._convert_one(conversion)

    def name_of(self, atom: int) -> str:
        """Returns the name of an atom that was asked for."""
        return self._client.atoms.name(atom) or ""

    def write_pairs(self, conversion: Conversion, pairs: list[int]) -> None:
        """Tells which conversions have failed: their property is None."""
        self._write_words(conversion.requestor, conversion.property, "ATOM_PAIR", pairs)
        conversion.answer(True)


class _Multiple:
    """The conversions of one MULTIPLE."""

    def __init__(self, answers: Answers, conversion: Conversion, pairs: list[int]) -> None:
        self._answers = answers
        self._conversion = conversion
        self._pairs = pairs
        self._missing = 1

    def start(self) -> None:
        """Begins all of them."""
        for position in range(0, len(self._pairs), 2):
            self._begin(position)
        self._answered()

    def _begin(self, position: int) -> None:
        def answer(is_there: bool) -> None:
            if not is_there:
                self._pairs[position + 1] = 0
            self._answered()

        target, property_ = self._pairs[position : position + 2]
        self._missing += 1
        name = self._answers.name_of(target)
        conversion = Conversion(self._conversion.requestor, property_, name, answer)
        if property_:
            self._answers.convert_pair(conversion)
        else:
            answer(False)

    def _answered(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._answers.write_pairs(self._conversion, self._pairs)


def notify(transfers: Transfers, request: SelectionRequest, property_: int) -> None:
    """Tells a requestor that its property is there; 0: that it can't have what it asks for."""
    event = requests.encode_selection_notify(
        request.requestor, request.selection, request.target, property_, request.time
    )
    transfers.client.request(requests.send_event(request.requestor, 0, event))
