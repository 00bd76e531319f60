"""How dense the compositor's outputs are, found out once, before Xwayland sees any of them."""

from collections.abc import Callable
from typing import Final

from crossdomain.wire.codec import Value, integer
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy

MAX_FACTOR: Final = 4.0
_STEPS: Final = 120
"""Scales are whole numbers of 120ths (wp_fractional_scale_v1); a logical size, rounded, is not so exact."""
_MAX_OUTPUTS: Final = 32
_CURRENT: Final = 1
"""wl_output.mode: current."""


class _Output:
    """One wl_output, while it is asked."""

    def __init__(self, proxy: Proxy, manager: Proxy | None) -> None:
        self._proxy = proxy
        self._described = None if manager is None else manager.create("get_xdg_output", proxy)
        self._mode = 0
        self._logical = 0
        self._scale = 1
        proxy.handlers["mode"] = self._handle_mode
        proxy.handlers["scale"] = self._handle_scale
        if self._described is not None:
            self._described.handlers["logical_size"] = self._handle_size

    @property
    def factor(self) -> float:
        """How many of its px make a logical one; a rotated output's longer side is still the longer one."""
        if not self._mode or not self._logical:
            return float(self._scale)
        return round(self._mode / self._logical * _STEPS) / _STEPS

    def release(self) -> None:
        """It is known well enough."""
        if self._described is not None:
            self._described.send("destroy")
        if self._proxy.version >= 3:
            self._proxy.send("release")

    def _handle_mode(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        if integer(values[0]) & _CURRENT:
            self._mode = max(integer(values[1]), integer(values[2]))

    def _handle_scale(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._scale = integer(values[0])

    def _handle_size(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._logical = max(integer(values[0]), integer(values[1]))


def measure(mediator: Mediator, found: Globals, done: Callable[[float], None]) -> None:
    """Calls `done` with the factor of the densest output, so that nothing is blurred anywhere; 1 to 4."""
    manager = found.bind("zxdg_output_manager_v1", 3)
    outputs: list[_Output] = []
    for output in found.find_all("wl_output")[:_MAX_OUTPUTS]:
        proxy = found.bind_global(output, 3)
        if proxy is not None:
            outputs.append(_Output(proxy, manager))

    def answered() -> None:
        factor = max((output.factor for output in outputs), default=1.0)
        for output in outputs:
            output.release()
        if manager is not None:
            manager.send("destroy")
        done(min(max(1.0, factor), MAX_FACTOR))

    mediator.settle(answered)
