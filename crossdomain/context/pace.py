"""How fast clients go: messages per second of one and of all of a VM, and their share of a processor.

Who is too fast is slowed down, not ended: what it sends waits, and is read no more, until its average is
right again.  Clocks are looked at when something has been used up: a message costs one subtraction.
"""

import time
from collections.abc import Callable
from typing import Final

from crossdomain.context.quotas import Quotas, VmQuotas
from crossdomain.wire.totals import Totals

BURST_SECONDS: Final = 5.0
"""What a client may do at once after a silence: a burst of pipelined requests is over before that."""

_CPU_BURST_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 1.0
"""Looks at a number that are less apart are one."""
_WHOLE: Final = 100
"""Percent: a worker has one thread, and can't take more than one processor."""


class Rate:
    """A bucket of tokens, that fills at a rate and holds BURST_SECONDS of it."""

    __slots__ = ("_clock", "_filled", "_left", "_per_second", "spent")

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Full."""
        self._clock = clock
        self._per_second = per_second
        self._left = per_second * BURST_SECONDS
        self._filled = clock()
        self.spent = 0.0
        """Tokens that were taken so far."""

    def set(self, per_second: int) -> None:
        """Another rate; what was spent stays spent."""
        self._refill()
        self._per_second = per_second
        self._left = min(self._left, per_second * BURST_SECONDS)

    @property
    def left(self) -> int:
        """How many tokens there were when the clock was last looked at, less those that were spent since."""
        return max(0, int(self._left))

    def spend(self, count: float) -> float:
        """Takes `count` tokens, also where there are fewer; returns how long to wait for those, s."""
        self.spent += count
        self._left -= count
        if self._left >= 0:
            return 0.0
        self._refill()
        return max(0.0, -self._left / self._per_second)

    def _refill(self) -> None:
        now = self._clock()
        most = self._per_second * BURST_SECONDS
        self._left = min(most, self._left + (now - self._filled) * self._per_second)
        self._filled = now


class Speed:
    """How fast a number goes up: since it was looked at last, a second at least, or since it was 0."""

    __slots__ = ("_before", "_clock", "_last")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """The number is 0."""
        self._clock = clock
        self._before = self._last = (clock(), 0.0)

    def look(self, number: float) -> float:
        """The number is this now; how much it goes up in a second."""
        now = self._clock()
        if now - self._last[0] >= LOOK_SECONDS:
            self._before, self._last = self._last, (now, number)
        start, was = self._before
        return (number - was) / max(now - start, LOOK_SECONDS)


class Pace:
    """That of one VM, or of one local socket: of the process that serves it."""

    __slots__ = ("_clock", "_cpu", "_cpu_clock", "_cpu_left", "_looked", "_messages", "_rest", "_share")

    def __init__(
        self,
        quotas: VmQuotas,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """`clock` and `cpu_clock` tell seconds, the second those that this process has run."""
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._messages = Rate(quotas.messages_per_second, clock)
        self._rest = 0.0
        self._share = quotas.cpu_percent / _WHOLE
        self._cpu_left = _CPU_BURST_SECONDS
        self._looked, self._cpu = clock(), cpu_clock()

    def set(self, quotas: VmQuotas) -> None:
        """Other quotas."""
        self._messages.set(quotas.messages_per_second)
        self._share = quotas.cpu_percent / _WHOLE
        self._cpu_left = _CPU_BURST_SECONDS
        self._looked, self._cpu = self._clock(), self._cpu_clock()

    @property
    def left(self) -> int:
        """As `Rate.left`, of all clients' messages."""
        return self._messages.left

    @property
    def spent(self) -> int:
        """All clients' messages so far, as far as `spend` was told."""
        return int(self._messages.spent)

    @property
    def cpu_seconds(self) -> float:
        """What this process has run so far."""
        return self._cpu_clock()

    def spend(self, messages: int) -> None:
        """A client's messages have come."""
        self._rest = self._messages.spend(messages)

    def rest(self) -> tuple[float, str]:
        """How long nothing should be read from this VM, s, and the quota that says so; asked after a turn."""
        rest, self._rest = self._rest, 0.0
        if (cpu := self.cpu_rest()) > rest:
            return cpu, "vm.cpu_percent"
        return rest, "vm.messages_per_second"

    @property
    def has_share(self) -> bool:
        """Whether it may not have a whole processor."""
        return self._share < 1

    def cpu_rest(self) -> float:
        """How long nothing should be done for this VM, s, because it has had its share of the processor."""
        if not self.has_share:
            return 0.0
        now, used = self._clock(), self._cpu_clock()
        earned = (now - self._looked) * self._share - (used - self._cpu)
        self._cpu_left = min(_CPU_BURST_SECONDS, self._cpu_left + earned)
        self._looked, self._cpu = now, used
        return max(0.0, -self._cpu_left / self._share)


class Allowance:
    """What a VM may have now, shared by all that serves it."""

    __slots__ = ("blob_bytes", "pace", "quotas", "resources", "totals")

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self.resources = 0
        """Those of all clients of a local socket; a VM's device counts its own."""
        self.blob_bytes = 0
        """Bytes of host memory behind them."""
        self.pace = Pace(quotas.vm)
        self.totals = Totals()
        self.totals.limit(quotas.vm.objects, quotas.vm.surfaces)

    def set(self, quotas: Quotas) -> None:
        """Other quotas: they hold for what is asked from now on."""
        self.quotas = quotas
        self.pace.set(quotas.vm)
        self.totals.limit(quotas.vm.objects, quotas.vm.surfaces)
