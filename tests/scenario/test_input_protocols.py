"""Input beyond keys and clicks, and what keeps a session awake or locked: from the guest, on a real sway."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.guest import running_guest
from tests.fakes.launcher import PATIENCE, RUN, RunningLauncher, environment, running_launcher
from tests.fakes.painting import solid_buffer
from tests.fakes.sway import Sway
from tests.fakes.weston import wait_until
from tests.fakes.windows import Surface, Window
from tests.scenario.test_sway import KEY_A, bind_keyboard, filling_window

ALLOWED: Final = ("session-lock", "input-method")

FIXED_ONE: Final = 256
PERSISTENT: Final = 2
"""zwp_pointer_constraints_v1.lifetime."""

EMAIL: Final = 6
"""zwp_text_input_v3.content_purpose."""


@pytest.fixture
def daemon(runtime_dir: Path, own_sway: Sway) -> Generator[RunningDaemon]:
    """The daemon as it is without any option."""
    with running_daemon(runtime_dir, own_sway.socket_path) as running:
        yield running


@pytest.fixture
def launcher(runtime_dir: Path, daemon: RunningDaemon) -> Generator[RunningLauncher]:
    with running_launcher(runtime_dir, daemon.local_socket) as running:
        yield running


@pytest.fixture
def client(launcher: RunningLauncher) -> Generator[FakeClient]:
    """A client in the guest."""
    with FakeClient(launcher.socket) as made:
        yield made


@pytest.fixture
def host(own_sway: Sway) -> Generator[FakeClient]:
    """A client of the host."""
    with FakeClient(str(own_sway.socket_path)) as made:
        yield made


@pytest.fixture
def trusted(own_sway: Sway) -> Generator[FakeClient]:
    """A client in a guest that may lock the session and be an input method."""
    with running_guest(own_sway.socket_path, allow=ALLOWED) as launcher, FakeClient(launcher.socket) as made:
        yield made


def test_privileged_input_and_locks_are_refused_by_default(client: FakeClient, host: FakeClient) -> None:
    privileged = [
        "zwp_input_method_manager_v2",
        "zwp_virtual_keyboard_manager_v1",
        "zwlr_virtual_pointer_manager_v1",
        "ext_session_lock_manager_v1",
        "ext_transient_seat_manager_v1",
    ]
    assert [host.offers(name) > 0 for name in privileged] == [True] * len(privileged)
    assert [client.offers(name) for name in privileged] == [0] * len(privileged)


@contextmanager
def text_field(client: FakeClient, sway: Sway) -> Generator[Proxy]:
    """An enabled text input in a window with the keyboard's focus."""
    field = client.bind("zwp_text_input_manager_v3", 1).create("get_text_input", client.bind("wl_seat"))
    with filling_window(client, sway):
        client.wait(lambda: bool(field.received("enter")), what="the text input's focus")
        field.send("enable")
        field.send("set_content_type", 0, EMAIL)
        field.send("set_surrounding_text", "Grüße aus dem Gast", 7, 7)
        field.send("commit")
        client.round_trip()
        yield field


def compose(method_client: FakeClient, field_client: FakeClient, method: Proxy, field: Proxy) -> None:
    """An input method hears of a field, and writes into it."""
    method_client.wait(lambda: bool(method.received("done")), what="an active field")
    assert method.received("activate")
    assert method.received("content_type") == [(0, EMAIL)]
    assert method.received("surrounding_text") == [("Grüße aus dem Gast", 7, 7)]
    serial = len(method.received("done"))
    method.send("set_preedit_string", "にほ", 0, 6)
    method.send("commit", serial)
    method_client.flush()
    field_client.wait(lambda: bool(field.received("done")), what="the text that is being composed")
    assert field.received("preedit_string") == [("にほ", 0, 6)]
    method.send("delete_surrounding_text", 2, 0)
    method.send("commit_string", "日本")
    method.send("commit", serial)
    method_client.flush()
    field_client.wait(lambda: len(field.received("done")) == 2, what="the composed text")
    assert field.received("commit_string")[-1] == ("日本",)
    assert field.received("delete_surrounding_text")[-1] == (2, 0)


def input_method(client: FakeClient) -> Proxy:
    """The input method of the only seat."""
    method = client.bind("zwp_input_method_manager_v2").create("get_input_method", client.bind("wl_seat"))
    client.round_trip()
    return method


def test_an_input_method_of_the_host_composes_in_the_guest(
    client: FakeClient, host: FakeClient, own_sway: Sway
) -> None:
    method = input_method(host)
    with text_field(client, own_sway) as field:
        compose(host, client, method, field)


