"""A client that does the same directly and through the proxy hears the same and is shown the same."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from crossdomain.vm.image import Image
from tests.fakes.daemon import running_daemon
from tests.fakes.launcher import RunningLauncher, running_launcher
from tests.fakes.pictures import Picture, different
from tests.fakes.recorder import Recorder
from tests.fakes.scripts import SCRIPTS, SIZE, Script, Theatre
from tests.fakes.stage import Stage, await_no_window, weston_stage
from tests.fakes.sway import running_sway


class House(NamedTuple):
    """A compositor and the two ways to it."""

    name: str
    stage: Stage
    launcher: RunningLauncher


class Run(NamedTuple):
    """What a client heard, object by object and all in order, and what was seen of it."""

    log: Mapping[str, list[str]]
    order: list[str]
    pictures: Mapping[str, Picture]


@pytest.fixture(scope="module")
def sway_house(debian: Image) -> Generator[House]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    (folder / "sway").mkdir()
    with (
        running_sway(debian, folder / "sway", width=SIZE[0], height=SIZE[1]) as sway,
        running_daemon(folder, sway.socket_path) as daemon,
        running_launcher(folder, daemon.local_socket, "--buffers=copy") as launcher,
    ):
        yield House("sway", sway, launcher)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def weston_house(debian: Image) -> Generator[House]:
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with (
        weston_stage(debian, width=SIZE[0], height=SIZE[1]) as weston,
        running_daemon(folder, weston.socket_path) as daemon,
        running_launcher(folder, daemon.local_socket, "--buffers=copy") as launcher,
    ):
        yield House("weston", weston, launcher)
    shutil.rmtree(folder)


@pytest.fixture(params=(0, 1), ids=("sway", "weston"))
def house(request: pytest.FixtureRequest, sway_house: House, weston_house: House) -> House:
    """A house of each compositor."""
    chosen: int = request.param
    return (sway_house, weston_house)[chosen]


def play(script: Script, stage: Stage, socket: str) -> Run:
    """Play a script on the empty screen."""
    pictures: dict[str, Picture] = {}

    def shoot(name: str) -> None:
        pictures[name] = Picture.of(stage.screenshot())

    stage.seat.move_pointer(SIZE[0] - 1, SIZE[1] - 1)
    with Recorder(socket) as client, closing(Theatre(client, stage.seat, shoot)) as theatre:
        script(theatre)
        log = {label: list(events) for label, events in client.log.items()}
        order = list(client.order)
    await_no_window(stage, "")
    return Run(log, order, pictures)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_is_heard_and_shown_as_without_proxy(house: House, script: Script) -> None:
    # A rehearsal first: Weston keeps what was copied, and offers it to the next client.
    play(script, house.stage, str(house.stage.socket_path))
    direct = play(script, house.stage, str(house.stage.socket_path))
    proxied = play(script, house.stage, house.launcher.socket)
    house.launcher.assert_alive()
    assert proxied.log == direct.log
    # Wayland promises it for all objects of a connection.
    assert proxied.order == direct.order
    assert different(direct.pictures, proxied.pictures, series=f"{script.__name__}-{house.name}") == []
    assert len({picture.packed for picture in direct.pictures.values()}) == len(direct.pictures)
