"""What the host's configuration file does: labels, sockets of their own, groups, and a change of mind."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from crossdomain.bridge.formats import fourcc
from tests.fakes.client import FakeClient
from tests.fakes.compositor import FakeCompositor, Peer, served
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.launcher import PATIENCE, running_launcher
from tests.fakes.local_client import LocalClient
from tests.fakes.programs import REPOSITORY
from tests.fakes.sway import Sway
from tests.fakes.vhost_socket import connected
from tests.fakes.wayland_guest import WaylandGuest
from tests.fakes.weston import wait_until
from tests.scenario.test_sway import filling_window
from tests.unit.context.world import event, request

COMPOSITOR, BASE, SURFACE, XDG_SURFACE, TOPLEVEL = 4, 5, 6, 7, 8


def says(name: str, value: str) -> bytes:
    """xdg_toplevel.set_title or set_app_id."""
    return request("xdg_toplevel", name, TOPLEVEL, value)


def make_window(title: str) -> bytes:
    """A toplevel with that title."""
    return (
        request("wl_compositor", "create_surface", COMPOSITOR, SURFACE)
        + request("xdg_wm_base", "get_xdg_surface", BASE, XDG_SURFACE, SURFACE)
        + request("xdg_surface", "get_toplevel", XDG_SURFACE, TOPLEVEL)
        + says("set_title", title)
    )


class Guest:
    """A client whose launcher is its own: it says bytes, and the compositor sees what the host lets pass."""

    def __init__(self, compositor: FakeCompositor, path: Path) -> None:
        before = len(compositor.peers)
        self.client = LocalClient.connect(path)
        wait_until(lambda: len(compositor.peers) > before, seconds=PATIENCE, what="the connection")
        self.peer = compositor.peers[before]
        self.client.send(request("wl_display", "get_registry", 1, 2) + request("wl_display", "sync", 1, 3))
        self.seen = b""
        done = event("wl_callback", "done", 3, 0)
        while done not in self.seen:
            self.seen += bytes(self.client.next_event().data)
        self.send(
            self.bind(compositor, "wl_compositor", COMPOSITOR), self.bind(compositor, "xdg_wm_base", BASE)
        )

    def bind(self, compositor: FakeCompositor, interface: str, new_id: int) -> bytes:
        """wl_registry.bind of version 1."""
        (name,) = [name for name, (offered, _) in compositor.globals.items() if offered == interface]
        return request("wl_registry", "bind", 2, name, interface, 1, new_id)

    def send(self, *requests: bytes) -> None:
        """One SEND."""
        self.client.send(b"".join(requests))

    def hear(self, last: bytes) -> bytes:
        """All events until that one has come."""
        heard = b""
        while last not in heard:
            heard += bytes(self.client.next_event().data)
        return heard

    def titles(self, last: str) -> list[str]:
        """All titles that the compositor was told, once that one has come."""
        wait_until(lambda: last in names(self.peer, "set_title"), seconds=PATIENCE, what=last)
        return names(self.peer, "set_title")


def names(peer: Peer, said: str) -> list[str]:
    """What the compositor was told by all requests of that name."""
    return [str(made.arguments[0]) for made in peer.named(said)]


class Stage(NamedTuple):
    """A compositor that is served, and a daemon."""

    compositor: FakeCompositor
    daemon: RunningDaemon
    folder: Path

    @contextmanager
    def guest(self, socket_name: str = "local.sock") -> Generator[Guest]:
        """A client at a socket of the daemon's."""
        guest = Guest(self.compositor, self.folder / socket_name)
        with guest.client:
            yield guest


@contextmanager
def staged(folder: Path, settings: str, *options: str) -> Generator[Stage]:
    """A daemon with these settings, on a compositor in the test's hands."""
    with (
        FakeCompositor(folder / "host") as compositor,
        running_daemon(folder, compositor.path, *options, settings=settings) as daemon,
        served(compositor),
    ):
        # The daemon looked whether a compositor is there.
        wait_until(lambda: bool(compositor.peers), seconds=PATIENCE, what="the first connection")
        yield Stage(compositor, daemon, folder)


