"""wl-copy and wl-paste on the two sides of the proxy, with data of any kind."""

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from crossdomain.vm import root
from crossdomain.vm.image import Image
from tests.applications.conftest import Scene
from tests.fakes.applications import END_SECONDS
from tests.fakes.stage import APPLICATION_SECONDS
from tests.fakes.sway import Sway
from tests.fakes.weston import stop, wait_until

KIND = "--type=application/octet-stream"
DATA = random.Random(1).randbytes(3 << 20)
"""More than any pipe holds at once."""


def on_host(debian: Image, sway: Sway, *argv: str) -> subprocess.Popen[bytes]:
    """A program of the host's own."""
    return subprocess.Popen(
        debian.command(list(argv)),
        env=root.program_environment(sway.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def output_of(debian: Image, sway: Sway, argv: Sequence[str]) -> bytes:
    """What a program of the host prints."""
    with on_host(debian, sway, *argv) as process:
        return process.communicate(timeout=END_SECONDS)[0]


def test_what_the_guest_copies_is_pasted_on_the_host(
    sway_scene: Scene, wide_sway: Sway, debian: Image, runtime_dir: Path
) -> None:
    (runtime_dir / "data").write_bytes(DATA)
    argv = ["sh", "-c", f"exec wl-copy --foreground {KIND} <{runtime_dir}/data"]
    with sway_scene.running(debian, runtime_dir, argv) as app:
        wait_until(
            lambda: output_of(debian, wide_sway, ["wl-paste", KIND]) == DATA,
            seconds=APPLICATION_SECONDS,
            what="the guest's data on the host",
        )
        assert output_of(debian, wide_sway, ["wl-copy", "something else"]) == b""
        # It ends once another program has taken the clipboard over.
        assert app.wait() == 0, app.log
    assert output_of(debian, wide_sway, ["wl-copy", "--clear"]) == b""


def test_what_the_host_copies_is_pasted_in_the_guest(
    sway_scene: Scene, wide_sway: Sway, debian: Image, runtime_dir: Path
) -> None:
    (runtime_dir / "data").write_bytes(DATA)
    copier = on_host(debian, wide_sway, "sh", "-c", f"exec wl-copy --foreground {KIND} <{runtime_dir}/data")
    assert copier.stdout is not None
    try:
        wait_until(
            lambda: output_of(debian, wide_sway, ["wl-paste", KIND]) == DATA,
            seconds=APPLICATION_SECONDS,
            what="the host's data",
        )
        argv = ["sh", "-c", f"exec wl-paste {KIND} >{runtime_dir}/pasted"]
        with sway_scene.running(debian, runtime_dir, argv) as app:
            assert app.wait() == 0, app.log
        assert (runtime_dir / "pasted").read_bytes() == DATA
    finally:
        stop(copier)
        copier.stdout.close()
