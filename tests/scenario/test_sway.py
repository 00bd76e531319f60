"""What the other tests lean on in sway: it shows windows, takes our input, and its outputs come and go."""

import os
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from crossdomain.vm.seat import BUTTON_LEFT, KEY_LEFT_SHIFT
from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.painting import solid_buffer
from tests.fakes.sway import Sway
from tests.fakes.windows import Window

KEY_A = 30


@contextmanager
def filling_window(client: FakeClient, sway: Sway) -> Generator[Window]:
    """A window that is on the screen, and fills it."""
    window = Window(client, title="filling")
    buffer = solid_buffer(client, *sway.size, "3366cc")
    window.show(buffer)
    # Sway lays a new window out before it shows it, and waits for a commit of the size that it asked for.
    client.wait(lambda: window.size == sway.size, what="the window's size")
    window.show(buffer)
    yield window
    buffer.pool.close()


def bind_keyboard(client: FakeClient) -> Proxy:
    """A wl_keyboard whose keymap is thrown away."""

    def drop_keymap(values: tuple[Value, ...]) -> None:
        os.close(integer(values[1]))

    keyboard = client.bind("wl_seat").create("get_keyboard")
    keyboard.handlers["keymap"] = drop_keymap
    return keyboard


def test_a_window_fills_the_output(sway: Sway) -> None:
    with FakeClient(str(sway.socket_path)) as client, filling_window(client, sway):
        (window,) = sway.windows()
        assert window["name"] == "filling"
        assert (sway.screenshot() == np.array([0x33, 0x66, 0xCC], dtype=np.uint8)).all()


def test_keys_and_clicks_reach_a_window(sway: Sway) -> None:
    with FakeClient(str(sway.socket_path)) as client:
        keyboard = bind_keyboard(client)
        pointer = client.bind("wl_seat").create("get_pointer")
        with filling_window(client, sway):
            client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
            sway.seat.type("A")
            sway.seat.click(30, 20)
            client.wait(lambda: len(pointer.received("button")) == 2, what="a click")
        keys = [values[2:] for values in keyboard.received("key")]
        assert keys == [(KEY_LEFT_SHIFT, 1), (KEY_A, 1), (KEY_A, 0), (KEY_LEFT_SHIFT, 0)]
        assert [values[2:] for values in pointer.received("button")] == [(BUTTON_LEFT, 1), (BUTTON_LEFT, 0)]


def test_an_output_comes_and_goes(own_sway: Sway) -> None:
    with FakeClient(str(own_sway.socket_path)) as client:
        name = own_sway.plug_output()
        client.wait(lambda: count_outputs(client) == 2, what="the second output")
        assert own_sway.screenshot(name).shape == (*own_sway.size[::-1], 3)
        own_sway.unplug_output(name)
        client.wait(lambda: count_outputs(client) == 1, what="its end")


def count_outputs(client: FakeClient) -> int:
    """How many outputs are advertised."""
    return sum(entry.interface == "wl_output" for entry in client.globals)
