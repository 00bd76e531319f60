"""A guest's wp_viewport requests that end a Weston 10, and that Weston behind our daemon."""

from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.client import FakeClient, Proxy
from tests.fakes.daemon import running_daemon
from tests.fakes.endpoint import Disconnected
from tests.fakes.launcher import running_launcher
from tests.fakes.weston import Weston

FRACTION = (0, 0, 256, 384)
"""A source rectangle of 1 x 1.5 px."""
UNSET = (-256, -256, -256, -256)


class Stage(NamedTuple):
    """A Weston that may be broken, and a launcher's socket in front of it."""

    weston: Weston
    socket: str


@pytest.fixture
def stage(own_weston: Weston, runtime_dir: Path) -> Generator[Stage]:
    with (
        running_daemon(runtime_dir, own_weston.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket) as launcher,
    ):
        yield Stage(own_weston, launcher.socket)


def make_viewport(client: FakeClient) -> tuple[Proxy, Proxy]:
    """A surface whose viewport has a source rectangle with a fraction, and that viewport."""
    surface = client.bind("wl_compositor").create("create_surface")
    viewport = client.bind("wp_viewporter").create("get_viewport", surface)
    viewport.send("set_source", *FRACTION)
    viewport.send("set_destination", 10, 10)
    surface.send("commit")
    return surface, viewport


def attack(display: str) -> None:
    """Leaves a fraction behind in a surface that has no viewport any more."""
    with FakeClient(display) as client:
        surface, viewport = make_viewport(client)
        viewport.send("destroy")
        surface.send("commit")
        client.round_trip()


def test_the_attack_ends_this_weston_where_nobody_stands_before_it(own_weston: Weston) -> None:
    with pytest.raises(Disconnected):
        attack(str(own_weston.socket_path))
    assert own_weston.process.wait(30) != 0
    assert "viewport_resource" in own_weston.log


def test_the_attack_does_nothing_through_the_daemon(stage: Stage) -> None:
    attack(stage.socket)
    with FakeClient(str(stage.weston.socket_path)) as bystander:
        bystander.round_trip()
    assert stage.weston.process.poll() is None


def test_a_client_that_unsets_its_source_goes_on(stage: Stage) -> None:
    """Weston 10 alone ends this one, though it did nothing wrong."""
    with FakeClient(stage.socket) as client:
        surface, viewport = make_viewport(client)
        viewport.send("set_source", *UNSET)
        viewport.send("set_destination", -1, -1)
        surface.send("commit")
        client.round_trip()


def test_a_surface_may_go_before_its_viewport(stage: Stage) -> None:
    with FakeClient(stage.socket) as client:
        surface, viewport = make_viewport(client)
        surface.send("destroy")
        viewport.send("destroy")
        client.round_trip()