def test_an_input_method_of_the_guest_composes_on_the_host_where_it_may(
    trusted: FakeClient, host: FakeClient, own_sway: Sway
) -> None:
    method = input_method(trusted)
    with text_field(host, own_sway) as field:
        compose(trusted, host, method, field)


def test_a_locked_pointer_tells_only_how_far_it_would_have_moved(client: FakeClient, own_sway: Sway) -> None:
    pointer = client.bind("wl_seat").create("get_pointer")
    relative = client.bind("zwp_relative_pointer_manager_v1").create("get_relative_pointer", pointer)
    with filling_window(client, own_sway) as window:
        own_sway.seat.move_pointer(300, 200)
        client.wait(lambda: bool(pointer.received("enter")), what="the pointer")
        constraints = client.bind("zwp_pointer_constraints_v1")
        lock = constraints.create("lock_pointer", window.surface.proxy, pointer, None, PERSISTENT)
        client.wait(lambda: bool(lock.received("locked")), what="the lock")
        pointer.events.clear()
        relative.events.clear()
        own_sway.seat.nudge_pointer(5.5, -3)
        client.wait(lambda: bool(relative.received("relative_motion")), what="a relative motion")
        client.round_trip()
        assert relative.received("relative_motion")[0][2:4] == (round(5.5 * FIXED_ONE), -3 * FIXED_ONE)
        assert pointer.received("motion") == []
        lock.send("destroy")
        client.round_trip()
        own_sway.seat.nudge_pointer(1, 1)
        client.wait(lambda: bool(pointer.received("motion")), what="a motion after the lock")


def test_a_confined_pointer_stays_in_its_region(client: FakeClient, own_sway: Sway) -> None:
    pointer = client.bind("wl_seat").create("get_pointer")
    with filling_window(client, own_sway) as window:
        own_sway.seat.move_pointer(110, 110)
        client.wait(lambda: bool(pointer.received("enter")), what="the pointer")
        region = window.compositor.create("create_region")
        region.send("add", 100, 100, 50, 50)
        constraints = client.bind("zwp_pointer_constraints_v1")
        confined = constraints.create("confine_pointer", window.surface.proxy, pointer, region, PERSISTENT)
        client.wait(lambda: bool(confined.received("confined")), what="the confinement")
        window.surface.commit()  # its region is applied with the surface's state
        client.round_trip()
        pointer.events.clear()
        own_sway.seat.nudge_pointer(400, 0)
        client.wait(lambda: bool(pointer.received("motion")), what="a motion")
        x, y = (integer(value) / FIXED_ONE for value in pointer.received("motion")[-1][1:3])
        assert 149 <= x <= 150
        assert y == 110


def test_touch_pads_gestures_and_tablets_can_be_asked_for(
    client: FakeClient, launcher: RunningLauncher
) -> None:
    """Sway has no device of that kind: there is nothing to hear, and nothing that ends the client."""
    seat = client.bind("wl_seat")
    pointer = seat.create("get_pointer")
    gestures = client.bind("zwp_pointer_gestures_v1")
    made = [gestures.create(f"get_{kind}_gesture", pointer) for kind in ("swipe", "pinch", "hold")]
    tablets = client.bind("zwp_tablet_manager_v2").create("get_tablet_seat", seat)
    client.round_trip()
    for gesture in (*made, tablets):
        gesture.send("destroy")
    client.round_trip()
    launcher.assert_alive()


def test_a_window_of_the_guest_keeps_the_screen_on(client: FakeClient, own_sway: Sway) -> None:
    with filling_window(client, own_sway) as window:
        manager = client.bind("zwp_idle_inhibit_manager_v1")
        inhibitor = manager.create("create_inhibitor", window.surface.proxy)
        client.round_trip()
        assert own_sway.windows()[0]["inhibit_idle"] is True
        inhibitor.send("destroy")
        client.round_trip()
        assert own_sway.windows()[0]["inhibit_idle"] is False


def test_a_window_of_the_guest_gets_the_keys_that_are_sways_own(client: FakeClient, own_sway: Sway) -> None:
    own_sway.swaymsg("bindsym a nop")
    keyboard = bind_keyboard(client)
    with filling_window(client, own_sway) as window:
        client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
        own_sway.seat.type("ab")
        client.wait(lambda: len(keyboard.received("key")) == 2, what="the key that is not sway's")
        assert KEY_A not in {values[2] for values in keyboard.received("key")}
        manager = client.bind("zwp_keyboard_shortcuts_inhibit_manager_v1")
        inhibitor = manager.create("inhibit_shortcuts", window.surface.proxy, client.bind("wl_seat"))
        client.wait(lambda: bool(inhibitor.received("active")), what="sway's consent")
        own_sway.seat.type("a")
        client.wait(lambda: len(keyboard.received("key")) == 4, what="sway's key")
        assert [values[2:] for values in keyboard.received("key")[2:]] == [(KEY_A, 1), (KEY_A, 0)]


