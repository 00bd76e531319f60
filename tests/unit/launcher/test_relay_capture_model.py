"""Recordings against a model of the compositor: each frame that is ready is in its buffer, whole."""

from contextlib import closing
from typing import Final, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.launcher.fake_channel import RelayedClient, event, request
from tests.unit.launcher.test_relay_capture import (
    HEIGHT,
    SIZE,
    WHOLE,
    WIDTH,
    Ext,
    Recorder,
    Wlr,
    acknowledge,
)

Box = tuple[int, int, int, int]
"""x, y, width, height, px."""


def clipped(x: int, y: int, width: int, height: int) -> Box:
    """A box that ends with the screen."""
    return (x, y, min(width, WIDTH - x), min(height, HEIGHT - y))


areas: Final = st.builds(
    clipped,
    st.integers(0, WIDTH - 1),
    st.integers(0, HEIGHT - 1),
    st.integers(1, WIDTH),
    st.integers(1, HEIGHT),
)


class Step(NamedTuple):
    """What the screen changes to, and then what becomes of a frame."""

    changes: list[Box]
    buffer: int
    wants_damage: bool
    overlay: int
    outcome: str


steps: Final = st.lists(
    st.builds(
        Step,
        st.lists(areas, max_size=3),
        st.integers(0, 1),
        st.booleans(),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from(["ready", "ready", "ready", "failed", "destroyed"]),
    ),
    max_size=12,
)


class Screen:
    """A screen that knows what changed since a frame was asked for."""

    def __init__(self, recorder: Recorder) -> None:
        self.pixels = np.zeros((HEIGHT, WIDTH), dtype="<u4")
        self.recorder = recorder
        self.damage: list[Box] = [WHOLE]
        self._colour = 0

    def change(self, changes: list[Box]) -> None:
        """Paint each of these in a colour of its own."""
        for x, y, width, height in changes:
            self._colour += 1
            self.pixels[y : y + height, x : x + width] = self._colour
        self.damage += changes

    def end(self, step: Step, name: str, frame: int, damage: list[bytes], ready: bytes) -> None:
        """Let a frame end as the script says; where it is ready, it has to be in its buffer."""
        recorder, client = self.recorder, self.recorder.client
        if step.outcome != "failed":
            recorder.memory(step.buffer).buffer[:SIZE] = self.pixels.tobytes()
        if step.outcome == "ready":
            recorder.tell(*damage, ready)
            assert recorder.shown(step.buffer) == self.pixels.tobytes()
        if step.outcome == "failed":
            reason = (0,) if name.startswith("ext") else ()
            recorder.tell(event(name, "failed", frame, *reason))
        client.say(request(name, "destroy", frame))
        if step.outcome == "destroyed":
            acknowledge(client)


# Whether damage is told since the last frame of any kind, or of those that tell it.
@pytest.mark.parametrize("forgets", [True, False], ids=["since any", "since such"])
@given(script=steps)
@settings(max_examples=100, deadline=None)
def test_screencopy(forgets: bool, script: list[Step]) -> None:
    name = "zwlr_screencopy_frame_v1"
    with closing(RelayedClient()) as client, closing(Wlr(client)) as wlr:
        screen = Screen(wlr)
        for step in script:
            frame = wlr.ask(step.buffer, damage=step.wants_damage, overlay=step.overlay)
            screen.change(step.changes)
            told = [event(name, "damage", frame, *box) for box in screen.damage if step.wants_damage]
            screen.end(step, name, frame, told, event(name, "ready", frame, 0, 1, 0))
            if step.wants_damage or forgets:
                screen.damage = []


@given(script=steps)
@settings(max_examples=100, deadline=None)
def test_image_copy_capture(script: list[Step]) -> None:
    name = "ext_image_copy_capture_frame_v1"
    with closing(RelayedClient()) as client, closing(Ext(client)) as ext:
        screen = Screen(ext)
        for step in script:
            frame = ext.ask(step.buffer, old=(0, 0, 0, 0))
            screen.change(step.changes)
            told = [event(name, "damage", frame, *box) for box in screen.damage]
            screen.end(step, name, frame, told, event(name, "ready", frame))
            if step.outcome == "ready":
                screen.damage = []