def section(folder: Path, name: str, *lines: str) -> str:
    """A `[vm.NAME]` with a local socket of its own, whose clients alone connect to the compositor."""
    own = (f"[vm.{name}]", f'local_socket = "{folder / name}.sock"', 'security_context = "off"')
    return "\n".join((*own, *lines, ""))


def test_a_guest_is_known_by_its_socket_whatever_it_says(runtime_dir: Path) -> None:
    settings = section(runtime_dir, "work") + section(runtime_dir, "play", 'title = "{title} ({vm})"')
    with (
        staged(runtime_dir, settings) as stage,
        stage.guest("work.sock") as work,
        stage.guest("play.sock") as play,
        stage.guest() as local,
    ):
        work.send(make_window("[play] game"))
        play.send(make_window("game"))
        local.send(make_window("tool"))
        assert work.titles("[work] [play] game") == ["[work]", "[work] [play] game"]
        assert play.titles("game (play)") == ["(play)", "game (play)"]
        assert local.titles("tool") == ["tool"]
        assert names(work.peer, "set_app_id") == ["work"]
        assert names(local.peer, "set_app_id") == []


async def test_windows_of_a_vm_have_its_label_by_default(runtime_dir: Path) -> None:
    settings = f'[vm.work]\nsocket = "{runtime_dir}/work.sock"\n'
    with staged(runtime_dir, settings) as stage:
        for name, label in (("gpu", "[guest]"), ("work", "[work]")):
            async with FakeFrontend(connected(runtime_dir / f"{name}.sock"), ram_size=16 << 20) as vm:
                guest = WaylandGuest(await GuestContext.open(vm, 1))
                await guest.list_globals()
                await guest.send(
                    guest.bind("wl_compositor", 4, COMPOSITOR), guest.bind("xdg_wm_base", 1, BASE)
                )
                await guest.send(make_window("mail"), request("wl_display", "sync", 1, 9))
                await guest.wait_for(9, 0)
                assert names(stage.compositor.peers[-1], "set_title") == [label, f"{label} mail"]


def test_sway_shows_the_label(sway: Sway, runtime_dir: Path) -> None:
    with (
        running_daemon(runtime_dir, sway.socket_path, settings=section(runtime_dir, "work")),
        running_launcher(runtime_dir, runtime_dir / "work.sock") as launcher,
        FakeClient(launcher.socket) as client,
        filling_window(client, sway),
    ):
        (window,) = sway.windows()
        assert (window["name"], window["app_id"]) == ("[work] filling", "work.crossdomain.test")


def test_new_settings_hold_for_the_next_title_of_a_connected_client(runtime_dir: Path) -> None:
    with staged(runtime_dir, "") as stage, stage.guest() as guest:
        guest.send(make_window("one"))
        assert guest.titles("one") == ["one"]
        stage.daemon.reload('[local]\ntitle = "{vm}: {title}"\n')
        guest.send(says("set_title", "two"))
        assert guest.titles("local: two") == ["one", "local: two"]


def test_new_settings_are_announced_when_all_workers_have_them(runtime_dir: Path) -> None:
    with staged(runtime_dir, "") as stage:
        daemon, (worker,) = stage.daemon, stage.daemon.workers
        os.kill(worker, signal.SIGSTOP)
        daemon.settings_path.write_text(section(runtime_dir, "new"))
        daemon.process.send_signal(signal.SIGHUP)
        wait_until((runtime_dir / "new.sock").exists, seconds=PATIENCE, what="the new socket")
        with stage.guest("new.sock"):
            assert "new settings" not in daemon.log
        os.kill(worker, signal.SIGCONT)
        wait_until(lambda: "new settings" in daemon.log, seconds=PATIENCE, what="new settings")


def test_a_mistake_in_new_settings_changes_nothing(runtime_dir: Path) -> None:
    with staged(runtime_dir, '[local]\ntitle = "{vm}: {title}"\n') as stage, stage.guest() as guest:
        stage.daemon.reload("[local]\ntitel = 1\n")
        assert "there is no key local.titel: did you mean local.title?" in stage.daemon.log
        guest.send(make_window("one"))
        assert guest.titles("local: one") == ["local:", "local: one"]