def test_an_idle_notifier_of_the_guest_hears_of_idleness_and_of_its_end(
    client: FakeClient, own_sway: Sway
) -> None:
    notifier = client.bind("ext_idle_notifier_v1", 1)
    notification = notifier.create("get_idle_notification", 50, client.bind("wl_seat"))
    client.wait(lambda: bool(notification.received("idled")), what="idleness")
    own_sway.seat.nudge_pointer(1, 1)
    client.wait(lambda: bool(notification.received("resumed")), what="its end")


def test_a_session_is_locked_and_unlocked_from_the_guest_where_it_may(
    trusted: FakeClient, own_sway: Sway
) -> None:
    surface = Surface(trusted, trusted.bind("wl_compositor"))
    lock = trusted.bind("ext_session_lock_manager_v1").create("lock")
    screen = lock.create("get_lock_surface", surface.proxy, trusted.bind("wl_output"))
    trusted.wait(lambda: bool(screen.received("configure")), what="the lock screen's size")
    serial, width, height = (integer(value) for value in screen.received("configure")[0])
    screen.send("ack_configure", serial)
    buffer = solid_buffer(trusted, width, height, "aa5500")
    surface.attach(buffer)
    surface.damage_all()
    surface.commit()
    trusted.wait(lambda: bool(lock.received("locked")), what="the lock")
    locked = np.array([0xAA, 0x55, 0x00], dtype=np.uint8)
    wait_until(
        lambda: bool((own_sway.screenshot() == locked).all()), seconds=PATIENCE, what="the lock screen"
    )
    lock.send("unlock_and_destroy")
    trusted.round_trip()
    wait_until(
        lambda: not (own_sway.screenshot() == locked).all(axis=2).any(),
        seconds=PATIENCE,
        what="the unlocked screen",
    )
    buffer.pool.close()


def activation_token(client: FakeClient, sway: Sway, window: Window) -> str:
    """A token that sway honours: of the window with the focus, with the serial of a key."""
    keyboard = bind_keyboard(client)
    client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
    sway.seat.type("a")
    client.wait(lambda: bool(keyboard.received("key")), what="a key")
    token = client.bind("xdg_activation_v1").create("get_activation_token")
    token.send("set_serial", keyboard.received("key")[-1][0], client.bind("wl_seat"))
    token.send("set_surface", window.surface.proxy)
    token.send("commit")
    client.wait(lambda: bool(token.received("done")), what="a token")
    ((text,),) = token.received("done")
    assert isinstance(text, str)
    return text


TELL: Final = """
import json, os, sys
print(json.dumps([os.environ.get(name) for name in ("XDG_ACTIVATION_TOKEN", "DESKTOP_STARTUP_ID")]))
"""


def test_an_activation_token_is_given_to_the_application(daemon: RunningDaemon, runtime_dir: Path) -> None:
    done = subprocess.run(
        [*RUN, f"--channel=local:{daemon.local_socket}", sys.executable, "-c", TELL],
        env=environment(runtime_dir, {"XDG_ACTIVATION_TOKEN": "token-1", "DESKTOP_STARTUP_ID": "startup-2"}),
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    assert json.loads(done.stdout) == ["token-1", "startup-2"]


def focused(sway: Sway) -> list[str]:
    """The titles of the windows with the focus."""
    return [window["name"] for window in sway.windows() if window["focused"]]


def test_a_token_of_the_host_brings_a_window_of_the_guest_to_the_front(
    client: FakeClient, host: FakeClient, own_sway: Sway
) -> None:
    own_sway.swaymsg("focus_on_window_activation smart")
    with filling_window(client, own_sway) as window:
        program = Window(host, title="a program starter")
        buffer = solid_buffer(host, 100, 100, "ffffff")
        program.show(buffer)
        token = activation_token(host, own_sway, program)
        assert focused(own_sway) == ["a program starter"]
        client.bind("xdg_activation_v1").send("activate", "no token", window.surface.proxy)
        client.round_trip()
        assert focused(own_sway) == ["a program starter"]
        client.bind("xdg_activation_v1").send("activate", token, window.surface.proxy)
        client.round_trip()
        assert focused(own_sway) == ["filling"]
        buffer.pool.close()
