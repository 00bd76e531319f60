"""Where outputs are on the X screen: as the compositor has them, but moved so that all of them are on it.

The X screen begins at (0, 0), and Xwayland makes it as large as its outputs reach from there.  Where a
compositor has outputs left of that or above, the pointer could not go to the X coordinates of all pixels.
"""

from collections.abc import Callable
from typing import Final

from crossdomain.wire.codec import Value
from launcher.xwayland.wayland.entries import Call, Entry, Verdict
from launcher.xwayland.wayland.mediator import Mediator

_DONE_SINCE: Final = 3
"""The version of zxdg_output_v1 from which on wl_output.done is the end of its events, too."""


class _Output:
    """One zxdg_output_v1 of Xwayland's."""

    __slots__ = ("entry", "output", "place", "size")

    def __init__(self, entry: Entry, output: Entry | None) -> None:
        self.entry = entry
        self.output = output
        """Its wl_output."""
        self.place: tuple[int, int] | None = None
        """Where the compositor has it, px."""
        self.size: tuple[int, int] | None = None


class Arrangement:
    """All outputs of a session."""

    def __init__(self, mediator: Mediator) -> None:
        self._mediator = mediator
        self._outputs: dict[Entry, _Output] = {}
        self._shift = (0, 0)
        self.changed: Callable[[], None] = lambda: None
        """Called when `rectangles` may be others."""
        mediator.request_routes["zxdg_output_manager_v1", "get_xdg_output"] = self._handle_get
        mediator.request_routes["zxdg_output_v1", "destroy"] = self._handle_destroy
        mediator.event_routes["zxdg_output_v1", "logical_position"] = self._handle_position
        mediator.event_routes["zxdg_output_v1", "logical_size"] = self._handle_size

    @property
    def rectangles(self) -> tuple[tuple[int, int, int, int], ...]:
        """x, y, width and height of outputs on the X screen; none where the compositor does not tell."""
        return tuple(
            (*self._shifted(output.place), *output.size)
            for output in self._outputs.values()
            if output.place is not None and output.size is not None
        )

    def _handle_get(self, call: Call) -> Verdict:
        output = self._mediator.find_client(call.number(1))

        def created(entry: Entry) -> None:
            self._outputs[entry] = _Output(entry, output)

        self._mediator.expect(call.number(0), created)
        return Verdict.PASS

    def _handle_destroy(self, call: Call) -> Verdict:
        if self._outputs.pop(call.entry, None) is not None:
            self._move(None)
            self.changed()
        return Verdict.PASS

    def _handle_position(self, call: Call) -> Verdict:
        output = self._outputs.get(call.entry)
        if output is None:
            return Verdict.PASS
        output.place = (call.number(0), call.number(1))
        self._move(output)
        self.changed()
        values: list[Value] = [*self._shifted(output.place)]
        call.values[:] = values
        return Verdict.CHANGED

    def _handle_size(self, call: Call) -> Verdict:
        output = self._outputs.get(call.entry)
        if output is not None:
            output.size = (call.number(0), call.number(1))
            self.changed()
        return Verdict.PASS

    def _move(self, told: _Output | None) -> None:
        """Finds the shift anew, and tells of it where it is another one; `told` hears of it anyhow."""
        places = [output.place for output in self._outputs.values() if output.place is not None]
        shift = (max((-x for x, _ in places), default=0), max((-y for _, y in places), default=0))
        shift = (max(0, shift[0]), max(0, shift[1]))
        if shift == self._shift:
            return
        self._shift = shift
        for output in self._outputs.values():
            if output is not told and output.place is not None:
                self._tell(output, output.place)

    def _tell(self, output: _Output, place: tuple[int, int]) -> None:
        entry, whole = output.entry, output.output
        if whole is None or whole.zombie:
            return
        send = self._mediator.send_event
        send("zxdg_output_v1", entry.client_id, "logical_position", *self._shifted(place))
        if entry.version >= _DONE_SINCE:
            send("wl_output", whole.client_id, "done")
        else:
            send("zxdg_output_v1", entry.client_id, "done")

    def _shifted(self, place: tuple[int, int]) -> tuple[int, int]:
        return place[0] + self._shift[0], place[1] + self._shift[1]
