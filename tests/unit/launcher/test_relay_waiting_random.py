"""Whatever a client does, and in whatever order its buffers are finished: each surface stays in order.

The same requests are relayed twice: once with buffers that are finished at once, once with buffers that
are finished later, in any order, and once more with several requests at a time.  The host must take all for
Wayland, in which no id is in use already or leaves a hole, and must get the same of each surface.
"""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.relay import window
from tests.unit.launcher.drawing import Drawing, HostIds, Painter, end, requests_in
from tests.unit.launcher.fake_channel import RelayedClient, event

SURFACES: Final = 3
STEPS: Final = (
    "show", "again", "commit", "frame", "region", "scale", "viewport", "unviewport",
    "finish", "free", "release", "sync", "desync",
)  # fmt: skip

steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, SURFACES - 1), st.integers(0, 7)), max_size=40
)


class Talker(RelayedClient):
    """A client that may say several things at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[bytes] = []
        self._fds: list[int] = []
        self.most = 1
        """Requests at a time."""

    def say(self, *messages: bytes, fds: Sequence[int] = ()) -> None:
        self._kept += messages
        self._fds += fds
        if len(self._kept) >= self.most:
            self.flush()

    def flush(self) -> None:
        """What was not said yet is."""
        kept, fds = self._kept, self._fds
        self._kept, self._fds = [], []
        super().say(*kept, fds=fds)


class Play:
    """One run of the steps."""

    def __init__(self, drawing: Drawing, *, finished: bool, most: int = 1) -> None:
        self.client = Talker()
        self.painter = Painter(self.client, drawing)
        self._finished = finished
        self._drawings: list[int] = []
        self._viewports: dict[int, int] = {}
        self._shown: dict[int, int] = {}
        self.surfaces = [self.painter.surface() for _ in range(SURFACES)]
        subcompositor = self.painter.globals["wl_subcompositor"]
        parent, child = self.surfaces[:2]
        self._role = self.painter.make("wl_subsurface", subcompositor, "get_subsurface", child, parent)
        self._idle = [self.painter.buffer(drawn=False)[0] for _ in range(2)]
        self.client.most = most

    def do(self, step: str, surface: int, choice: int) -> None:
        """One step of the client's or of its device's."""
        painter = self.painter
        match step:
            case "show":
                self._show(surface)
            case "again" | "release":
                self._use_again(step, surface, self._idle[choice % 2])
            case "commit":
                painter.say(surface, "commit")
            case "frame":
                painter.make("wl_callback", surface, "frame")
            case "region":
                region = painter.make("wl_region", painter.globals["wl_compositor"], "create_region")
                painter.say(region, "add", 0, 0, 1, 1)
                painter.say(surface, "set_input_region", region)
                painter.say(region, "destroy")
            case "scale":
                painter.say(surface, "set_buffer_scale", choice + 1)
            case "viewport" if surface not in self._viewports:
                viewporter = painter.globals["wp_viewporter"]
                self._viewports[surface] = painter.make("wp_viewport", viewporter, "get_viewport", surface)
                painter.say(self._viewports[surface], "set_destination", 9, 9)
            case "unviewport" if surface in self._viewports:
                painter.say(self._viewports.pop(surface), "destroy")
            case "free" if surface in self._shown:
                painter.say(self._shown.pop(surface), "destroy")
            case "sync" | "desync":
                painter.say(self._role, f"set_{step}")
            case "finish" if self._drawings:
                self.finish(choice)
            case _:
                pass

    def _use_again(self, step: str, surface: int, buffer: int) -> None:
        if step == "again":
            self.painter.show(surface, buffer)
        else:
            self.client.channel.deliver(event("wl_buffer", "release", buffer))
            self.client.serve()

    def finish(self, choice: int) -> None:
        """Some buffer is finished."""
        end(self._drawings.pop(choice % len(self._drawings)))
        self.client.serve()

    def finish_all(self) -> None:
        """All buffers are finished, the newest first."""
        self.client.flush()
        while self._drawings:
            self.finish(-1)

    def heard_of(self, surface: int) -> list[bytes]:
        """What the host got about a surface, in order."""
        return [
            whole for object_id, _, whole in requests_in(self.client.channel.sent) if object_id == surface
        ]

    @property
    def everything(self) -> list[bytes]:
        """What the host got, apart from what holds ids and makes mirrors."""
        left_out = ("sync", "create_pool", "create_buffer")
        return [
            whole
            for object_id, name, whole in requests_in(self.client.channel.sent)
            if name not in left_out and not self._makes_mirrors(object_id)
        ]

    def _makes_mirrors(self, object_id: int) -> bool:
        """Whether it is a buffer that may be made anew, or a pool of the relay's."""
        return object_id in self._idle or object_id not in self.painter.kinds

    def close(self) -> None:
        """Gives all up."""
        self.painter.close()
        self.client.close()

    def _show(self, surface: int) -> None:
        buffer, drawing = self.painter.buffer()
        if self._finished:
            end(drawing)
        else:
            self._drawings.append(drawing)
        self._shown[surface] = buffer
        self.painter.show(surface, buffer)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_each_surface_stays_in_order(
    script: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = Drawing()
    drawing.install(monkeypatch)
    # After each batch the relay makes an object of its own.
    monkeypatch.setattr(window, "_INTERVAL", 1)
    plays = [
        Play(drawing, finished=True),
        Play(drawing, finished=False),
        Play(drawing, finished=False, most=7),
    ]
    for play in plays:
        for step, index, choice in script:
            play.do(step, play.surfaces[index], choice)
        play.finish_all()
        assert not play.client.closed
        HostIds().hear(play.client.channel.sent)
    at_once, *others = plays
    for later in others:
        for surface in at_once.surfaces:
            assert later.heard_of(surface) == at_once.heard_of(surface)
        assert sorted(later.everything) == sorted(at_once.everything)
    for play in plays:
        play.close()
    drawing.close()
