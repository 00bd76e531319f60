"""Privileged protocols of a real sway, used from the guest through the real launcher and daemon."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm import root
from crossdomain.vm.image import Image
from crossdomain.vm.seat import KEY_LEFT_SHIFT
from crossdomain.wire import policy
from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.guest import running_guest
from tests.fakes.launcher import PATIENCE, RunningLauncher
from tests.fakes.painting import solid_buffer
from tests.fakes.sway import OUTPUT, Sway
from tests.fakes.weston import wait_until
from tests.fakes.windows import Surface
from tests.fakes.wlroots import VirtualSeat
from tests.scenario.test_sway import filling_window

KEY_A: Final = 30
PANEL_HEIGHT: Final = 24
TOP_LAYER: Final = 2
"""zwlr_layer_shell_v1.layer."""
TOP_LEFT_RIGHT: Final = 1 | 4 | 8
"""zwlr_layer_surface_v1.anchor."""
SERVER_SIDE: Final = 2
"""org_kde_kwin_server_decoration.mode."""
FIXED_ONE: Final = 256


@pytest.fixture(scope="module")
def launcher(sway: Sway) -> Generator[RunningLauncher]:
    """Of a host that allows everything that can be allowed."""
    with running_guest(sway.socket_path, allow=policy.load().grantable) as running:
        yield running


@pytest.fixture(scope="module")
def new_launcher(new_sway: Sway) -> Generator[RunningLauncher]:
    with running_guest(new_sway.socket_path, allow=policy.load().grantable) as running:
        yield running


@pytest.fixture
def client(launcher: RunningLauncher) -> Generator[FakeClient]:
    """A client in the guest."""
    with FakeClient(launcher.socket) as made:
        yield made


def watch_keymap(keyboard: Proxy) -> list[bytes]:
    """The contents of the keymaps that a keyboard is told, which grow."""
    found: list[bytes] = []

    def read(values: tuple[Value, ...]) -> None:
        fd = integer(values[1])
        found.append(os.pread(fd, integer(values[2]), 0))
        os.close(fd)

    keyboard.handlers["keymap"] = read
    return found


def test_a_virtual_keyboard_of_the_guest_types_with_its_own_keymap(
    client: FakeClient, launcher: RunningLauncher, sway: Sway
) -> None:
    keyboard = client.bind("wl_seat").create("get_keyboard")
    keymaps = watch_keymap(keyboard)
    with filling_window(client, sway):
        client.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
        seat = VirtualSeat(Path(launcher.socket), *sway.size)
        seat.tap(KEY_A)
        client.wait(lambda: len(keyboard.received("key")) == 2, what="a key")
        seat.close()
    assert [values[2:] for values in keyboard.received("key")] == [(KEY_A, 1), (KEY_A, 0)]
    assert keymaps[-1].startswith(b"xkb_keymap {")


def test_an_input_method_of_the_guest_gets_the_keymap_of_what_it_grabs(
    client: FakeClient, sway: Sway
) -> None:
    method = client.bind("zwp_input_method_manager_v2").create("get_input_method", client.bind("wl_seat"))
    grab = method.create("grab_keyboard")
    keymaps = watch_keymap(grab)
    client.round_trip()
    sway.seat.tap(KEY_LEFT_SHIFT)
    client.wait(lambda: bool(keymaps), what="the keymap")
    assert keymaps[-1].startswith(b"xkb_keymap {")


def test_a_panel_of_the_guest_gets_an_edge_of_the_screen(client: FakeClient, sway: Sway) -> None:
    surface = Surface(client, client.bind("wl_compositor"))
    shell = client.bind("zwlr_layer_shell_v1")
    panel = shell.create("get_layer_surface", surface.proxy, None, TOP_LAYER, "panel")
    panel.send("set_size", 0, PANEL_HEIGHT)
    panel.send("set_anchor", TOP_LEFT_RIGHT)
    surface.commit()
    client.wait(lambda: bool(panel.received("configure")), what="the panel's size")
    serial, width, height = (integer(value) for value in panel.received("configure")[0])
    panel.send("ack_configure", serial)
    buffer = solid_buffer(client, width, height, "cc3366")
    surface.attach(buffer)
    surface.damage_all()
    surface.commit_and_show()
    shown = sway.screenshot()
    assert (shown[:PANEL_HEIGHT] == (0xCC, 0x33, 0x66)).all()
    assert not (shown[PANEL_HEIGHT:] == (0xCC, 0x33, 0x66)).all(axis=2).any()
    buffer.pool.close()


def test_a_task_bar_of_the_guest_sees_and_closes_windows_of_the_host(client: FakeClient, sway: Sway) -> None:
    manager = client.bind("zwlr_foreign_toplevel_manager_v1")
    with FakeClient(str(sway.socket_path)) as host, filling_window(host, sway) as window:
        client.wait(lambda: bool(manager.received("toplevel")), what="a window")
        ((handle,),) = manager.received("toplevel")
        assert isinstance(handle, Proxy)
        client.wait(lambda: bool(handle.received("done")), what="its state")
        assert handle.received("title")[-1] == ("filling",)
        handle.send("close")
        client.flush()
        host.wait(lambda: window.closed, what="the request to close")
    client.wait(lambda: bool(handle.received("closed")), what="its end")


def test_a_list_of_windows_is_a_list_in_the_guest_too(client: FakeClient, sway: Sway) -> None:
    windows = client.bind("ext_foreign_toplevel_list_v1")
    with FakeClient(str(sway.socket_path)) as host, filling_window(host, sway):
        client.wait(lambda: bool(windows.received("toplevel")), what="a window")
        ((handle,),) = windows.received("toplevel")
        assert isinstance(handle, Proxy)
        client.wait(lambda: bool(handle.received("done")), what="its state")
        assert handle.received("title")[-1] == ("filling",)


def test_display_settings_of_the_guest_change_an_output(client: FakeClient, sway: Sway) -> None:
    manager = client.bind("zwlr_output_manager_v1")
    client.wait(lambda: bool(manager.received("done")), what="the outputs")
    ((head,),) = manager.received("head")
    assert isinstance(head, Proxy)
    assert head.received("name") == [(OUTPUT,)]
    for scale in (2 * FIXED_ONE, FIXED_ONE):
        serial = manager.received("done")[-1][0]
        configuration = manager.create("create_configuration", serial)
        enabled = configuration.create("enable_head", head)
        enabled.send("set_scale", scale)
        configuration.send("apply")
        client.wait(lambda: bool(configuration.received("succeeded")), what="new settings")  # noqa: B023
        assert sway.query("outputs")[0]["scale"] == scale / FIXED_ONE
        configuration.send("destroy")
        client.round_trip()


def test_outputs_are_turned_off_and_on_from_the_guest(client: FakeClient, sway: Sway) -> None:
    power = client.bind("zwlr_output_power_manager_v1").create("get_output_power", client.bind("wl_output"))
    for mode in (0, 1):
        power.send("set_mode", mode)
        client.wait(lambda: power.received("mode")[-1:] == [(mode,)], what="the mode")  # noqa: B023
        assert sway.query("outputs")[0]["power"] == bool(mode)


def test_gamma_ramps_are_refused_by_an_output_without_any(client: FakeClient) -> None:
    manager = client.bind("zwlr_gamma_control_manager_v1")
    control = manager.create("get_gamma_control", client.bind("wl_output"))
    client.wait(lambda: bool(control.received("failed")), what="the refusal")


def test_frames_are_negotiated_with_the_older_protocol_too(client: FakeClient) -> None:
    manager = client.bind("org_kde_kwin_server_decoration_manager")
    surface = Surface(client, client.bind("wl_compositor"))
    decoration = manager.create("create", surface.proxy)
    decoration.send("request_mode", SERVER_SIDE)
    client.wait(lambda: bool(decoration.received("mode")), what="the mode")
    assert decoration.received("mode")[-1] == (SERVER_SIDE,)


@pytest.fixture
def new_client(new_launcher: RunningLauncher) -> Generator[FakeClient]:
    """A client in a guest of the newer sway."""
    with FakeClient(new_launcher.socket) as made:
        yield made


def test_a_pager_of_the_guest_switches_workspaces(new_client: FakeClient, new_sway: Sway) -> None:
    new_sway.swaymsg("workspace first")
    with FakeClient(str(new_sway.socket_path)) as host, filling_window(host, new_sway):
        new_sway.swaymsg("workspace second")
        manager = new_client.bind("ext_workspace_manager_v1")
        new_client.wait(lambda: bool(manager.received("done")), what="the workspaces")
        handles = {handle.received("name")[-1][0]: handle for handle in created(manager, "workspace")}
        handles["first"].send("activate")
        manager.send("commit")
        new_client.round_trip()
        focused = [entry["name"] for entry in new_sway.query("workspaces") if entry["focused"]]
        assert (set(handles), focused) == ({"first", "second"}, ["first"])


def test_a_remote_desktop_of_the_guest_gets_a_seat_of_its_own(new_client: FakeClient, new_sway: Sway) -> None:
    seat = new_client.bind("ext_transient_seat_manager_v1").create("create")
    new_client.wait(lambda: bool(seat.received("ready")), what="the seat")
    name = integer(seat.received("ready")[0][0])
    new_client.wait(lambda: name in {entry.name for entry in new_client.globals}, what="its global")
    assert len(new_sway.query("seats")) == 2
    seat.send("destroy")
    new_client.wait(lambda: name not in {entry.name for entry in new_client.globals}, what="its end")


def created(proxy: Proxy, event: str) -> list[Proxy]:
    """The objects that came with events."""
    return [values[0] for values in proxy.received(event) if isinstance(values[0], Proxy)]


def test_a_screen_locker_of_the_guest_locks_and_unlocks_the_host(own_sway: Sway) -> None:
    with (
        running_guest(own_sway.socket_path, allow=policy.load().grantable) as launcher,
        FakeClient(str(own_sway.socket_path)) as host,
        filling_window(host, own_sway),
        FakeClient(launcher.socket) as client,
    ):
        lock = client.bind("ext_session_lock_manager_v1").create("lock")
        surface = Surface(client, client.bind("wl_compositor"))
        cover = lock.create("get_lock_surface", surface.proxy, client.bind("wl_output"))
        client.wait(lambda: bool(cover.received("configure")), what="the cover's size")
        serial, width, height = (integer(value) for value in cover.received("configure")[0])
        cover.send("ack_configure", serial)
        buffer = solid_buffer(client, width, height, "336633")
        surface.attach(buffer)
        surface.damage_all()
        surface.commit_and_show()
        client.wait(lambda: bool(lock.received("locked")), what="the lock")
        assert (own_sway.screenshot() == (0x33, 0x66, 0x33)).all()
        lock.send("unlock_and_destroy")
        client.round_trip()
        assert (own_sway.screenshot() == (0x33, 0x66, 0xCC)).all()
        buffer.pool.close()


def guest_environment(launcher: RunningLauncher) -> dict[str, str]:
    """The environment of a program out of the Debian root that is in the guest."""
    return root.program_environment({"WAYLAND_DISPLAY": launcher.socket})


def test_wtype_in_the_guest_types_into_a_window_of_the_host(
    launcher: RunningLauncher, sway: Sway, debian: Image
) -> None:
    with FakeClient(str(sway.socket_path)) as host:
        keyboard = host.bind("wl_seat").create("get_keyboard")
        keymaps = watch_keymap(keyboard)
        with filling_window(host, sway):
            host.wait(lambda: bool(keyboard.received("enter")), what="the keyboard's focus")
            known = len(keymaps)
            subprocess.run(
                debian.command(["wtype", "-d", "20", "ü!"]),
                env=guest_environment(launcher),
                check=True,
                timeout=PATIENCE,
            )
            host.wait(lambda: len(keyboard.received("key")) >= 4, what="two keys")
        assert any(b"udiaeresis" in keymap or b"U00fc" in keymap for keymap in keymaps[known:])


def test_swaybg_in_the_guest_paints_the_background_of_the_host(
    launcher: RunningLauncher, sway: Sway, debian: Image
) -> None:
    painter = subprocess.Popen(
        debian.command(["swaybg", "--color", "#cc8844"]),
        env=guest_environment(launcher),
        stderr=subprocess.DEVNULL,
    )
    wait_until(
        lambda: bool((sway.screenshot() == (0xCC, 0x88, 0x44)).all()), seconds=PATIENCE, what="the colour"
    )
    painter.terminate()
    painter.wait(PATIENCE)
