"""Wayland's wire format, without I/O: tables, walker, codec, registry filter, trace text."""

from crossdomain.wire.engine import Direction, Flag, Record, Walk, Watch
from crossdomain.wire.faults import WireFault
from crossdomain.wire.native import NativeWalker as Walker
from crossdomain.wire.tables import NO_INTERFACE, load

__all__ = ["NO_INTERFACE", "Direction", "Flag", "Record", "Walk", "Walker", "Watch", "WireFault", "load"]
