"""Applications whose outputs change under them look as without us."""

from pathlib import Path

import pytest

from crossdomain.vm.image import Image
from tests.applications.outputs import DIFFERENT, PROGRAMS, fresh_sway, pictures, pictures_of_direct
from tests.fakes.applications import running_application
from tests.fakes.daemon import running_daemon
from tests.fakes.pictures import different


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_follows_its_outputs_as_without_proxy(
    debian: Image, runtime_dir: Path, program: str
) -> None:
    argv = PROGRAMS[program]
    direct = pictures_of_direct(debian, runtime_dir, argv)
    with (
        fresh_sway(debian, runtime_dir / "proxied") as sway,
        running_daemon(runtime_dir, sway.socket_path) as daemon,
        running_application(
            debian, daemon.local_socket, runtime_dir, argv, options=["--buffers=copy"]
        ) as app,
    ):
        proxied = dict(pictures(sway))
        app.assert_alive()
    assert different(direct, proxied, series=f"outputs-{program}") == []
    assert len({picture.packed for picture in direct.values()}) >= DIFFERENT, "the changes hardly show"
