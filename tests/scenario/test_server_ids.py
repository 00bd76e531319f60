"""Objects that the compositor makes, and whose ids it uses again: a client behind the proxy sees the same.

Two watchers, one direct on a real compositor and one behind the proxy, are told of the same windows,
outputs and selections, destroy what they were given, and must have been told the same in the end.
"""

import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm import image
from crossdomain.vm.headless import HeadlessWeston
from tests.fakes.client import FakeClient, Proxy, Value
from tests.fakes.clipboard import Copier, Paster
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.sway import Sway
from tests.scenario.test_sway import filling_window

WINDOWS: Final = 40
OUTPUTS: Final = 12
SELECTIONS: Final = 500


@pytest.fixture(scope="module")
def launcher(sway: Sway) -> Generator[RunningLauncher]:
    """A launcher whose host allows what is told of windows and outputs."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    allowed = ("--allow=toplevel-management", "--allow=output-management")
    with ExitStack() as stack:
        daemon = stack.enter_context(running_daemon(folder, sway.socket_path, *allowed))
        yield stack.enter_context(running_launcher(folder, daemon.local_socket))
    shutil.rmtree(folder)


class Watcher:
    """A client that notes every event of the objects that it is given, and destroys them at their end.

    Args:
        manager: the global that makes them.
        ends: the event after which each interface's objects are destroyed, and by which request.
    """

    def __init__(self, display: str, manager: str, ends: dict[str, tuple[str, str]]) -> None:
        self.client = FakeClient(display)
        self.log: list[tuple[object, ...]] = []
        self.ids: list[int] = []
        self.destroyed = 0
        self._ends = ends
        self._watch(self.client.bind(manager))
        self.client.round_trip()

    def close(self) -> None:
        """Leave."""
        self.client.close()

    def wait_given(self, count: int) -> None:
        """Return when there have been so many objects."""
        self.client.wait(lambda: len(self.ids) >= count, what=f"{count} objects")

    def wait_destroyed(self, count: int) -> None:
        """Return when so many objects have come and gone."""
        self.client.wait(lambda: self.destroyed >= count, what=f"the end of {count} objects")

    def _watch(self, proxy: Proxy) -> None:
        for event in proxy.interface.events:
            proxy.handlers[event.name] = self._noting(proxy, event.name)

    def _noting(self, proxy: Proxy, name: str) -> Callable[[tuple[Value, ...]], None]:
        def note(values: tuple[Value, ...]) -> None:
            shown = [value.interface.name if isinstance(value, Proxy) else value for value in values]
            self.log.append((proxy.interface.name, name, *shown))
            for value in values:
                if isinstance(value, Proxy) and not value.handlers:
                    self.ids.append(value.object_id)
                    self._watch(value)
            end, request = self._ends.get(proxy.interface.name, ("", ""))
            if name == end:
                proxy.send(request)
                self.destroyed += 1

        return note


def test_windows_that_open_and_close(sway: Sway, launcher: RunningLauncher) -> None:
    ends = {"zwlr_foreign_toplevel_handle_v1": ("closed", "destroy")}
    manager = "zwlr_foreign_toplevel_manager_v1"
    with (
        closing(Watcher(str(sway.socket_path), manager, ends)) as direct,
        closing(Watcher(launcher.socket, manager, ends)) as proxied,
        FakeClient(str(sway.socket_path)) as host,
    ):
        for number in range(1, WINDOWS + 1):
            with filling_window(host, sway) as window:
                window.toplevel.send("set_title", f"window {number}")
                window.destroy()
                host.round_trip()
            for watcher in (direct, proxied):
                watcher.wait_destroyed(number)
        assert proxied.log == direct.log
        assert f"window {WINDOWS}" in str(proxied.log)
        assert all(len(set(watcher.ids)) < WINDOWS / 2 for watcher in (direct, proxied))


def test_outputs_and_their_modes_that_come_and_go(sway: Sway, launcher: RunningLauncher) -> None:
    ends = {
        "zwlr_output_head_v1": ("finished", "release"),
        "zwlr_output_mode_v1": ("finished", "release"),
    }
    manager = "zwlr_output_manager_v1"
    with (
        closing(Watcher(str(sway.socket_path), manager, ends)) as direct,
        closing(Watcher(launcher.socket, manager, ends)) as proxied,
    ):
        for _ in range(OUTPUTS):
            known, gone = len(proxied.ids), proxied.destroyed
            plugged = sway.plug_output()
            for watcher in (direct, proxied):
                watcher.wait_given(known + 1)
            sway.unplug_output(plugged)
            for watcher in (direct, proxied):
                watcher.wait_destroyed(gone + 1)
        for watcher in (direct, proxied):
            watcher.client.round_trip()
            assert len(set(watcher.ids)) < len(watcher.ids) / 2
        assert proxied.log == direct.log


def test_selections_that_replace_each_other(runtime_dir: Path) -> None:
    with ExitStack() as stack:
        weston = stack.enter_context(HeadlessWeston(image.obtain(image.Recipe())))
        daemon = stack.enter_context(running_daemon(runtime_dir, weston.socket_path))
        launcher = stack.enter_context(running_launcher(runtime_dir, daemon.local_socket))
        copier = stack.enter_context(closing(Copier(str(weston.socket_path))))
        paster = stack.enter_context(closing(Paster(launcher.socket)))
        for _ in range(SELECTIONS):
            copier.copy()
            paster.client.round_trip()
        assert paster.offers >= SELECTIONS
        assert len(paster.offer_ids) < 10