def test_formats_of_buffers_are_filtered_for_a_client_that_is_connected(runtime_dir: Path) -> None:
    offered = [fourcc("XR30"), fourcc("NV12")]
    with staged(runtime_dir, '[local]\nformats = ["NV12"]\n') as stage, stage.guest() as guest:
        guest.send(guest.bind(stage.compositor, "wl_shm", 6))
        wait_until(lambda: "wl_shm" in guest.peer.bound, seconds=PATIENCE, what="wl_shm")
        denied, allowed = (event("wl_shm", "format", 6, code) for code in offered)
        for code in offered:
            guest.peer.bound["wl_shm"].send("format", code)
        assert denied not in guest.hear(allowed)
        stage.daemon.reload('[local]\nformats = "all"\n')
        guest.peer.bound["wl_shm"].send("format", offered[0])
        assert guest.hear(denied)


def test_sections_come_and_go_without_dropping_clients(runtime_dir: Path) -> None:
    with staged(runtime_dir, section(runtime_dir, "old")) as stage, stage.guest("old.sock") as old:
        stage.daemon.reload(section(runtime_dir, "new"))
        assert not (runtime_dir / "old.sock").exists()
        with stage.guest("new.sock") as new:
            new.send(make_window("mail"))
            assert new.titles("[new] mail")
        old.send(make_window("mail"))
        assert old.titles("[old] mail")
        stage.daemon.reload(section(runtime_dir, "old"))
        with stage.guest("old.sock"):
            assert not (runtime_dir / "new.sock").exists()


def test_a_socket_that_cannot_be_made_costs_that_vm_alone(runtime_dir: Path) -> None:
    (runtime_dir / "work.sock").write_text("a file")
    with staged(runtime_dir, section(runtime_dir, "work") + section(runtime_dir, "play")) as stage:
        assert "vm.work.local_socket: " in stage.daemon.log
        with stage.guest("play.sock"):
            assert (runtime_dir / "work.sock").read_text() == "a file"


def test_sections_may_be_left_to_another_daemon(runtime_dir: Path) -> None:
    with staged(runtime_dir, section(runtime_dir, "work"), "--no-sections") as stage, stage.guest():
        assert not (runtime_dir / "work.sock").exists()


def test_groups_are_allowed_and_denied_per_vm(runtime_dir: Path) -> None:
    settings = (
        section(runtime_dir, "work", 'allow = ["data-control"]')
        + section(runtime_dir, "play", 'deny = ["data-control"]')
        + section(runtime_dir, "plain")
    )
    with staged(runtime_dir, settings, "--allow=data-control") as stage:
        stage.compositor.add_global("ext_data_control_manager_v1", 1)
        stage.compositor.add_global("ext_session_lock_manager_v1", 1)
        with (
            stage.guest("work.sock") as work,
            stage.guest("play.sock") as play,
            stage.guest("plain.sock") as plain,
        ):
            seen = [b"data_control" in guest.seen for guest in (work, play, plain)]
            assert seen == [True, False, True]
            assert b"session_lock" not in work.seen + play.seen + plain.seen


def test_new_groups_hold_for_new_clients(runtime_dir: Path) -> None:
    with staged(runtime_dir, "") as stage:
        stage.compositor.add_global("ext_data_control_manager_v1", 1)
        with stage.guest() as before:
            stage.daemon.reload('[local]\nallow = ["data-control"]\n')
            with stage.guest() as after:
                assert b"data_control" not in before.seen
                assert b"data_control" in after.seen


@pytest.mark.parametrize("settings", ["[default]\ntitel = 1\n", "[default", "[vm.a]\nsocket = 1\n"])
def test_a_mistake_at_the_start_is_one_line(runtime_dir: Path, settings: str) -> None:
    file = runtime_dir / "host.toml"
    file.write_text(settings)
    done = subprocess.run(
        [sys.executable, "-m", "crossdomain.cli", "host", f"--config={file}", "--wayland-display=/none"],
        cwd=REPOSITORY,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"crossdomain: {file}: ")
    assert done.stderr.count("\n") == 1
