"""Counters of X's Sync extension, which python-xlib does not know: for tests that draw when they want to."""

from typing import Any, cast

from Xlib.protocol import rq

from tests.fakes.x11_client import XTestClient

_VALUE = (rq.Int32("high"), rq.Card32("low"))


class _Initialize(rq.ReplyRequest):
    _request = rq.Struct(
        rq.Card8("opcode"), rq.Opcode(0), rq.RequestLength(), rq.Card8("major"), rq.Card8("minor"), rq.Pad(2)
    )
    _reply = rq.Struct(
        rq.ReplyCode(), rq.Pad(1), rq.Card16("sequence_number"), rq.ReplyLength(),
        rq.Card8("major"), rq.Card8("minor"), rq.Pad(22),
    )  # fmt: skip


class _CreateCounter(rq.Request):
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(2), rq.RequestLength(), rq.Card32("counter"), *_VALUE)


class _SetCounter(rq.Request):
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(3), rq.RequestLength(), rq.Card32("counter"), *_VALUE)


class Counter:
    """One counter, at 0 in the beginning."""

    def __init__(self, client: XTestClient) -> None:
        self._display = client.display
        self._opcode = int(self._display.query_extension("SYNC").major_opcode)
        cast(Any, _Initialize)(display=self._display.display, opcode=self._opcode, major=3, minor=1)
        self.id = int(self._display.display.allocate_resource_id())
        self._send(_CreateCounter, 0)

    def set(self, value: int) -> None:
        """Give it a value."""
        self._send(_SetCounter, value)

    def _send(self, kind: type[rq.Request], value: int) -> None:
        cast(Any, kind)(
            display=self._display.display,
            opcode=self._opcode,
            counter=self.id,
            high=value >> 32,
            low=value & 0xFFFFFFFF,
        )
        self._display.sync()
